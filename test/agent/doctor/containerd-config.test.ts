import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parse } from 'smol-toml'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { containerdOptions, readContainerdConfig } from '../../../agent/doctor/containerd-config.ts'

const cri = 'plugins."io.containerd.grpc.v1.cri"'
const images = 'plugins."io.containerd.cri.v1.images"'
const read = (version: string | undefined, ...texts: string[]) =>
  containerdOptions(
    texts.map((text) => parse(text)),
    version,
  )

describe('each version of the file has its own tables', () => {
  test.each([
    ['', 'cri', undefined],
    ['[plugins.cri.registry]\nconfig_path = "/a"', 'cri', '/a'],
    [`version = 2\n[${cri}.registry]\nconfig_path = "/a"`, 'io.containerd.grpc.v1.cri', '/a'],
    [`version = 2\n[${images}.registry]\nconfig_path = "/a"`, 'io.containerd.grpc.v1.cri', undefined],
    [`version = 3\n[${images}.registry]\nconfig_path = "/a"`, 'io.containerd.cri.v1.images', '/a'],
    [`version = 3\n[${cri}.registry]\nconfig_path = "/a"`, 'io.containerd.cri.v1.images', undefined],
    [`version = 3\n[${images}.registry]\nconfig_path = ""`, 'io.containerd.cri.v1.images', undefined],
  ])('%j', (text, section, configPath) => {
    expect(read(undefined, text)).toMatchObject({ section, configPath, root: '/var/lib/containerd' })
  })

  test('2.x takes its own from a file of version 2 too, which AKS ships', () => {
    const text = `version = 2\n[${images}.registry]\nconfig_path = "/a"`
    expect(read('2.1.9', text)).toMatchObject({ configPath: '/a' })
    expect(read('1.7.24', text)).toMatchObject({ configPath: undefined })
  })

  test.each([
    [`version = 2\n[${cri}.containerd]\ndiscard_unpacked_layers = true`, true],
    [`version = 3\n[${images}]\ndiscard_unpacked_layers = true`, true],
    [`version = 3\n[${images}]\nuse_local_image_pull = true`, false],
  ])('%j: layers are discarded: %s', (text, discardsLayers) => {
    expect(read(undefined, text)).toMatchObject({ discardsLayers, pullsLocally: true })
  })
})

test.each([
  [`[${images}]\nmax_concurrent_downloads = 3`, false],
  [`[${images}]\nmax_concurrent_downloads = 8`, true],
  [`[${images}]\ndisable_snapshot_annotations = false`, true],
  [`[${images}]\nimage_pull_with_sync_fs = true`, true],
  [`[${images}.registry.configs."a.b".auth]\nusername = "u"`, true],
  [`[${images}.registry.mirrors]`, false],
])('%j makes 2.1 pull locally: %s', (text, pullsLocally) => {
  expect(read('2.1.9', `version = 3\n${text}`)).toMatchObject({ pullsLocally, hasMirrors: false })
})

describe('imports', () => {
  const first = `version = 2\nroot = "/one"\n[${cri}.registry]\nconfig_path = "/a"`
  const second = `version = 2\nroot = "/two"\n[${cri}.containerd]\ndiscard_unpacked_layers = true`

  test('before 2.0 a plugin of a later file takes the place of an earlier one, from then on they are merged', () => {
    expect(read('1.7.24', first, second)).toMatchObject({ configPath: undefined, discardsLayers: true, root: '/two' })
    expect(read('2.1.9', first, second)).toMatchObject({ configPath: '/a', discardsLayers: true })
    expect(read(undefined, first, second)).toMatchObject({ configPath: undefined })
  })

  let directory: string
  const at = (name: string): string => path.join(directory, name)
  beforeEach(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'shoal-config-'))
    await mkdir(at('conf.d'))
  })
  afterEach(() => rm(directory, { recursive: true }))

  test('are found beside the file, in order, and each once', async () => {
    await writeFile(at('config.toml'), 'version = 3\nimports = ["conf.d/*.toml", "last.toml"]\n')
    await writeFile(at('conf.d/b.toml'), `version = 3\n[${images}.registry]\nconfig_path = "/b"`)
    await writeFile(at('conf.d/a.toml'), `version = 3\n[${images}.registry]\nconfig_path = "/a"`)
    await writeFile(at('last.toml'), 'version = 3\nimports = ["config.toml"]\n')
    const { config, changedMs } = await readContainerdConfig(at('config.toml'), '2.1.9')
    expect(config).toMatchObject({ kind: 'read', configPath: '/b' })
    expect(changedMs).toBeGreaterThan(0)
    const by16 = await readContainerdConfig(at('config.toml'), '1.6.20')
    expect(by16.config).toMatchObject({ configPath: undefined })
  })

  test.each([
    ['imports = ["gone.toml"]', /^it imports .*gone\.toml: ENOENT$/],
    ['version = ', /^Invalid TOML/],
  ])('%j is refused', async (text, reason) => {
    await writeFile(at('config.toml'), text)
    const { config } = await readContainerdConfig(at('config.toml'), undefined)
    expect(config).toMatchObject({ kind: 'unreadable', reason: expect.stringMatching(reason) })
  })

  test('a file that is not there says nothing', async () => {
    const { config } = await readContainerdConfig(at('none.toml'), undefined)
    expect(config).toMatchObject({ kind: 'read', configPath: undefined })
  })
})
