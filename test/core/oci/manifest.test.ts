import { describe, expect, test } from 'vitest'
import { ShoalError } from '../../../core/errors.ts'
import { limits } from '../../../core/limits.ts'
import { digestFromHex } from '../../../core/oci/digest.ts'
import { mediaTypes, parseManifest } from '../../../core/oci/manifest.ts'

const digest = (letter: string) => digestFromHex(letter.repeat(64))
const layerType = 'application/vnd.oci.image.layer.v1.tar+gzip'
const config = { mediaType: 'application/vnd.oci.image.config.v1+json', digest: digest('c'), size: 7 }
const layer = { mediaType: layerType, digest: digest('1'), size: 100 }
const image = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers: [layer] }
const index = {
  schemaVersion: 2,
  mediaType: mediaTypes.ociIndex,
  manifests: [{ mediaType: mediaTypes.ociManifest, digest: digest('d'), size: 400, platform: { os: 'linux' } }],
}

function bytes(document: unknown): Uint8Array {
  return new TextEncoder().encode(typeof document === 'string' ? document : JSON.stringify(document))
}

function without(document: Record<string, unknown>, name: string): unknown {
  return Object.fromEntries(Object.entries(document).filter(([key]) => key !== name))
}

/** What the manifest is refused for. */
function refusal(document: unknown, mediaType?: string): string {
  try {
    parseManifest(bytes(document), mediaType)
  } catch (error) {
    if (error instanceof ShoalError && error.code === 'MANIFEST_INVALID') return error.detail
    throw error
  }
  return 'none'
}

describe('sound documents', () => {
  test('an image: config, then layers lowest first', () => {
    const upper = { mediaType: layerType, digest: digest('2'), size: 0 }
    expect(parseManifest(bytes({ ...image, layers: [layer, upper] }), mediaTypes.ociManifest)).toEqual({
      mediaType: mediaTypes.ociManifest,
      descriptors: [
        { ...config, role: 'config', foreign: false },
        { ...layer, role: 'layer', foreign: false },
        { ...upper, role: 'layer', foreign: false },
      ],
    })
  })

  test('an index', () => {
    expect(parseManifest(bytes(index))).toEqual({
      mediaType: mediaTypes.ociIndex,
      descriptors: [
        { mediaType: mediaTypes.ociManifest, digest: digest('d'), size: 400, role: 'manifest', foreign: false },
      ],
    })
  })

  test("Docker's image and list", () => {
    const { dockerManifest, dockerList } = mediaTypes
    expect(parseManifest(bytes({ ...image, mediaType: dockerManifest }), dockerManifest).mediaType).toBe(dockerManifest)
    expect(parseManifest(bytes({ ...index, mediaType: dockerList }), dockerList).mediaType).toBe(dockerList)
  })

  test('an artifact manifest, as SOCI wrote them', () => {
    const artifact = { mediaType: mediaTypes.ociArtifact, blobs: [layer], subject: { ...layer, digest: digest('d') } }
    expect(parseManifest(bytes(artifact)).descriptors.map(({ role }) => role)).toEqual(['blob', 'subject'])
  })

  test('without mediaType the type served counts, else the shape', () => {
    expect(parseManifest(bytes(without(image, 'mediaType')), mediaTypes.dockerManifest).mediaType).toBe(
      mediaTypes.dockerManifest,
    )
    expect(parseManifest(bytes(without(image, 'mediaType'))).mediaType).toBe(mediaTypes.ociManifest)
    expect(parseManifest(bytes(without(index, 'mediaType'))).mediaType).toBe(mediaTypes.ociIndex)
  })

  test('a layer that stands twice, and an image without layers', () => {
    expect(parseManifest(bytes({ ...image, layers: [layer, layer] })).descriptors).toHaveLength(3)
    expect(parseManifest(bytes({ ...image, layers: [] })).descriptors).toHaveLength(1)
  })

  test('foreign urls are noted and left behind', () => {
    const foreign = { ...layer, urls: ['http://169.254.169.254/latest'] }
    const [, parsed] = parseManifest(bytes({ ...image, layers: [foreign] })).descriptors
    expect(parsed).toEqual({ ...layer, role: 'layer', foreign: true })
  })

  test('a descriptor under another digest algorithm is left out', () => {
    const other = { ...layer, digest: `sha512:${'a'.repeat(128)}` }
    expect(parseManifest(bytes({ ...image, layers: [other] })).descriptors).toEqual([
      { ...config, role: 'config', foreign: false },
    ])
  })
})

describe('documents that could be two things', () => {
  test.each<[string, unknown, string | undefined, string]>([
    ['layers and manifests', { ...image, manifests: index.manifests }, undefined, 'both layers and manifests'],
    ['empty manifests in an image', { ...image, manifests: [] }, undefined, 'both layers and manifests'],
    ['config in an index', { ...index, config }, undefined, 'both manifests and config'],
    ['blobs and layers', { ...image, blobs: [] }, undefined, 'both layers and blobs'],
    ['fsLayers', { ...image, fsLayers: [] }, undefined, 'schema 1'],
    [
      'an index that calls itself an image',
      { ...index, mediaType: mediaTypes.ociManifest },
      undefined,
      'has manifests',
    ],
    ['an image served as an index', without(image, 'mediaType'), mediaTypes.ociIndex, 'has layers'],
    ['a type that is not the one served', image, mediaTypes.dockerManifest, 'calls itself'],
    ['a repeated key', '{"schemaVersion":2,"layers":[],"layers":[]}', undefined, 'stands twice'],
    ['Layers beside layers', { ...image, Layers: [] }, undefined, 'spells layers as "Layers"'],
    ['manifestſ', { ...image, 'manifest\u017f': [] }, undefined, 'spells manifests'],
    [
      'MediaType',
      { ...(without(image, 'mediaType') as object), MediaType: mediaTypes.ociIndex },
      undefined,
      'spells mediaType',
    ],
    ['Digest in a descriptor', { ...image, layers: [{ ...layer, Digest: digest('9') }] }, undefined, 'spells digest'],
  ])('%s', (_, document, mediaType, expected) => {
    expect(refusal(document, mediaType)).toContain(expected)
  })
})

describe('malformed documents', () => {
  test.each<[string, unknown, string]>([
    ['no JSON', 'hello', 'JSON'],
    ['null', 'null', 'not an object'],
    ['a list', '[]', 'not an object'],
    ['nothing in it', '{"schemaVersion":2}', 'neither layers nor manifests'],
    ['layers in its prototype', '{"schemaVersion":2,"__proto__":{"layers":[]}}', 'neither layers nor manifests'],
    ['schema 1', { ...image, schemaVersion: 1 }, 'schemaVersion'],
    ['no schema', without(image, 'schemaVersion'), 'schemaVersion'],
    ['layers that are no list', { ...image, layers: {} }, 'layers is not a list'],
    ['a descriptor that is null', { ...image, layers: [null] }, 'not an object'],
    ['config that is null', { ...image, config: null }, 'not an object'],
    ['no digest', { ...image, layers: [without(layer, 'digest')] }, 'no valid digest'],
    ['a digest that is a path', { ...image, layers: [{ ...layer, digest: '../../etc/passwd' }] }, 'no valid digest'],
    ['a short sha256', { ...image, layers: [{ ...layer, digest: 'sha256:abc' }] }, 'no valid digest'],
    ['upper-case hex', { ...image, layers: [{ ...layer, digest: `sha256:${'A'.repeat(64)}` }] }, 'no valid digest'],
    ['no size', { ...image, layers: [without(layer, 'size')] }, 'no valid size'],
    ['a negative size', { ...image, layers: [{ ...layer, size: -1 }] }, 'no valid size'],
    ['half a byte', { ...image, layers: [{ ...layer, size: 1.5 }] }, 'no valid size'],
    ['a size beyond integers', { ...image, layers: [{ ...layer, size: 2 ** 53 }] }, 'no valid size'],
    ['a size in words', { ...image, layers: [{ ...layer, size: '100' }] }, 'no valid size'],
    ['no mediaType in a descriptor', { ...image, layers: [without(layer, 'mediaType')] }, 'no valid mediaType'],
    ['a header in a mediaType', { ...image, config: { ...config, mediaType: 'a/b\r\nX: y' } }, 'no valid mediaType'],
    ['a mediaType with parameters', { ...image, mediaType: `${mediaTypes.ociManifest}; q=1` }, 'no valid mediaType'],
    ['two sizes for one digest', { ...image, layers: [layer, { ...layer, size: 101 }] }, 'two sizes'],
  ])('%s', (_, document, expected) => {
    expect(refusal(document)).toContain(expected)
  })

  test('bytes that are no UTF-8', () => {
    expect(() => parseManifest(Uint8Array.of(0x7b, 0xff, 0x7d))).toThrow(ShoalError)
  })
})

function padded(size: number): string {
  return JSON.stringify(image).padEnd(size, ' ')
}

function layers(count: number): unknown {
  return Array.from({ length: count }, () => layer)
}

describe('bounds', () => {
  test('a document as large as the limit is read, a byte more is not', () => {
    expect(refusal(padded(limits.manifestSizeMaxBytes))).toBe('none')
    expect(refusal(padded(limits.manifestSizeMaxBytes + 1))).toContain('larger than')
  })

  test('as many descriptors as the limit, and not one more', () => {
    expect(refusal({ ...image, layers: layers(limits.manifestDescriptorsMax) })).toBe('none')
    expect(refusal({ ...image, layers: layers(limits.manifestDescriptorsMax + 1) })).toContain('more than')
  })
})
