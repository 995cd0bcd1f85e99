import { afterEach, describe, expect, it, vi } from 'vitest'
import type { ContentAnswer } from '../../../agent/cluster/ask-content.ts'
import {
  announceCall,
  cautionCall,
  contentCall,
  exchangeCall,
  locateCall,
  lookCall,
  possessionCall,
} from '../../../agent/cluster/wire.ts'
import type { AnnounceAnswer, AnnounceRequest } from '../../../core/directory/messages.ts'
import { limits } from '../../../core/limits.ts'
import { createMembers } from '../../../core/members/members.ts'
import type { ExchangeAnswer, ExchangeRequest, MemberRecord } from '../../../core/members/messages.ts'
import { GiB, hour } from '../../../core/units.ts'
import { bitsOf, digestOf, sizeOf } from '../../core/directory/world.ts'
import { allOf, createBench, digest } from '../../core/swarm/bench.ts'
import { seededRandom } from '../../support/seeded-random.ts'

const peer = `12D3KooW${'A'.repeat(44)}`
const address = { peer, addresses: ['/ip4/127.0.0.1/tcp/5051'] }

const request: AnnounceRequest = {
  from: address,
  items: [
    {
      digest: digestOf(1),
      size: sizeOf(100),
      have: { complete: false, bits: bitsOf(100, [0, 99]) },
      wants: true,
      isConnected: true,
      neighbours: 12,
      bans: [address.peer],
      fetching: [{ start: 1, end: 4 }],
      silentMs: 12.5,
      lease: { chunks: 4, position: 9, insists: true, acrossOnly: false, theseOnly: true, instead: true, lifeMs: 2500 },
      released: [2 ** 40 + 1],
      unranged: false,
      origin: 'docker.io',
      originRetryAfterMs: 1500.5,
      originFails: true,
      leaves: false,
      departs: true,
    },
    { digest: digestOf(2), size: 0, have: { complete: true }, wants: false, fetching: [] },
  ],
  asBefore: { count: 3000, low: 2 ** 32 - 1, high: 7 },
  anew: true,
}

const answer: AnnounceAnswer = {
  items: [
    {
      digest: digestOf(1),
      ask: peer,
      size: sizeOf(100),
      peers: [{ ...address, complete: true }],
      counts: Uint8Array.from({ length: 100 }, (_, index) => index),
      lease: { id: 2 ** 40 + 1, start: 0, end: 4, source: { ...address, complete: false }, ttlMs: 1750 },
      leaseAfterMs: 12.25,
      isAllTaken: true,
      lost: [2 ** 40],
      departure: { sole: bitsOf(100, [1, 99]), isWanted: true },
      provide: true,
      announceAfterMs: 500,
    },
    { digest: digestOf(2), peers: [], announceAfterMs: 60_000 },
  ],
  roster: { isSame: true, announceAfterMs: 60_000, provide: digestOf(3) },
}

const record: MemberRecord = {
  peer,
  addresses: address.addresses,
  cluster: '10.0.0.7:5052',
  incarnation: 1_800_000_000_000,
  life: 1_800_000_000_000,
  zone: 'a',
  region: 'b',
  state: 'alive',
}

const exchange: ExchangeRequest = {
  from: record,
  hash: 'A'.repeat(22),
  news: [record, { ...record, cluster: '[fd00::1]:5052', state: 'dead' }],
  accusations: [{ peer, incarnation: 3 }],
  vouched: [peer],
  compare: true,
  want: [0, 255],
}

const exchangeAnswer: ExchangeAnswer = {
  from: record,
  hash: 'A'.repeat(22),
  news: [],
  buckets: Array.from({ length: 256 }, (_, index) => 2 ** 32 - 1 - index),
}

describe('messages survive the wire', () => {
  it('of the directory', () => {
    expect(announceCall.readRequest(announceCall.writeRequest(request))).toEqual(request)
    expect(announceCall.readAnswer(announceCall.writeAnswer(answer))).toEqual(answer)
  })

  it('of the members', () => {
    expect(exchangeCall.readRequest(exchangeCall.writeRequest(exchange))).toEqual(exchange)
    expect(exchangeCall.readAnswer(exchangeCall.writeAnswer(exchangeAnswer))).toEqual(exchangeAnswer)
  })

  it('of caution, and not of more than count', () => {
    const caution = { peer, address: 'fd00::66', origin: 'docker.io' }
    const said = { from: peer, cautions: [caution, { peer }] }
    expect(cautionCall.readRequest(cautionCall.writeRequest(said))).toEqual(said)
    const many = Array.from({ length: limits.cautionsPerAddress + 1 }, () => caution)
    expect(cautionCall.readRequest(cautionCall.writeRequest({ from: peer, cautions: many }))).toBeUndefined()
  })

  it('of a swarm that holds a content no more', () => {
    const bench = createBench({ chunks: 4 })
    bench.handle({ type: 'held', digest, size: sizeOf(4), have: allOf(bench), complete: true })
    bench.handle({ type: 'evicted', digest })
    const leaving = { from: address, items: [bench.swarm.announceState(digest)!] }
    expect(announceCall.readRequest(announceCall.writeRequest(leaving))).toEqual(leaving)
  })
})

it('calls go to paths of one version', () => {
  const calls = [announceCall, cautionCall, contentCall, exchangeCall, locateCall, lookCall, possessionCall]
  expect(calls.map(({ path }) => path)).toEqual([
    '/shoal/cluster/2/directory/announce',
    '/shoal/cluster/2/members/caution',
    '/shoal/cluster/2/content',
    '/shoal/cluster/2/members/exchange',
    '/shoal/cluster/2/directory/locate',
    '/shoal/cluster/2/members/look',
    '/shoal/cluster/2/directory/possession',
  ])
})

describe('small content', () => {
  it('is asked for and located', () => {
    const locate = { from: peer, digest: digestOf(1), origin: 'docker.io', except: [peer] }
    expect(locateCall.readRequest(locateCall.writeRequest(locate))).toEqual(locate)
    const located = { ask: peer, relay: peer, size: 12, againMs: 100 }
    expect(locateCall.readAnswer(locateCall.writeAnswer(located))).toEqual(located)
    expect(locateCall.readAnswer(locateCall.writeAnswer({}))).toEqual({})
    const ask = { from: peer, digest: digestOf(1) }
    expect(contentCall.readRequest(contentCall.writeRequest(ask))).toEqual(ask)
  })

  it.each<ContentAnswer>([
    { kind: 'none' },
    { kind: 'coming' },
    { kind: 'content', bytes: Buffer.alloc(0) },
    { kind: 'content', bytes: Buffer.from([0, 1, 2, 255]) },
  ])('comes as %o', (given) => {
    expect(contentCall.readAnswer(contentCall.writeAnswer(given))).toEqual(given)
  })

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['an unknown kind', Buffer.of(3)],
    ['bytes behind none', Buffer.of(0, 1)],
  ])('is not read from %s', (_what, body) => {
    expect(contentCall.readAnswer(body)).toBeUndefined()
  })
})

describe('possession', () => {
  const has = { kind: 'has', origin: 'docker.io', repository: 'library/nginx' } as const
  const known = [
    { fact: has, ageMs: 0 },
    { fact: { kind: 'holds', origin: 'docker.io' } as const, ageMs: 12.5 },
    { fact: { kind: 'open' } as const, ageMs: limits.possessionKeptMs },
  ]
  const told = {
    from: peer,
    digest: digestOf(1),
    asks: { fact: has, claims: true },
    tells: known,
    vain: { fact: has, isRefuted: true },
  }

  it('is asked for and told', () => {
    expect(possessionCall.readRequest(possessionCall.writeRequest(told))).toEqual(told)
    const answered = { ask: peer, known, againMs: 100 }
    expect(possessionCall.readAnswer(possessionCall.writeAnswer(answered))).toEqual(answered)
    expect(possessionCall.readAnswer(possessionCall.writeAnswer({ known: [] }))).toEqual({ known: [] })
  })

  it.each<[string, object]>([
    ['a fact of another kind', { asks: { fact: { kind: 'grants', origin: 'docker.io' }, claims: true } }],
    ['a repository that is none', { asks: { fact: { ...has, repository: '../etc' }, claims: true } }],
    ['no origin', { vain: { fact: { kind: 'holds', origin: '' }, isRefuted: false } }],
    ['more facts than there are kinds', { tells: [...known, ...known] }],
    ['a fact of tomorrow', { tells: [{ fact: has, ageMs: -1 }] }],
    ['a fact that is older than any is kept', { tells: [{ fact: has, ageMs: limits.possessionKeptMs + 1 }] }],
  ])('is not read from %s', (_what, change) => {
    expect(possessionCall.readRequest(Buffer.from(JSON.stringify({ ...told, ...change })))).toBeUndefined()
  })
})

/** `request` with its first item changed, as JSON. */
function announceWith(change: Record<string, unknown>): Buffer {
  const plain: { items: object[] } = JSON.parse(announceCall.writeRequest(request).toString())
  return Buffer.from(JSON.stringify({ ...plain, items: [{ ...plain.items[0], ...change }] }))
}

it.each([
  ['a digest in capitals', { digest: `sha256:${'A'.repeat(64)}` }],
  ['a path for a digest', { digest: 'sha256:../../etc/passwd' }],
  ['a bitfield too short', { have: { complete: false, bits: 'AAAA' } }],
  ['a bit beyond the end', { have: { complete: false, bits: Buffer.alloc(13, 0xff).toString('base64') } }],
  ['bits that are no base64', { have: { complete: false, bits: 'A*' } }],
  ['a size that is no integer', { size: 1.5 }],
  ['a negative size', { size: -1 }],
  ['a size beyond the largest', { size: 256 * GiB + 1, have: { complete: true } }],
  ['a range beyond the end', { fetching: [{ start: 99, end: 101 }] }],
  ['an empty range', { fetching: [{ start: 4, end: 4 }] }],
  ['a rate limit of a day', { originRetryAfterMs: 86_400_000 }],
  ['an unknown field', { surprise: 1 }],
  ['no wants', { wants: undefined }],
  ['too many ranges', { fetching: Array.from({ length: 1025 }, () => ({ start: 0, end: 1 })) }],
])('refuses an announce with %s', (_what, change) => {
  expect(announceCall.readRequest(announceWith(change))).toBeUndefined()
})

it('refuses an announce from an RSA peer, or of too many digests, or of no JSON', () => {
  const plain: { items: object[] } = JSON.parse(announceCall.writeRequest(request).toString())
  const from = { peer: 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N', addresses: [] }
  expect(announceCall.readRequest(Buffer.from(JSON.stringify({ ...plain, from })))).toBeUndefined()
  const items = Array.from({ length: limits.announceItemsMax + 1 }, () => plain.items[1])
  expect(announceCall.readRequest(Buffer.from(JSON.stringify({ ...plain, items })))).toBeUndefined()
  expect(announceCall.readRequest(Buffer.from('{"from":'))).toBeUndefined()
})

it('reads no more chunks in one announce than those of one largest blob, but all that is left', () => {
  const plain: { items: object[] } = JSON.parse(announceCall.writeRequest(request).toString())
  const whole = { ...plain.items[0], size: 256 * GiB, have: { complete: true }, fetching: [] }
  const small = { ...whole, size: 1 }
  const isRead = (...items: object[]): boolean =>
    announceCall.readRequest(Buffer.from(JSON.stringify({ ...plain, items }))) !== undefined
  expect(isRead(whole)).toBe(true)
  expect(isRead(whole, small)).toBe(false)
  expect(isRead({ ...whole, leaves: true }, whole)).toBe(true)
})

it.each([
  '169.254.169.254:80',
  '[fe80::1]:5052',
  '[::ffff:169.254.169.254]:80',
  '0.0.0.0:5052',
  '224.0.0.1:5052',
  '10.0.0.7',
  '10.0.0.7:0',
  '10.0.0.7:70000',
  'user@10.0.0.7:5052',
  '10.0.0.7:5052/path',
  'a b:5052',
])('refuses a member that listens at %s', (cluster) => {
  const written = exchangeCall.writeRequest({ ...exchange, news: [{ ...record, cluster }] })
  expect(exchangeCall.readRequest(written)).toBeUndefined()
})

it('takes a member that listens at a name', () => {
  const written = exchangeCall.writeRequest({ ...exchange, from: { ...record, cluster: 'shoal-0.shoal.svc:5052' } })
  expect(exchangeCall.readRequest(written)?.from.cluster).toBe('shoal-0.shoal.svc:5052')
})

it('leaves out a member that says so much of itself that a message full of such members would be refused', () => {
  const name = 'z'.repeat(limits.placeMaxLength)
  const named = { ...record, zone: name, region: name }
  const spare = limits.memberRecordMaxBytes - JSON.stringify(named).length
  const fits = { ...named, addresses: [...record.addresses, 'a'.repeat(spare - ',""'.length)] }
  const readsAs = (news: MemberRecord[]): ExchangeRequest | undefined =>
    exchangeCall.readRequest(exchangeCall.writeRequest({ ...exchange, news }))
  expect(readsAs([fits])?.news).toEqual([fits])
  for (const zone of [`${name.slice(1)}é`, `${name.slice(1)}\n`]) {
    const large = { ...fits, zone }
    expect(readsAs([large, record])?.news).toEqual([record])
    expect(exchangeCall.readRequest(exchangeCall.writeRequest({ ...exchange, from: large }))).toBeUndefined()
  }
  // News, and whole buckets until they are as many: the last may be full.
  const news = Array.from({ length: 2 * limits.membersPerMessage + limits.membersPerBucketMax }, () => fits)
  expect(readsAs(news)?.news).toHaveLength(news.length)
  const accusations = Array.from({ length: limits.memberBuckets }, () => ({ peer, incarnation: record.incarnation }))
  const fullest = {
    ...exchange,
    news,
    accusations,
    vouched: accusations.map(() => peer),
    want: [...accusations.keys()],
  }
  expect(exchangeCall.writeRequest(fullest).length).toBeLessThan(limits.clusterRequestMaxBytes)
})

it('refuses a member whose life leaves no room above it, and leaves out others’ word of one, or of such an incarnation', () => {
  const none = { ...record, incarnation: 2 ** 53 - 1 }
  const from = { ...record, life: 2 ** 53 - 1 }
  expect(exchangeCall.readRequest(exchangeCall.writeRequest({ ...exchange, from }))).toBeUndefined()
  const news = [none, { ...record, life: 2 ** 53 - 1 }, record]
  const accusations = [none, record].map((of) => ({ peer, incarnation: of.incarnation }))
  const read = exchangeCall.readRequest(exchangeCall.writeRequest({ ...exchange, news, accusations }))
  expect(read).toEqual({ ...exchange, news: [record], accusations: [{ peer, incarnation: record.incarnation }] })
})

describe('a lie about the incarnation of a member', () => {
  afterEach(() => {
    vi.useRealTimers()
  })

  it('that is as high as any that is read is refuted readably a millisecond later', () => {
    vi.useFakeTimers({ toFake: ['Date'], now: record.incarnation })
    const self = { ...record, peer: `12D3KooW${'B'.repeat(44)}` }
    const victim = createMembers({ clock: { now: () => 0 }, random: seededRandom('victim'), emit: () => {} }, { self })
    const lieOf = (incarnation: number): ExchangeRequest | undefined => {
      const news: MemberRecord[] = [{ ...self, incarnation, state: 'dead' }]
      return exchangeCall.readRequest(exchangeCall.writeRequest({ ...exchange, news, accusations: [] }))
    }
    const highest = limits.incarnationMax + Date.now()
    expect(lieOf(highest + 1)?.news).toEqual([])
    const refuted = victim.handle(lieOf(highest)!)
    vi.advanceTimersByTime(1)
    const read = exchangeCall.readAnswer(exchangeCall.writeAnswer(refuted))
    expect(read?.from).toEqual({ ...self, incarnation: highest + 1 })
  })

  it('that is read where clocks are ahead is refuted to those whose clocks are behind as well, as news each second at most', () => {
    vi.useFakeTimers({ toFake: ['Date'], now: hour })
    const others = createMembers(
      { clock: { now: () => 0 }, random: seededRandom('others'), emit: () => {} },
      { self: { ...record, peer: `12D3KooW${'B'.repeat(44)}` } },
    )
    const hear = (from: MemberRecord, news: MemberRecord[]): MemberRecord | undefined => {
      const read = exchangeCall.readRequest(exchangeCall.writeRequest({ ...exchange, from, news, accusations: [] }))
      if (read !== undefined) others.handle(read)
      return others.get(peer)
    }
    const highest = limits.incarnationMax + hour
    const gone: MemberRecord = { ...record, incarnation: highest, state: 'left' }
    const refuting = { ...record, incarnation: highest + 2 * hour }
    hear(record, [])
    expect(hear({ ...record, peer: `12D3KooW${'C'.repeat(44)}` }, [gone])).toEqual(gone)
    for (const [afterMs, incarnation] of [
      [1000, highest + 1000],
      [999, highest + 1000],
      [1, highest + 2000],
    ] as const) {
      vi.advanceTimersByTime(afterMs)
      expect(hear(refuting, [])).toEqual({ ...record, incarnation })
    }
  })
})
