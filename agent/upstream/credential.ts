/** Secrets that belong to one origin, wrapped so that they can be shown to it and to nothing else. */
import { createHmac } from 'node:crypto'

/** Shows nothing of what it holds, whether printed, inspected or serialised. */
export interface Credential {
  /** Equal for equal credentials of this process, and no more than that: an HMAC. */
  readonly key: string
}

/** Who can answer a challenge: a name with its password, or a token that stands for both (OAuth2 calls it a refresh token). */
export type Account =
  | { readonly kind: 'password'; readonly username: string; readonly password: string }
  | { readonly kind: 'identity-token'; readonly token: string }

const secrets = new WeakMap<Credential, string>()
const accounts = new WeakMap<Credential, Account>()

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

/** RFC 7617, 2. Its ban of control characters is not kept for passwords: Google's `_json_key` is a file of many lines. */
const usernameGrammar = /^[^:\p{Cc}]{1,255}$/u
/** In base64 it still fits beside other headers. */
const secretGrammar = /^[^\0]{1,12288}$/u

/**
 * Wraps an account: shown to nobody unasked, and then as the origin's challenge says: to the origin itself, or to its token
 * service. Undefined when it breaks the grammar. `hmacKey` as above.
 */
export function createAccountCredential(account: Account, hmacKey: Uint8Array): Credential | undefined {
  const isPassword = account.kind === 'password'
  const parts = isPassword ? [account.username, account.password] : [account.token]
  if (isPassword && !usernameGrammar.test(account.username)) return undefined
  if (!secretGrammar.test(parts.at(-1) ?? '')) return undefined
  const named = JSON.stringify([account.kind, ...parts])
  const credential = Object.freeze({ key: createHmac('sha256', hmacKey).update(named).digest('hex') })
  accounts.set(credential, account)
  return credential
}

/** The `Authorization` value; only for the request to the origin that the credential was shown for. */
export function revealAuthorization(credential: Credential): string | undefined {
  return secrets.get(credential)
}

/** Is it a token (RFC 6750), which its issuer ends, and no password? */
export function isToken(credential: Credential): boolean {
  return /^bearer /i.test(secrets.get(credential) ?? '')
}

/** The account; only to answer a challenge of the origin that it is for. */
export function revealAccount(credential: Credential): Account | undefined {
  return accounts.get(credential)
}
