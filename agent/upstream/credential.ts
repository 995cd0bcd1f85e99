/** What a caller showed us, wrapped so that it can be passed on to its origin and to nothing else. */
import { createHmac } from 'node:crypto'

/** Shows nothing of what it holds, whether printed, inspected or serialised. */
export interface Credential {
  /** Equal for equal credentials of this process, and no more than that: an HMAC. */
  readonly key: string
}

const secrets = new WeakMap<Credential, string>()

/** Nothing is shown; where the origin asks for a token that anybody may have, we fetch that. */
export const anonymous: Credential = Object.freeze({ key: 'anonymous' })

/** `Basic` or `Bearer` and token68 (RFC 9110, 11.4); the length that fits beside other headers. */
const authorizationGrammar = /^(?:basic|bearer) +[a-z0-9._~+/-]{1,16384}={0,2}$/i

/**
 * Wraps an `Authorization` value. Undefined when it is no Basic or Bearer credential: such a one is sent nowhere.
 * `hmacKey` is random, at least 32 bytes, and never leaves the process.
 */
export function createCredential(authorization: string, hmacKey: Uint8Array): Credential | undefined {
  if (!authorizationGrammar.test(authorization)) return undefined
  const credential = Object.freeze({ key: createHmac('sha256', hmacKey).update(authorization).digest('hex') })
  secrets.set(credential, authorization)
  return credential
}

/** The `Authorization` value; only for the request to the origin that the credential was shown for. */
export function revealAuthorization(credential: Credential): string | undefined {
  return secrets.get(credential)
}
