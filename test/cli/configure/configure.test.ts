/** `shoal configure` and `shoal cleanup` on a real directory. */
import {
  chmod,
  link,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { lockDirectory } from '../../../agent/store/directory-lock.ts'
import { openMirrorKeys } from '../../../agent/mirror-tls/mirror-keys.ts'
import { identityOf, readHostsNote } from '../../../agent/containerd/hosts-note.ts'
import { cleanup, configure } from '../../../cli/configure/configure.ts'
import { cleanupSchema, configureSchema } from '../../../cli/configure/configure-options.ts'
import { parseHostsFile } from '../../../agent/containerd/hosts-file.ts'
import { lacks } from '../../support/needs.ts'

let directory: string
let root: string

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'shoal-configure-'))
  root = path.join(directory, 'etc/certs.d')
})
afterEach(() => rm(directory, { recursive: true }))

const at = (...names: string[]): string => path.join(root, ...names)
const run = (options: object = {}) =>
  configure(configureSchema.parse({ ...place(), dataDir: path.join(directory, 'data'), ...options }))
const undo = (options: object = {}) =>
  cleanup(cleanupSchema.parse({ ...place(), dataDir: path.join(directory, 'data'), ...options }))
const place = () => ({ containerdRegistryConfigPath: root })
const hostsOf = async (name: string) =>
  Object.keys(parseHostsFile(await readFile(at(name, 'hosts.toml'), 'utf8'))['host'] ?? {})

const ownersOf = (...names: string[]) =>
  Promise.all(names.map(async (name) => (await lstat(path.join(directory, 'data', name))).uid))

async function put(name: string, text: string, mode = 0o644): Promise<void> {
  await mkdir(path.dirname(at(name)), { recursive: true })
  await writeFile(at(name), text)
  await chmod(at(name), mode)
}

/** Everything below, with inode, mode and time. */
async function snapshot(): Promise<unknown[]> {
  const names = await readdir(directory, { recursive: true })
  const kept = names.filter((name) => name.startsWith('etc')).toSorted()
  return Promise.all(
    kept.map(async (name) => {
      const file = path.join(directory, name)
      const stats = await lstat(file)
      const { ino, mode, mtimeMs } = stats
      if (stats.isDirectory()) return { name, mode }
      const content = stats.isSymbolicLink() ? await readlink(file) : await readFile(file, 'utf8')
      return { name, ino, mode, mtimeMs, content }
    }),
  )
}

async function plant(): Promise<void> {
  await put('_default/hosts.toml', '# mine\n[host."https://other.mirror"]\n')
  await put('registry.corp:5000/hosts.toml', 'server = "https://registry.corp:5000"\n', 0o640)
  await put('docker.corp/ca.crt', 'a certificate')
  await put('linked/real.toml', 'server = "https://linked"\n')
  await symlink('real.toml', at('linked/hosts.toml'))
  await put('README', 'no directory')
}
const planted = ['_default', 'docker.corp', 'linked', 'registry.corp:5000']

describe('on a node that has mirrors', () => {
  beforeEach(plant)

  test('all directories get the mirror first, readable by root only, with its CA beside; cleanup gives back what was there', async () => {
    const before = await snapshot()
    expect(await run()).toEqual(planted.map((name) => ({ directory: at(name), result: 'configured' })))
    const { authority, secret } = await openMirrorKeys(path.join(directory, 'data'))
    for (const name of planted) {
      const text = await readFile(at(name, 'hosts.toml'), 'utf8')
      expect((await lstat(at(name, 'hosts.toml'))).mode & 0o777).toBe(0o600)
      expect((await hostsOf(name))[0]).toBe('https://127.0.0.1:5050')
      expect(text).toContain(`shoal-node-secret = "${secret}"`)
      expect(await readFile(at(name, 'shoal-ca.pem'), 'utf8')).toBe(authority.cert)
    }
    expect(await hostsOf('_default')).toEqual(['https://127.0.0.1:5050', 'https://other.mirror'])
    expect(await readFile(at('docker.corp/hosts.toml'), 'utf8')).toContain('\nca = [ "ca.crt" ]\n')
    expect(await readFile(at('linked/hosts.toml'), 'utf8')).toContain('\nserver = "https://linked"\n')
    expect(await undo()).toEqual(planted.map((name) => ({ directory: at(name), result: 'restored' })))
    expect(await snapshot()).toEqual(before)
  })

  test('a second run changes nothing, and an upgrade or another port only what it must', async () => {
    const before = await snapshot()
    await run()
    const configured = await snapshot()
    expect(new Set((await run()).map(({ result }) => result))).toEqual(new Set(['unchanged']))
    expect(await snapshot()).toEqual(configured)
    await run({ mirrorListen: '127.0.0.1:6060', mirrorProtocol: 'http' })
    expect(await hostsOf('_default')).toEqual(['http://127.0.0.1:6060', 'https://other.mirror'])
    await undo()
    expect(await snapshot()).toEqual(before)
  })

  test('a mode that was widened is narrowed again', async () => {
    await run()
    await chmod(at('_default/hosts.toml'), 0o644)
    const narrowed = (await run()).filter(({ result }) => result === 'configured')
    expect(narrowed).toEqual([{ directory: at('_default'), result: 'configured' }])
    expect((await lstat(at('_default/hosts.toml'))).mode & 0o777).toBe(0o600)
  })

  test('cleanup without configure, and a second one, do nothing', async () => {
    const before = await snapshot()
    expect(await undo()).toEqual([])
    await run()
    await undo()
    expect(await undo()).toEqual([])
    expect(await snapshot()).toEqual(before)
  })

  test('what another tool has written over ours is the file to keep from then on', async () => {
    await run()
    const newer = '[host."https://newer.mirror"]\n'
    await rm(at('_default/hosts.toml'))
    await put('_default/hosts.toml', newer)
    await run()
    expect(await hostsOf('_default')).toEqual(['https://127.0.0.1:5050', 'https://newer.mirror'])
    await undo()
    expect(await readFile(at('_default/hosts.toml'), 'utf8')).toBe(newer)
    expect(await readdir(at('_default'))).toEqual(['hosts.toml'])
  })

  test('written over and not configured again, it stays', async () => {
    await run()
    await rm(at('_default/hosts.toml'))
    await put('_default/hosts.toml', 'server = "https://newer"\n')
    await undo()
    expect(await readdir(at('_default'))).toEqual(['hosts.toml'])
    expect(await readFile(at('_default/hosts.toml'), 'utf8')).toBe('server = "https://newer"\n')
  })

  test('where ours was taken away by hand, cleanup brings the old one back', async () => {
    const before = await snapshot()
    await run()
    await rm(at('_default/hosts.toml'))
    await undo()
    expect(await snapshot()).toEqual(before)
  })

  test('one file that can not be chained: it is named, and nothing at all is changed', async () => {
    await put('z.corp/hosts.toml', 'server = "https')
    const before = await snapshot()
    await expect(run()).rejects.toMatchObject({
      code: 'HOSTS_INVALID',
      detail: expect.stringContaining(at('z.corp/hosts.toml')),
    })
    expect(await snapshot()).toEqual(before)
  })

  test('registries that are named, and no others; containerd looks for host_port_ first', async () => {
    await put('quay.corp_443_/hosts.toml', '')
    const mirroredRegistries = ['docker.io', 'registry.corp:5000', 'quay.corp:443']
    expect((await run({ mirroredRegistries })).map(({ directory: each }) => each)).toEqual(
      ['docker.io', 'registry.corp:5000', 'quay.corp_443_'].map((name) => at(name)),
    )
    expect(await hostsOf('_default')).toEqual(['https://other.mirror'])
  })

  test('registries that are named no longer go past the mirror, by the file that was there before', async () => {
    const before = await snapshot()
    await run()
    await run({ mirroredRegistries: ['docker.io', 'quay.io'] })
    expect(await run({ mirroredRegistries: ['docker.io'] })).toEqual([
      { directory: at('quay.io'), result: 'restored' },
      { directory: at('docker.io'), result: 'unchanged' },
    ])
    expect(await hostsOf('_default')).toEqual(['https://other.mirror'])
    expect(await readdir(root)).not.toContain('quay.io')
    await undo()
    expect(await snapshot()).toEqual(before)
  })
})

test('a registry that is named is not put back under another name of its directory', async () => {
  const mirroredRegistries = ['docker.io']
  await run({ mirroredRegistries })
  await symlink('docker.io', at('aliases.io'))
  expect(await run({ mirroredRegistries })).toEqual([{ directory: at('docker.io'), result: 'unchanged' }])
  expect(await hostsOf('aliases.io')).toEqual(['https://127.0.0.1:5050'])
  await undo()
  expect(await readdir(root)).toEqual(['aliases.io'])
})

describe('a crash at any step', () => {
  const keptFile = '_default/hosts.toml.before-shoal'
  const steps: Record<string, () => Promise<void>> = {
    'after the old file got its second name': () => link(at('_default/hosts.toml'), at(keptFile)),
    'before that name was final': () => link(at('_default/hosts.toml'), at('_default/.shoal-draft-0')),
    'between both': async () => {
      await link(at('_default/hosts.toml'), at(keptFile))
      await link(at('_default/hosts.toml'), at('_default/.shoal-draft-0'))
    },
    'after the CA': () => put('_default/shoal-ca.pem', 'old'),
    'amid a write': () => put('_default/.shoal-draft-0', 'half'),
  }
  test.each(Object.entries(steps))('%s: configure goes on, and cleanup leaves nothing', async (_name, step) => {
    await plant()
    const before = await snapshot()
    await step()
    await run()
    expect(await hostsOf('_default')).toEqual(['https://127.0.0.1:5050', 'https://other.mirror'])
    await undo()
    expect(await snapshot()).toEqual(before)
    await step()
    await undo()
    expect(await snapshot()).toEqual(before)
  })

  test('of cleanup, after the old file was back', async () => {
    await plant()
    const before = await snapshot()
    await run()
    await rm(at('_default/hosts.toml'))
    await link(at(keptFile), at('_default/hosts.toml'))
    await rm(at(keptFile))
    await undo()
    expect(await snapshot()).toEqual(before)
  })
})

test('on a node without mirrors: directories that were made go again, unless somebody uses them', async () => {
  expect(await run()).toEqual([{ directory: at('_default'), result: 'configured' }])
  await run({ mirroredRegistries: ['docker.io'] })
  await undo()
  expect(await readdir(directory)).toEqual(['data'])
  await run()
  await put('quay.io/hosts.toml', '')
  await undo()
  expect(await readdir(root)).toEqual(['quay.io'])
})

test('a directory that was there and empty stays', async () => {
  await mkdir(at('_default'), { recursive: true })
  await run()
  await undo()
  expect(await readdir(root)).toEqual(['_default'])
})

test('a place that can not be written is an error that names it', async () => {
  await put('_default/hosts.toml/x', '')
  await expect(run()).rejects.toMatchObject({ code: 'HOSTS_FAILED', detail: `${at('_default')}: EISDIR` })
})

test('a mirror on any free port is none that containerd could be told of', async () => {
  const mirrorListen = { host: '127.0.0.1', port: 0 }
  const failure = configure({ ...configureSchema.parse(place()), mirrorListen })
  await expect(failure).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  expect(await readdir(directory)).toEqual([])
})

describe.skipIf(lacks('root'))('the data directory', () => {
  const agent = 65_532

  test('is given to the agent with all that is in it, and again after root has written there', async () => {
    await run({ dataDirOwner: agent })
    expect(await ownersOf('.', 'mirror-ca.pem', 'mirror-secret')).toEqual([agent, agent, agent])
    await mkdir(path.join(directory, 'data/blobs/sha256'), { recursive: true })
    await run({ dataDirOwner: agent })
    expect(await ownersOf('.', 'blobs', 'blobs/sha256')).toEqual([agent, agent, agent])
  })

  test('has a note of what was written, for an agent that may not read that; and of what is now', async () => {
    const isWritten = async (...names: string[]) => {
      const note = await readHostsNote(path.join(directory, 'data'), root)
      expect(Object.keys(note?.files ?? {})).toEqual(names.map((name) => at(name, 'hosts.toml')))
      for (const [file, identity] of Object.entries(note?.files ?? {})) expect(await identityOf(file)).toBe(identity)
    }
    await run({ dataDirOwner: agent, resolveTags: false })
    await isWritten('_default')
    const { configured } = (await readHostsNote(path.join(directory, 'data'), root)) ?? {}
    expect(configured).toEqual({ mirroredRegistries: [], resolveTags: false, dataDirOwner: agent })
    await put('quay.io/hosts.toml', 'server = "https://quay.io"\n')
    await run({ dataDirOwner: agent, mirrorProtocol: 'http' })
    await isWritten('_default', 'quay.io')
    expect(await ownersOf('hosts-written.json')).toEqual([agent])
    expect(await readHostsNote(path.join(directory, 'data'), '/elsewhere')).toBeUndefined()
  })

  test('is made where the mirror needs no keys', async () => {
    await run({ dataDirOwner: agent, mirrorProtocol: 'http' })
    expect(await ownersOf('.')).toEqual([agent])
  })

  test('that has a link out of it: what it leads to stays whose it is', async () => {
    await run({ dataDirOwner: agent })
    await writeFile(path.join(directory, 'elsewhere'), '')
    await symlink(path.join(directory, 'elsewhere'), path.join(directory, 'data/link'))
    await run({ dataDirOwner: agent })
    expect(await ownersOf('link', '../elsewhere')).toEqual([agent, 0])
  })

  test('is left alone by cleanup unless told otherwise', async () => {
    await run()
    await undo()
    expect((await readdir(path.join(directory, 'data'))).toSorted()).toEqual([
      'hosts-written.json',
      'mirror-ca.pem',
      'mirror-secret',
    ])
  })

  test("is emptied by cleanup of what is Shoal's", async () => {
    await run()
    await mkdir(path.join(directory, 'data/blobs/sha256'), { recursive: true })
    await writeFile(path.join(directory, 'data/identity.pem.0a1b'), '')
    await writeFile(path.join(directory, 'data/lost+found'), '')
    expect(await undo({ emptyDataDir: true })).toContainEqual({
      directory: path.join(directory, 'data'),
      result: 'emptied',
    })
    expect(await readdir(path.join(directory, 'data'))).toEqual(['lost+found'])
    expect(await undo({ emptyDataDir: true })).toEqual([])
  })

  test("that an agent uses is not emptied, but containerd's is put back", async () => {
    await run()
    const lock = lockDirectory(path.join(directory, 'data'))
    await expect(undo({ emptyDataDir: true })).rejects.toMatchObject({ code: 'STORE_LOCKED' })
    lock.release()
    expect(await readdir(directory)).toEqual(['data'])
  })

  test('in which no lock can be made: names it', async () => {
    await mkdir(path.join(directory, 'data/lock'), { recursive: true })
    await expect(undo({ emptyDataDir: true })).rejects.toMatchObject({
      code: 'STORE_DIRECTORY_INVALID',
      detail: `${path.join(directory, 'data')} can not be emptied: ERR_SQLITE_ERROR`,
    })
  })

  test('that is no directory: says so', async () => {
    await writeFile(path.join(directory, 'data'), '')
    await expect(run({ dataDirOwner: agent, mirrorProtocol: 'http' })).rejects.toMatchObject({
      code: 'STORE_DIRECTORY_INVALID',
    })
  })
})
