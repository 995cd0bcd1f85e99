/** What others who leave the cluster would take with them, taken over by this node for nobody who waits. */
import { limits } from '../../core/limits.ts'
import type { Digest } from '../../core/oci/digest.ts'
import type { Logger } from '../logging.ts'
import type { DiskStore } from '../store/store.ts'
import { createReaderOpener } from './open-reader.ts'
import type { Runner } from './runner.ts'
import type { BlobSession } from './sessions.ts'

export interface TakeOvers {
  /** Begins to take a blob, and says so; false where this node can not, or has no room that is free. */
  take(digest: Digest, size: number): boolean
  /** Gives up what is under way. */
  stop(): void
}

export interface TakeOverComponents {
  readonly runner: Pick<Runner, 'swarm' | 'sessions' | 'post' | 'readerId'>
  readonly store: Pick<DiskStore, 'hasRoomFor' | 'state'>
  readonly logger: Logger
}

export function createTakeOvers({ logger, runner, store }: TakeOverComponents): TakeOvers {
  const openReader = createReaderOpener(runner)
  const stopped = new AbortController()

  function take(digest: Digest, size: number): boolean {
    if (store.state(digest)?.complete === true) return true
    if (stopped.signal.aborted || !store.hasRoomFor(size) || !runner.swarm.mayTake(digest, size)) return false
    bring(digest, size).catch((error: unknown) => logger.debug({ err: error, digest }, 'a take-over was given up'))
    return true
  }

  async function bring(digest: Digest, size: number): Promise<void> {
    const signal = AbortSignal.any([stopped.signal, AbortSignal.timeout(limits.handOverTakeMs)])
    const session = await runner.sessions.acquire(digest, size)
    const reader = openReader(session, undefined, { start: 0, end: size }, { whole: true, prefetch: true })
    try {
      while (!isOver(session)) await session.changed.next(signal)
    } finally {
      reader.close()
      runner.sessions.release(session)
    }
  }

  return { take, stop: () => stopped.abort() }
}

/** All of it is here, or the disk takes no more. */
function isOver({ proved, unkept }: BlobSession): boolean {
  return proved || unkept.size > 0
}
