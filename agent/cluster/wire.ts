/** Announces and exchanges as JSON, checked strictly on the way in: whoever reads them inside trusts the types. */
import ipaddr from 'ipaddr.js'
import { z } from 'zod'
import { chunksTold } from '../../core/directory/announce-length.ts'
import type {
  AnnounceAnswer,
  AnnounceRequest,
  InheritRequest,
  LocateAnswer,
  LocateRequest,
  PossessionAnswer,
  PossessionRequest,
} from '../../core/directory/messages.ts'
import { limits } from '../../core/limits.ts'
import type { CautionRequest, ExchangeAnswer, ExchangeRequest } from '../../core/members/messages.ts'
import { type Digest, parseDigest } from '../../core/oci/digest.ts'
import type { PeerId } from '../../core/ports.ts'
import { isRepositoryName } from '../../core/oci/reference.ts'
import { isBitfieldFor } from '../../core/swarm/bitfield.ts'
import { chunkCountOf } from '../../core/swarm/chunks.ts'
import { hour, second } from '../../core/units.ts'
import { parseJson } from '../parse-json.ts'
import type { ContentAnswer, ContentRequest } from './ask-content.ts'

/** A peer ID of an Ed25519 key (core/wire/peer-id.ts). */
export const peerGrammar = /^12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$/

const peer = z.string().regex(peerGrammar)
const count = z.int().nonnegative()
const word = z
  .int()
  .nonnegative()
  .max(2 ** 32 - 1)
const durationMs = z.number().nonnegative().max(hour)
const index = z.int().nonnegative().max(limits.chunksPerBlobMax)
const addresses = z.array(z.string().min(1).max(limits.addressMaxLength)).max(limits.peerAddressesMax)
export const digest = z.string().transform((text, context) => {
  const parsed = parseDigest(text)
  if (parsed !== undefined) return parsed
  context.addIssue('not a digest')
  return z.NEVER
})

/** A registry's host and port. */
const originName = z.string().min(1).max(limits.originMaxLength)

const base64Grammar = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
const bytes = z
  .string()
  .regex(base64Grammar)
  .transform((text): Uint8Array => Uint8Array.from(Buffer.from(text, 'base64')))

const range = z
  .strictObject({ start: index, end: index })
  .refine(({ start, end }) => start < end, 'a range without a chunk')

const address = z.strictObject({ peer, addresses })

const announceItem = z
  .strictObject({
    digest,
    size: z.int().nonnegative().max(limits.blobSizeMaxBytes),
    have: z.discriminatedUnion('complete', [
      z.strictObject({ complete: z.literal(true) }),
      z.strictObject({ complete: z.literal(false), bits: bytes }),
    ]),
    wants: z.boolean(),
    isConnected: z.boolean().exactOptional(),
    neighbours: count.exactOptional(),
    bans: z.array(peer).max(limits.bansToldMax).exactOptional(),
    fetching: z.array(range).max(limits.fetchRangesMax),
    silentMs: durationMs.exactOptional(),
    lease: z
      .strictObject({
        chunks: index,
        position: index,
        insists: z.boolean().exactOptional(),
        acrossOnly: z.boolean().exactOptional(),
        theseOnly: z.boolean().exactOptional(),
        instead: z.boolean().exactOptional(),
        lifeMs: durationMs.exactOptional(),
      })
      .exactOptional(),
    released: z.array(count).max(limits.fetchRangesMax).exactOptional(),
    unranged: z.boolean().exactOptional(),
    origin: originName.exactOptional(),
    originRetryAfterMs: durationMs.exactOptional(),
    originFails: z.boolean().exactOptional(),
    leaves: z.boolean().exactOptional(),
    departs: z.boolean().exactOptional(),
  })
  .refine(
    ({ size, have }) => have.complete || isBitfieldFor(have.bits, chunkCountOf(size)),
    'a bitfield of another length than the blob',
  )
  .refine(({ size, fetching }) => fetching.every(({ end }) => end <= chunkCountOf(size)), 'a range beyond the blob')

const announceRequest = z.strictObject({
  from: address,
  items: z
    .array(announceItem)
    .max(limits.announceItemsMax)
    .refine(
      (items) => items.reduce((chunks, item) => chunks + chunksTold(item), 0) <= limits.announceChunksMax,
      'blobs of more chunks than one announce may tell of',
    ),
  asBefore: z.strictObject({ count, low: word, high: word }).exactOptional(),
  anew: z.boolean().exactOptional(),
})

const hint = z.strictObject({ peer, addresses, complete: z.boolean() })

const answerItem = z.strictObject({
  digest,
  ask: peer.exactOptional(),
  size: z.int().nonnegative().max(limits.blobSizeMaxBytes).exactOptional(),
  peers: z.array(hint).max(limits.neighboursNamed + limits.usefulHolders),
  counts: bytes.exactOptional(),
  lease: z
    .strictObject({ id: count, start: index, end: index, source: hint.exactOptional(), ttlMs: durationMs })
    .exactOptional(),
  leaseAfterMs: durationMs.exactOptional(),
  isAllTaken: z.boolean().exactOptional(),
  lost: z.array(count).max(limits.fetchRangesMax).exactOptional(),
  contested: z.array(range).max(limits.fetchRangesMax).exactOptional(),
  departure: z.strictObject({ sole: bytes.exactOptional(), isWanted: z.boolean() }).exactOptional(),
  provide: z.boolean().exactOptional(),
  announceAfterMs: durationMs,
})

const announceAnswer = z.strictObject({
  items: z.array(answerItem).max(limits.announceItemsMax),
  roster: z
    .strictObject({ isSame: z.boolean(), announceAfterMs: durationMs, provide: digest.exactOptional() })
    .exactOptional(),
})

const locateRequest = z.strictObject({
  from: peer,
  digest,
  origin: originName,
  except: z.array(peer).max(limits.relaysTriedMax),
})

const locateAnswer = z.strictObject({
  ask: peer.exactOptional(),
  relay: peer.exactOptional(),
  size: z.int().nonnegative().max(limits.blobSizeMaxBytes).exactOptional(),
  againMs: durationMs.exactOptional(),
})

const fact = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('has'),
    origin: originName,
    repository: z.string().max(limits.repositoryNameMaxLength).refine(isRepositoryName, 'no repository name'),
  }),
  z.strictObject({ kind: z.literal('holds'), origin: originName }),
  z.strictObject({ kind: z.literal('open') }),
])

const agedFact = z.strictObject({ fact, ageMs: z.number().nonnegative().max(limits.possessionKeptMs) })

/** Of one content at one origin there is one of each kind. */
const agedFacts = z.array(agedFact).max(fact.options.length)

const possessionRequest = z.strictObject({
  from: peer,
  digest,
  asks: z.strictObject({ fact, claims: z.boolean() }).exactOptional(),
  tells: agedFacts,
  vain: z.strictObject({ fact, isRefuted: z.boolean() }).exactOptional(),
})

const possessionAnswer = z.strictObject({
  ask: peer.exactOptional(),
  known: agedFacts,
  againMs: durationMs.exactOptional(),
})

const inheritRequest = z.strictObject({
  from: peer,
  facts: z.array(agedFact.extend({ digest })).max(limits.handOverFactsPerMessage),
})

const contentRequest = z.strictObject({ from: peer, digest })

const place = z.string().min(1).max(limits.placeMaxLength)
const listenerGrammar =
  /^(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?)):([1-9]\d{0,4})$/
/** Nodes have none of these; link-local is where clouds keep their metadata services. */
const refusedRanges = new Set(['unspecified', 'broadcast', 'multicast', 'linkLocal', 'reserved'])

/** `host:port` where a member may listen. */
function isListener(text: string): boolean {
  const [, ipv6, name, port] = listenerGrammar.exec(text) ?? []
  const host = ipv6 ?? name
  if (host === undefined || Number(port) > 65_535) return false
  return !ipaddr.isValid(host) || !refusedRanges.has(ipaddr.process(host).range())
}

const incarnation = z.int().nonnegative()

/** What may be told rises with time: whoever is lied about raises its own above that, and must still be heard. */
function hasRoomAbove(told: number): boolean {
  return told <= limits.incarnationMax + Date.now()
}

/**
 * Who was lied about where clocks are ahead of this one tells better than is read here. It is heard all the same, as above all lies that
 * were read here until this second; what would rise each millisecond would be news each time.
 */
function asHeard(record: WrittenRecord): WrittenRecord {
  if (hasRoomAbove(record.incarnation)) return record
  return { ...record, incarnation: limits.incarnationMax + Math.floor(Date.now() / second) * second }
}

const memberRecord = z.strictObject({
  peer,
  addresses,
  cluster: z.string().max(260).refine(isListener, 'not where a member may listen'),
  incarnation,
  life: incarnation,
  zone: place.exactOptional(),
  region: place.exactOptional(),
  state: z.enum(['alive', 'left', 'dead']),
})

type WrittenRecord = z.infer<typeof memberRecord>

function isTakeable(record: WrittenRecord): boolean {
  const isShort = Buffer.byteLength(JSON.stringify(record)) <= limits.memberRecordMaxBytes
  return isShort && hasRoomAbove(record.incarnation) && hasRoomAbove(record.life)
}

const speaker = memberRecord.transform(asHeard).refine(isTakeable, 'a record too large, or of too high a life')

/**
 * Whole buckets are sent, so a message may pass `limits.membersPerMessage` by one bucket, and carries news besides. What is not
 * takeable here is left out, and not the message: its sender may have taken it honestly, by a clock that is ahead or as an older agent.
 */
const records = z
  .array(memberRecord)
  .max(3 * limits.membersPerMessage)
  .transform((all) => all.filter(isTakeable))
const accusations = z
  .array(z.strictObject({ peer, incarnation }))
  .max(limits.memberBuckets)
  .transform((all) => all.filter((accusation) => hasRoomAbove(accusation.incarnation)))
const listHash = z.string().regex(/^[A-Za-z0-9_-]{22}$/)

const exchangeRequest = z.strictObject({
  from: speaker,
  hash: listHash,
  news: records,
  accusations,
  vouched: z.array(peer).max(limits.memberBuckets),
  compare: z.boolean(),
  want: z
    .array(
      z
        .int()
        .nonnegative()
        .max(limits.memberBuckets - 1),
    )
    .max(limits.memberBuckets),
})

const exchangeAnswer = z.strictObject({
  from: speaker,
  hash: listHash,
  news: records,
  buckets: z
    .array(
      z
        .int()
        .nonnegative()
        .max(2 ** 32 - 1),
    )
    .length(limits.memberBuckets)
    .exactOptional(),
})

export const caution = z.strictObject({
  peer,
  address: z.string().min(1).max(limits.addressMaxLength).exactOptional(),
  origin: originName.exactOptional(),
})

const cautionRequest = z.strictObject({ from: peer, cautions: z.array(caution).max(limits.cautionsPerAddress) })

const nothing = z.strictObject({})

/** Of a call: its answer, or request and answer. */
export type Sealed = 'answer' | 'both'

/** One kind of call: how its request and its answer travel. `read…` gives undefined for what is malformed. */
export interface Call<Request, Answer> {
  readonly path: string
  /** How long its caller waits for the answer. */
  readonly withinMs: number
  /** What nobody but the two may read (seal.ts). */
  readonly sealed?: Sealed
  writeRequest(request: Request): Buffer
  readRequest(body: Buffer): Request | undefined
  writeAnswer(answer: Answer): Buffer
  readAnswer(body: Buffer): Answer | undefined
}

export interface LookRequest {
  readonly from: PeerId
}

export interface LookAnswer {
  readonly peer: PeerId
  /** libp2p addresses as multiaddr texts. */
  readonly addresses: readonly string[]
  /** By the answerer's clock; ms since 1970. */
  readonly timeMs: number
}

/** Of a member that leaves: will the other take this blob, which nobody else has? */
export interface TakeRequest {
  readonly from: PeerId
  readonly digest: Digest
  readonly size: number
}

export interface TakeAnswer {
  readonly isTaken: boolean
}

interface Codec<Value> {
  write(value: Value): Buffer
  read(body: Buffer): Value | undefined
}

function codecOf<Value>(schema: z.ZodType<Value>): Codec<Value> {
  return {
    write: (value) => Buffer.from(JSON.stringify(value, base64OfBytes)),
    read(body) {
      const result = schema.safeParse(parseJson(body.toString()))
      return result.success ? result.data : undefined
    },
  }
}

function base64OfBytes(_key: string, value: unknown): unknown {
  return value instanceof Uint8Array
    ? Buffer.from(value.buffer, value.byteOffset, value.length).toString('base64')
    : value
}

/** Before every path: agents that speak another version find nothing here, and are to each other as if they were not there. */
const clusterProtocol = '/shoal/cluster/2'

function callOf<Request, Answer>(
  name: string,
  withinMs: number,
  request: z.ZodType<Request>,
  answer: z.ZodType<Answer>,
): Call<Request, Answer> {
  const requests = codecOf(request)
  const answers = codecOf(answer)
  return {
    path: `${clusterProtocol}/${name}`,
    withinMs,
    writeRequest: (value) => requests.write(value),
    readRequest: (body) => requests.read(body),
    writeAnswer: (value) => answers.write(value),
    readAnswer: (body) => answers.read(body),
  }
}

export const announceCall = callOf<AnnounceRequest, AnnounceAnswer>(
  'directory/announce',
  limits.announceTimeoutMaxMs,
  announceRequest,
  announceAnswer,
)
export const exchangeCall = callOf<ExchangeRequest, ExchangeAnswer>(
  'members/exchange',
  limits.memberCallMs,
  exchangeRequest,
  exchangeAnswer,
)

export const cautionCall = callOf<CautionRequest, object>(
  'members/caution',
  limits.memberCallMs,
  cautionRequest,
  nothing,
)

export const locateCall = callOf<LocateRequest, LocateAnswer>(
  'directory/locate',
  limits.relayCallMs,
  locateRequest,
  locateAnswer,
)

/** Sealed, since names of repositories may be private. */
export const possessionCall: Call<PossessionRequest, PossessionAnswer> = {
  ...callOf<PossessionRequest, PossessionAnswer>(
    'directory/possession',
    limits.relayCallMs,
    possessionRequest,
    possessionAnswer,
  ),
  sealed: 'both',
}

/** Sealed as `possessionCall`. */
export const inheritCall: Call<InheritRequest, object> = {
  ...callOf<InheritRequest, object>('directory/inherit', limits.relayCallMs, inheritRequest, nothing),
  sealed: 'both',
}

/** Is a member there, which one, and what time is it? Changes nothing. */
export const lookCall = callOf<LookRequest, LookAnswer>(
  'members/look',
  limits.memberCallMs,
  z.strictObject({ from: peer }),
  z.strictObject({ peer, addresses, timeMs: count }),
)

export const takeCall = callOf<TakeRequest, TakeAnswer>(
  'content/take',
  limits.relayCallMs,
  z.strictObject({ from: peer, digest, size: z.int().nonnegative().max(limits.blobSizeMaxBytes) }),
  z.strictObject({ isTaken: z.boolean() }),
)

/** One byte that says what it is, then the content. */
const contentAnswerKinds = ['none', 'coming', 'content'] as const satisfies readonly ContentAnswer['kind'][]

export const contentCall: Call<ContentRequest, ContentAnswer> = {
  ...callOf<ContentRequest, never>('content', limits.relayCallMs, contentRequest, z.never()),
  sealed: 'answer',
  writeAnswer(answer) {
    const kind = Buffer.of(contentAnswerKinds.indexOf(answer.kind))
    return answer.kind === 'content' ? Buffer.concat([kind, answer.bytes]) : kind
  },
  readAnswer(body) {
    const kind = contentAnswerKinds[body[0] ?? -1]
    if (kind === 'content') return { kind, bytes: body.subarray(1) }
    return kind === undefined || body.length > 1 ? undefined : { kind }
  },
}
