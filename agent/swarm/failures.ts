import { ShoalError } from '../../core/errors.ts'
import type { Digest } from '../../core/oci/digest.ts'
import { OriginError } from '../upstream/origin-error.ts'
import type { SessionFailure } from './sessions.ts'

/** What a reader hears when a blob can't be had from anywhere. */
export function failureError(failure: SessionFailure, digest: Digest): ShoalError {
  switch (failure.kind) {
    case 'unavailable':
      return new ShoalError('ORIGIN_UNAVAILABLE', `No peer has all of ${digest} and its origin does not answer`)
    case 'rate-limited':
      return new OriginError('rate-limited', `No peer has all of ${digest} and its origin wants a pause`, failure)
    case 'refused':
      return new ShoalError('ORIGIN_NOT_FOUND', `No peer has all of ${digest} and its origin refuses it`)
    case 'protocol':
      return new ShoalError('ORIGIN_PROTOCOL', `The origin sent something else than ${digest}`)
    case 'corrupt':
      return new ShoalError('BLOB_CORRUPT', `What came as ${digest} has another digest`)
  }
}
