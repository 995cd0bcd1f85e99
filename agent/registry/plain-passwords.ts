/** A mirror without TLS asks for passwords on loopback only (research/field.md F2): elsewhere anybody on the way could read them. */
import { ShoalError } from '../../core/errors.ts'
import { classifyAddress } from '../upstream/addresses.ts'
import { parseChallenges } from '../upstream/challenges.ts'
import { isOriginError } from '../upstream/origin-error.ts'

/** `error`, or what a client at `remoteAddress` hears in its place where it would answer it with a password. */
export function withoutPlainPasswords(error: unknown, remoteAddress: string | undefined): unknown {
  if (!isOriginError(error, 'unauthorized') || !asksForPassword(error.challenges)) return error
  if (remoteAddress !== undefined && classifyAddress(remoteAddress) === 'loopback') return error
  const detail = `A client that is not on loopback would have to send a password in clear`
  return new ShoalError('PASSWORD_UNPROTECTED', detail, { cause: error })
}

/** Where a token is asked for as well, clients send that. */
function asksForPassword(challenges: readonly string[]): boolean {
  const schemes = parseChallenges(challenges).map(({ scheme }) => scheme)
  return schemes.includes('basic') && !schemes.includes('bearer')
}
