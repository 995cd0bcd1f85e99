/** Carries out `fetch-origin`: one ranged GET, cut into chunks as it arrives. */
import type { Digest } from '../../core/oci/digest.ts'
import { limits } from '../../core/limits.ts'
import type { ByteRange } from '../../core/oci/range.ts'
import { chunkCountOf, chunkLengthOf, chunkSizeOf } from '../../core/swarm/chunks.ts'
import type { OriginFailure, SwarmCommand, SwarmEvent } from '../../core/swarm/events.ts'
import type { RateLimits } from '../../core/swarm/rate.ts'
import type { Clock } from '../../core/ports.ts'
import type { CredentialLives } from '../access/credential-lives.ts'
import type { Logger } from '../logging.ts'
import type { Want } from '../registry/ports.ts'
import type { OriginClient, RangeAnswer } from '../upstream/origin-client.ts'
import { isOriginError, type OriginError, toOriginFailure } from '../upstream/origin-error.ts'
import type { Sleep } from '../upstream/retry.ts'
import type { ChunkBuffers } from './chunk-buffers.ts'
import { chunkKey } from './chunk-key.ts'
import { createPace } from './pace.ts'
import type { Writes } from './writes.ts'
import { type BlobSession, dropWant, type Sessions, wantsOf } from './sessions.ts'

/** The part of the origin client that the swarm needs. */
export type RangeOrigin = Pick<OriginClient, 'fetchRange'>

type FetchCommand = Extract<SwarmCommand, { type: 'fetch-origin' }>

export interface OriginFetchComponents {
  readonly origin: RangeOrigin
  readonly clock: Clock
  readonly lives: Pick<CredentialLives, 'lifeOf'>
  readonly sessions: Sessions
  readonly buffers: ChunkBuffers
  readonly writes: Writes
  readonly post: (event: SwarmEvent) => void
  readonly rates: Pick<RateLimits, 'download' | 'origin'>
  readonly sleep: Sleep
  readonly logger: Logger
  readonly onBytes: (bytes: number) => void
}

export interface OriginFetches {
  start(command: FetchCommand): void
  stop(fetch: number): void
  stopAll(): void
}

export function createOriginFetches(components: OriginFetchComponents): OriginFetches {
  const { clock, lives, post, sessions, logger } = components
  const { download, origin: originRate } = components.rates
  /** What comes counts as downloaded too: the swarm hears of it and counts that. */
  const pace = createPace([originRate, download], components.sleep)
  const running = new Map<number, AbortController>()

  function start(command: FetchCommand): void {
    const controller = new AbortController()
    running.set(command.fetch, controller)
    void carryOut(command, controller.signal)
  }

  async function carryOut(command: FetchCommand, signal: AbortSignal): Promise<void> {
    const { digest, fetch } = command
    const failure = await run(command, signal)
    running.delete(fetch)
    if (!signal.aborted) post({ type: 'origin-ended', digest, fetch, ...(failure === undefined ? {} : { failure }) })
  }

  async function run(command: FetchCommand, signal: AbortSignal): Promise<OriginFailure | undefined> {
    const session = sessions.find(command.digest)
    const chunkSize = chunkSizeOf(command.size)
    const first = command.start * chunkSize + command.offset
    const end = Math.min(command.end * chunkSize, command.size)
    try {
      const answer = session && (await askAsAny(session, command.origin, { start: first, end }, signal))
      if (answer === undefined) return { kind: 'refused' }
      const { ranged, body } = answer
      if (!ranged) post({ type: 'origin-unranged', digest: command.digest, fetch: command.fetch })
      await receive(command, ranged ? first : 0, body, signal)
      return undefined
    } catch (error) {
      if (!isOriginError(error)) {
        if (!signal.aborted) logger.error({ err: error }, 'fetch from the origin failed in the agent itself')
        return { kind: 'unavailable' }
      }
      if (!signal.aborted) logger.debug({ err: error }, 'fetch from the origin failed')
      return toOriginFailure(error)
    }
  }

  /**
   * Shows one credential after the other until the origin takes it: one whose token has run out is not shown again, and the
   * range goes on by another caller's. Undefined where nobody wants it from there; rejects with the last refusal.
   */
  async function askAsAny(
    session: BlobSession,
    origin: string,
    range: ByteRange,
    signal: AbortSignal,
  ): Promise<RangeAnswer | undefined> {
    let refusal: OriginError | undefined
    for (const want of wantsOf(session, origin)) {
      if (hasEnded(want)) continue
      const { credential, repository, kind } = want
      const { digest, size } = session
      try {
        return await components.origin.fetchRange(
          { origin, repository, kind, digest, size, ...range },
          credential,
          signal,
        )
      } catch (error) {
        if (!isOriginError(error, 'unauthorized', 'denied', 'not-found')) throw error
        // One that has run out is passed over by then.
        if (!hasEnded(want)) dropWant(session, want, error)
        refusal = error
      }
    }
    if (refusal === undefined) return undefined
    throw refusal
  }

  function hasEnded(want: Want): boolean {
    return lives.lifeOf(want, want.credential).endsAtMs <= clock.now()
  }

  async function receive(
    { digest, size, fetch }: FetchCommand,
    first: number,
    body: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<void> {
    let position = first
    for await (const bytes of body) {
      for (let rest = bytes; rest.length > 0;) {
        await pace.wait(signal)
        const most = pace.isLimited() ? limits.ratePieceBytes : rest.length
        const index = Math.floor(position / chunkSizeOf(size))
        const piece = rest.subarray(0, Math.min(rest.length, most, chunkEnd(size, index) - position))
        components.onBytes(piece.length)
        originRate.count(piece.length)
        place({ digest, size, fetch, index, position, isFirst: position === first }, piece)
        post({ type: 'origin-frame', digest, fetch, index, bytes: piece.length })
        position += piece.length
        rest = rest.subarray(piece.length)
      }
      await components.writes.room(signal)
    }
  }

  function place(
    at: { digest: Digest; size: number; fetch: number; index: number; position: number; isFirst: boolean },
    piece: Uint8Array,
  ): void {
    const offset = at.position - at.index * chunkSizeOf(at.size)
    const chunk = chunkKey(at.digest, at.index)
    const source = `origin ${at.fetch}`
    if (offset === 0 || at.isFirst) components.buffers.begin(chunk, source, offset, chunkLengthOf(at.size, at.index))
    components.buffers.append(chunk, source, piece)
  }

  function stop(fetch: number): void {
    running.get(fetch)?.abort()
    running.delete(fetch)
  }

  return {
    start,
    stop,
    stopAll: () => {
      for (const fetch of running.keys()) stop(fetch)
    },
  }
}

function chunkEnd(size: number, index: number): number {
  return index === chunkCountOf(size) - 1 ? size : (index + 1) * chunkSizeOf(size)
}
