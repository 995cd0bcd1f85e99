/** How the swarm is told what is wanted on this node, how far it has been taken, and when no more of it is. */
import type { ByteRange } from '../../core/oci/range.ts'
import type { Runner } from './runner.ts'
import { pruneUnkept, type BlobSession } from './sessions.ts'

export interface OpenReader {
  readonly id: number
  moved(position: number): void
  close(): void
}

/** Of which origin, undefined: of what peers have proved, and nowhere else. Who reads the whole blob, and who reads ahead of others. */
export type ReaderOpener = (
  session: BlobSession,
  origin: string | undefined,
  range: ByteRange,
  kind: { readonly whole: boolean; readonly prefetch: boolean },
) => OpenReader

export function createReaderOpener({ post, readerId }: Pick<Runner, 'post' | 'readerId'>): ReaderOpener {
  return (session, origin, range, kind) => {
    const { digest, size } = session
    const reader = readerId()
    if (origin !== undefined) {
      forgive(session, origin)
      session.origins.set(reader, origin)
    }
    session.positions.set(reader, range.start)
    post({ type: 'reader-opened', digest, size, origin, reader, ...range, ...kind })
    return {
      id: reader,
      moved(position: number) {
        session.positions.set(reader, position)
        pruneUnkept(session)
        post({ type: 'reader-moved', digest, reader, position })
      },
      close() {
        session.positions.delete(reader)
        session.endedReaders.delete(reader)
        session.origins.delete(reader)
        pruneUnkept(session)
        post({ type: 'reader-closed', digest, reader })
      },
    }
  }
}

/** The failure is over for who comes now. Who was here ended with it, though it may not have looked yet. */
function forgive(session: BlobSession, origin: string): void {
  const failure = session.failures.get(origin)
  if (failure === undefined) return
  for (const [reader, of] of session.origins) if (of === origin) session.endedReaders.set(reader, failure)
  session.failures.delete(origin)
}
