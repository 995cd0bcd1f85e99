/** On a fresh clone, bootstrap.mjs is all there is: it must install what is wanted, once, and then get out of the way. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'

const bootstrap = path.resolve(import.meta.dirname, '../../cli/bootstrap.mjs')
const packages = {
  '': { name: 'shoal' },
  'node_modules/node': { version: process.version.slice(1), integrity: 'sha512-a' },
  'node_modules/x': { version: '1.0.0', integrity: 'sha512-b' },
  'node_modules/x-darwin': { version: '1.0.0', integrity: 'sha512-c', optional: true },
}

let clone: string
beforeEach(() => {
  clone = mkdtempSync(path.join(tmpdir(), 'shoal-clone-'))
  cpSync(bootstrap, write('cli/bootstrap.mjs', ''))
  write('package-lock.json', JSON.stringify({ packages }))
  write(
    'script.ts',
    "console.log(JSON.stringify(process.argv.slice(2) satisfies string[]), process.env['PATH'])\nprocess.exit(7)",
  )
  // Stands in for npm: notes how it was called, and installs a Node for `rebuild`, or for `ci` unless scripts are off.
  write(
    'npm.cjs',
    `const { appendFileSync, mkdirSync, symlinkSync, writeFileSync } = require('node:fs')
appendFileSync('calls', process.argv.slice(2).join(' ') + '\\n')
if (process.argv[2] === 'ci') { mkdirSync('node_modules', { recursive: true }); writeFileSync('node_modules/.package-lock.json', '${JSON.stringify(installed())}') }
if (process.argv[2] === 'ci' && process.env.FAKE_IGNORE_SCRIPTS) process.exit(0)
if (process.env.FAKE_FAIL) process.exit(3)
mkdirSync('node_modules/node/bin', { recursive: true })
symlinkSync('${process.execPath}', 'node_modules/node/bin/node')`,
  )
})
afterEach(() => rmSync(clone, { recursive: true }))

/** npm's own note of what it installed: without the root and without packages for other platforms. */
function installed(): object {
  const { 'node_modules/node': node, 'node_modules/x': x } = packages
  return { packages: { 'node_modules/node': node, 'node_modules/x': x } }
}

function write(file: string, text: string): string {
  const target = path.join(clone, file)
  mkdirSync(path.dirname(target), { recursive: true })
  writeFileSync(target, text)
  return target
}

function install(): void {
  write('node_modules/.package-lock.json', JSON.stringify(installed()))
  mkdirSync(path.join(clone, 'node_modules/node/bin'), { recursive: true })
  symlinkSync(process.execPath, path.join(clone, 'node_modules/node/bin/node'))
}

function environment(more: Record<string, string> = {}): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'], npm_execpath: path.join(clone, 'npm.cjs'), ...more }
}

function run(args: readonly string[], more?: Record<string, string>) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [path.join(clone, 'cli/bootstrap.mjs'), ...args], {
    cwd: tmpdir(),
    encoding: 'utf8',
    env: environment(more),
  })
  const calls = existsSync(path.join(clone, 'calls'))
    ? readFileSync(path.join(clone, 'calls'), 'utf8').trim().split('\n')
    : []
  return { status, stdout, stderr, calls }
}

test('installs nothing where all is there; passes arguments on, and the exit code back', () => {
  install()
  const { status, stdout, stderr, calls } = run(['script.ts', '--project', 'a b'])
  expect(calls).toEqual([])
  expect(stderr).toBe('')
  expect(stdout).toMatch(/^\["--project","a b"\] .*\/node_modules\/\.bin:/)
  expect(status).toBe(7)
})

test('on a fresh clone says what it does, and installs', () => {
  const { status, stdout, stderr, calls } = run(['script.ts'])
  expect(calls).toEqual(['ci --include=dev --no-audit --no-fund --loglevel=error'])
  expect(stderr).toContain('node_modules is missing or incomplete; installing the npm packages')
  expect(stdout).toMatch(/^\[\] /)
  expect(status).toBe(7)
})

test('installs again when package-lock.json wants another version', () => {
  install()
  const newer = { ...packages, 'node_modules/x': { version: '1.0.1', integrity: 'sha512-d' } }
  write('package-lock.json', JSON.stringify({ packages: newer }))
  rmSync(path.join(clone, 'node_modules/node'), { recursive: true })
  const { stderr, calls } = run([])
  expect(stderr).toContain('node_modules/x is not as package-lock.json has it')
  expect(calls).toEqual(['ci --include=dev --no-audit --no-fund --loglevel=error'])
})

test("runs the install step of Node where npm's configuration skipped it", () => {
  const { status, calls } = run(['script.ts'], { FAKE_IGNORE_SCRIPTS: '1' })
  expect(calls).toEqual([
    'ci --include=dev --no-audit --no-fund --loglevel=error',
    'rebuild node --ignore-scripts=false',
  ])
  expect(status).toBe(7)
})

test('says so when npm fails', () => {
  const { status, stdout, stderr } = run(['script.ts'], { FAKE_FAIL: '1' })
  expect(stdout).toBe('')
  expect(stderr).toContain('npm failed with exit code 3')
  expect(status).toBe(1)
})

test.each(['SIGTERM', 'SIGINT'] as const)('passes %s on and ends as the script does', async (signal) => {
  install()
  write(
    'wait.ts',
    `process.on('${signal}', () => process.exit(5))\nconsole.log('ready')\nsetInterval(() => undefined, 1000)`,
  )
  const child = spawn(process.execPath, [path.join(clone, 'cli/bootstrap.mjs'), 'wait.ts'], {
    env: environment(),
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(child.stdout, 'data')
  child.kill(signal)
  expect(await once(child, 'exit')).toEqual([5, null])
})

test('a script that a signal ended ends with 128 and its number', () => {
  install()
  write('die.ts', "process.kill(process.pid, 'SIGKILL')")
  expect(run(['die.ts']).status).toBe(137)
})
