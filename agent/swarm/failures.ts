import { ShoalError } from '../../core/errors.ts'
import { OriginError } from '../upstream/origin-error.ts'
import type { BlobSession, SessionFailure } from './sessions.ts'

/** What a reader of `origin` hears when a blob can't be had from anywhere: the origin's own words, where it refused. */
export function failureError(
  failure: SessionFailure,
  { digest, refusals }: Pick<BlobSession, 'digest' | 'refusals'>,
  origin: string,
): ShoalError {
  switch (failure.kind) {
    case 'unavailable':
      return new ShoalError('ORIGIN_UNAVAILABLE', `No peer has all of ${digest} and its origin does not answer`)
    case 'rate-limited':
      return new OriginError('rate-limited', `No peer has all of ${digest} and its origin wants a pause`, failure)
    case 'refused':
      return (
        refusals.get(origin) ??
        new ShoalError('ORIGIN_NOT_FOUND', `No peer has all of ${digest} and its origin refuses it`)
      )
    case 'protocol':
      return new ShoalError('ORIGIN_PROTOCOL', `The origin sent something else than ${digest}`)
    case 'corrupt':
      return new ShoalError('BLOB_CORRUPT', `What came as ${digest} has another digest`)
  }
}
