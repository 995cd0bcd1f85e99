/** An origin client whose answers are remembered: what was asked for any reason proves possession, and isn't asked again. */
import type { OriginClient } from '../upstream/origin-client.ts'
import type { Findings } from './findings.ts'

export function createNotingOrigin(
  origin: OriginClient,
  findings: Pick<Findings, 'noteHas' | 'noteHeld'>,
): OriginClient {
  return {
    ...origin,
    async headManifest(at, reference, credential, signal) {
      const head = await origin.headManifest(at, reference, credential, signal)
      findings.noteHas({ ...at, digest: head.digest, credential })
      return head
    },
    async getManifest(at, reference, credential, signal) {
      const manifest = await origin.getManifest(at, reference, credential, signal)
      findings.noteHas({ ...at, digest: manifest.digest, credential })
      findings.noteHeld({ ...at, digest: manifest.digest })
      return manifest
    },
    async headBlob(at, digest, credential, signal) {
      const head = await origin.headBlob(at, digest, credential, signal)
      findings.noteHas({ ...at, digest, credential })
      return head
    },
    async fetchRange(wanted, credential, signal) {
      const answer = await origin.fetchRange(wanted, credential, signal)
      findings.noteHas({ ...wanted, credential })
      return answer
    },
  }
}
