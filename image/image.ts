/** Builds the image: a context that holds nothing but what goes into it, and buildah, which needs no daemon. */
import { execFile } from 'node:child_process'
import { chmod, copyFile, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { rolldown } from 'rolldown'
import bundle from '../rolldown.config.ts'
import { licenseTexts } from './licenses.ts'
import { cycloneDx } from './sbom.ts'

const run = promisify(execFile)
const root = path.resolve(import.meta.dirname, '..')

/** As images name it. */
export const thisPlatform = `linux/${process.arch === 'x64' ? 'amd64' : process.arch}`

/** Of each, where it is in the image. */
export const imagePaths = {
  node: 'usr/local/bin/node',
  command: 'usr/local/bin/shoal',
  library: 'usr/lib/shoal',
  sbom: 'usr/share/doc/shoal/sbom.cdx.json',
  license: 'usr/share/doc/shoal/LICENSE',
  licensesOfPackages: 'usr/share/doc/shoal/LICENSES-of-packages',
} as const

/** What buildah takes, and what all builds share. */
export interface Builder {
  /** buildah's images and layers. Whoever made it removes it. */
  readonly storage: string
  /** Unix time in seconds of all that is in the image: the same sources and time give the same digest. */
  readonly createdS: number
}

export interface ImageOptions {
  /** What the image is called in the builder's storage. */
  readonly name: string
  readonly version: string
  /** Images that the Dockerfile's arguments of these names name; its own where undefined. */
  readonly base?: string | undefined
  readonly node?: string | undefined
  /** As `linux/amd64`. */
  readonly platforms: readonly string[]
}

/** The context of the Dockerfile: the bundle, the SBOM and the licenses, by name, byte and mode the same for the same sources. */
export async function makeContext(directory: string, { createdS }: Pick<Builder, 'createdS'>): Promise<void> {
  const rootfs = path.join(directory, 'rootfs')
  // No more than that: `directory` is whatever the user says.
  await rm(rootfs, { recursive: true, force: true })
  const modules = await makeBundle(path.join(rootfs, imagePaths.library))
  await write(path.join(rootfs, imagePaths.sbom), await cycloneDx(root, createdS))
  await write(path.join(rootfs, imagePaths.license), await readFile(path.join(root, 'LICENSE'), 'utf8'))
  await write(path.join(rootfs, imagePaths.licensesOfPackages), await licenseTexts(root, modules))
  const command = path.join(rootfs, imagePaths.command)
  await mkdir(path.dirname(command), { recursive: true })
  await symlink(path.relative(path.dirname(imagePaths.command), path.join(imagePaths.library, 'shoal.mjs')), command)
}

/** The `shoal` command as the image has it: `shoal.mjs`, and what it loads beside it. Resolves to the files that are in it. */
export async function makeBundle(directory: string): Promise<string[]> {
  const { output, ...input } = bundle
  await using made = await rolldown({ ...input, cwd: root })
  const { output: files } = await made.generate(output)
  const chunks = files.filter((file) => file.type === 'chunk')
  for (const { fileName, code } of chunks) await write(path.join(directory, fileName), withNodeOfImage(code), 0o755)
  return chunks.flatMap(({ moduleIds }) => moduleIds)
}

/** The kernel runs what a script's first line names; `env` is not in the image, whose Dockerfile sets the variables. */
function withNodeOfImage(code: string): string {
  return code.replace(/^#!\/usr\/bin\/env -S (?:\w+=\S+ )*node/, `#!/${imagePaths.node}`)
}

async function write(file: string, content: string, mode = 0o644): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true })
  await writeFile(file, content)
  await chmod(file, mode)
}

/**
 * Builds the image from a context that `makeContext` made, a layer for each COPY, so that an upgrade moves the bundle alone.
 * Rejects with buildah's output.
 */
export async function buildImage(builder: Builder, context: string, options: ImageOptions): Promise<void> {
  const given = { VERSION: options.version, BASE: options.base, NODE: options.node }
  const args = Object.entries(given).flatMap(([name, value]) =>
    value === undefined ? [] : ['--build-arg', `${name}=${value}`],
  )
  const dockerfile = path.join(root, 'image/Dockerfile')
  // One after the other: their order in the index is part of its digest. buildah's cache takes no notice of the platform.
  for (const platform of options.platforms) {
    const layered = ['--layers', '--no-cache', '--manifest', options.name]
    await bud(builder, dockerfile, context, ['--platform', platform, ...layered, ...args])
  }
}

async function bud(builder: Builder, dockerfile: string, context: string, words: readonly string[]): Promise<void> {
  const fixed = ['--format', 'oci', '--timestamp', String(builder.createdS), '--identity-label=false']
  await buildah(builder, 'bud', ...fixed, '--isolation', 'chroot', '--file', dockerfile, ...words, context)
}

/** Writes an image to a place that buildah knows, as `oci:<directory>:<tag>` or `docker://<registry>/<repository>:<tag>`. */
export async function pushImage(builder: Builder, name: string, target: string): Promise<void> {
  await buildah(builder, 'manifest', 'push', '--all', name, target)
}

/**
 * Makes what the Dockerfile starts from out of this machine's own files, where nothing can be pulled: the Node.js that npm
 * installed, and the libraries that it is linked to.
 */
export async function makeLocalBases(builder: Builder): Promise<{ node: string; base: string }> {
  const nameServices = path.join(builder.storage, 'nsswitch.conf')
  await write(nameServices, 'hosts: files dns\n')
  const files = { ...(await librariesOf(process.execPath)), 'etc/nsswitch.conf': nameServices }
  return {
    base: await makeFilesImage(builder, 'localhost/local/base', files),
    node: await makeFilesImage(builder, 'localhost/local/node', { [imagePaths.node]: process.execPath }),
  }
}

/** What a program is linked to, for `makeFilesImage`. */
export async function librariesOf(program: string): Promise<Record<string, string>> {
  const { stdout } = await run('ldd', [program])
  const libraries = [...stdout.matchAll(/(?<file>\/\S+) \(0x/g)].map(({ groups }) => groups?.['file'] ?? '')
  return Object.fromEntries(libraries.map((library) => [library.slice(1), library]))
}

/** An image of nothing but files of this machine: where each comes from, by where it goes. Resolves to the image's name. */
export async function makeFilesImage(
  builder: Builder,
  name: string,
  files: Readonly<Record<string, string>>,
  { platform = thisPlatform, entrypoint = [] as readonly string[] } = {},
): Promise<string> {
  const context = path.join(builder.storage, 'contexts', name)
  for (const [to, from] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(context, to)), { recursive: true })
    await copyFile(from, path.join(context, to))
  }
  await writeFile(`${context}.Dockerfile`, `FROM scratch\nCOPY . /\nENTRYPOINT ${JSON.stringify(entrypoint)}\n`)
  await bud(builder, `${context}.Dockerfile`, context, ['--platform', platform, '--manifest', name])
  return name
}

/** vfs: no mounts, so a build works wherever root has a directory, and leaves nothing but that. */
async function buildah({ storage }: Builder, ...words: readonly string[]): Promise<void> {
  const stored = [
    '--root',
    path.join(storage, 'root'),
    '--runroot',
    path.join(storage, 'run'),
    '--storage-driver',
    'vfs',
  ]
  await run('buildah', [...stored, ...words], { maxBuffer: Infinity })
}
