import { describe, expect, it } from 'vitest'
import { limits } from '../../../core/limits.ts'
import { second } from '../../../core/units.ts'
import { allOf, createBench, digest, entryOf, fetched, hashOf, proved, sizeOf, type Bench } from './bench.ts'

const address = '10.0.0.66'

function connects(bench: Bench, peer: string, at = address): void {
  bench.handle({ type: 'peer-connected', peer, address: at })
}

/** As often as it takes to be banned. */
function violates(bench: Bench, peer: string): void {
  for (let strike = 0; strike < limits.strikesMax; strike++) bench.handle({ type: 'peer-violated', peer, address })
}

/** Two different words of `signer` for chunk 4, relayed by honest `a` and `b`. */
function contradict(bench: Bench, signer: string, witness = proved): void {
  bench.read({ whole: false, start: sizeOf(4), end: sizeOf(5) })
  bench.joins('a', [4])
  bench.sends(bench.told('request')[0]!, { bytes: 1000, signer, witness })
  bench.handle({ type: 'peer-disconnected', peer: 'a' })
  bench.joins('b', [4])
  bench.sends(bench.told('request')[0]!, { bytes: 1000, signer, witness, hash: hashOf(77) })
}

describe('a provable liar', () => {
  it('is banned with its address, and with every ID that it makes there', () => {
    const bench = createBench()
    connects(bench, 'liar')
    connects(bench, 'liar again')
    contradict(bench, 'liar')
    const banned = bench.take('ban').map(({ peer, ...ban }) => [peer, ban.address])
    expect(banned).toEqual([
      ['liar', address],
      ['liar again', address],
    ])
    for (let number = 0; number < 10; number++) connects(bench, `liar ${number}`)
    expect(bench.take('ban')).toHaveLength(10)
    connects(bench, 'neighbour', '10.0.0.67')
    expect(bench.take('ban')).toEqual([])
  })

  it('is asked for nothing more, and what it was to send is asked of others', () => {
    const bench = createBench({ chunks: 1 })
    bench.read()
    bench.joins('liar', [0])
    expect(bench.told('request').map(({ to }) => to)).toEqual(['liar'])
    bench.joins('b', [0])
    violates(bench, 'liar')
    expect(bench.take('ban')).toHaveLength(1)
    bench.pass(limits.tickMs)
    expect(bench.told('request').map(({ to }) => to)).toEqual(['b'])
    expect(bench.swarm.progress(digest)).toMatchObject({ neighbours: 1 })
  })

  it('may come back when its time is over', () => {
    const bench = createBench()
    connects(bench, 'liar')
    contradict(bench, 'liar')
    bench.take('ban')
    bench.clock.advance(limits.banMs)
    connects(bench, 'another')
    expect(bench.take('ban')).toEqual([])
  })

  it('is named to the directories as long as it is banned and something is wanted', () => {
    const bench = createBench()
    const bans = () => bench.swarm.announceState(digest)?.bans
    connects(bench, 'liar')
    connects(bench, 'neighbour', '10.0.0.67')
    contradict(bench, 'liar')
    expect(bans()).toEqual(['liar'])
    bench.handle({ type: 'reader-closed', digest, reader: 1 })
    expect(bans()).toBeUndefined()
    bench.read()
    expect(bans()).toEqual(['liar'])
    bench.clock.advance(limits.banMs)
    expect(bans()).toBeUndefined()
  })

  it('is named with a lease that is insisted on, though all that is missing is asked of others', () => {
    const bench = createBench({ chunks: 1 })
    violates(bench, 'liar')
    bench.read()
    bench.joins('other', [])
    bench.answer({ counts: Uint8Array.of(1) })
    bench.pass(limits.starvedMs - limits.stallMs / 2)
    bench.joins('silent', [0])
    bench.pass(limits.stallMs / 2)
    const lease = { insists: true }
    expect(bench.swarm.announceState(digest)).toMatchObject({ lease, bans: ['liar'] })
  })

  it('is banned alone where it left long ago, or another did: an address may be another node by now', () => {
    for (const liar of ['former', 'newcomer']) {
      const bench = createBench()
      connects(bench, 'former')
      bench.handle({ type: 'peer-disconnected', peer: 'former' })
      bench.clock.advance(limits.banMs + 1)
      connects(bench, 'newcomer')
      contradict(bench, liar)
      expect(bench.take('ban').map(({ peer }) => peer)).toEqual([liar])
    }
  })
})

describe('nobody is banned', () => {
  it('for two words on what the origin gave: it may have given both', () => {
    const bench = createBench()
    contradict(bench, 'witness', fetched)
    expect(bench.take('ban')).toEqual([])
    bench.sends(bench.told('request')[0]!, { signer: 'witness', witness: fetched })
    expect(bench.take('hash')).toEqual([])
  })

  it('for what this node itself said, as others relay it', () => {
    const bench = createBench()
    contradict(bench, 'self')
    expect(bench.take('ban')).toEqual([])
  })

  it('for what the blob turned out to be after the origin had said otherwise', () => {
    const bench = createBench()
    bench.read({ whole: false, start: sizeOf(4), end: sizeOf(5) })
    bench.joins('a', [4])
    bench.sends(bench.told('request')[0]!, { bytes: 1000, signer: 'witness', witness: fetched, hash: hashOf(77) })
    bench.handle({ type: 'peer-disconnected', peer: 'a' })
    bench.joins('b', [4])
    bench.sends(bench.told('request')[0]!, { bytes: 1000, signer: 'witness', witness: proved })
    expect(bench.take('ban')).toEqual([])
  })

  it('for another size of a blob: a manifest may have lied to it', () => {
    const bench = createBench()
    bench.handle({ type: 'held', digest, size: sizeOf(100), have: new Uint8Array(13), complete: true })
    connects(bench, 'a')
    const join = { type: 'join', digest, size: sizeOf(1), have: Uint8Array.of(1) } as const
    for (let round = 0; round < 10; round++) bench.says('a', join)
    expect(bench.take('ban')).toEqual([])
    expect(bench.told('leave')).toHaveLength(10)
  })
})

describe('who breaks the rules', () => {
  it('is banned after some strikes, and its address after some more', () => {
    const bench = createBench()
    bench.clock.advance(limits.banMs + 1)
    for (const peer of ['one', 'other']) violates(bench, peer)
    expect(bench.take('ban').map(({ peer, ...ban }) => [peer, ban.address])).toEqual([
      ['one', undefined],
      ['other', address],
    ])
    connects(bench, 'third')
    expect(bench.take('ban')).toMatchObject([{ peer: 'third' }])
  })

  it('has all its strikes again when its time is over, and so has its address', () => {
    const bench = createBench()
    for (const peer of ['one', 'other']) violates(bench, peer)
    expect(bench.take('ban')).toHaveLength(2)
    bench.clock.advance(limits.banMs)
    bench.handle({ type: 'peer-violated', peer: 'one', address })
    violates(bench, 'other')
    expect(bench.take('ban').map(({ peer, ...ban }) => [peer, ban.address])).toEqual([['other', undefined]])
  })

  it('now and then over the years is not', () => {
    const bench = createBench()
    for (const peer of ['one', 'other', 'third', 'fourth', 'fifth']) {
      bench.handle({ type: 'peer-violated', peer, address })
      bench.clock.advance(limits.banMs)
    }
    expect(bench.take('ban')).toEqual([])
  })

  it('by a flood of messages is banned', () => {
    const bench = createBench()
    connects(bench, 'flood')
    for (let sent = 0; sent < limits.messagesPerSecond; sent++) bench.says('flood', { type: 'leave', digest })
    for (let more = 1; more < limits.strikesMax; more++) bench.says('flood', { type: 'leave', digest })
    expect(bench.take('ban')).toEqual([])
    bench.says('flood', { type: 'leave', digest })
    expect(bench.take('ban')).toMatchObject([{ peer: 'flood' }])
  })

  it('by a flood of requests that are turned away is banned sooner; at the pace of the patient nobody is', () => {
    const bench = createBench()
    for (const peer of ['flood', 'patient']) connects(bench, peer)
    const asks = (peer: string, id: number): void =>
      bench.says(peer, { type: 'request', id, digest, index: 0, offset: 0 })
    for (let id = 0; id < 1000; id++) asks('flood', id)
    expect(bench.take('ban')).toMatchObject([{ peer: 'flood' }])
    for (let id = 0; id < 1000; id++) {
      asks('patient', id)
      bench.clock.advance(limits.busyBackoffMinMs / limits.requestsPerPeer)
    }
    expect(bench.clock.now()).toBeGreaterThan(5 * second)
    expect(bench.take('ban')).toEqual([])
  })

  it('by a flood of requests with one number, or of more than are heard of one peer, is banned as soon', () => {
    const bench = createBench()
    bench.handle({ type: 'held', digest, size: sizeOf(100), have: allOf(bench), complete: true })
    for (const peer of ['same', 'many']) connects(bench, peer)
    for (let number = 0; number < 1000; number++) {
      bench.says('same', { type: 'request', id: 1, digest, index: 0, offset: 0 })
      bench.says('many', { type: 'request', id: number, digest, index: number % 100, offset: 0 })
    }
    expect(
      bench
        .take('ban')
        .map(({ peer }) => peer)
        .toSorted(),
    ).toEqual(['many', 'same'])
    // What was asked for once is sent once.
    expect(bench.take('upload').filter(({ peer }) => peer === 'same')).toHaveLength(1)
  })

  it('is heard no more', () => {
    const bench = createBench()
    connects(bench, 'flood')
    for (let id = 0; id < 1000; id++) bench.says('flood', { type: 'request', id, digest, index: 0, offset: 0 })
    bench.told('missing')
    bench.says('flood', { type: 'request', id: 2000, digest, index: 0, offset: 0 })
    expect(bench.told('missing')).toEqual([])
  })
})

it('a witness that the origin lied to keeps its connection', () => {
  const bench = createBench({ chunks: 1 })
  bench.read()
  bench.joins('a', [0])
  bench.sends(bench.told('request')[0]!, { signer: 'a', witness: fetched, hash: hashOf(77) })
  bench.handle({ type: 'hashed', digest, index: 0, hash: hashOf(77) })
  bench.handle({ type: 'kept', digest, index: 0, ok: true })
  bench.handle({ type: 'proved', digest, ok: false })
  bench.pass(25)
  const [fetch] = bench.take('fetch-origin')
  bench.handle({ type: 'origin-frame', digest, fetch: fetch!.fetch, index: 0, bytes: sizeOf(1) })
  bench.take('hash')
  bench.handle({ type: 'hashed', digest, index: 0, hash: hashOf(0) })
  expect(bench.take('keep').at(-1)?.entry).toEqual(entryOf(sizeOf(1), 0, 'self', fetched))
  bench.handle({ type: 'kept', digest, index: 0, ok: true })
  bench.handle({ type: 'proved', digest, ok: true })
  expect(bench.take('ban')).toEqual([])
})
