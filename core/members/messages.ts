/** What members say to each other about members: `POST …/members/exchange` and `…/members/caution`. */
import type { PeerId } from '../ports.ts'

/** `left`: said goodbye itself. `dead`: others found it unreachable. */
export type MemberState = 'alive' | 'left' | 'dead'

export interface MemberRecord {
  readonly peer: PeerId
  /** libp2p addresses as multiaddr texts. */
  readonly addresses: readonly string[]
  /** `host:port` of its cluster listener. */
  readonly cluster: string
  /** Raised by the member alone, so that its newest word about itself wins. */
  readonly incarnation: number
  /** Tells this process from the member's earlier ones, which a raised incarnation does not: the time of day at its start. */
  readonly life: number
  readonly zone?: string
  readonly region?: string
  readonly state: MemberState
}

/** Of a member that has left, or was found dead. */
export type GoneRecord = MemberRecord & { readonly state: Exclude<MemberState, 'alive'> }

/** The caller hears nothing of this member: does the callee? */
export interface Accusation {
  readonly peer: PeerId
  readonly incarnation: number
}

export interface ExchangeRequest {
  readonly from: MemberRecord
  /** Over the caller's live members: equal hashes, equal lists. */
  readonly hash: string
  /** Records that changed lately, and those of the buckets in `want`. */
  readonly news: readonly MemberRecord[]
  readonly accusations: readonly Accusation[]
  /** Members that the callee accused, and that the caller has just heard from. */
  readonly vouched: readonly PeerId[]
  /** Should the answer name its buckets where the lists differ? */
  readonly compare: boolean
  /** Buckets whose records the caller asks for. */
  readonly want: readonly number[]
}

export interface ExchangeAnswer {
  readonly from: MemberRecord
  /** Over the answerer's live members, the request's news included. */
  readonly hash: string
  readonly news: readonly MemberRecord[]
  /** One hash per bucket, `limits.memberBuckets` of them, where the lists differ and the request compares. */
  readonly buckets?: readonly number[]
}

/** Its word should not be taken alone (core/swarm/caution.ts). A word of caution and no more: nobody is banned by hearsay. */
export interface Caution {
  /** It signed what its cautioner knows to be wrong. */
  readonly peer: PeerId
  /** Where that was connected from: it may have other IDs there. */
  readonly address?: string
  /** It is about this origin's content, which may be what the origin gave it. Undefined: it is about any, since it provably lied. */
  readonly origin?: string
}

export interface CautionRequest {
  readonly from: PeerId
  /** All of whom the caller cautions others now. */
  readonly cautions: readonly Caution[]
}
