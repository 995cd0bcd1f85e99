/** The terms of others' packages that are in the bundle, which most of them ask to be handed on with it. */
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { z } from 'zod'

const packageSchema = z.object({
  name: z.string(),
  version: z.string(),
  license: z.string(),
  author: z.union([z.string(), z.object({ name: z.string() }).transform(({ name }) => name)]).default(''),
})

/** Of the packages that these modules are from: each text once, below the names of all that it is of. */
export async function licenseTexts(root: string, modules: readonly string[]): Promise<string> {
  const directories = new Set(modules.flatMap((module) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(module) ?? []))
  const ourLicense = await readFile(path.join(root, 'LICENSE'), 'utf8')
  const terms = await Promise.all([...directories].map((directory) => termsOf(directory, ourLicense)))
  const byName = terms.toSorted((one, other) => (one.name < other.name ? -1 : 1))
  const sections = [...Map.groupBy(byName, ({ text }) => text)].map(([text, of]) => {
    const names = [...new Set(of.map(({ name }) => name))]
    return `${names.join('\n')}\n\n${text.trim()}\n`
  })
  return sections.join(`\n${'-'.repeat(80)}\n\n`)
}

/** Where no text comes with a package: Apache-2.0's is that of Shoal's own license, which says nothing of Shoal; else what package.json says. */
async function termsOf(directory: string, apache: string): Promise<{ name: string; text: string }> {
  const found = packageSchema.parse(JSON.parse(await readFile(path.join(directory, 'package.json'), 'utf8')))
  const { name, version, license, author } = found
  const files = (await readdir(directory)).filter((file) => /^(?:licen[cs]e|copying|notice)/i.test(file)).toSorted()
  const texts = await Promise.all(files.map((file) => readFile(path.join(directory, file), 'utf8')))
  const ofPackageJson = license.includes('Apache-2.0') ? apache : `${license}. By ${author}.`
  return { name: `${name} ${version}`, text: texts.length > 0 ? texts.join('\n') : ofPackageJson }
}
