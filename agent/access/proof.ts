/** How a credential is proven: by a question to the origin that only who may read the repository gets answered. */
import type { Digest } from '../../core/oci/digest.ts'
import { parseReference, type Reference, referenceText } from '../../core/oci/reference.ts'
import type { Credential } from '../upstream/credential.ts'
import type { OriginClient } from '../upstream/origin-client.ts'
import { isOfContent, isOriginError } from '../upstream/origin-error.ts'
import type { Grants } from './grants.ts'
import { manifestText, type Subject } from './subject.ts'

export type ProvingOrigin = Pick<OriginClient, 'headManifest' | 'headBlob' | 'passThrough'>

/**
 * Asks the origin, and remembers its yes for `lifeMs` at most. Rejects with its no; one to this content (404, 412) ends
 * what it said before of the repository, unless that shows something else still. `thisContent`: another content of the repository proves nothing.
 */
export type Prove = (
  subject: Subject,
  credential: Credential,
  options: { readonly thisContent: boolean; readonly lifeMs: number | undefined },
  signal: AbortSignal,
) => Promise<void>

export function createProve({ origin, grants }: { origin: ProvingOrigin; grants: Grants }): Prove {
  /** Storages behind signed URLs are slow at HEAD or refuse it, so what proved the repository before proves it again. */
  async function stillThere(
    subject: Subject,
    manifest: string,
    credential: Credential,
    signal: AbortSignal,
  ): Promise<boolean> {
    try {
      await origin.headManifest(subject, manifest, credential, signal)
      return true
    } catch (error) {
      if (isOriginError(error, 'not-found')) return false
      throw error
    }
  }

  async function askForContent(subject: Subject, credential: Credential, signal: AbortSignal): Promise<void> {
    if (subject.content === undefined) await origin.passThrough(subject, 'tags/list', 'n=1', credential, signal)
    else await origin.headBlob(subject, blobOf(subject.content.reference), credential, signal)
  }

  async function ask(...[subject, credential, { thisContent, lifeMs }, signal]: Parameters<Prove>): Promise<void> {
    const manifest = manifestText(subject)
    const provenBy = thisContent ? undefined : grants.provenBy(credential, subject)
    if (manifest !== undefined) {
      const { digest } = await origin.headManifest(subject, manifest, credential, signal)
      grants.remember(credential, manifestOf(subject, digest), lifeMs)
    } else if (provenBy === undefined || !(await stillThere(subject, provenBy, credential, signal))) {
      await askForContent(subject, credential, signal)
      // Lists are shown by some registries to whom they show no image, as Amazon ECR by a permission of its own.
      if (subject.content === undefined) return
    }
    grants.remember(credential, subject, lifeMs)
  }

  /** Some origins hide what is private; where one only lacks this, what proved the repository before proves it again. */
  async function forgetHidden(...[subject, credential, { lifeMs }, signal]: Parameters<Prove>): Promise<void> {
    const provenBy = grants.provenBy(credential, subject)
    const reference = provenBy === manifestText(subject) ? undefined : parseReference(provenBy ?? '')
    if (reference === undefined) return grants.forget(credential, subject)
    grants.forgetContent(credential, subject)
    const shown: Subject = { ...subject, content: { kind: 'manifest', reference } }
    const isThere = await stillThere(shown, referenceText(reference), credential, signal).catch(() => false)
    if (isThere) grants.remember(credential, shown, lifeMs)
    else grants.forget(credential, subject)
  }

  return async (...question) => {
    try {
      await ask(...question)
    } catch (error) {
      if (isOfContent(error)) await forgetHidden(...question)
      throw error
    }
  }
}

/** Who may read a tag may read what it names. */
function manifestOf(subject: Subject, digest: Digest): Subject {
  return { ...subject, content: { kind: 'manifest', reference: { kind: 'digest', digest } } }
}

function blobOf(reference: Reference): Digest {
  if (reference.kind === 'tag') throw new RangeError('a blob has a digest, no tag')
  return reference.digest
}
