/**
 * Bytes by the agent's own credentials, where the caller's has run out: a prefetch goes on when its caller has gone, and a
 * layer that takes thirty seconds survives a token of ten.
 *
 * These credentials open nothing to anybody. Who may read is asked elsewhere (agent/access/), of an origin client that never
 * shows them; what they bring is delivered to whom the origin grants the repository by their own credential. And they take
 * over only from a credential that the origin itself has taken for that repository lately: never from nobody, nor from one
 * that a policy lets further than the origin did.
 */
import { createBoundedMap } from '../../core/bounded-map.ts'
import { limits } from '../../core/limits.ts'
import type { Clock } from '../../core/ports.ts'
import { endlessLife } from '../../core/swarm/state.ts'
import { anonymous, type Credential } from '../upstream/credential.ts'
import type { OriginClient, OriginRepository } from '../upstream/origin-client.ts'
import { isOriginError } from '../upstream/origin-error.ts'
import type { CredentialLives } from '../access/credential-lives.ts'
import type { OwnCredentials } from './own-credentials.ts'

export type ByteOrigin = Pick<OriginClient, 'fetchRange' | 'getManifest'>

export interface OwnOrigin {
  /** How long `byteOrigin` fetches for a caller's credential. */
  readonly lifeOf: CredentialLives['lifeOf']
  /** The client that was given; it notes which credentials the origin takes. */
  readonly origin: OriginClient
  /** Fetches by own credentials what a credential that has run out no longer can. */
  readonly byteOrigin: ByteOrigin
}

export interface OwnOriginComponents {
  readonly origin: OriginClient
  readonly own: OwnCredentials
  readonly lives: Pick<CredentialLives, 'lifeOf'>
  readonly clock: Clock
  /** Something was fetched by a credential of the agent's own. */
  readonly onOwn: () => void
}

export function createOwnOrigin({ origin, own, lives, clock, onOwn }: OwnOriginComponents): OwnOrigin {
  /** Until when we take over from a credential, since the origin has taken it. */
  const taken = createBoundedMap<string, number>(limits.callerCredentialsMax)
  /** Until when it isn't shown again, since the origin refused it and took one of ours. */
  const spent = createBoundedMap<string, number>(limits.callerCredentialsMax)

  /** Passes on what `fetch` gives by the caller's credential. */
  async function noted<Value>(at: OriginRepository, credential: Credential, fetch: Fetch<Value>): Promise<Value> {
    const value = await fetch(credential)
    if (credential !== anonymous) taken.set(keyOf(at, credential), clock.now() + limits.credentialTakeoverMs)
    return value
  }

  async function fetchBy<Value>(
    at: OriginRepository,
    credential: Credential,
    signal: AbortSignal,
    fetch: Fetch<Value>,
  ): Promise<Value> {
    const key = keyOf(at, credential)
    if (isAhead(spent.get(key))) {
      const fetched = await fetchByOwn(at, signal, fetch)
      if (fetched !== undefined) return fetched
    }
    try {
      return await noted(at, credential, fetch)
    } catch (refusal) {
      if (!saysExpired(refusal) || !isAhead(taken.get(key))) throw refusal
      const fetched = await fetchByOwn(at, signal, fetch)
      if (fetched === undefined) throw refusal
      spent.set(key, clock.now() + limits.originRefusedMs)
      return fetched
    }
  }

  function isAhead(timeMs: number | undefined): boolean {
    return timeMs !== undefined && clock.now() < timeMs
  }

  async function fetchByOwn<Value>(
    at: OriginRepository,
    signal: AbortSignal,
    fetch: Fetch<Value>,
  ): Promise<Value | undefined> {
    for await (const credential of own.candidates(at, signal)) {
      try {
        const fetched = await fetch(credential)
        onOwn()
        return fetched
      } catch (error) {
        if (!isOriginError(error, 'unauthorized', 'denied', 'not-found')) throw error
      }
    }
    return undefined
  }

  return {
    lifeOf: (at, credential) =>
      !own.isEmpty && isAhead(taken.get(keyOf(at, credential))) ? endlessLife : lives.lifeOf(at, credential),
    origin: {
      ...origin,
      headManifest: (at, reference, credential, signal) =>
        noted(at, credential, (shown) => origin.headManifest(at, reference, shown, signal)),
      headBlob: (at, digest, credential, signal) =>
        noted(at, credential, (shown) => origin.headBlob(at, digest, shown, signal)),
    },
    byteOrigin: {
      fetchRange: (wanted, credential, signal) =>
        fetchBy(wanted, credential, signal, (shown) => origin.fetchRange(wanted, shown, signal)),
      getManifest: (at, reference, credential, signal) =>
        fetchBy(at, credential, signal, (shown) => origin.getManifest(at, reference, shown, signal)),
    },
  }
}

/**
 * 401; in words of their own 400 from Amazon ECR Public (oras-project/oras-go#1227) and 403 from Amazon ECR. Whatever else the
 * origin says to a credential that it knows is no news of that credential.
 */
function saysExpired(error: unknown): boolean {
  if (!isOriginError(error)) return false
  if (error.kind === 'unauthorized') return true
  if (error.status !== 400 && error.status !== 403) return false
  return error.body?.errors.some(({ message }) => expiredWords.test(message)) === true
}

const expiredWords = /^your authorization token (?:has expired|is invalid)/i

type Fetch<Value> = (credential: Credential) => Promise<Value>

function keyOf({ origin, repository }: OriginRepository, credential: Credential): string {
  return `${origin} ${repository} ${credential.key}`
}
