/** Kubernetes' own schemas, strict: a key that it does not know is a fault, which its API would drop and say nothing. */
import { Ajv2020 } from 'ajv/dist/2020.js'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { z } from 'zod'

/** The oldest version that the chart is for, and the newest of which there are schemas. */
export const kubernetesVersions = ['1.27', '1.37'] as const

const schemasSchema = z.looseObject({ $defs: z.record(z.string(), z.unknown()) })
const formats = ['byte', 'date-time', 'double', 'int32', 'int64']

/** Says what is wrong with an object, each as `path: fault`; throws where its kind is unknown. */
export function openSchemas(version: string): (object: { apiVersion: string; kind: string }) => string[] {
  const ajv = new Ajv2020({
    strict: false,
    allErrors: true,
    formats: Object.fromEntries(formats.map((name) => [name, true])),
  })
  const schemas = schemasSchema.parse(
    JSON.parse(readFileSync(path.join(import.meta.dirname, `schemas-${version}.json`), 'utf8')),
  )
  ajv.addSchema(schemas, 'kubernetes')
  return (object) => {
    const name = Object.keys(schemas.$defs).find((each) => each.endsWith(definitionName(object)))
    if (name === undefined) throw new TypeError(`no schema for ${object.apiVersion} ${object.kind}`)
    const validate = ajv.getSchema(`kubernetes#/$defs/${name}`)
    if (validate === undefined) throw new TypeError(`no schema ${name}`)
    if (validate(object) === true) return []
    return (validate.errors ?? []).map(
      ({ instancePath, message, params }) => `${instancePath}: ${message} ${JSON.stringify(params)}`,
    )
  }
}

/** `io.k8s.api.apps.v1.DaemonSet` for `apps/v1`, `io.k8s.api.core.v1.Pod` for `v1`. */
function definitionName({ apiVersion, kind }: { apiVersion: string; kind: string }): string {
  const [group = '', version] = apiVersion.includes('/') ? apiVersion.split('/') : ['core', apiVersion]
  return `.api.${group.split('.')[0]}.${version}.${kind}`
}
