/** Shoal's own image, of this checkout, and what pods' sandboxes are made of, as layouts that an origin serves. */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import type { Guardian } from '../../cli/demo/guardian.ts'
import { blobPath, type Descriptor, type Image } from '../../cli/demo/image.ts'
import {
  buildImage,
  librariesOf,
  makeContext,
  makeFilesImage,
  makeLocalBases,
  pushImage,
  thisPlatform,
} from '../../image/image.ts'

export interface ShoalImages {
  /** Two that differ as two versions do: in all files of Shoal and of Node.js, by their time. */
  readonly versions: readonly [Image, Image]
  readonly pause: Image
}

/** Needs buildah. */
export async function makeShoalImages(guardian: Guardian): Promise<ShoalImages> {
  const directory = await guardian.directory()
  const builder = { storage: path.join(directory, 'storage'), createdS: 0 }
  const context = path.join(directory, 'context')
  await makeContext(context, builder)
  const bases = await makeLocalBases(builder)
  async function version(createdS: 1 | 2): Promise<Image> {
    const name = `localhost/shoal-${createdS}`
    const options = { name, version: `0.1.${createdS}`, platforms: [thisPlatform], ...bases }
    await buildImage({ ...builder, createdS }, context, options)
    return layout(name)
  }
  async function layout(name: string): Promise<Image> {
    const made = path.join(directory, path.basename(name))
    await pushImage(builder, name, `oci:${made}:latest`)
    return readLayout(made)
  }
  const sleep = { ...(await librariesOf('/bin/sleep')), 'bin/sleep': '/bin/sleep' }
  const pause = await makeFilesImage(builder, 'localhost/pause', sleep, { entrypoint: ['/bin/sleep', 'infinity'] })
  return { versions: [await version(1), await version(2)], pause: await layout(pause) }
}

interface Index {
  readonly manifests: readonly (Descriptor & { readonly platform: { readonly architecture: string } })[]
}

async function readLayout(directory: string): Promise<Image> {
  const { manifests } = JSON.parse(await readFile(path.join(directory, 'index.json'), 'utf8')) as {
    manifests: [Descriptor]
  }
  const [index] = manifests
  const read = async <Value>({ digest }: Descriptor) =>
    JSON.parse(await readFile(blobPath(directory, digest), 'utf8')) as Value
  const platforms = (await read<Index>(index)).manifests.map(async ({ platform, ...manifest }) => {
    const { config, layers } = await read<{ config: Descriptor; layers: Descriptor[] }>(manifest)
    return { architecture: platform.architecture, manifest, config, layers }
  })
  return { directory, tag: 'latest', index, platforms: await Promise.all(platforms) }
}
