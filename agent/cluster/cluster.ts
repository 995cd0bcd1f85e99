/** What the rest of the agent needs of the other members: where they are, and what their directories say. */
import type { AnnounceItem, KnownFact, PossessionAnswer, PossessionRequest } from '../../core/directory/messages.ts'
import type { Caution } from '../../core/members/messages.ts'
import type { Place } from '../../core/members/places.ts'
import type { PeerId } from '../../core/ports.ts'
import type { Digest } from '../../core/oci/digest.ts'
import type { SwarmEvent } from '../../core/swarm/events.ts'
import type { AskedContent, ContentAnswer } from './ask-content.ts'

export interface ClusterStats {
  /** Live members, this agent included. */
  readonly members: number
  /** Leases that this agent has granted as a host. */
  readonly leases: number
  /** Digests whose directory it keeps. */
  readonly digests: number
}

export interface Cluster {
  start(): Promise<void>
  /** Says goodbye to the others and ends. */
  stop(): Promise<void>
  /** The swarm wants a digest announced: at once, or when its time comes. */
  announce(digest: Digest, now: boolean): void
  /** Of whom the swarm cautions others has changed. */
  caution(): void
  /** A small content from another member, if one has it or is getting it (agent/cluster/ask-content.ts). */
  askContent(digest: Digest, origin: string, signal: AbortSignal): Promise<AskedContent>
  /** How long a blob is, as its directory knows it. */
  sizeOf(digest: Digest, origin: string): Promise<number | undefined>
  /** What the directory of a digest knows of who has it; undefined where no host answers. */
  askPossession(question: PossessionQuestion): Promise<PossessionAnswer | undefined>
  /** Tells both hosts of its directory what this agent has found. */
  tellPossession(news: PossessionNews): void
  /** Asks others who stay to take a blob that only this agent has; does one? */
  offer(digest: Digest, size: number): Promise<boolean>
  /** Tells who will host their directories after this agent what it knows of possession: `found`, and what it keeps for all. */
  bequeath(found: Iterable<KnownFact>): Promise<void>
  /** This peer has just spoken to this agent: it lives, whatever its cluster listener does. */
  heard(peer: PeerId): void
  /** As members say of themselves; undefined: no member that is known here. */
  placeOf(peer: PeerId): Place | undefined
  /** The IP address at which a live member says that it listens; undefined as above. */
  addressOf(peer: PeerId): string | undefined
  /** `host:port` of the cluster listeners of the other live members. */
  others(): readonly string[]
  /** Why this agent can't take part yet; undefined once it does. */
  notReady(): string | undefined
  stats(): ClusterStats
}

/** As the directory's, but for who asks. */
export type PossessionQuestion = Required<Pick<PossessionRequest, 'digest' | 'asks'>>
export type PossessionNews = Pick<PossessionRequest, 'digest' | 'tells' | 'vain'>

/** For metrics. */
export interface ClusterObserver {
  /** An announce to another agent ended. */
  called(outcome: 'ok' | 'failed'): void
  /** Another agent's announce was answered. */
  hosted(): void
}

/** What the swarm hears of members and their directories. */
export type ClusterEvent = Extract<
  SwarmEvent,
  { type: 'directory' | 'directory-silent' | 'cautioned' | 'peer-came' | 'peer-gone' | 'peer-silent' | 'peer-heard' }
>

/** What other members ask of this agent's contents. */
export interface ContentServer {
  /** A small content. */
  serve(digest: Digest): Promise<ContentAnswer>
  /** It would be lost with the member that asks: does this agent take it? */
  take(digest: Digest, size: number): boolean
}

/** How a cluster learns of the swarm, and tells it. */
export interface ClusterSwarm {
  readonly swarm: { announceState(digest: Digest): AnnounceItem | undefined; cautions(): readonly Caution[] }
  post(event: ClusterEvent): void
}
