/** An origin client that shows no credential which is known to have ended: who asks by one hears at once what the origin would say. */
import type { Credential } from '../upstream/credential.ts'
import type { OriginClient, OriginRepository } from '../upstream/origin-client.ts'
import type { CredentialLives } from './credential-lives.ts'

export function createSparingOrigin(
  origin: OriginClient,
  lives: Pick<CredentialLives, 'noteError' | 'noteTaken' | 'refusal'>,
): OriginClient {
  async function ask<Value>(at: OriginRepository, shown: Credential, send: () => Promise<Value>): Promise<Value> {
    const refusal = lives.refusal(at, shown)
    if (refusal !== undefined) throw refusal
    try {
      const value = await send()
      lives.noteTaken(at, shown)
      return value
    } catch (error) {
      lives.noteError(at, shown, error)
      throw error
    }
  }

  return {
    ...origin,
    headManifest: (at, reference, shown, signal) =>
      ask(at, shown, () => origin.headManifest(at, reference, shown, signal)),
    getManifest: (at, reference, shown, signal) =>
      ask(at, shown, () => origin.getManifest(at, reference, shown, signal)),
    headBlob: (at, digest, shown, signal) => ask(at, shown, () => origin.headBlob(at, digest, shown, signal)),
    fetchRange: (wanted, shown, signal) => ask(wanted, shown, () => origin.fetchRange(wanted, shown, signal)),
    passThrough: (at, path, query, shown, signal) =>
      ask(at, shown, () => origin.passThrough(at, path, query, shown, signal)),
  }
}
