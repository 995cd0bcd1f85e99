/**
 * What origins said yes to, for one credential each (or for nobody): kept in memory, on this node only, under the
 * credential's HMAC. Who reads this decides how old a yes may be and how far it reaches.
 */
import { createBoundedMap } from '../../core/bounded-map.ts'
import { limits } from '../../core/limits.ts'
import type { Clock } from '../../core/ports.ts'
import { anonymous, type Credential } from '../upstream/credential.ts'
import type { Reach } from './policy.ts'
import { contentText, manifestText, type Subject } from './subject.ts'

export interface Grants {
  /** Did the origin say yes within the last `withinMs` to this, or to something else within `reach` of it? */
  holds(credential: Credential, subject: Subject, reach: Reach, withinMs: number): boolean
  /** The origin says yes now. Counts for `lifeMs` at most, which is how long the credential itself lives. */
  remember(credential: Credential, subject: Subject, lifeMs?: number): void
  /** This was read by what the origin said of something else within `reach` of it: from then on it counts as granted itself. */
  extend(credential: Credential, subject: Subject, reach: Reach): void
  /** The origin says no: whatever it said before counts no more, so that an outage can't bring that back. */
  forget(credential: Credential, subject: Subject): void
  /** It says no to this only: what it said of others of the repository counts on. */
  forgetContent(credential: Credential, subject: Subject): void
  /** The manifest that was last shown to this credential in this repository: what proves it again without a redirect. */
  provenBy(credential: Credential, subject: Subject): string | undefined
}

interface Grant {
  readonly provenAtMs: number
  readonly endsAtMs: number
}

interface RepositoryGrant extends Grant {
  readonly manifest: string | undefined
}

export function createGrants(clock: Clock): Grants {
  const registries = createBoundedMap<string, Grant>(limits.accessRecordsMax)
  const repositories = createBoundedMap<string, RepositoryGrant>(limits.accessRecordsMax)
  const images = createBoundedMap<string, Grant>(limits.accessRecordsMax)
  /** Of each credential and repository, since the last no: those for images before that no are found no more. */
  const series = createBoundedMap<string, number>(limits.accessRecordsMax)
  let lastSeries = 0

  function find(credential: Credential, subject: Subject, reach: Reach): Grant | undefined {
    // What is shown to nobody says something of its repository, and nothing of others.
    if (reach === 'repository' || credential === anonymous) return repositories.get(repositoryKey(credential, subject))
    if (reach === 'registry') return registries.get(registryKey(credential, subject))
    return images.get(imageKey(credential, subject))
  }

  function imageKey(credential: Credential, subject: Subject): string {
    const key = repositoryKey(credential, subject)
    const known = series.get(key) ?? ++lastSeries
    series.set(key, known)
    return `${known} ${contentText(subject)}`
  }

  return {
    holds(credential, subject, reach, withinMs) {
      const grant = find(credential, subject, reach)
      const nowMs = clock.now()
      return grant !== undefined && nowMs - grant.provenAtMs < withinMs && nowMs < grant.endsAtMs
    },
    remember(credential, subject, lifeMs = Number.POSITIVE_INFINITY) {
      const key = repositoryKey(credential, subject)
      const before = repositories.get(key)
      const grant = { provenAtMs: clock.now(), endsAtMs: clock.now() + lifeMs }
      repositories.set(key, { ...grant, manifest: manifestText(subject) ?? before?.manifest })
      registries.set(registryKey(credential, subject), grant)
      images.set(imageKey(credential, subject), grant)
    },
    extend(credential, subject, reach) {
      const grant = find(credential, subject, reach)
      if (grant !== undefined) images.set(imageKey(credential, subject), grant)
    },
    forget(credential, subject) {
      series.delete(repositoryKey(credential, subject))
      repositories.delete(repositoryKey(credential, subject))
      registries.delete(registryKey(credential, subject))
    },
    forgetContent: (credential, subject) => images.delete(imageKey(credential, subject)),
    provenBy: (credential, subject) => repositories.get(repositoryKey(credential, subject))?.manifest,
  }
}

function registryKey(credential: Credential, { origin }: Subject): string {
  return `${origin} ${credential.key}`
}

function repositoryKey(credential: Credential, { origin, repository }: Subject): string {
  return `${origin} ${repository} ${credential.key}`
}
