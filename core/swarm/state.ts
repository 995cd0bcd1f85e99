/** What a swarm remembers. One object, changed only while an event is handled; every other file here holds one kind of change. */
import { createBoundedMap, type BoundedMap } from '../bounded-map.ts'
import { markOf, type Mark } from '../directory/rendezvous.ts'
import { limits } from '../limits.ts'
import { nowhere, type Places } from '../members/places.ts'
import type { Digest } from '../oci/digest.ts'
import type { Clock, Notary, PeerId, Random } from '../ports.ts'
import { unwary, type DatedCaution, type Wariness } from './caution.ts'
import type { Departure } from './departure.ts'
import type { Entry } from './entry.ts'
import type { SwarmCommand } from './events.ts'
import { createHearsay, type Hearsay } from './hearsay.ts'
import type { Dated, Lessons } from './lessons.ts'
import type { LinkCapacity } from './link.ts'
import { createRateLimit, type RateLimit } from './rate.ts'
import type { Suspicion } from './trust.ts'

export interface SwarmComponents {
  readonly self: PeerId
  readonly clock: Clock
  readonly random: Random
  readonly notary: Notary
  readonly emit: (command: SwarmCommand) => void
}

export type SwarmLimits = { readonly [Name in keyof typeof limits]: number }

export interface SwarmOptions {
  /** Bounds that differ from core/limits.ts; the simulator sweeps them. Default: none. */
  readonly limits?: Partial<SwarmLimits>
  /** How many must agree on a chunk before a reader has it ahead of the blob's proof: 1 to 3. Default 1. */
  readonly witnesses?: number
  /** What may come from peers and origins. Default: no limit. */
  readonly download?: RateLimit
  /** Where this node and its peers are. Default: everybody is equally near. */
  readonly places?: Places
  /** The IP address at which a live member says that it listens; undefined: it is none that is known here. Default: nobody is. */
  readonly addressOfMember?: (peer: PeerId) => string | undefined
  /** Of the credential of this node's readers that lives the longest, of those for this blob and origin. Default: they live for ever. */
  readonly credentialLife?: (digest: Digest, origin: string) => CredentialLife
  /** What lies have taught this node before it was started again. Default: nothing. */
  readonly lessons?: Lessons
}

/** By the clock given; Infinity where nothing tells, -Infinity where there is none. */
export interface CredentialLife {
  /** Until when it may be shown to the origin. */
  readonly endsAtMs: number
  /** From when on its owner can tell, and would bring another one. */
  readonly renewableAtMs: number
}

export const endlessLife: CredentialLife = { endsAtMs: Infinity, renewableAtMs: Infinity }
export const noLife: CredentialLife = { endsAtMs: -Infinity, renewableAtMs: -Infinity }

/**
 * Where a chunk is on its way in:
 *
 *     missing ─▶ asked ──▶ hashing ─▶ keeping ─▶ held
 *        │  ◀──────┘  ◀───────┘          └────▶ passed   (the disk refused it; its readers have it from memory)
 *        └────▶ origin ──────▲
 */
export const phases = { missing: 0, asked: 1, origin: 2, hashing: 3, keeping: 4, held: 5, passed: 6 } as const

/** One digest on this node: held, wanted, or both. */
export interface Session {
  readonly digest: Digest
  readonly size: number
  readonly chunkSize: number
  readonly count: number
  /** Chunks verified and kept. */
  readonly have: Uint8Array
  heldCount: number
  /** All chunks are held and the whole blob matched its digest. */
  complete: boolean
  /** A `phases` value for each chunk. */
  readonly phase: Uint8Array
  /** The chunks whose phase is `missing`, as a bitfield. */
  readonly missing: Uint8Array
  /** Of these, what some neighbour holds who may be asked: at least, since who has been asked meanwhile is not looked for. */
  readonly obtainable: Uint8Array
  /** Chunks of which some bytes are here or asked for. */
  readonly buffers: Map<number, ChunkBuffer>
  /** Chunks that must come whole from one sender: a mixture did not match. */
  readonly single: Set<number>
  /** The entry under which each chunk was kept, until the blob is proved. */
  readonly accepted: (Entry | undefined)[]
  /** Entries that peers showed beside the accepted one, whether they agree with it or not. */
  readonly others: Map<number, Entry[]>
  /** By peer, the hash of each chunk that it told as its own word, having proved the blob; sparse. */
  readonly vouches: Map<PeerId, string[]>
  /** Whom this node asked for its word, and from which chunks on. */
  readonly doubts: Map<PeerId, Set<number>>
  /** Which of these are waited for before a chunk is handed out on one word. */
  readonly awaited: Set<PeerId>
  doubtedAtMs: number
  readonly readers: Map<number, Reader>
  /** The origin that is asked, and whose `fetched` entries count here: readers of several take turns (turns.ts). */
  origin: string | undefined
  turnedAtMs: number
  /** How many turns were too short for a chunk. */
  shortTurns: number
  /** A chunk came whole in the present turn. */
  hasBrought: boolean
  readonly neighbours: Map<PeerId, Neighbour>
  /** Chunks that were offered on a word that is not taken, and are still missing. */
  readonly refused: Map<number, Refusal>
  /** Peers that sent wrong bytes of it: what its directory knows of them is worth nothing here. */
  readonly spoilers: Set<PeerId>
  /** Peers that the directory named, with their addresses. */
  readonly candidates: Map<PeerId, readonly string[]>
  /** Neighbours that hold each chunk. */
  readonly availability: Uint16Array
  /** How often each chunk was sent to neighbours. */
  readonly sent: Uint16Array
  /** All chunks before this one have left this seed. */
  leftUpTo: number
  /** Chunks that this seed has suggested, to whom, and until when they are kept for it. */
  readonly offers: Map<number, { readonly neighbour: Neighbour; readonly untilMs: number }>
  /** What seeds would rather not send, and until when they are not asked for it, as planned. */
  readonly leftToOthers: { readonly neighbour: Neighbour; readonly index: number; readonly untilMs: number }[]
  /** Holders of each chunk as the directory knows them, saturated. */
  counts: Uint8Array | undefined
  /** Chunks gained and not told to neighbours yet. */
  fresh: number[]
  toldAtMs: number
  /** Priorities in which nothing could be picked since the last change. */
  readonly exhausted: { demand: boolean; prefetch: boolean }
  /** When a byte of it last came, or a reader began to want it. */
  progressAtMs: number
  /** When this node first knew of anybody else in the swarm; Infinity: it does not. */
  othersSinceMs: number
  /** When the directory last said, twice on end, that nobody holds any of what is missing; -Infinity: it did not. */
  nowhereAtMs: number
  /** Its last word was that. */
  wasNowhere: boolean
  /** When the last neighbour was lost; -Infinity: there was none. */
  leftAloneAtMs: number
  /** When a peer last said that a request waits, behind fewer than before, or that its queue is full. */
  promisedAtMs: number
  proving: boolean
  /** The disk takes nothing: this node's own origin bytes, which need no witness, are the only ones of use. */
  ownOnly: boolean
  /** What was held did not match the digest (forgery.ts). */
  forgery: Forgery | undefined
  readonly supply: OriginSupply
}

/** Since when a chunk is looked for elsewhere, and who has it in vain: on a word that is not taken, or hands it not on. */
export interface Refusal {
  readonly sinceMs: number
  readonly holders: Set<PeerId>
}

/** The search for what is wrong in a blob. */
export interface Forgery {
  /** Chunks that were taken from the origin again. */
  readonly audited: Uint8Array
  /** How many are taken next. */
  chunks: number
  /** One was another: whether more is wrong the next proof shows. */
  hasFound: boolean
}

/** How this node stands with the origin for one digest. */
export interface OriginSupply {
  /** Whose rest, failures and ways are told here. */
  origin: string | undefined
  readonly leases: Set<Lease>
  readonly crossings: Set<Crossing>
  /** When somebody was last named who has what is missing: all of it, or, in a lease, across the border; -Infinity: never. */
  holderNamedAtMs: number
  /** Lease ids to give back and since when; named in each announce for `releasedToldMs`. */
  readonly released: Map<number, number>
  /** A lease is being asked for until then, or until the directory answers. */
  askingUntilMs: number
  /** The directory said to ask again then. */
  askAfterMs: number
  /** The directory said last that others have, or fetch, each chunk. */
  isAllTaken: boolean
  /** After a failure the origin is left alone until then. */
  restUntilMs: number
  unranged: boolean
  /** It ignores Range, and others whom it sends the blob too were ahead of this node. */
  hasYielded: boolean
  /** Leases given up in a row. */
  failures: number
  failure: OriginTrouble | undefined
  /** When a reader was last sent for a credential that lives. */
  renewedAtMs: number
  /** That reader, until another comes in its place or it has been gone for `tokenRenewalMs`. */
  renewing: number | undefined
  /** How long a reader now waits without a byte before it helps itself. */
  patienceMs: number
  /** When a byte last came from the origin, by `LinkCapacity.silenceMs`; -Infinity: never. */
  heardAtMs: number
}

export type OriginTrouble = Extract<SwarmCommand, { type: 'fail' }>['failure']

/** A lease to bring chunks across the border (crossings.ts). */
export interface Crossing {
  readonly id: number
  readonly source: PeerId
  /** Chunks that are not here yet. */
  readonly remaining: Set<number>
  progressAtMs: number
}

/** A run of chunks that this node fetches from the origin, leased or (id undefined) on its own. */
export interface Lease {
  readonly id: number | undefined
  readonly session: Session
  /** Fetched although others are said to have the chunks. */
  readonly isInsisted: boolean
  /** It takes what is held again, outside the origin's budget: a reader was held back for too long, or the blob is wrong. */
  readonly isEscape: boolean
  /** It grants the whole blob, as an origin that ignores Range sends it. */
  readonly isWhole: boolean
  /** Chunks still to come, ascending. */
  remaining: number[]
  /** Chunks that came and are being hashed and written: the lease is given back when they show in `have`. */
  readonly settling: Set<number>
  tries: number
  /** Not fetched before this time: back-off after a failure. */
  startAfterMs: number
  fetch: OriginFetch | undefined
}

export interface OriginFetch {
  readonly id: number
  /** The chunk being received and how many of its bytes are here. */
  index: number
  received: number
  bytes: number
  readonly startedAtMs: number
  firstByteAtMs: number | undefined
  /** By `LinkCapacity.silenceMs`. */
  heardAtMs: number
  unranged: boolean
  /** Of an origin that ignores Range: chunks that nobody had when it began to send (`chunksAlone`), and those of them that were left to a neighbour. */
  alone: Set<number>
  readonly yielded: Set<number>
}

/** The bytes of one chunk that are here, in order from its first. */
export interface ChunkBuffer {
  readonly index: number
  received: number
  /** Who sent them: peers, or `ownSource`. */
  readonly sources: Set<string>
  /** Who is sending now: one, or two while hedged. */
  readonly transfers: Transfer[]
  /** What the chunk must hash to, as its last sender's entry has it. */
  entry: Entry | undefined
}

export interface Reader {
  readonly id: number
  /** Undefined: it takes what peers have proved, and asks no origin. */
  readonly origin: string | undefined
  /** The chunk after the last that it may ever want. */
  readonly limit: number
  readonly whole: boolean
  readonly prefetch: boolean
  position: number
  movedAtMs: number
  /** The first chunk at or after `position` that is not here, and since when it is that one. */
  cursor: number
  cursorSinceMs: number
  /** Since when what comes next is here and yet not vouched for by enough; undefined: it is not so. */
  heldBackSinceMs: number | undefined
  /** The chunk that it last took from the origin because of that. */
  escapedAt: number | undefined
}

/** Another agent. */
export interface Peer {
  readonly id: PeerId
  /** The IP address from which it was last connected: what its word and its faults are counted by. */
  address: string | undefined
  /** Orders peers as neighbours, highest first; the same seen from both sides. */
  readonly pairScore: number
  /** How near it is (core/members/places.ts), as known when it was last connected. */
  nearness: number
  connected: boolean
  dialing: boolean
  dialFailures: number
  dialAfterMs: number
  /** Until then it is left to this peer to dial. */
  dialsUsUntilMs: number
  /** By digest, on the present connection. */
  readonly neighbours: Map<Digest, Neighbour>
  /** When its last message came. */
  spokeAtMs: number
  /** Requests to it: a few (`limits.requestsPerPeer`). */
  readonly transfers: Transfer[]
  /** No requests before this time: it was busy, or stalled. */
  restUntilMs: number
  /** `busy` answers in a row. */
  busies: number
  stalls: number
  strikes: number
  bannedUntilMs: number
  leftAtMs: number
  /** What its messages of the present second have cost us, in ordinary messages. */
  spent: number
  spentSinceMs: number
  /** Usual time between frames, smoothed. */
  frameGapMs: number
  /** Usual time that a byte takes from it once a chunk has begun, smoothed; 0: unknown (pace.ts). */
  byteMs: number
  /** How many requests it last said were ahead of ours. */
  ahead: number
  /** When it was connected, or either side last drew on the connection. */
  neededAtMs: number
  /** It has said goodbye and is let go then; Infinity: it has not. */
  leavesAtMs: number
  released: boolean
}

/** An address from which peers were connected. */
export interface Host {
  readonly address: string
  strikes: number
  struckAtMs: number
  bannedUntilMs: number
  /** How often it was left to others since it last took a chunk whole, and until when (idle-takers.ts). */
  idleRests: number
  idleUntilMs: number
}

/** A peer in a session. Ends with `leave` from either side, or with the connection. */
export interface Neighbour {
  readonly peer: Peer
  readonly session: Session
  readonly bits: Uint8Array
  held: number
  /** It is on the other side of a border: it counts as having what a lease lets this node ask it for (crossings.ts). */
  readonly foreign: boolean
  /** Chunks that it asked for when they had just left this seed. */
  readonly deflected: Set<number>
  /** Chunks that it would rather not send us now. */
  readonly leftToOthers: Set<number>
  /** Chunks that it holds by the word of others only. */
  readonly hearsay: Set<number>
  /** It has brought what was signed by one of whom this node is cautioned. */
  bringsDoubtful: boolean
  /** It has denied a chunk that it said it has, and since then neither said anew what it has nor sent one. */
  denies: boolean
  joinSent: boolean
  joinReceived: boolean
}

/** A request of ours. */
export interface Transfer {
  readonly id: number
  readonly peer: Peer
  readonly session: Session
  readonly index: number
  readonly offset: number
  /** Bytes of the chunk that are here by this transfer: those before `offset`, and its own. */
  received: number
  state: 'sent' | 'queued' | 'active'
  /** How many its peer said are before it. */
  ahead: number
  /** How few it has said so far, Infinity: nothing yet; and since when, by `LinkCapacity.silenceMs`. */
  aheadLeast: number
  aheadLeastMs: number
  entry: Entry | undefined
  readonly askedAtMs: number
  /** When its head came; until then as `askedAtMs`. */
  startedAtMs: number
  /** By `LinkCapacity.silenceMs`. */
  heardAtMs: number
  /** The byte of the chunk at which it last was a whole frame further, and when that was. */
  framedAt: number
  framedAtMs: number
}

export interface Uploads {
  readonly active: Upload[]
  readonly waiting: Upload[]
  /** Usual time that a byte of what only this node has takes to leave it, smoothed; 0: unknown (spreading.ts). */
  soleByteMs: number
  /** When such a chunk last left. */
  soleLeftAtMs: number
  /** Usual time that a byte takes from the moment its upload has a place, smoothed; 0: unknown (idle-takers.ts). */
  takenByteMs: number
}

/** A request of a peer. */
export interface Upload {
  readonly peer: PeerId
  /** The address that it asks from; its peer ID where that is unknown. */
  readonly host: string
  readonly id: number
  readonly digest: Digest
  readonly index: number
  readonly offset: number
  readonly askedAtMs: number
  toldAtMs: number
  /** When it got its place, by `link.silenceMs`; Infinity: it waits for one. */
  startedAtMs: number
}

export interface SwarmState extends SwarmComponents {
  readonly witnesses: number
  readonly mark: Mark
  readonly limits: SwarmLimits
  readonly places: Places
  readonly addressOfMember: (peer: PeerId) => string | undefined
  readonly credentialLife: (digest: Digest, origin: string) => CredentialLife
  readonly download: RateLimit
  readonly sessions: Map<Digest, Session>
  /** Sessions with readers, in turn. */
  readonly active: Session[]
  turn: number
  readonly peers: Map<PeerId, Peer>
  readonly hosts: BoundedMap<string, Host>
  /** When the last ban ends: asked of every message. */
  bansEndMs: number
  /** Dials that hold a place, oldest first, and since when (`dialHangsMs`). */
  readonly dials: Map<Peer, number>
  /** When a candidate may be dialed next for which this node waits (`endDialWaits`). */
  dialsWaitUntilMs: number
  /** Peers that rest, and when the first of them may be asked again. */
  readonly resting: Set<Peer>
  restsEndMs: number
  /** Peers that hand on nothing of what they have (refusals.ts), or stalled or denied it while this node starved, and have sent no chunk since: what they hold of any blob is nowhere. */
  readonly withholders: Set<PeerId>
  /** Members that give no sign of life: what they hold is nowhere until they do, or, where they were found dead, for so long as it may still count. */
  readonly silent: Map<PeerId, number>
  readonly transfers: Set<Transfer>
  readonly fetches: Map<number, Lease>
  nextId: number
  readonly uploads: Uploads
  /** Bytes asked of peers and not here yet; of these, what waits in their queues. */
  flightBytes: number
  queuedBytes: number
  /** Bytes here and not yet hashed and kept. */
  settlingBytes: number
  /** Times in a row that several peers fell silent at once, with no chunk in between: our own link is at fault. */
  droughts: number
  readonly link: LinkCapacity
  tickAtMs: number
  /** How late ticks have come lately. */
  lateMs: number
  /** Usual time from a chunk's head to its end, smoothed. */
  chunkMs: number
  /** `Peer.byteMs` of all. */
  byteMs: number
  originRateBytesPerMs: number | undefined
  originFirstByteMs: number
  /** Origins that asked to be left alone, and until when. */
  readonly originRests: Map<string, number>
  /** Origins that did not answer, and when; until they do. */
  readonly originFailedAtMs: BoundedMap<string, number>
  /** By peer ID or address: the wrong blob for which it signed, and until when its word is not enough (trust.ts). */
  readonly suspects: BoundedMap<string, Suspicion>
  /** By origin, and peer ID or address: until when its word is not taken (trust.ts). */
  readonly disbelieved: BoundedMap<string, Dated>
  /** By address, or peer ID where it has none: of whom this node cautions others (caution.ts). */
  readonly cautions: BoundedMap<string, DatedCaution>
  /** And of whom others caution it. */
  readonly hearsay: Hearsay
  /** Both, by name. */
  wariness: Wariness
  /** Undefined: this node stays. */
  departure: Departure | undefined
  /** Digests left with nothing held, to be told to the directory once. */
  readonly left: Map<Digest, number>
  sweptAtMs: number
}

export function createState(components: SwarmComponents, options: SwarmOptions): SwarmState {
  const nowMs = components.clock.now()
  return {
    ...components,
    mark: markOf(components.self),
    limits: options.limits === undefined ? limits : { ...limits, ...options.limits },
    witnesses: options.witnesses ?? 1,
    places: options.places ?? nowhere,
    addressOfMember: options.addressOfMember ?? (() => undefined),
    credentialLife: options.credentialLife ?? (() => endlessLife),
    download: options.download ?? createRateLimit(components.clock),
    sessions: new Map(),
    active: [],
    turn: 0,
    peers: new Map(),
    hosts: createBoundedMap(limits.bansMax),
    bansEndMs: nowMs,
    dials: new Map(),
    dialsWaitUntilMs: Infinity,
    resting: new Set(),
    restsEndMs: Infinity,
    withholders: new Set(),
    silent: new Map(),
    transfers: new Set(),
    fetches: new Map(),
    nextId: 1,
    uploads: { active: [], waiting: [], soleByteMs: 0, soleLeftAtMs: 0, takenByteMs: 0 },
    flightBytes: 0,
    queuedBytes: 0,
    settlingBytes: 0,
    droughts: 0,
    link: {
      bytes: 0,
      sinceMs: nowMs,
      heardAtMs: nowMs,
      peaks: [0, 0],
      shiftedMs: nowMs,
      tickBytes: 0,
      rate: 0,
      silenceMs: 0,
    },
    tickAtMs: nowMs,
    lateMs: 0,
    chunkMs: 0,
    byteMs: 0,
    originRateBytesPerMs: undefined,
    originFirstByteMs: 0,
    originRests: new Map(),
    originFailedAtMs: createBoundedMap(limits.limitedOriginsMax),
    suspects: createBoundedMap(limits.suspectsMax),
    disbelieved: createBoundedMap(limits.disbelievedMax),
    cautions: createBoundedMap(limits.cautionsPerAddress),
    hearsay: createHearsay(components.clock),
    wariness: unwary,
    departure: undefined,
    left: new Map(),
    sweptAtMs: nowMs,
  }
}

/** An exponential mean that moves a fifth of the way to each sample; the first sample starts it. */
export function smoothed(mean: number | undefined, sample: number): number {
  return mean === undefined || mean === 0 ? sample : mean + (sample - mean) / 5
}

/** In `ChunkBuffer.sources`: this node's own bytes, over TLS from the session's origin. No peer's name has a space. */
export function ownSource({ origin }: Session): string {
  return `${ownMark}${origin}`
}

const ownMark = 'origin '

/** The origin of which all bytes came, over TLS; undefined: some came from elsewhere. Its readers may be gone, or have their turn later. */
export function ownOrigin({ sources }: ChunkBuffer): string | undefined {
  const [source] = sources
  return sources.size === 1 && source?.startsWith(ownMark) === true ? source.slice(ownMark.length) : undefined
}
