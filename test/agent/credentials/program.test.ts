import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import { createProgramRunner, programEnvironment } from '../../../agent/credentials/program.ts'
import { limits } from '../../../core/limits.ts'

const run = createProgramRunner()
const { signal } = new AbortController()
const shell = (script: string, env = {}) => ({ file: '/bin/sh', args: ['-c', script, 'sh', '$HOME;x'], env })

test('gets its input, its arguments as they are, and no other environment', async () => {
  const result = await run(shell('cat; printf " %s %s" "$1" "${HOME-none}"; exit 3', { A: '1' }), 'asked', signal)
  expect(result).toEqual({ code: 3, output: 'asked $HOME;x none' })
  expect((await run(shell('echo "$A"', { A: '1' }), '', signal)).output).toBe('1\n')
})

test('one that does not read is judged by its answer', async () => {
  expect(await run(shell('exec <&-; echo done'), 'x'.repeat(1e6), signal)).toEqual({ code: 0, output: 'done\n' })
})

test.each([
  ['floods', shell('while :; do echo 0123456789abcdef; done'), /wrote more than 262144 bytes/],
  ['is killed', shell('echo canary >&2; kill -9 $$'), /was ended by SIGKILL/],
  ['is missing', { file: '/nowhere/provider', args: [], env: {} }, /can not be run \(ENOENT\)/],
  ['is no program', { file: '/etc/passwd', args: [], env: {} }, /can not be run \(EACCES\)/],
])('one that %s fails, and nothing that it wrote is told', async (_, program, why) => {
  const failure: unknown = await run(program, '', signal).catch((error: unknown) => error)
  expect(failure).toMatchObject({ code: 'CREDENTIAL_PROGRAM_FAILED' })
  expect(String(failure)).toMatch(why)
  expect(inspect(failure, { depth: 9 })).not.toContain('canary')
  expect(limits.credentialOutputMaxBytes).toBe(262_144)
})

test('one that hangs is ended', async () => {
  const hurried = createProgramRunner({ timeoutMs: 20 })
  await expect(hurried(shell('sleep 600'), '', signal)).rejects.toThrow(/took too long/)
})

test('one that nobody waits for any more is ended, with all that it has started', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'shoal-program-'))
  const script = 'sleep 600 & echo $! > "$DIR/new"; mv "$DIR/new" "$DIR/pid"; wait'
  const pid = () => readFile(path.join(directory, 'pid'), 'utf8').then(Number)
  const controller = new AbortController()
  const running = run(shell(script, { DIR: directory }), '', controller.signal)
  await expect.poll(() => pid().catch(() => 0)).toBeGreaterThan(0)
  const started = await pid()
  controller.abort(new Error('gone'))
  await expect(running).rejects.toThrow('gone')
  // One that nobody has reaped yet has no command line.
  await expect.poll(() => readFile(`/proc/${started}/cmdline`, 'utf8').catch(() => '')).toBe('')
  await expect(run(shell('true'), '', controller.signal)).rejects.toThrow('gone')
  await rm(directory, { recursive: true })
})

test('a program gets what cloud libraries and the network need of the environment', () => {
  const passed = { PATH: '/bin', HOME: '/root', HTTPS_PROXY: 'p', no_proxy: 'n', AWS_REGION: 'r', AZURE_CLIENT_ID: 'i' }
  const kept = { SHOAL_SEEDS: 's', NODE_OPTIONS: 'o', LD_PRELOAD: 'l', KUBERNETES_PORT: 'k', XAWS_A: 'a' }
  expect(programEnvironment({ ...passed, ...kept })).toEqual(passed)
})
