/** Genuine Helm, of each major version that users have, and the chart as it renders it. */
import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { describe } from 'vitest'
import { parseAllDocuments } from 'yaml'

const run = promisify(execFile)
export const chartDirectory = path.resolve(import.meta.dirname, '../../../charts/shoal')

/** What the values in ci/ are called. */
export const variants = readdirSync(path.join(chartDirectory, 'ci')).map((file) => file.replace('-values.yaml', ''))
export const valuesFile = (variant: string): string => path.join(chartDirectory, 'ci', `${variant}-values.yaml`)

/** What the chart renders, as far as tests look into it. */
export interface KubernetesObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
  }
}

export interface Helm {
  /** What it prints; rejects with what it complains of. */
  run(...args: string[]): Promise<string>
  /** The chart's text, for the namespace shoal-system; with `drawn` for what is drawn anew each time. */
  render(...args: string[]): Promise<string>
  /** Its objects, by `Kind/name`. */
  template(...args: string[]): Promise<Readonly<Record<string, KubernetesObject>>>
}

/** A suite for each major version, skipped where that can not be had. Under CI it then fails. */
export async function describeHelms(suite: (helm: Helm) => void, majors = ['3', '4']): Promise<void> {
  for (const major of majors) {
    const found = await findHelm(major)
    const isMissing = typeof found === 'string'
    describe.skipIf(isMissing && process.env['CI'] !== 'true')(`Helm ${major}${isMissing ? `: ${found}` : ''}`, () => {
      suite(found as Helm)
    })
  }
}

/** The program, or the reason why there is none, for a skip that can be seen. */
export async function findHelm(major: string): Promise<Helm | string> {
  try {
    const { stdout } = await run(path.join(import.meta.dirname, 'fetch.sh'), [major])
    return createHelm(stdout.trim())
  } catch (error) {
    return `can not be had: ${error instanceof Error ? error.message : String(error)}`
  }
}

function createHelm(program: string): Helm {
  const helm: Helm = {
    async run(...args) {
      const { stdout } = await run(program, args, { maxBuffer: 16 * 1024 * 1024 })
      return stdout
    },
    async render(...args) {
      return (await rendered(args)).replace(/^ {2}cluster-secret: [A-Za-z0-9+/]{43}=$/m, '  cluster-secret: drawn')
    },
    template: async (...args) => parseObjects(await rendered(args)),
  }
  const rendered = (args: readonly string[]) =>
    helm.run('template', 'shoal', chartDirectory, '--namespace', 'shoal-system', ...args)
  return helm
}

/** Kubernetes reads YAML 1.1. Throws where two objects are of one kind and name: one would overwrite the other. */
function parseObjects(text: string): Record<string, KubernetesObject> {
  const objects: Record<string, KubernetesObject> = {}
  for (const document of parseAllDocuments(text, { version: '1.1' })) {
    if (document.errors[0] !== undefined) throw document.errors[0]
    const object = document.toJS() as KubernetesObject | null
    if (object === null) continue
    const name = `${object.kind}/${object.metadata.name}`
    if (name in objects) throw new Error(`two objects ${name}`)
    objects[name] = object
  }
  return objects
}
