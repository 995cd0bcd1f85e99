/**
 * Makes real container images without a builder: an OCI image layout directory with a multi-arch index, whose layers are
 * gzipped tar archives that containerd unpacks. The demo, the benches and the tests all pull such an image.
 */
import { createCipheriv, createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import { type Digest, digestFromHex, digestHex } from '../../core/oci/digest.ts'
import { KiB, MiB } from '../../core/units.ts'
import { tarEnd, tarHeader, tarPadding } from './tar.ts'

export interface Descriptor {
  readonly mediaType: string
  readonly digest: Digest
  readonly size: number
}

export interface PlatformImage {
  readonly architecture: string
  readonly manifest: Descriptor
  readonly config: Descriptor
  readonly layers: readonly Descriptor[]
}

export interface Image {
  /** An OCI image layout: skopeo reads it as `oci:<directory>:<tag>`. */
  readonly directory: string
  readonly tag: string
  readonly index: Descriptor
  /** amd64 and arm64. They share every layer but the last. */
  readonly platforms: readonly PlatformImage[]
}

export interface ImageOptions {
  /** An empty directory, which becomes the layout. */
  readonly directory: string
  /** The same seed and sizes give the same digests, when there are no `sources`. */
  readonly seed: string
  /** Compressed size of each layer; met within a few KiB. */
  readonly layerSizesBytes: readonly number[]
  /** Directories whose files fill the layers, as far as they last; seeded incompressible bytes fill the rest. */
  readonly sources?: readonly string[]
  readonly tag?: string
}

export const mediaTypes = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
} as const

const architectures = ['amd64', 'arm64'] as const

/** Below this much room in a layer, looking for a file that still fits is not worth the search. */
const fillBelowBytes = 64 * KiB

/** Cuts a total into five unequal layers, as real images have them: one large base, then less and less. */
export function fiveUnequalLayers(imageBytes: number): number[] {
  return [0.44, 0.26, 0.16, 0.1, 0.04].map((share) => Math.floor(imageBytes * share))
}

export async function makeImage(options: ImageOptions): Promise<Image> {
  const { directory, tag = 'latest' } = options
  await mkdir(path.join(directory, 'blobs/sha256'), { recursive: true })
  const shared = makeSharedLayers(options)
  const platforms = await Promise.all(
    architectures.map(async (architecture) => {
      const own = makeOwnLayer(options, architecture)
      return makePlatform(directory, architecture, [...(await shared), await own])
    }),
  )
  const index = await putJson(directory, mediaTypes.index, {
    schemaVersion: 2,
    mediaType: mediaTypes.index,
    manifests: platforms.map(({ manifest, architecture }) => ({
      ...manifest,
      platform: { architecture, os: 'linux' },
    })),
  })
  await writeFile(path.join(directory, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }))
  const named = { ...index, annotations: { 'org.opencontainers.image.ref.name': tag } }
  await writeFile(path.join(directory, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [named] }))
  return { directory, tag, index, platforms }
}

/** What one pull of one platform moves, manifests included; a blob that appears twice counts once. */
export function pulledBlobs(image: Image, architecture: string): Descriptor[] {
  const platform = image.platforms.find((candidate) => candidate.architecture === architecture)
  if (platform === undefined) throw new RangeError(`the image has no ${architecture}`)
  const all = [image.index, platform.manifest, platform.config, ...platform.layers]
  return [...new Map(all.map((blob) => [blob.digest, blob])).values()]
}

export function totalBytes(blobs: readonly Descriptor[]): number {
  return blobs.reduce((sum, blob) => sum + blob.size, 0)
}

export function blobPath(directory: string, digest: Digest): string {
  return path.join(directory, 'blobs/sha256', digestHex(digest))
}

/** A layer's descriptor and the digest of its unpacked archive, which the config names. */
interface Layer {
  readonly descriptor: Descriptor
  readonly diffId: Digest
}

interface LayerContent {
  readonly name: string
  readonly sizeBytes: number
  readonly seed: string
  readonly files: AsyncIterator<SourceFile, undefined>
}

/** All at once, drawing from one list of files: gzip is what takes the time, and each runs in a thread of its own. */
async function makeSharedLayers(options: ImageOptions): Promise<Layer[]> {
  const files = options.sources === undefined ? noFiles() : filesBelow(options.sources)
  return Promise.all(
    options.layerSizesBytes.slice(0, -1).map((sizeBytes, index) => {
      const name = `layer-${index}`
      return makeLayer(options.directory, { name, sizeBytes, seed: `${options.seed} ${name}`, files })
    }),
  )
}

async function makeOwnLayer(options: ImageOptions, architecture: string): Promise<Layer> {
  const sizeBytes = options.layerSizesBytes.at(-1) ?? 0
  return makeLayer(options.directory, {
    name: architecture,
    sizeBytes,
    seed: `${options.seed} ${architecture}`,
    files: noFiles(),
  })
}

async function makeLayer(directory: string, content: LayerContent): Promise<Layer> {
  const partial = path.join(directory, `${content.name}.partial`)
  const unpacked = createHash('sha256')
  const packed = createHash('sha256')
  let packedBytes = 0
  const room = () => content.sizeBytes - packedBytes
  await pipeline(
    Readable.from(archive(content, room), { objectMode: false }),
    watch((piece) => unpacked.update(piece)),
    createGzip({ level: 1 }),
    watch((piece) => {
      packed.update(piece)
      packedBytes += piece.length
    }),
    createWriteStream(partial),
  )
  const digest = digestFromHex(packed.digest('hex'))
  await rename(partial, blobPath(directory, digest))
  return {
    descriptor: { mediaType: mediaTypes.layer, digest, size: packedBytes },
    diffId: digestFromHex(unpacked.digest('hex')),
  }
}

/** Files while they fit into `room()`, then one file of seeded bytes that takes what is left. */
async function* archive(content: LayerContent, room: () => number): AsyncGenerator<Buffer> {
  let takenBytes = 0
  while (Math.min(room(), content.sizeBytes) > fillBelowBytes) {
    const { value: file } = await content.files.next()
    if (file === undefined) break
    const header =
      file.sizeBytes <= room() ? tarHeader(`${content.name}/${file.name}`, file.sizeBytes, 0o644) : undefined
    const bytes = header && (await readWhole(file))
    if (header === undefined || bytes === undefined) continue
    takenBytes += bytes.length
    yield Buffer.concat([header, bytes, tarPadding(bytes.length)])
  }
  const fillBytes = Math.max(0, (takenBytes === 0 ? content.sizeBytes : room()) - 4 * KiB)
  yield tarHeader(`${content.name}/data.bin`, fillBytes, 0o644) ?? Buffer.alloc(0)
  yield* seededBytes(content.seed, fillBytes)
  yield tarPadding(fillBytes)
  yield tarEnd
}

interface SourceFile {
  readonly file: string
  readonly name: string
  readonly sizeBytes: number
}

/** Undefined when the file has changed or can't be read: system directories hold such files, and the image does without. */
async function readWhole({ file, sizeBytes }: SourceFile): Promise<Buffer | undefined> {
  const bytes = await readFile(file).catch(() => undefined)
  return bytes?.length === sizeBytes ? bytes : undefined
}

async function* filesBelow(directories: readonly string[]): AsyncGenerator<SourceFile, undefined> {
  for (const directory of directories) {
    const entries = await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => [])
    for (const entry of entries) {
      if (!entry.isFile()) continue
      const file = path.join(entry.parentPath, entry.name)
      const sizeBytes = await stat(file).then(
        (stats) => stats.size,
        () => undefined,
      )
      if (sizeBytes !== undefined) yield { file, name: path.relative(directory, file), sizeBytes }
    }
  }
  return undefined
}

// eslint-disable-next-line require-yield -- an image without sources has no file
async function* noFiles(): AsyncGenerator<SourceFile, undefined> {
  return undefined
}

/** AES-CTR over zeros: as incompressible as chance, fast, and the same for the same seed everywhere. */
function* seededBytes(seed: string, sizeBytes: number): Generator<Buffer> {
  const key = createHash('sha256').update(seed).digest().subarray(0, 16)
  const keystream = createCipheriv('aes-128-ctr', key, Buffer.alloc(16))
  for (let offset = 0; offset < sizeBytes; offset += MiB) {
    yield keystream.update(Buffer.alloc(Math.min(MiB, sizeBytes - offset)))
  }
}

async function makePlatform(directory: string, architecture: string, layers: Layer[]): Promise<PlatformImage> {
  const config = await putJson(directory, mediaTypes.config, {
    architecture,
    os: 'linux',
    config: { Cmd: ['/app'] },
    rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.diffId) },
  })
  const descriptors = layers.map((layer) => layer.descriptor)
  const manifest = await putJson(directory, mediaTypes.manifest, {
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config,
    layers: descriptors,
  })
  return { architecture, manifest, config, layers: descriptors }
}

async function putJson(directory: string, mediaType: string, value: object): Promise<Descriptor> {
  const bytes = Buffer.from(JSON.stringify(value))
  const digest = digestFromHex(createHash('sha256').update(bytes).digest('hex'))
  await writeFile(blobPath(directory, digest), bytes)
  return { mediaType, digest, size: bytes.length }
}

function watch(look: (piece: Buffer) => void): Transform {
  return new Transform({
    transform(piece: Buffer, _encoding, done) {
      look(piece)
      done(null, piece)
    },
  })
}
