/** What a caller shows of itself, and how long that lives. */
import { z } from 'zod'
import { second } from '../../core/units.ts'
import { parseJson } from '../parse-json.ts'
import { type Account, createAccountCredential, createCredential, type Credential } from '../upstream/credential.ts'
import type { Term } from './credential-lives.ts'
import type { OriginPolicy } from './policy.ts'
import type { Caller } from './subject.ts'

export interface ShownCredential {
  readonly credential: Credential
  /** Undefined where the credential does not say. */
  readonly term?: Term | undefined
}

/** Undefined where the caller shows nothing that may be passed on. */
export function showCredential(
  { authorization }: Caller,
  access: OriginPolicy['access'],
  hmacKey: Uint8Array,
): ShownCredential | undefined {
  if (authorization === undefined || access === 'anonymous-only') return undefined
  const basic = access === 'exchange' ? basicAccount(authorization) : undefined
  const account = basic && createAccountCredential(basic, hmacKey)
  if (account !== undefined) return { credential: account }
  const credential = createCredential(authorization, hmacKey)
  return credential && { credential, term: termOf(authorization) }
}

/** The name and password of `Basic` (RFC 7617); Docker's name for an identity token is `<token>`. */
function basicAccount(authorization: string): Account | undefined {
  const encoded = /^basic +([a-z0-9+/]+={0,2})$/i.exec(authorization)?.[1]
  const [, username = '', password = ''] = /^([^:]*):(.*)$/s.exec(Buffer.from(encoded ?? '', 'base64').toString()) ?? []
  if (username === '' || password === '') return undefined
  if (username === '<token>') return { kind: 'identity-token', token: password }
  return { kind: 'password', username, password }
}

/**
 * What a JSON Web Token says of its end and issue (RFC 7519, 4.1.4 and 4.1.6). Nobody checks it here, since it can only shorten
 * what the origin grants. Undefined for whatever else.
 */
function termOf(authorization: string): Term | undefined {
  const payload = /^bearer +[^.]*\.([^.]*)\.[^.]*$/i.exec(authorization)?.[1]
  const { exp, iat } = claims.safeParse(parseJson(Buffer.from(payload ?? '', 'base64url').toString())).data ?? {}
  if (exp === undefined) return undefined
  const leftMs = Math.max(0, exp * second - Date.now())
  return { leftMs, wholeMs: iat === undefined ? undefined : (exp - iat) * second }
}

const claims = z.object({ exp: z.number().optional(), iat: z.number().optional() })
