/** With real programs: test/support/credential-programs/. */
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  openOwnCredentials,
  type OwnCredentials,
  type OwnCredentialsOptions,
} from '../../../agent/credentials/own-credentials.ts'
import { createProgramRunner } from '../../../agent/credentials/program.ts'
import { revealAccount } from '../../../agent/upstream/credential.ts'
import { limits } from '../../../core/limits.ts'
import { minute } from '../../../core/units.ts'
import { type VirtualClock, virtualClock } from '../../support/virtual-clock.ts'

const programs = path.join(import.meta.dirname, '../../support/credential-programs')
const never = new AbortController().signal

let directory: string
let clock: VirtualClock
let warnings: string[]

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'shoal-credentials-'))
  clock = virtualClock()
  warnings = []
})
afterEach(() => rm(directory, { recursive: true }))

const inDirectory = (name: string) => path.join(directory, name)
const writeJson = (name: string, value: object) => writeFile(inDirectory(name), JSON.stringify(value), { mode: 0o600 })

const logger = { warn: (...parts: unknown[]) => void warnings.push(JSON.stringify(parts)) }

function open(options: Partial<OwnCredentialsOptions>): Promise<OwnCredentials> {
  const env = { PATH: `${programs}:${process.env['PATH']}`, HOME: directory, SHOAL_CANARY: 'canary' }
  const components = { clock, run: createProgramRunner(), logger, env, key: new Uint8Array(32) }
  return openOwnCredentials(components, { registryConfigs: [], ...options })
}

/** Who may be shown for an image, best first: names, or tokens. */
async function accounts(own: OwnCredentials, image: string): Promise<(string | undefined)[]> {
  const [origin = '', ...rest] = image.split('/')
  const found: (string | undefined)[] = []
  for await (const credential of own.candidates({ origin, repository: rest.join('/') }, never)) {
    const account = revealAccount(credential)
    found.push(account?.kind === 'password' ? `${account.username}:${account.password}` : account?.token)
  }
  return found
}

function user(username: string) {
  return { username, password: 'p' }
}

interface ProviderFiles {
  readonly cacheKeyType?: string
  readonly cacheDuration?: string
  readonly apiVersion?: string
  readonly auth?: object | null
  readonly code?: number
}

/** A provider for `*.reg.io`, called `provider.sh`, with what it answers. */
async function provide({ code, ...answer }: ProviderFiles, more: object[] = []): Promise<OwnCredentialsOptions> {
  await answerWith(answer)
  const env = { ASKED: inDirectory('asked'), ANSWER: inDirectory('answer.json'), CODE: String(code ?? '') }
  await writeJson('providers.json', {
    apiVersion: 'kubelet.config.k8s.io/v1',
    kind: 'CredentialProviderConfig',
    providers: [
      {
        name: 'provider.sh',
        apiVersion: 'credentialprovider.kubelet.k8s.io/v1',
        matchImages: ['*.reg.io', 'docker.io'],
        defaultCacheDuration: '1m',
        args: ['get', '--v=3'],
        env: Object.entries(env).map(([name, value]) => ({ name, value })),
      },
      ...more,
    ],
  })
  return { providers: { configFile: inDirectory('providers.json'), binDir: programs }, registryConfigs: [] }
}

function answerWith({ auth, ...answer }: ProviderFiles): Promise<void> {
  return writeJson('answer.json', {
    apiVersion: 'credentialprovider.kubelet.k8s.io/v1',
    kind: 'CredentialProviderResponse',
    cacheKeyType: 'Image',
    auth: auth === undefined ? { '*.reg.io': { username: 'robot', password: 'secret' } } : auth,
    ...answer,
  })
}

const asked = async () => (await readFile(inDirectory('asked'), 'utf8').catch(() => '')).split('\n').filter(Boolean)

describe('credential providers', () => {
  test('are asked as kubelet asks them, for the images that they match', async () => {
    const own = await open(await provide({}))
    expect(await accounts(own, 'a.reg.io/team/app')).toEqual(['robot:secret'])
    expect(await accounts(own, 'reg.io/team/app')).toEqual([])
    expect(await asked()).toEqual([
      'get --v=3 unset {"apiVersion":"credentialprovider.kubelet.k8s.io/v1","kind":"CredentialProviderRequest","image":"a.reg.io/team/app"}',
    ])
    expect(await accounts(own, 'docker.io/alpine')).toEqual([])
    expect((await asked())[1]).toContain('"image":"docker.io/library/alpine"')
    expect(warnings).toEqual([])
  })

  test('give for an image what its keys are for, longer keys and names first', async () => {
    const auth = {
      '*.reg.io': user('wide'),
      'a.reg.io': user('host'),
      'a.reg.io/team': user('team'),
      'a.reg.io/team-x': user('other'),
      'b.reg.io': user('elsewhere'),
      'https://a.reg.io/v2/team/app': user('app'),
      'no registry': user('nobody'),
    }
    const own = await open(await provide({ auth }))
    expect(await accounts(own, 'a.reg.io/team/app')).toEqual(['app:p', 'team:p', 'host:p', 'wide:p'])
    expect(await accounts(await open(await provide({ auth: null })), 'a.reg.io/team/app')).toEqual([])
  })

  test('a refresh token of Azure is one', async () => {
    const username = '00000000-0000-0000-0000-000000000000'
    const own = await open(await provide({ auth: { '*.reg.io': { username, password: 'refresh' } } }))
    expect(await accounts(own, 'a.reg.io/app')).toEqual(['refresh'])
  })

  test.each([
    ['Image', ['a.reg.io/app', 'a.reg.io/other', 'b.reg.io/app'], 3],
    ['Registry', ['a.reg.io/app', 'a.reg.io/other', 'b.reg.io/app'], 2],
    ['Global', ['a.reg.io/app', 'a.reg.io/other', 'b.reg.io/app'], 1],
  ])('cacheKeyType %s', async (cacheKeyType, images, times) => {
    const own = await open(await provide({ cacheKeyType }))
    for (const image of [...images, ...images]) expect(await accounts(own, image)).toEqual(['robot:secret'])
    expect(await asked()).toHaveLength(times)
  })

  test.each([
    ['what the answer says', { cacheDuration: '5m' }, 5 * minute],
    ['what the config says, where it says nothing', {}, minute],
    ['a moment, where it says 0', { cacheDuration: '0s' }, limits.credentialAnswerMinMs],
  ])('an answer is good for %s', async (_, answer, lifeMs) => {
    const own = await open(await provide(answer))
    await accounts(own, 'a.reg.io/app')
    clock.advance(lifeMs - 1)
    await accounts(own, 'a.reg.io/app')
    expect(await asked()).toHaveLength(1)
    await answerWith({ auth: { 'a.reg.io': { username: 'new', password: 'secret' } } })
    clock.advance(1)
    expect(await accounts(own, 'a.reg.io/app')).toEqual(['new:secret'])
  })

  test('are asked once by all who ask together', async () => {
    const own = await open(await provide({}))
    const all = await Promise.all(Array.from({ length: 5 }, () => accounts(own, 'a.reg.io/app')))
    expect(all).toEqual(Array.from({ length: 5 }, () => ['robot:secret']))
    expect(await asked()).toHaveLength(1)
  })

  test.each<[string, ProviderFiles, RegExp]>([
    ['ends with a code', { code: 7 }, /provider.sh ended with code 7/],
    ['speaks another version', { apiVersion: 'credentialprovider.kubelet.k8s.io/v1beta1' }, /did not answer/],
    ['invents a kind of key', { cacheKeyType: 'Node' }, /did not answer/],
    ['gives no password', { auth: { 'a.reg.io': { username: 'canary' } } }, /did not answer/],
  ])('one that %s gives nothing, says so without secrets, and rests', async (_, answer, why) => {
    const own = await open(await provide(answer))
    expect(await accounts(own, 'a.reg.io/app')).toEqual([])
    expect(await accounts(own, 'a.reg.io/app')).toEqual([])
    expect(await asked()).toHaveLength(1)
    expect(warnings.join()).toContain('"provider":"provider.sh","image":"a.reg.io/app"')
    clock.advance(limits.credentialFailureMs)
    await accounts(own, 'a.reg.io/app')
    expect(await asked()).toHaveLength(2)
    expect(warnings).toHaveLength(2)
    expect(warnings.join()).not.toMatch(/canary|secret is/)
    expect(why.test(warnings.join())).toBe(true)
  })

  test('of two that give one key, the earlier counts', async () => {
    const binDir = inDirectory('bin')
    await mkdir(binDir)
    for (const name of ['provider.sh', 'later.sh'])
      await copyFile(path.join(programs, 'provider.sh'), path.join(binDir, name))
    await writeJson('later.json', {
      apiVersion: 'credentialprovider.kubelet.k8s.io/v1',
      kind: 'CredentialProviderResponse',
      cacheKeyType: 'Global',
      auth: {
        '*.reg.io': { username: 'late', password: 'secret' },
        'a.reg.io/app': { username: 'exact', password: 'secret' },
      },
    })
    const later = {
      name: 'later.sh',
      apiVersion: 'credentialprovider.kubelet.k8s.io/v1',
      matchImages: ['a.reg.io'],
      defaultCacheDuration: '1m',
      env: [
        { name: 'ASKED', value: '/dev/null' },
        { name: 'ANSWER', value: inDirectory('later.json') },
      ],
    }
    const { providers, registryConfigs } = await provide({}, [later])
    const own = await open({ registryConfigs, ...(providers && { providers: { ...providers, binDir } }) })
    expect(await accounts(own, 'a.reg.io/app')).toEqual(['exact:secret', 'robot:secret'])
  })

  test('a changed config counts from then on', async () => {
    const own = await open(await provide({}))
    await accounts(own, 'a.reg.io/app')
    await provide({ auth: { 'a.reg.io': { username: 'renewed', password: 'secret' } } }, [])
    await writeFile(inDirectory('providers.json'), `${await readFile(inDirectory('providers.json'), 'utf8')}\n`)
    expect(await accounts(own, 'a.reg.io/app')).toEqual(['renewed:secret'])
  })

  test('a program that is missing, or that anybody may write, ends the start', async () => {
    const binDir = inDirectory('bin')
    await mkdir(binDir)
    const configFile = (await provide({})).providers?.configFile ?? ''
    const opened = () => open({ providers: { configFile, binDir } })
    await expect(opened()).rejects.toThrow(/provider.sh is no program that can be run/)
    await copyFile(path.join(programs, 'provider.sh'), path.join(binDir, 'provider.sh'))
    await chmod(path.join(binDir, 'provider.sh'), 0o757)
    await expect(opened()).rejects.toMatchObject({
      code: 'CREDENTIALS_INVALID',
      detail: expect.stringContaining('may be written by every user'),
    })
    await chmod(path.join(binDir, 'provider.sh'), 0o755)
    const own = await opened()
    expect(await accounts(own, 'a.reg.io/app')).toEqual(['robot:secret'])
    await chmod(path.join(binDir, 'provider.sh'), 0o757)
    expect(await accounts(own, 'b.reg.io/app')).toEqual([])
    expect(warnings.join()).toContain('may be written by every user')
  })
})

const auth = (text: string) => ({ auth: Buffer.from(text).toString('base64') })

describe('docker config files', () => {
  test('are read in order, as files and as mounted Secrets, and again when they change', async () => {
    await writeJson('config.json', { auths: { 'reg.io': auth('file:secret') } })
    await mkdir(inDirectory('mounted'))
    await writeJson('mounted/.dockerconfigjson', { auths: { 'https://reg.io/v2/': auth('mounted:secret') } })
    const own = await open({ registryConfigs: [inDirectory('config.json'), inDirectory('mounted')] })
    expect(await accounts(own, 'reg.io/app')).toEqual(['file:secret', 'mounted:secret'])
    expect(await accounts(own, 'reg.io.evil.com/app')).toEqual([])
    await writeJson('config.json', { auths: { 'reg.io': auth('rotated:secret') } })
    expect(await accounts(own, 'reg.io/app')).toEqual(['rotated:secret', 'mounted:secret'])
    await rm(inDirectory('config.json'))
    expect(await accounts(own, 'reg.io/app')).toEqual(['mounted:secret'])
    expect(warnings).toHaveLength(1)
  })

  test('come after providers; one account is given once, and no more than a few', async () => {
    await writeJson('same.json', { auths: { 'a.reg.io': auth('robot:secret') } })
    const many = Array.from({ length: limits.ownCredentialsMax + 1 }, (_, index) => `many-${index}.json`)
    for (const name of many) await writeJson(name, { auths: { 'a.reg.io': auth(`${name}:secret`) } })
    const { providers } = await provide({})
    const own = await open({
      ...(providers && { providers }),
      registryConfigs: ['same.json', ...many].map(inDirectory),
    })
    const [first, ...others] = await accounts(own, 'a.reg.io/app')
    expect(first).toBe('robot:secret')
    expect(others).toEqual(many.slice(0, limits.ownCredentialsMax - 1).map((name) => `${name}:secret`))
  })

  test('name helpers, which are asked by the names that `docker login` uses', async () => {
    await writeJson('reg.io', { ServerURL: 'reg.io', Username: 'helped', Secret: 'secret' })
    await writeJson('https:index.docker.iov1', { Username: '<token>', Secret: 'identity' })
    await writeJson('config.json', {
      auths: { 'reg.io': auth('inline:secret'), 'https://index.docker.io/v1/': {} },
      credHelpers: { 'reg.io': 'shoal-test' },
      credsStore: 'shoal-test',
    })
    const own = await open({ registryConfigs: [inDirectory('config.json')] })
    expect(await accounts(own, 'reg.io/app')).toEqual(['helped:secret', 'inline:secret'])
    expect(await accounts(own, 'docker.io/alpine')).toEqual(['identity'])
    expect(await accounts(own, 'other.io/app')).toEqual([])
    await accounts(own, 'reg.io/other')
    expect(await asked()).toEqual(['get reg.io', 'get https://index.docker.io/v1/', 'get other.io'])
    clock.advance(limits.credentialFailureMs)
    await accounts(own, 'reg.io/app')
    expect(await asked()).toHaveLength(4)
    expect(warnings).toEqual([])
  })

  test('a helper that fails gives nothing, and says so without secrets', async () => {
    await writeJson('reg.io', { Username: 'canary' })
    await writeJson('config.json', {
      credHelpers: { 'reg.io': 'shoal-test', 'missing.io': 'shoal-missing' },
    })
    const own = await open({ registryConfigs: [inDirectory('config.json')] })
    expect(await accounts(own, 'reg.io/app')).toEqual([])
    expect(await accounts(own, 'missing.io/app')).toEqual([])
    expect(warnings.join('\n')).toMatch(/did not answer with Username and Secret[^]*can not be run \(ENOENT\)/)
    expect(warnings.join()).not.toContain('canary')
  })

  test('one that is wrong ends the start', async () => {
    await expect(open({ registryConfigs: [inDirectory('none')] })).rejects.toMatchObject({
      code: 'CREDENTIALS_INVALID',
    })
    await expect(open({ registryConfigs: [directory] })).rejects.toThrow(/\.dockerconfigjson: can not be read/)
  })
})
