/** What derives from something else in the repository is up to date, and what the documents name is there. */
import { existsSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { generatedFiles } from '../../cli/generated-files.ts'
import { filesOf, readText, root } from './sources.ts'

describe('npm run generate would change nothing', () => {
  test.each(Object.entries(generatedFiles(root)))('%s', (file, text) => {
    expect(readText(file)).toBe(text)
  })
})

const documents = filesOf('*.md', 'docs/**/*.md', 'bench/**/*.md', 'charts/**/*.md')
const { scripts } = JSON.parse(readText('package.json')) as { scripts: Record<string, string> }

describe.each(documents)('%s', (file) => {
  const text = readText(file)

  test('names npm scripts that exist', () => {
    const named = [...text.matchAll(/\bnpm run ([a-z:-]+)|\bnpm (start|test)\b/g)].map(
      ([, run, short]) => run ?? short ?? '',
    )
    expect(named.filter((name) => !(name in scripts))).toEqual([])
  })

  test('holds no marker of a merge conflict', () => {
    expect(text.match(/^(?:\| )?<<<<<<<.*|^(?:> ){7}.*/gm)).toBeNull()
  })

  test('links to files that exist', () => {
    const links = [...text.matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g)].map(([, link]) => link ?? '')
    expect(links.filter((link) => !existsSync(path.join(root, path.dirname(file), link)))).toEqual([])
  })

  test('names paths that exist', () => {
    const named = [...text.matchAll(/`((?:core|agent|tracker|cli|image|test|bench|charts|docs)\/[\w./-]*)`/g)].map(
      ([, name]) => name ?? '',
    )
    expect(named.filter((name) => !existsSync(path.join(root, name)))).toEqual([])
  })
})

test('the image sets the variables that the command asks for', () => {
  const [firstLine = ''] = readText('cli/main.ts').split('\n', 1)
  const asked = [...firstLine.matchAll(/ (\w+=\S+)/g)].map(([, variable]) => variable)
  const set = [...readText('image/Dockerfile').matchAll(/^ENV (.*)$/gm)].map(([, variable]) => variable)
  expect([asked.length, set]).toEqual([1, asked])
})

test('every npm script that runs a file of ours runs one that exists', () => {
  const files = Object.values(scripts).flatMap((script) => script.match(/\b(?:cli|image|test|bench)\/[\w./-]+/g) ?? [])
  expect(files.filter((file) => !existsSync(path.join(root, file)))).toEqual([])
})
