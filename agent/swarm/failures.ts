import { ShoalError } from '../../core/errors.ts'
import { OriginError } from '../upstream/origin-error.ts'
import type { Want } from '../registry/ports.ts'
import { type BlobSession, refusalOf, type SessionFailure } from './sessions.ts'

/** What a reader hears when a blob can't be had from anywhere; undefined as long as it may come. */
export function failureOf(session: BlobSession, want: Want, reader: number | undefined): ShoalError | undefined {
  const ended = reader === undefined ? undefined : session.endedReaders.get(reader)
  const failure = ended ?? session.failures.get(want.origin)
  return failure && failureError(failure, session, want)
}

/** The origin's own words to this reader, where it was refused. */
function failureError(failure: SessionFailure, session: BlobSession, want: Want): ShoalError {
  const { digest } = session
  switch (failure.kind) {
    case 'unavailable':
      return new ShoalError('ORIGIN_UNAVAILABLE', `No peer has all of ${digest} and its origin does not answer`)
    case 'rate-limited':
      return new OriginError('rate-limited', `No peer has all of ${digest} and its origin wants a pause`, failure)
    case 'refused':
      return (
        refusalOf(session, want) ??
        new ShoalError('ORIGIN_NOT_FOUND', `No peer has all of ${digest} and its origin refuses it`)
      )
    case 'protocol':
      return new ShoalError('ORIGIN_PROTOCOL', `The origin sent something else than ${digest}`)
    case 'corrupt':
      return new ShoalError('BLOB_CORRUPT', `What came as ${digest} has another digest`)
  }
}
