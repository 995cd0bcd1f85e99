import { execFile } from 'node:child_process'
import { mkdtemp, open, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type Running, runCommand, type Surroundings } from '../../cli/program.ts'
import type { AgentConfig } from '../../agent/config.ts'
import { MiB } from '../../core/units.ts'
import { until } from '../support/until.ts'

type Signal = Parameters<Parameters<Surroundings['onSignal']>[0]>[0]

const idle: Running = { adjust: () => {}, stop: () => Promise.resolve() }

/** The command in a world of its own. */
function world(
  given: { env?: Surroundings['env']; agent?: Running; startFails?: Error; starts?: Promise<Running> } = {},
) {
  const started = Promise.withResolvers<AgentConfig>()
  const seen = { out: '', err: '', exits: [] as number[] }
  const listeners: ((signal: Signal) => void)[] = []
  const surroundings: Surroundings = {
    env: given.env ?? {},
    version: '1.2.3',
    print: (text) => (seen.out += text),
    printError: (text) => (seen.err += text),
    onSignal: (listener) => listeners.push(listener),
    exit: (code) => seen.exits.push(code),
    runAgent: async (config) => {
      if (given.startFails !== undefined) throw given.startFails
      started.resolve(config)
      return given.starts ?? given.agent ?? idle
    },
  }
  return {
    seen,
    started: started.promise,
    run: (...args: string[]) => runCommand(args, surroundings),
    signal: (signal: Signal) => listeners.forEach((listener) => listener(signal)),
  }
}

describe('shoal doctor', () => {
  const digest = `sha256:${'0'.repeat(64)}`
  const rules = [
    'docker.io/library/**:latest=pass',
    '{"pattern":"reg.corp:5000/secret/*","action":"unshared"}',
    '*.evil=refuse',
  ]
  const explain = async (image: string, ...more: string[]) => {
    const { run, seen } = world()
    const given = rules.flatMap((rule) => ['--rules', rule])
    const code = await run('doctor', '--standalone', '--explain', image, ...given, ...more)
    return { code, ...seen }
  }

  test('says which rule decides about an image, for its tag and for what is asked for by digest', async () => {
    expect(await explain('alpine')).toMatchObject({
      code: 0,
      out: [
        'image       docker.io/library/alpine:latest\n',
        'tag latest  not through the mirror (404): clients go to the registry itself; by rule 1: docker.io/library/**:latest=pass\n',
        'content     through the mirror, shared with other nodes; no rule matches\n',
        'access      origin, enforcement NewRepository, failover Deny for 24 h\n',
      ].join(''),
    })
  })

  test('as JSON, with the policy of the registry', async () => {
    const origins = '{"host":"reg.corp:5000","access":"exchange","failover":"granted","failoverMs":"2h"}'
    const { out } = await explain(`reg.corp:5000/secret/app@${digest}`, '--json', '--origins', origins)
    expect(JSON.parse(out)).toEqual({
      image: { origin: 'reg.corp:5000', repository: 'secret/app', digest },
      byDigest: { action: 'unshared', ruleNumber: 2, pattern: 'reg.corp:5000/secret/*' },
      policy: { access: 'exchange', enforcement: 'NewRepository', failover: 'SameRepository', failoverMs: 7_200_000 },
    })
  })

  test('says where a registry may not be asked at all', async () => {
    const { out } = await explain('a.evil/app:v1', '--unlisted-origins', 'refused')
    expect(out).toContain('registry  refused: asking a.evil is not allowed')
    expect(out).toContain(
      'refused (403); clients that have the registry as their next host may still get it there; by rule 3',
    )
  })

  test('what it says to paste configures the node as it was told to', async () => {
    const directory = await mkdtemp(path.join(tmpdir(), 'shoal-program-'))
    onTestFinished(() => rm(directory, { recursive: true }))
    const places = `--containerd-registry-config-path ${directory}/certs.d --data-dir ${directory} --mirror-listen 127.0.0.1:1`
    const told = '--mirrored-registries a.b --resolve-tags false --data-dir-owner 65532'
    const { run, seen } = world()
    const others = '--standalone --ops-listen 127.0.0.1:1 --unlisted-origins refused'
    expect(await run('doctor', ...`${places} ${told} ${others}`.split(' '))).toBe(1)
    expect(seen.out).toContain(`\n            shoal configure ${places} ${told}\n`)
  })

  test.each(['', 'A', 'a.b/', 'a:b:c', 'a@b', `a@sha256:0`, 'http://a.b/c', '-/a', 'a.b:99999/c'])(
    '%j is no image',
    async (image) => {
      expect(await explain(image)).toMatchObject({
        code: 2,
        out: '',
        err: expect.stringContaining('Expected an image'),
      })
    },
  )

  test.each([
    ['team/app:v1', 'docker.io', 'team/app', 'v1', undefined],
    ['index.docker.io/app', 'docker.io', 'library/app', 'latest', undefined],
    ['localhost/app', 'localhost', 'app', 'latest', undefined],
    ['reg.corp:5000/app:v1', 'reg.corp:5000', 'app', 'v1', undefined],
    [`REG.corp:443/a/b:v1@${digest}`, 'reg.corp', 'a/b', 'v1', digest],
  ])('%s is read as Docker reads it', async (image, origin, repository, tag, ofDigest) => {
    const { out } = await explain(image, '--json')
    expect((JSON.parse(out) as { image: object }).image).toEqual(
      JSON.parse(JSON.stringify({ origin, repository, tag, digest: ofDigest })),
    )
  })
})

describe('shoal agent', () => {
  test('runs until a signal, stops the agent and ends well', async () => {
    let stops = 0
    const { run, started, signal } = world({ agent: { ...idle, stop: async () => void stops++ } })
    const ended = run('agent', '--standalone', '--mirror-listen', '127.0.0.1:0')
    expect(await started).toMatchObject({ standalone: true, mirrorListen: { host: '127.0.0.1', port: 0 } })
    expect(stops).toBe(0)
    signal('SIGTERM')
    expect(await ended).toBe(0)
    expect(stops).toBe(1)
  })

  test('gives up on an agent that does not stop in time', async () => {
    const { run, started, signal, seen } = world({ agent: { ...idle, stop: () => Promise.race([]) } })
    const ended = run('agent', '--standalone', '--shutdown-timeout-ms', '1ms')
    await started
    signal('SIGINT')
    expect(await ended).toBe(1)
    expect(seen.err).toContain('did not stop within 1 ms')
  })

  test('a signal while the options are read ends it before it starts', async () => {
    const { run, signal, seen } = world({ startFails: new Error('started all the same') })
    const ended = run('agent', '--standalone')
    signal('SIGTERM')
    expect(await ended).toBe(0)
    expect(seen.err).toBe('')
  })

  test('a signal while it starts gives that, and the stop, the time of a stop', async () => {
    const { run, started, signal, seen } = world({ starts: Promise.race([]) })
    const ended = run('agent', '--standalone', '--shutdown-timeout-ms', '1ms')
    await started
    signal('SIGTERM')
    expect(await ended).toBe(1)
    expect(seen.err).toContain('did not stop within 1 ms')
  })

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('a second signal, %s, ends it at once with %d', async (second, code) => {
    const { run, started, signal, seen } = world({ agent: { ...idle, stop: () => Promise.race([]) } })
    const ended = run('agent', '--standalone', '--shutdown-timeout-ms', '1ms')
    await started
    signal('SIGTERM')
    expect(seen.exits).toEqual([])
    signal(second)
    expect(seen.exits).toEqual([code])
    await ended
  })

  test('SIGHUP has it read the options again, and wrong ones change nothing', async () => {
    const directory = await mkdtemp(path.join(tmpdir(), 'shoal-program-'))
    onTestFinished(() => rm(directory, { recursive: true }))
    const file = path.join(directory, 'shoal.yaml')
    await writeFile(file, 'standalone: true\nuploadLimit: 1MiB\n')
    const adjusted: AgentConfig[] = []
    const { run, started, signal, seen } = world({
      agent: { ...idle, adjust: (config) => void adjusted.push(config) },
    })
    const ended = run('agent', '--config', file, '--origin-limit', '4MiB')
    expect(await started).toMatchObject({ uploadLimit: MiB, originLimit: 4 * MiB })

    await writeFile(file, 'standalone: true\nuploadLimit: 2MiB\noriginLimit: 8MiB\n')
    signal('SIGHUP')
    await until(() => adjusted.length === 1)
    expect(adjusted).toMatchObject([{ uploadLimit: 2 * MiB, originLimit: 4 * MiB }])

    await writeFile(file, 'standalone: true\nuploadLimit: 1\n')
    signal('SIGHUP')
    await until(() => seen.err !== '')
    expect(seen.err).toMatch(/^shoal: .*uploadLimit/)
    expect(adjusted).toHaveLength(1)
    signal('SIGTERM')
    expect(await ended).toBe(0)
  })

  test('of two SIGHUPs the later counts, though what the first reads comes after it', async () => {
    const directory = await mkdtemp(path.join(tmpdir(), 'shoal-program-'))
    onTestFinished(() => rm(directory, { recursive: true }))
    const at = (name: string): string => path.join(directory, name)
    const file = at('shoal.yaml')
    await writeFile(file, 'standalone: true\n')
    await writeFile(at('newer'), 'standalone: true\nuploadLimit: 3MiB\n')
    await promisify(execFile)('mkfifo', [at('slow')])
    const limits: number[] = []
    const { run, started, signal } = world({
      agent: { ...idle, adjust: ({ uploadLimit }) => void limits.push(uploadLimit) },
    })
    const ended = run('agent', '--config', file)
    await started
    await rename(at('slow'), file)
    signal('SIGHUP')
    // Opens once somebody reads it.
    const writer = await open(file, 'w')
    await rename(at('newer'), file)
    signal('SIGHUP')
    for (let reads = 0; reads < 10; reads++) await readFile(file)
    await writer.writeFile('standalone: true\nuploadLimit: 2MiB\n')
    await writer.close()
    await until(() => limits.length === 2)
    expect(limits).toEqual([2 * MiB, 3 * MiB])
    signal('SIGTERM')
    expect(await ended).toBe(0)
  })

  test('says what is wrong with the options, without a stack', async () => {
    const { run, seen } = world()
    expect(await run('agent')).toBe(2)
    expect(seen.err).toMatch(/^shoal: clusterSecretFile is missing: .*\n$/)
  })

  test('a failure at the start ends it with 1; the stack comes with debug', async () => {
    const startFails = new Error('port taken')
    const brief = world({ startFails })
    expect(await brief.run('agent', '--standalone')).toBe(1)
    expect(brief.seen.err).toBe('shoal: port taken\n')
    const long = world({ startFails })
    expect(await long.run('agent', '--standalone', '--log-level', 'debug')).toBe(1)
    expect(long.seen.err).toMatch(/^shoal: port taken\nError: port taken\n {4}at /)
  })

  test('the stack comes with the debug of the config file too, unless a flag says otherwise', async () => {
    const directory = await mkdtemp(path.join(tmpdir(), 'shoal-program-'))
    onTestFinished(() => rm(directory, { recursive: true }))
    const file = path.join(directory, 'shoal.yaml')
    await writeFile(file, 'standalone: true\nlogLevel: debug\n')
    const startFails = new Error('port taken')
    const long = world({ startFails })
    expect(await long.run('agent', '--config', file)).toBe(1)
    expect(long.seen.err).toMatch(/^shoal: port taken\nError: port taken\n {4}at /)
    const brief = world({ startFails })
    expect(await brief.run('agent', '--config', file, '--log-level', 'info')).toBe(1)
    expect(brief.seen.err).toBe('shoal: port taken\n')
  })

  test('a flag with a slip is refused with a hint', async () => {
    const { run, seen } = world()
    expect(await run('agent', '--seed', 'a:1')).toBe(2)
    expect(seen.err).toContain('Did you mean --seeds?')
  })

  test('the help has every group, with variables and defaults', async () => {
    const { run, seen } = world()
    expect(await run('agent', '--help')).toBe(0)
    expect(seen.out.match(/^\w+:$/gm)).toEqual(
      expect.arrayContaining(['Options:', 'Listeners:', 'Cluster:', 'Origins:', 'Store:', 'Behaviour:', 'Logs:']),
    )
    expect(seen.out).toContain('  --mirror-listen <host:port>\n')
    expect(seen.out).toContain('[SHOAL_MIRROR_LISTEN]')
    expect(seen.out).toContain('(default: 127.0.0.1:5050)')
    expect(Math.max(...seen.out.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100)
  })
})

test('shoal configure and shoal cleanup say what they did, and fail with what to do', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'shoal-program-'))
  onTestFinished(() => rm(directory, { recursive: true }))
  const root = path.join(directory, 'certs.d')
  const { run, seen } = world({ env: { SHOAL_CONTAINERD_REGISTRY_CONFIG_PATH: root } })
  const configure = () => run('configure', '--data-dir', path.join(directory, 'data'))
  expect([await configure(), await configure(), await run('cleanup')]).toEqual([0, 0, 0])
  expect(seen.out).toBe(['configured', 'unchanged', 'restored'].map((done) => `${done} ${root}/_default\n`).join(''))
  await writeFile(root, '')
  expect(await configure()).toBe(1)
  expect(seen.err).toMatch(/^shoal: .*ENOTDIR.*Run it as root/)
  expect(await run('configure', '--containerd-registry-config-path', 'a:b')).toBe(2)
})

test('shoal version prints the version', async () => {
  const { run, seen } = world()
  expect(await run('version')).toBe(0)
  expect(seen.out).toBe('1.2.3\n')
})

test('an unknown command ends with 2', async () => {
  const { run, seen } = world()
  expect(await run('agnet')).toBe(2)
  expect(seen.err).toContain("unknown command 'agnet'")
})

describe("the chart's hooks", () => {
  test('stay does nothing until it is told to stop', async () => {
    const { run, signal, seen } = world()
    const code = run('stay')
    signal('SIGHUP')
    signal('SIGTERM')
    expect(await code).toBe(0)
    expect(seen).toEqual({ out: '', err: '', exits: [] })
  })

  test.each([
    [['--daemonset', 'a', '--timeout', '5m'], 'Expected <namespace>/<name>.'],
    [['--daemonset', 'a/b', '--timeout', 'soon'], 'Expected a time, as 5m.'],
    [['--timeout', '5m'], "required option '--daemonset <namespace/name>' not specified"],
  ])('await-daemonset %j says what is wrong', async (args, fault) => {
    const { run, seen } = world()
    expect(await run('await-daemonset', ...args)).toBe(2)
    expect(seen.err).toContain(fault)
  })
})
