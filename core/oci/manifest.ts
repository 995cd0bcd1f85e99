/**
 * Manifests and indexes as containerd will understand them, or not at all. A document that two readers could take for two
 * things (CVE-2021-41190 and kin; facts/security.md) is refused.
 */
import { ShoalError } from '../errors.ts'
import { limits } from '../limits.ts'
import { type Digest, parseDigest } from './digest.ts'
import { parseStrictJson } from './strict-json.ts'

export const mediaTypes = {
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
  ociArtifact: 'application/vnd.oci.artifact.manifest.v1+json',
} as const

/** What a document is, by the one list that it has: `layers`, `manifests` or (OCI 1.1 release candidates, SOCI) `blobs`. */
type Shape = 'manifest' | 'index' | 'artifact'

const shapeOfType: Readonly<Record<string, Shape>> = {
  [mediaTypes.ociManifest]: 'manifest',
  [mediaTypes.dockerManifest]: 'manifest',
  [mediaTypes.ociIndex]: 'index',
  [mediaTypes.dockerList]: 'index',
  [mediaTypes.ociArtifact]: 'artifact',
}
const defaultType = {
  manifest: mediaTypes.ociManifest,
  index: mediaTypes.ociIndex,
  artifact: mediaTypes.ociArtifact,
} as const satisfies Record<Shape, string>
const roleIn = { manifest: 'layer', index: 'manifest', artifact: 'blob' } as const satisfies Record<Shape, string>
const listOf = { manifest: 'layers', index: 'manifests', artifact: 'blobs' } as const satisfies Record<Shape, string>

/** A digest of any algorithm (OCI image-spec, descriptor.md "Digests"). */
const anyDigestGrammar = /^[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]{1,512}$/

/** A content that a manifest names. Its `urls` are left behind on purpose: Shoal never fetches from them. */
export interface Descriptor {
  readonly digest: Digest
  readonly size: number
  readonly mediaType: string
  readonly role: 'config' | 'layer' | 'manifest' | 'blob' | 'subject'
  /** The manifest says that this content is to be had elsewhere (`urls`): the registry may not hold it. */
  readonly foreign: boolean
}

export interface Manifest {
  /** The one to answer with: what the registry said, else what the document says, else what its shape says. */
  readonly mediaType: string
  /** In the document's order, layers lowest first. Contents under another digest algorithm than SHA-256 are left out. */
  readonly descriptors: readonly Descriptor[]
}

/**
 * Reads a manifest. `mediaType` is the registry's Content-Type, where one is known. Throws a ShoalError `MANIFEST_INVALID`
 * that says what is wrong.
 */
export function parseManifest(body: Uint8Array, mediaType?: string): Manifest {
  if (body.length > limits.manifestSizeMaxBytes) throw invalid(`it is larger than ${limits.manifestSizeMaxBytes} bytes`)
  const document = fieldsOf(parseDocument(body), 'the document')
  const shape = shapeOf(document)
  const type = typeOf(document, shape, mediaType)
  if (shape !== 'artifact' && document.get('schemaVersion') !== 2) throw invalid('its schemaVersion is not 2')
  return { mediaType: type, descriptors: descriptorsOf(document, shape) }
}

/** RFC 6838, section 4.2; without parameters. */
const mediaTypeGrammar = /^[a-z0-9][a-z0-9!#$&^_.+-]{0,126}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}$/i

type Fields = ReadonlyMap<string, unknown>

function parseDocument(body: Uint8Array): unknown {
  try {
    return parseStrictJson(body)
  } catch (cause) {
    throw invalid(cause instanceof Error ? cause.message : 'it is not JSON', cause)
  }
}

/** The names that containerd's structs know. Go matches them in any case, so `Layers` would stand in for `layers`. */
const documentNames = ['schemaVersion', 'mediaType', 'config', 'layers', 'manifests', 'blobs', 'fsLayers', 'subject']
const descriptorNames = ['digest', 'size', 'urls', 'data', 'platform', 'annotations', 'artifactType']
const foldedNames: ReadonlyMap<string, string> = new Map(
  documentNames.concat(descriptorNames).map((name) => [fold(name), name]),
)

/** As Go's encoding/json folds names: `ſ` is an s and the Kelvin sign a k. */
function fold(name: string): string {
  return name.toUpperCase().toLowerCase()
}

function fieldsOf(value: unknown, what: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(`${what} is not an object`)
  const fields = new Map(Object.entries(value))
  for (const name of fields.keys()) {
    const known = foldedNames.get(fold(name))
    if (known !== undefined && known !== name) throw invalid(`${what} spells ${known} as ${JSON.stringify(name)}`)
  }
  return fields
}

function shapeOf(document: Fields): Shape {
  const shapes = (['manifest', 'index', 'artifact'] as const).filter((shape) => document.has(listOf[shape]))
  const [shape] = shapes
  if (document.has('fsLayers')) throw invalid('it has fsLayers: schema 1 is not supported')
  if (shape === undefined) throw invalid('it has neither layers nor manifests')
  if (shapes.length > 1) throw invalid(`it has both ${shapes.map((each) => listOf[each]).join(' and ')}`)
  if (shape !== 'manifest' && document.has('config')) throw invalid(`it has both ${listOf[shape]} and config`)
  return shape
}

function typeOf(document: Fields, shape: Shape, served: string | undefined): string {
  const stated = document.has('mediaType') ? mediaTypeIn(document, 'the document') : undefined
  const type = served ?? stated ?? defaultType[shape]
  if (stated !== undefined && stated !== type) throw invalid(`it is served as ${type} but calls itself ${stated}`)
  const meant = shapeOfType[type]
  if (meant !== undefined && meant !== shape) throw invalid(`it is called ${type} but has ${listOf[shape]}`)
  return type
}

function descriptorsOf(document: Fields, shape: Shape): readonly Descriptor[] {
  const named = [
    ...(document.has('config') ? [descriptorOf(document.get('config'), 'config')] : []),
    ...listIn(document, listOf[shape]).map((value) => descriptorOf(value, roleIn[shape])),
    ...(document.has('subject') ? [descriptorOf(document.get('subject'), 'subject')] : []),
  ].filter((descriptor) => descriptor !== undefined)
  refuseTwoSizes(named)
  return named
}

function listIn(document: Fields, name: string): readonly unknown[] {
  const list: unknown = document.get(name)
  if (!Array.isArray(list)) throw invalid(`${name} is not a list`)
  if (list.length > limits.manifestDescriptorsMax)
    throw invalid(`${name} has more than ${limits.manifestDescriptorsMax} items`)
  return list
}

/** Undefined for a sound descriptor under another algorithm than SHA-256: such a content is left to the origin. */
function descriptorOf(value: unknown, role: Descriptor['role']): Descriptor | undefined {
  const what = `a descriptor (${role})`
  const fields = fieldsOf(value, what)
  const digestText = fields.get('digest')
  const size = fields.get('size')
  if (typeof digestText !== 'string' || !anyDigestGrammar.test(digestText)) throw invalid(`${what} has no valid digest`)
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) throw invalid(`${what} has no valid size`)
  const mediaType = mediaTypeIn(fields, what)
  const digest = parseDigest(digestText)
  if (digest !== undefined) return { digest, size, mediaType, role, foreign: isForeign(fields) }
  if (digestText.startsWith('sha256:')) throw invalid(`${what} has no valid digest`)
  return undefined
}

function isForeign(fields: Fields): boolean {
  const urls = fields.get('urls')
  return Array.isArray(urls) && urls.length > 0
}

function mediaTypeIn(document: Fields, what: string): string {
  const text = document.get('mediaType')
  if (typeof text !== 'string' || !mediaTypeGrammar.test(text)) throw invalid(`${what} has no valid mediaType`)
  return text
}

function refuseTwoSizes(descriptors: readonly Descriptor[]): void {
  const sizes = new Map<Digest, number>()
  for (const { digest, size } of descriptors) {
    if ((sizes.get(digest) ?? size) !== size) throw invalid(`it gives ${digest} two sizes`)
    sizes.set(digest, size)
  }
}

function invalid(problem: string, cause?: unknown): ShoalError {
  return new ShoalError('MANIFEST_INVALID', `The manifest is not usable: ${problem}`, { cause })
}
