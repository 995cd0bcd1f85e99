/** Shoal's own image: what is in it, and that the same sources give the same one. It runs in test/e2e/node.test.ts. */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { portOf } from '../../agent/system/port-of.ts'
import { createGuardian } from '../../cli/demo/guardian.ts'
import { blobPath, type Descriptor } from '../../cli/demo/image.ts'
import {
  type Builder,
  buildImage,
  imagePaths,
  makeContext,
  makeFilesImage,
  makeLocalBases,
  pushImage,
} from '../../image/image.ts'
import { readText } from '../repository/sources.ts'
import { lacks } from '../support/needs.ts'

const run = promisify(execFile)
const guardian = createGuardian()
afterAll(() => guardian.close())

interface Manifest {
  readonly config: Descriptor
  readonly layers: readonly Descriptor[]
}

describe.skipIf(lacks('root', 'buildah'))('the image', () => {
  let layout: string
  let amd64: Manifest
  let arm64: Manifest

  beforeAll(async () => {
    layout = await build(['linux/amd64', 'linux/arm64'])
    const manifests = await manifestsOf(layout)
    amd64 = await json(layout, manifests[0])
    arm64 = await json(layout, manifests[1])
  })

  test('is the same again, built elsewhere from the same sources', async () => {
    const [again] = await manifestsOf(await build(['linux/amd64']))
    const [first, second] = await manifestsOf(layout)
    expect(again).toEqual(first)
    expect([first.platform.architecture, second?.platform.architecture]).toEqual(['amd64', 'arm64'])
  })

  test('runs the shoal command as nobody, and has no shell', async () => {
    expect(await json(layout, amd64.config)).toMatchObject({
      created: '1970-01-01T00:00:00Z',
      config: {
        User: '65532:65532',
        Entrypoint: [`/${imagePaths.command}`],
        Env: expect.arrayContaining(['MALLOC_MMAP_THRESHOLD_=131072']),
      },
    })
    const files = (await Promise.all(amd64.layers.map((layer) => filesIn(layout, layer)))).flat()
    const others = files.filter((file) => !file.endsWith('/') && !/^(lib|lib64|etc\/nsswitch)/.test(file))
    expect(others.toSorted()).toEqual(
      [
        imagePaths.command,
        imagePaths.node,
        imagePaths.license,
        imagePaths.licensesOfPackages,
        imagePaths.sbom,
        ...['hash-worker.mjs', 'limits.mjs', 'shoal.mjs'].map((name) => `${imagePaths.library}/${name}`),
      ].toSorted(),
    )
  })

  test('hands on the licenses of all packages that Shoal depends on, and of those that they depend on', async () => {
    const file = path.join(layout, '../context/rootfs', imagePaths.licensesOfPackages)
    const lines = (await readFile(file, 'utf8')).split('\n')
    const { dependencies } = JSON.parse(readText('package.json')) as { dependencies: Record<string, string> }
    // Those need the last two.
    const names = [...Object.keys(dependencies), 'avvio', '@noble/curves'].map(
      (name) => `${name} ${installedVersion(name)}`,
    )
    expect(names.filter((name) => !lines.includes(name))).toEqual([])
  })

  test('is made of no more of a directory than `rootfs`: what else is there stays', async () => {
    expect(await readFile(path.join(layout, '../context/notes'), 'utf8')).toBe('of the user')
  })

  test('has one layer of its own for all architectures, which alone moves at an upgrade', () => {
    const own = amd64.layers.at(-1)
    expect(arm64.layers.at(-1)).toEqual(own)
    expect(own?.size).toBeLessThan(2_000_000)
  })
})

test.skipIf(lacks('root', 'buildah'))(
  'an image is pushed over TLS, unless this machine says otherwise of a registry',
  async () => {
    const asked: unknown[] = []
    const server = createServer(({ method, url }, response) => {
      asked.push([method, url])
      response.writeHead(404).end()
    })
    onTestFinished(() => void server.close())
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const builder = { storage: await guardian.directory(), createdS: 0 }
    const name = await makeFilesImage(builder, 'localhost/any', { file: import.meta.filename })
    const pushed = pushImage(builder, name, `docker://127.0.0.1:${portOf(server.address())}/any:latest`)
    await expect(pushed).rejects.toThrow('server gave HTTP response to HTTPS client')
    expect(asked).toEqual([])
  },
)

/** Into an OCI image layout. The base for arm64 is a stand-in, since nothing of it is run. */
function installedVersion(name: string): string {
  return (JSON.parse(readText(`node_modules/${name}/package.json`)) as { version: string }).version
}

async function build(platforms: readonly ('linux/amd64' | 'linux/arm64')[]): Promise<string> {
  const directory = await guardian.directory()
  const builder = { storage: path.join(directory, 'storage'), createdS: 0 }
  const context = path.join(directory, 'context')
  await mkdir(context)
  await writeFile(path.join(context, 'notes'), 'of the user')
  await makeContext(context, builder)
  for (const platform of platforms) {
    const bases = platform === 'linux/amd64' ? await makeLocalBases(builder) : await makeStandIns(builder)
    await buildImage(builder, context, { name: 'localhost/shoal', version: '0.1.0', platforms: [platform], ...bases })
  }
  const made = path.join(directory, 'layout')
  await pushImage(builder, 'localhost/shoal', `oci:${made}:latest`)
  return made
}

async function makeStandIns(builder: Builder): Promise<{ node: string; base: string }> {
  const files = { [imagePaths.node]: import.meta.filename }
  const name = await makeFilesImage(builder, 'localhost/stand-in', files, { platform: 'linux/arm64' })
  return { node: name, base: name }
}

type PlatformManifest = Descriptor & { readonly platform: { readonly architecture: string } }

async function manifestsOf(directory: string): Promise<[PlatformManifest, PlatformManifest]> {
  const layout = JSON.parse(await readFile(path.join(directory, 'index.json'), 'utf8')) as { manifests: [Descriptor] }
  const { manifests } = await json<{ manifests: [PlatformManifest, PlatformManifest] }>(directory, layout.manifests[0])
  return manifests
}

async function json<Value>(directory: string, { digest }: Descriptor): Promise<Value> {
  return JSON.parse(await readFile(blobPath(directory, digest), 'utf8')) as Value
}

async function filesIn(directory: string, { digest }: Descriptor): Promise<string[]> {
  const { stdout } = await run('tar', ['--list', '--gzip', '--file', blobPath(directory, digest)])
  return stdout.trim().split('\n')
}
