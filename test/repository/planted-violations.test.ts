/**
 * Rules that no longer bite are worse than none: each planted violation here must be found, in a copy of this
 * repository's configuration (a layer check that saw no module once passed; so did a type check of no file).
 */
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const root = path.resolve(import.meta.dirname, '../..')
let copy: string

/** Each file breaks one rule; `finds` stands in the message that must come. */
const violations: Record<string, { text: string; finds: string }> = {
  'core/a.ts': { text: "import '../agent/x.ts'", finds: 'core imports nothing above it' },
  'core/b.ts': { text: "import '../test/x.ts'", finds: 'core imports nothing above it' },
  'core/c.ts': { text: "import 'node:fs'", finds: 'core does no I/O' },
  'core/d.ts': { text: 'export const now = () => Date.now()', finds: 'Use Clock.' },
  'core/e.ts': { text: 'setTimeout(() => {}, 1)', finds: 'Use Clock.' },
  'core/f.ts': { text: 'export const toss = () => Math.random()', finds: 'Use Random.' },
  'core/g.ts': { text: 'export const env = process.env', finds: 'Take what you need as a parameter.' },
  'core/h.ts': { text: 'export const late = AbortSignal.timeout(1)', finds: 'Use Clock' },
  'core/i.ts': { text: "import 'libp2p'", finds: 'the only importer of libp2p' },
  'agent/a.ts': { text: "import '../tracker/x.ts'", finds: 'agent imports core only' },
  'agent/b.ts': { text: "import '../test/x.ts'", finds: 'agent imports core only' },
  'agent/store/c.ts': { text: "import '@libp2p/tcp'", finds: 'the only importer of libp2p' },
  'agent/d.ts': { text: "import '@chainsafe/libp2p-noise'", finds: 'the only importer of libp2p' },
  'agent/transport/e.ts': { text: "import '../../cli/x.ts'", finds: 'agent imports core only' },
  'tracker/a.ts': { text: "import '../agent/x.ts'", finds: 'tracker imports core only' },
  'cli/a.ts': { text: "import '../bench/x.ts'", finds: 'Nothing imports test or bench' },
  'agent/f.ts': { text: 'export default 1', finds: 'no-default-export' },
  'agent/g.ts': { text: 'export const x = (y: any): unknown => y', finds: 'no-explicit-any' },
  'agent/h.ts': { text: 'export const run = () => { Promise.resolve(1) }', finds: 'no-floating-promises' },
  'agent/i.ts': {
    text: "export const f = (x: 'a' | 'b') => { switch (x) { case 'a': return 1 } }",
    finds: 'switch-exhaustiveness-check',
  },
  'test/core/a.test.ts': { text: 'setTimeout(() => {}, 1)', finds: 'No sleeping' },
  'test/sim/a.test.ts': { text: "import 'node:timers/promises'", finds: 'No sleeping' },
  'test/agent/a.test.ts': {
    text: "import { expect, test } from 'vitest'\ntest.only('a', () => { expect(1).toBe(1) })",
    finds: 'no-focused-tests',
  },
}

/** What the rules must leave alone. */
const allowed: Record<string, string> = {
  'core/z.ts': "import { createHash } from 'node:crypto'\nexport const hash = createHash",
  'agent/transport/z.ts': "import { tcp } from '@libp2p/tcp'\nexport const transport = tcp",
  'agent/z.ts': "import { now } from '../core/d.ts'\nexport const later = () => now() + Date.now()",
}

beforeAll(async () => {
  copy = await mkdtemp(path.join(tmpdir(), 'shoal-planted-'))
  for (const file of ['.oxlintrc.json', 'tsconfig.json', 'package.json'])
    await cp(path.join(root, file), path.join(copy, file))
  await symlink(path.join(root, 'node_modules'), path.join(copy, 'node_modules'))
  const planted = Object.entries(violations).map(([file, { text }]) => [file, text] as const)
  for (const [file, text] of [...planted, ...Object.entries(allowed)]) await plant(file, text)
})
afterAll(() => rm(copy, { recursive: true }))

async function plant(file: string, text: string): Promise<void> {
  await mkdir(path.dirname(path.join(copy, file)), { recursive: true })
  await writeFile(path.join(copy, file), `${text}\n`)
}

/** Runs one of the repository's tools on the copy, with our own Node. */
function runTool(name: string, ...args: string[]): Promise<{ code: number; output: string }> {
  const program = path.join(root, 'node_modules/.bin', name)
  return new Promise((resolve) => {
    execFile(process.execPath, [program, ...args], { cwd: copy, maxBuffer: 2 ** 26 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), output: stdout + stderr })
    })
  })
}

describe('the lint rules bite', () => {
  interface Diagnostic {
    readonly filename: string
    readonly message: string
    readonly help?: string
    readonly code?: string
  }
  let found: readonly Diagnostic[]

  beforeAll(async () => {
    const { output } = await runTool('oxlint', '--type-aware', '--format=json')
    found = (JSON.parse(output) as { diagnostics: Diagnostic[] }).diagnostics
  })

  const said = (file: string): string =>
    found
      .filter(({ filename }) => filename === file)
      .map(({ code, message, help }) => `${code} ${message} ${help}`)
      .join('\n')

  test.each(Object.entries(violations))('%s', (file, { finds }) => {
    expect(said(file)).toContain(finds)
  })

  test.each(Object.keys(allowed))('and leave %s alone', (file) => {
    expect(said(file)).toBe('')
  })
})

test('the type check bites', async () => {
  await plant('core/wrong.ts', "export const size: number = 'five'")
  await plant('cli/wrong.ts', 'export enum Unerasable { A }')
  const { code, output } = await runTool('tsc')
  expect(code).not.toBe(0)
  expect(output).toContain("core/wrong.ts(1,14): error TS2322: Type 'string' is not assignable to type 'number'.")
  expect(output).toContain('cli/wrong.ts(1,13): error TS1294')
})
