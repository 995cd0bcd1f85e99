/** Each fact, and what is said of it; a node on which everything is well has no finding. */
import { describe, expect, test } from 'vitest'
import type { ContainerdFacts, Facts, HostsState, MirrorAnswer } from '../../../core/doctor/facts.ts'
import { judge } from '../../../core/doctor/judge.ts'
import { hour, minute, second } from '../../../core/units.ts'

const settings = {
  root: '/etc/containerd/certs.d',
  mirror: 'https://127.0.0.1:5050',
  mirrorPort: 5050,
  ops: 'http://127.0.0.1:5053',
  flags: '--data-dir /var/lib/shoal',
  node: 'node-1',
  dataDirectory: '/var/lib/shoal',
  secretFile: '/etc/shoal/cluster-secret',
  ceilingPercent: 80,
}

const config = {
  kind: 'read',
  file: '/etc/containerd/config.toml',
  section: 'io.containerd.cri.v1.images',
  configPath: settings.root,
  hasMirrors: false,
  discardsLayers: false,
  pullsLocally: false,
  root: '/var/lib/containerd',
} as const

const mirrorState = (answer: MirrorAnswer, url = settings.mirror): HostsState => ({ kind: 'mirror', url, answer })
const hostsOf = (state: HostsState, expected = true) => {
  const directory = `${settings.root}/${expected ? '_default' : 'quay.io'}`
  return {
    directory,
    file: `${directory}/hosts.toml`,
    registries: expected ? 'all registries' : 'quay.io',
    expected,
    state,
  }
}
const well = hostsOf(mirrorState({ kind: 'answered', status: 200 }))
const member = { kind: 'member', aheadMs: 40 } as const
const seedAt = (port: number, answer: NonNullable<Facts['cluster']>['members'][number]['answer']) => ({
  address: `10.0.0.1:${port}`,
  host: '10.0.0.1',
  port,
  isSeed: true,
  answer,
})
const origin = { origin: 'docker.io', host: 'registry-1.docker.io', url: 'https://registry-1.docker.io/v2/' }

const healthy = {
  settings,
  containerd: { version: '2.1.9', config },
  hosts: [well],
  agent: { kind: 'answered', notReady: undefined },
  keys: { ok: true },
  exposed: [],
  content: { directory: '/var/lib/containerd/io.containerd.content.v1.content', answer: { ok: true } },
  disk: {
    directory: '/var/lib/shoal',
    writable: { ok: true },
    volatile: undefined,
    sparse: true,
    usedPercent: 80,
    inodesFreePercent: 50,
  },
  cluster: { secret: { ok: true }, members: [seedAt(5052, member)] },
  origins: [{ ...origin, answer: { kind: 'answered', aheadMs: -900 }, ranged: true }],
  inside: {
    upMs: hour,
    askedAgoMs: minute,
    newContentAgoMs: 30 * second,
    certificateFailure: undefined,
    descriptorsMax: 1_048_576,
    resting: [],
    unranged: [],
  },
} as const satisfies Facts

const codesOf = (change: Partial<Facts>): string[] => judge({ ...healthy, ...change }).map(({ code }) => code)
const no = { ok: false, reason: 'EACCES' } as const

test('nothing is found on a healthy node, nor where nothing could be seen', () => {
  expect(judge(healthy)).toEqual([])
  expect(judge({ settings })).toEqual([])
})

const containerd = (change: object, version: string | undefined = '2.1.9'): Partial<Facts> => ({
  containerd: { version, config: { ...config, ...change } },
})
const list = `${settings.root}:/etc/docker/certs.d`

describe('containerd', () => {
  test.each<[string, Partial<Facts>, string[]]>([
    ['unset', containerd({ configPath: undefined }), ['CONFIG_PATH_UNSET']],
    ['unset, before 2.2', containerd({ configPath: undefined }, '1.6.20'), ['CONFIG_PATH_UNSET']],
    ['unset, where 2.2 takes a list', containerd({ configPath: undefined }, '2.2.7'), ['CONFIG_PATH_LIST']],
    ['another directory', containerd({ configPath: '/etc/docker/certs.d' }), ['CONFIG_PATH_ELSEWHERE']],
    ['beside mirrors', containerd({ hasMirrors: true, pullsLocally: true }), ['CONFIG_PATH_BESIDE_MIRRORS']],
    ['a list, from 2.1 on', containerd({ configPath: list }), ['CONFIG_PATH_LIST']],
    ['a list, before 2.1', containerd({ configPath: list }, '1.7.24'), []],
    [
      'a list, of an unknown 2.x',
      { containerd: { version: undefined, config: { ...config, configPath: list } } },
      ['CONFIG_PATH_LIST', 'CONTAINERD_VERSION_UNKNOWN'],
    ],
    ['a list, in 2.0', containerd({ configPath: list }, '2.0.10'), []],
    ['a list, where 2.1 pulls locally', containerd({ configPath: list, pullsLocally: true }), []],
    ['a list without ours, before 2.1', containerd({ configPath: '/a:/b' }, '1.7.24'), ['CONFIG_PATH_ELSEWHERE']],
    ['ours, with slashes more', containerd({ configPath: '//etc/containerd/certs.d/' }), []],
  ])('config_path: %s', (_name, facts, codes) => {
    expect(codesOf(facts)).toEqual(codes)
  })

  test.each<[string, Partial<ContainerdFacts>, string[]]>([
    ['unknown release', { version: undefined }, ['CONTAINERD_VERSION_UNKNOWN']],
    ['an old release', { version: '1.5.18' }, ['CONTAINERD_TOO_OLD']],
    [
      'a file that can not be read',
      { config: { kind: 'unreadable', file: '/x', reason: 'EACCES' } },
      ['CONTAINERD_CONFIG_UNREADABLE'],
    ],
    [
      'a file that was changed since',
      { process: { startedMs: 0, changedMs: 2 * second } },
      ['CONTAINERD_NOT_RESTARTED'],
    ],
    ['a file that was changed just before', { process: { startedMs: 0, changedMs: second } }, []],
    ['discarded layers', { config: { ...config, discardsLayers: true } }, ['LAYERS_DISCARDED']],
  ])('%s', (_name, change, codes) => {
    expect(codesOf({ containerd: { ...healthy.containerd, ...change } })).toEqual(codes)
  })

  test('a list without ours: what is to be pasted names one directory', () => {
    const [found] = judge({ ...healthy, ...containerd({ configPath: '/a:/b' }, '1.7.24') })
    expect(found?.what).toContain('is /a:/b;')
    expect(found?.fix).toMatch(/--containerd-registry-config-path \/a$/)
  })

  test('is one directory, however many slashes its configuration has', () => {
    expect(codesOf(containerd({ root: '/var/lib//containerd/' }))).toEqual([])
  })

  test.each<[string, Facts['content'], string[]]>([
    ['elsewhere', { directory: '/var/lib/other', answer: { ok: true } }, ['CONTENT_DIR_ELSEWHERE']],
    ['not readable', { ...healthy.content, answer: no }, ['CONTENT_DIR_UNREADABLE']],
  ])('content directory: %s', (_name, content, codes) => {
    expect(codesOf({ content })).toEqual(codes)
  })
})

const unread = hostsOf({ kind: 'as written' })

describe('hosts.toml', () => {
  test.each<[string, HostsState, string[], string[]]>([
    ['no directory', { kind: 'no directory' }, ['HOSTS_MISSING'], ['HOSTS_MISSING']],
    ['no file', { kind: 'no file' }, ['HOSTS_MISSING'], ['HOSTS_SHADOWED']],
    ['no host', { kind: 'no host' }, ['HOSTS_WITHOUT_HOST'], ['HOSTS_WITHOUT_HOST']],
    ['other hosts', { kind: 'other hosts' }, ['HOSTS_MISSING'], ['HOSTS_SHADOWED']],
    ['invalid', { kind: 'invalid', reason: 'x' }, ['HOSTS_INVALID'], ['HOSTS_INVALID']],
    ['unreadable', { kind: 'unreadable', reason: 'EACCES' }, ['HOSTS_UNREADABLE'], ['HOSTS_UNREADABLE']],
    ['as written', { kind: 'as written' }, [], []],
    ['replaced', { kind: 'replaced' }, ['HOSTS_STALE'], ['HOSTS_STALE']],
  ])('%s', (_name, state, expected, extra) => {
    expect(codesOf({ hosts: [hostsOf(state)] })).toEqual(expected)
    expect(codesOf({ hosts: [well, hostsOf(state, false)] })).toEqual(extra)
  })
})

describe('the mirror, asked by hosts.toml', () => {
  const down = { kind: 'silent', reason: 'ECONNREFUSED' } as const
  test.each<[string, MirrorAnswer, string[], string[]]>([
    ['answers', { kind: 'answered', status: 200 }, [], ['MIRROR_SQUATTED']],
    ['wants another secret', { kind: 'answered', status: 403 }, ['HOSTS_STALE'], ['HOSTS_STALE']],
    ['answers otherwise', { kind: 'answered', status: 404 }, ['MIRROR_UNREACHED'], ['MIRROR_SQUATTED']],
    ['has another CA and is the agent', { kind: 'untrusted', isAgent: true }, ['HOSTS_STALE'], ['HOSTS_STALE']],
    ['has another CA, nobody knows whose', { kind: 'untrusted', isAgent: undefined }, ['HOSTS_STALE'], ['HOSTS_STALE']],
    [
      'has another CA and is not the agent',
      { kind: 'untrusted', isAgent: false },
      ['MIRROR_SQUATTED'],
      ['MIRROR_SQUATTED'],
    ],
    ['speaks no TLS', { kind: 'no TLS' }, ['MIRROR_SQUATTED'], ['MIRROR_SQUATTED']],
    ['refuses', { kind: 'refused' }, ['MIRROR_UNREACHED'], []],
    ['says nothing', { kind: 'failed', reason: 'no answer' }, ['MIRROR_UNREACHED'], ['MIRROR_SQUATTED']],
  ])('%s', (_name, answer, codes, codesDown) => {
    const hosts = [hostsOf(mirrorState(answer))]
    expect(codesOf({ hosts })).toEqual(codes)
    expect(codesOf({ hosts, agent: down })).toEqual(['AGENT_DOWN', ...codesDown])
  })

  test('is elsewhere', () => {
    const state = mirrorState({ kind: 'refused' }, 'https://127.0.0.1:9')
    expect(codesOf({ hosts: [hostsOf(state)] })).toEqual(['HOSTS_STALE'])
  })

  test.each<[string, Partial<Facts>, string[]]>([
    ['not ready', { agent: { kind: 'answered', notReady: 'why' } }, ['AGENT_NOT_READY']],
    ['a stranger', { agent: { kind: 'stranger', reason: 'x' }, hosts: [] }, ['AGENT_DOWN']],
    ['without its keys', { keys: no }, ['MIRROR_KEYS_MISSING']],
    [
      'without its keys, which a file pins that it may not read',
      { keys: no, hosts: [unread] },
      ['MIRROR_KEYS_MISSING'],
    ],
    ['without its keys, before configure ran', { keys: no, hosts: [] }, []],
    ['with secrets for all', { exposed: ['/a', '/b'] }, ['SECRETS_READABLE']],
    ['refusing an image', { image: { image: 'docker.io/library/alpine:latest', answer: no } }, ['IMAGE_NOT_SERVED']],
  ])('the agent is %s', (_name, facts, codes) => {
    expect(codesOf(facts)).toEqual(codes)
  })
})

const cluster = (change: Partial<NonNullable<Facts['cluster']>>): Partial<Facts> => ({
  cluster: { ...healthy.cluster, ...change },
})

describe('the cluster', () => {
  const silent = { kind: 'unreachable', reason: 'ECONNREFUSED' } as const
  const port = { host: '10.0.0.1', port: 5051, answer: no }
  test.each<[string, Partial<Facts>, string[]]>([
    ['secret that can not be read', cluster({ secret: no }), ['CLUSTER_SECRET_UNUSABLE']],
    ['another secret', cluster({ members: [seedAt(1, { kind: 'other secret' })] }), ['CLUSTER_SECRET_MISMATCH']],
    ['no seed', cluster({ members: [seedAt(1, silent), seedAt(2, silent)] }), ['SEEDS_UNREACHABLE']],
    ['one seed of two', cluster({ members: [seedAt(1, silent), seedAt(2, member)] }), ['SEED_UNREACHABLE']],
    [
      'another secret and one that is down',
      cluster({ members: [seedAt(1, silent), seedAt(2, { kind: 'other secret' })] }),
      ['CLUSTER_SECRET_MISMATCH', 'SEED_UNREACHABLE'],
    ],
    ['a member that is down', cluster({ members: [{ ...seedAt(1, silent), isSeed: false }] }), []],
    ['no peers port', cluster({ members: [seedAt(1, { ...member, peers: port })] }), ['PEERS_PORT_UNREACHABLE']],
    ['no bulk port', cluster({ members: [seedAt(1, { ...member, bulk: port })] }), ['BULK_PORT_UNREACHABLE']],
    ['no name', cluster({ seedsName: { name: 'shoal.svc', answer: no } }), ['SEEDS_NAME_UNKNOWN']],
    ['a clock behind', cluster({ members: [seedAt(1, { ...member, aheadMs: 61 * second })] }), ['CLOCK_SKEWED']],
    ['a clock ahead', cluster({ members: [seedAt(1, { ...member, aheadMs: -2 * minute })] }), ['CLOCK_SKEWED']],
  ])('%s', (_name, facts, codes) => {
    expect(codesOf(facts)).toEqual(codes)
  })

  test('says who is ahead of whom', () => {
    const members = [seedAt(1, { ...member, aheadMs: -2 * minute })]
    const [found] = judge({ ...healthy, cluster: { ...healthy.cluster, members } })
    expect(found?.what).toBe("This node's clock is 120 s ahead of that of 10.0.0.1:1")
  })
})

const failing = (kind: 'no name' | 'untrusted' | 'forbidden' | 'unreachable') => ({
  ...origin,
  answer: { kind, reason: 'x' },
})

describe('registries', () => {
  const answering = healthy.origins[0]
  const tokens = { host: 'auth.docker.io', url: 'https://auth.docker.io/token', answer: no }
  test.each<[string, NonNullable<Facts['origins']>[number], string[]]>([
    ['no name', failing('no name'), ['ORIGIN_NAME_UNKNOWN']],
    ['no trust', failing('untrusted'), ['ORIGIN_UNTRUSTED']],
    ['no leave', failing('forbidden'), ['ORIGIN_FORBIDDEN']],
    ['no answer', failing('unreachable'), ['ORIGIN_UNREACHABLE']],
    ['no token service', { ...answering, tokens }, ['TOKEN_SERVICE_UNREACHABLE']],
    ['no ranges', { ...answering, ranged: false }, ['ORIGIN_WITHOUT_RANGES']],
    ['another time', { ...answering, answer: { kind: 'answered', aheadMs: hour } }, ['CLOCK_SKEWED']],
    ['no time', { ...answering, answer: { kind: 'answered', aheadMs: undefined } }, []],
  ])('%s', (_name, facts, codes) => {
    expect(codesOf({ origins: [facts] })).toEqual(codes)
  })
})

test.each<[string, Partial<Facts>]>([
  ['registry', { origins: [{ ...origin, url: "https://a';id;'/v2/", answer: { kind: 'unreachable', reason: 'x' } }] }],
  [
    'token service',
    { origins: [{ ...healthy.origins[0], tokens: { host: 'a', url: "https://a';id;'/v2/", answer: no } }] },
  ],
  ['storage host', { inside: { ...healthy.inside, resting: [{ origin: 'a.b', host: "a';id;'" }] } }],
])('a %s that is called like a command is one word of what is to be pasted', (_name, facts) => {
  const [found] = judge({ ...healthy, ...facts })
  expect(found?.fix.split('\n').at(-1)).toBe("    curl -sSI 'https://a%27;id;%27/v2/'")
})

describe('the disk', () => {
  test.each<[string, Partial<NonNullable<Facts['disk']>>, string[]]>([
    ['not writable', { writable: no, sparse: undefined }, ['DATA_DIR_UNUSABLE']],
    ['in memory', { volatile: 'tmpfs' }, ['DATA_DIR_VOLATILE']],
    ['without sparse files', { sparse: false }, ['DATA_DIR_NOT_SPARSE']],
    ['full', { usedPercent: 80.5 }, ['DISK_SPACE_LOW']],
    ['full of small files', { inodesFreePercent: 9 }, ['INODES_LOW']],
    ['without inodes', { inodesFreePercent: undefined, usedPercent: undefined }, []],
  ])('%s', (_name, change, codes) => {
    expect(codesOf({ disk: { ...healthy.disk, ...change } })).toEqual(codes)
  })
})

describe('what the agent sees of itself', () => {
  test.each<[string, Partial<NonNullable<Facts['inside']>>, string[]]>([
    ['content that came past the mirror', { askedAgoMs: hour, newContentAgoMs: minute }, ['PULLS_PASS_BY']],
    ['the same, and nobody ever asked', { askedAgoMs: undefined, newContentAgoMs: minute }, ['PULLS_PASS_BY']],
    ['content from before the start', { upMs: minute, askedAgoMs: undefined, newContentAgoMs: hour }, []],
    [
      'content of a pull that began before the start',
      { upMs: 9 * minute, askedAgoMs: undefined, newContentAgoMs: 0 },
      [],
    ],
    ['no content', { askedAgoMs: undefined, newContentAgoMs: undefined }, []],
    ['a certificate that is not renewed', { certificateFailure: 'x' }, ['MIRROR_CERTIFICATE_STALE']],
    ['few descriptors', { descriptorsMax: 1024 }, ['DESCRIPTORS_FEW']],
    ['a registry that does not answer', { resting: [{ origin: 'a.b', host: 'c.d' }] }, ['ORIGIN_UNREACHABLE']],
    ['a registry without ranges', { unranged: ['a.b'] }, ['ORIGIN_WITHOUT_RANGES']],
  ])('%s', (_name, change, codes) => {
    expect(codesOf({ inside: { ...healthy.inside, ...change } })).toEqual(codes)
  })
})
