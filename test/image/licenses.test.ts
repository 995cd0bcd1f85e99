/** What the image hands on of the terms of others' packages. */
import path from 'node:path'
import { expect, test } from 'vitest'
import { licenseTexts } from '../../image/licenses.ts'
import { readText, root } from '../repository/sources.ts'

const sectionsOf = (text: string) => text.split(`\n${'-'.repeat(80)}\n\n`)
const module = (name: string) => path.join(root, 'node_modules', name, 'index.js')
const versionOf = (name: string) =>
  (JSON.parse(readText(`node_modules/${name}/package.json`)) as { version: string }).version
const named = (name: string) => `${name} ${versionOf(name)}`

test('each text is there once, below the packages that it is of', async () => {
  const modules = ['zod', 'it-all', 'zod', '@libp2p/tcp', 'abstract-logging'].map(module)
  expect(sectionsOf(await licenseTexts(root, ['\0runtime', path.join(root, 'cli/main.ts'), ...modules]))).toEqual([
    // They come without: of "Apache-2.0 OR MIT", the first.
    `${named('@libp2p/tcp')}\n${named('it-all')}\n\n${readText('LICENSE').trim()}\n`,
    `${named('abstract-logging')}\n\nMIT. By James Sumners <james.sumners@gmail.com>.\n`,
    `${named('zod')}\n\n${readText('node_modules/zod/LICENSE').trim()}\n`,
  ])
})
