/** What the image holds of others' packages, as CycloneDX: npm's own list of those that package-lock.json pins. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { z } from 'zod'

const run = promisify(execFile)

/** What of npm's list is kept. It adds a random number, its own version and the time. */
const bom = z.object({
  bomFormat: z.literal('CycloneDX'),
  specVersion: z.string(),
  version: z.number(),
  metadata: z.object({ component: z.looseObject({ 'bom-ref': z.string() }) }),
  components: z.array(
    z.looseObject({ 'bom-ref': z.string(), properties: z.array(z.looseObject({ name: z.string() })) }),
  ),
  dependencies: z.array(z.object({ ref: z.string(), dependsOn: z.array(z.string()) })),
})

/** The same lock file and time give the same text, whoever runs it and wherever. Rejects where npm fails. */
export async function cycloneDx(root: string, createdS: number): Promise<string> {
  const words = ['sbom', '--package-lock-only', '--sbom-format', 'cyclonedx', '--sbom-type', 'application']
  const { stdout } = await run('npm', words, { cwd: root, maxBuffer: Infinity })
  return `${JSON.stringify(ofImage(bom.parse(JSON.parse(stdout)), createdS), null, 2)}\n`
}

/** Without what is for development alone: npm's own `--omit dev` also leaves out a package that both need. */
function ofImage({ metadata, components, dependencies, ...rest }: z.infer<typeof bom>, createdS: number) {
  const kept = components.filter(({ properties }) => !properties.some(({ name }) => name === developmentProperty))
  const refs = new Set([...kept, metadata.component].map((component) => component['bom-ref']))
  return {
    ...rest,
    // npm names the whole after its directory.
    metadata: {
      timestamp: new Date(createdS * 1000).toISOString(),
      component: { ...metadata.component, name: 'shoal' },
    },
    components: kept,
    dependencies: dependencies
      .filter(({ ref }) => refs.has(ref))
      .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((on) => refs.has(on)) })),
  }
}

const developmentProperty = 'cdx:npm:package:development'
