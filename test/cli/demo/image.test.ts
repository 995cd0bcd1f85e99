import { createHash } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterAll, expect, test } from 'vitest'
import { createGuardian } from '../../../cli/demo/guardian.ts'
import { blobPath, fiveUnequalLayers, makeImage, pulledBlobs, totalBytes } from '../../../cli/demo/image.ts'
import { tarHeader } from '../../../cli/demo/tar.ts'
import { KiB, MiB } from '../../../core/units.ts'

const guardian = createGuardian()
afterAll(() => guardian.close())

const layerSizesBytes = fiveUnequalLayers(4 * MiB)
const newImage = async (seed: string) => makeImage({ directory: await guardian.directory(), seed, layerSizesBytes })

test('the same seed gives the same image, another seed another', async () => {
  const [one, same, other] = [await newImage('a'), await newImage('a'), await newImage('b')]
  expect(same.index).toEqual(one.index)
  expect(same.platforms).toEqual(one.platforms)
  expect(other.index.digest).not.toBe(one.index.digest)
})

test('layers have the sizes asked for; the platforms share all but the last', async () => {
  const { platforms } = await newImage('sizes')
  const [amd64, arm64] = platforms.map(({ layers }) => layers)
  for (const [index, layer] of (amd64 ?? []).entries()) {
    expect(Math.abs(layer.size - (layerSizesBytes[index] ?? 0))).toBeLessThan(8 * KiB)
  }
  expect(arm64?.slice(0, -1)).toEqual(amd64?.slice(0, -1))
  expect(arm64?.at(-1)?.digest).not.toBe(amd64?.at(-1)?.digest)
})

test('every blob is what its digest says, and the config names the unpacked layers', async () => {
  const image = await newImage('digests')
  const blobs = pulledBlobs(image, 'amd64')
  const contents = await Promise.all(blobs.map(({ digest }) => readFile(blobPath(image.directory, digest))))
  expect(contents.map((bytes) => `sha256:${sha256(bytes)}`)).toEqual(blobs.map(({ digest }) => digest))
  expect(totalBytes(blobs)).toBe(contents.reduce((sum, { length }) => sum + length, 0))
  const config = JSON.parse(String(contents[2])) as { rootfs: { diff_ids: string[] } }
  expect(config.rootfs.diff_ids).toEqual(contents.slice(3).map((layer) => `sha256:${sha256(gunzipSync(layer))}`))
})

test('files of the sources are in the layers, unchanged', async () => {
  const source = await guardian.directory()
  await mkdir(path.join(source, 'bin'))
  await writeFile(path.join(source, 'bin/tool'), 'what a tool does')
  const directory = await guardian.directory()
  const { platforms } = await makeImage({ directory, seed: 's', layerSizesBytes: [MiB, 4 * KiB], sources: [source] })
  const layer = gunzipSync(await readFile(blobPath(directory, platforms[0]?.layers[0]?.digest as never)))
  expect(layer.subarray(0, 512)).toEqual(tarHeader('layer-0/bin/tool', 16, 0o644))
  expect(layer.subarray(512, 528).toString()).toBe('what a tool does')
})

test('a long path is split as ustar wants it, or refused', () => {
  const long = `${'d'.repeat(90)}/${'f'.repeat(90)}`
  const header = tarHeader(long, 1, 0o644)
  expect(header?.toString('latin1', 0, 100).replaceAll('\0', '')).toBe('f'.repeat(90))
  expect(header?.toString('latin1', 345, 500).replaceAll('\0', '')).toBe('d'.repeat(90))
  expect(tarHeader('n'.repeat(101), 1, 0o644)).toBeUndefined()
})

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
