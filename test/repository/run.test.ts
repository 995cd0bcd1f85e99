/** `npm test` must count right: a run that fails in any way ends with a number of failures and a code that says so. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { root } from './sources.ts'

// Each test starts vitest itself, up to twice.
vi.setConfig({ testTimeout: 60_000 })

const head = "import { expect, test } from 'vitest'\n"
const planted: Record<string, string> = {
  'vitest.config.ts': `export default { test: { projects: ['unit', 'sim', 'integration', 'e2e'].map((name) => ({
    test: { name, include: [\`\${name}/*.test.ts\`] } })) } }`,
  'unit/mixed.test.ts': `${head}test('passes', () => {})\ntest('fails', () => { expect(1).toBe(2) })\ntest.skip('waits', () => {})`,
  'unit/broken.test.ts': "import './absent.ts'",
  'unit/good.test.ts': `${head}test('passes', () => {})`,
  'sim/unhandled.test.ts': `${head}test('passes', () => { setTimeout(() => { throw new Error('late') }) })`,
  'e2e/good.test.ts': `${head}test('passes', () => {})`,
}

let directory: string
beforeAll(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'shoal-run-'))
  symlinkSync(path.join(root, 'node_modules'), path.join(directory, 'node_modules'))
  for (const [file, text] of Object.entries(planted)) {
    mkdirSync(path.dirname(path.join(directory, file)), { recursive: true })
    writeFileSync(path.join(directory, file), text)
  }
})
afterAll(() => rmSync(directory, { recursive: true }))

/** The exit code and the last line. */
function run(env: Record<string, string>, ...args: string[]): { code: number | null; last: string } {
  const { status, stdout } = spawnSync(process.execPath, [path.join(root, 'test/run.ts'), ...args], {
    cwd: directory,
    encoding: 'utf8',
    // vitest marks its own workers, and then behaves as one.
    env: { PATH: process.env['PATH'], CI: 'false', ...env },
  })
  return { code: status, last: stdout.trimEnd().split('\n').at(-1) ?? '' }
}

test('failed tests, files that do not load and errors outside of tests all count', () => {
  expect(run({}, '--project', 'unit', '--project', 'sim')).toEqual({ code: 1, last: '3 passed, 3 failed, 1 skipped' })
})

test('arguments reach vitest', () => {
  expect(run({}, '--project=unit', 'unit/good')).toEqual({ code: 0, last: '1 passed, 0 failed' })
})

test('no test is a failure', () => {
  expect(run({}, '--project', 'integration')).toEqual({ code: 1, last: '0 passed, 0 failed' })
})

test('under CI each missing part counts as failed; elsewhere it does not', () => {
  const bare = { PATH: directory }
  expect(run(bare, '--project', 'e2e')).toEqual({ code: 0, last: '1 passed, 0 failed' })
  const { code, last } = run({ ...bare, CI: 'true' }, '--project', 'e2e')
  expect(code).toBe(1)
  expect(last).toMatch(/^1 passed, [1-9]\d* failed$/)
})

test('an unknown project is refused', () => {
  expect(run({}, '--project', 'units').code).toBe(1)
})
