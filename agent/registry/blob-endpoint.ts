/** `GET|HEAD /v2/<name>/blobs/<digest>` */
import { ShoalError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Digest } from '../../core/oci/digest.ts'
import type { ByteRange } from '../../core/oci/range.ts'
import type { Clock } from '../../core/ports.ts'
import { createBoundedMap } from '../../core/bounded-map.ts'
import type { Credential } from '../upstream/credential.ts'
import type { Possession } from '../access/possession.ts'
import type { Descriptors } from './descriptors.ts'
import type { Exchange } from './exchange.ts'
import type { OriginRepository } from '../upstream/origin-client.ts'
import { isOriginError } from '../upstream/origin-error.ts'
import type { Blobs, OpenBlob, Origin, ReadOptions, Want } from './ports.ts'
import type { Prefetch } from './prefetch.ts'
import { sendContent, sendHead } from './send-content.ts'

export type BlobEndpoint = (
  exchange: Exchange,
  at: OriginRepository,
  digest: Digest,
  credential: Credential,
) => Promise<void>

interface BlobEndpointComponents {
  readonly blobs: Blobs
  readonly descriptors: Descriptors
  readonly origin: Pick<Origin, 'headBlob'>
  readonly possession: Pick<Possession, 'prove'>
  readonly prefetch: Prefetch
  readonly clock: Clock
}

const mediaType = 'application/octet-stream'

export function createBlobEndpoint(components: BlobEndpointComponents): BlobEndpoint {
  const { blobs, descriptors, origin, possession, prefetch, clock } = components
  const broken = createBoundedMap<string, number>(limits.brokenContentsMax)

  async function get(exchange: Exchange, want: Want, content: OpenBlob): Promise<void> {
    if (exchange.request.headers.range !== undefined && !content.complete && isBroken(want)) {
      throw new ShoalError('STREAM_BROKEN', `${want.digest} broke off`)
    }
    const facts = { digest: want.digest, size: content.size, mediaType }
    const read = (range: ByteRange, options: ReadOptions): AsyncIterable<Uint8Array> => content.read(range, options)
    await sendContent(exchange, facts, read, (whole) => {
      prefetch.taken(want)
      if (whole) prefetch.follow(want, descriptors.find(want, want.digest)?.layers ?? [])
    })
  }

  /** containerd asks for the rest of what broke off: here first, and at the origin only once we refuse (facts/protocols.md §0, rule 2). */
  function isBroken(want: Want): boolean {
    return clock.now() < (broken.get(keyOf(want)) ?? 0)
  }

  function rememberBroken(want: Want): void {
    broken.set(keyOf(want), clock.now() + limits.brokenContentMs)
  }

  async function serve(exchange: Exchange, want: Want): Promise<void> {
    const content = await blobs.open(want, exchange.signal)
    try {
      await get(exchange, want, content)
    } catch (error) {
      if (exchange.response.headersSent && !exchange.signal.aborted && !mayRenew(error)) rememberBroken(want)
      throw error
    } finally {
      await content.close()
    }
  }

  /** Where no descriptor told the size the origin does: it is not said how long a content is that this caller may not have. */
  async function head(exchange: Exchange, want: Want): Promise<void> {
    if (want.size !== undefined) await possession.prove(want, exchange.signal)
    const size = want.size ?? (await origin.headBlob(want, want.digest, want.credential, exchange.signal)).size
    sendHead(exchange, { digest: want.digest, size, mediaType })
  }

  return (exchange, at, digest, credential) => {
    const known = descriptors.find(at, digest)
    const size = known === undefined ? {} : { size: known.size }
    const want: Want = { ...at, digest, ...size, kind: 'blob', credential }
    return exchange.request.method === 'HEAD' ? head(exchange, want) : serve(exchange, want)
  }
}

/** The caller's token has run out: asked for the rest, the origin asks it for another one. */
function mayRenew(error: unknown): boolean {
  return isOriginError(error, 'unauthorized')
}

function keyOf({ origin, repository, digest }: Want): string {
  return `${origin} ${repository} ${digest}`
}
