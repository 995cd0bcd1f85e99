/** Accounts as files and programs tell them, each with what it is for. */
import type { Clock } from '../../core/ports.ts'
import type { Logger } from '../logging.ts'
import type { Account } from '../upstream/credential.ts'
import type { OriginRepository } from '../upstream/origin-client.ts'
import { type ImagePattern, isForImage } from './image-pattern.ts'
import type { RunProgram } from './program.ts'

export interface KeyedAccount {
  readonly key: ImagePattern
  readonly account: Account
}

/** Where accounts come from. Never rejects but with the signal's reason: a source that fails says so in the log, and has none. */
export interface AccountSource {
  /** Best first. */
  accountsFor(at: OriginRepository, signal: AbortSignal): Promise<readonly Account[]>
}

export interface SourceComponents {
  readonly clock: Clock
  readonly run: RunProgram
  /** What programs get of the agent's environment. */
  readonly env: Readonly<Record<string, string>>
  readonly logger: Pick<Logger, 'warn'>
}

/** Under this name Azure Container Registry hands out refresh tokens (Azure/acr, docs/AAD-OAuth.md), and Docker's helpers identity tokens. */
const tokenUsernames = new Set(['00000000-0000-0000-0000-000000000000', '<token>'])

export function accountOf(username: string, password: string): Account {
  if (tokenUsernames.has(username)) return { kind: 'identity-token', token: password }
  return { kind: 'password', username, password }
}

/** Those whose key is for the image: as in Kubernetes longer keys before shorter ones, and names before wildcards. */
export function matching(accounts: readonly KeyedAccount[], at: OriginRepository): Account[] {
  return accounts
    .filter(({ key }) => isForImage(key, at))
    .toSorted((one, other) => compare(other.key.text, one.key.text))
    .map(({ account }) => account)
}

function compare(one: string, other: string): number {
  return one < other ? -1 : Number(one > other)
}
