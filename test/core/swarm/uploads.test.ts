import { describe, expect, it } from 'vitest'
import { limits } from '../../../core/limits.ts'
import { fullBitfield } from '../../../core/swarm/bitfield.ts'
import { chunkCountOf } from '../../../core/swarm/chunks.ts'
import type { PeerMessage } from '../../../core/swarm/messages.ts'
import { GiB, MiB, minute, second } from '../../../core/units.ts'
import { allOf, connects, createBench, digest, sizeOf, span, type Bench } from './bench.ts'

/** A node that holds the whole blob. */
function createSeed(): Bench {
  const bench = createBench()
  bench.handle({ type: 'held', digest, size: sizeOf(100), have: allOf(bench), complete: true })
  return bench
}

function request(id: number, index = id, offset = 0): PeerMessage {
  return { type: 'request', id, digest, index, offset }
}

describe('a request', () => {
  it('is served at once while fewer than two are', () => {
    const bench = createSeed()
    bench.says('a', request(7, 3, 1000))
    expect(bench.take('upload')).toEqual([
      { type: 'upload', peer: 'a', id: 7, digest, size: sizeOf(100), index: 3, offset: 1000 },
    ])
    bench.says('b', request(1))
    expect(bench.take('upload')).toHaveLength(1)
  })

  it('for one of the largest chunks is served at once while fewer than four are', () => {
    const bench = createBench()
    const size = 4 * GiB
    const have = fullBitfield(chunkCountOf(size))
    bench.handle({ type: 'held', digest, size, have, complete: true })
    for (const id of span(0, 5)) bench.says(`p${id}`, request(id))
    expect(bench.take('upload').map(({ peer }) => peer)).toEqual(['p0', 'p1', 'p2', 'p3'])
    expect(bench.told('queued')).toEqual([{ type: 'queued', id: 4, ahead: 4, to: 'p4' }])
  })

  it('waits behind others, and hears its place at once and again', () => {
    const bench = createSeed()
    for (const [at, peer] of ['a', 'b', 'c', 'd'].entries()) bench.says(peer, request(at))
    expect(bench.told('queued')).toEqual([
      { type: 'queued', id: 2, ahead: 2, to: 'c' },
      { type: 'queued', id: 3, ahead: 3, to: 'd' },
    ])
    bench.pass(425)
    expect(bench.told('queued', 'd')).toEqual([{ type: 'queued', id: 3, ahead: 3, to: 'd' }])
  })

  it('is turned away when the queue is full, with the names of others who have the chunk', () => {
    const bench = createSeed()
    bench.joins('holder', [50])
    for (const number of span(0, 10)) bench.says(`p${number}`, request(number))
    bench.says('late', request(19, 50))
    expect(bench.told('busy')).toEqual([{ type: 'busy', id: 19, try: ['holder'], to: 'late' }])
    expect(bench.swarm.stats()).toMatchObject({ uploadsActive: 2, uploadsWaiting: limits.uploadsWaitingMax })
  })

  it('for a chunk that nobody else has takes the place of one that others have', () => {
    const bench = createSeed()
    bench.joins('holder', [50])
    bench.says('early', request(7, 50))
    for (const number of span(0, 2)) bench.says(`p${number}`, request(number))
    bench.says('waits', request(8, 50))
    for (const number of span(2, 9)) bench.says(`p${number}`, request(number))
    expect(bench.told('busy')).toEqual([{ type: 'busy', id: 8, try: ['holder'], to: 'waits' }])
  })

  it('of the peer that has least is served first', () => {
    const bench = createSeed()
    bench.joins('rich', span(10, 60))
    bench.joins('poor', span(10, 20))
    for (const number of [1, 2]) bench.says(`p${number}`, request(number))
    bench.take('upload')
    bench.says('rich', request(3))
    bench.says('poor', request(4))
    bench.handle({ type: 'uploaded', peer: 'p1', id: 1, ok: true })
    expect(bench.take('upload')).toMatchObject([{ peer: 'poor', id: 4 }])
  })

  it('is turned away when its peer has two already', () => {
    const bench = createSeed()
    for (const id of [1, 2, 3]) bench.says('a', request(id))
    expect(bench.told('busy')).toEqual([{ type: 'busy', id: 3, try: [], to: 'a' }])
  })

  it('for what is not here is missing', () => {
    const bench = createSeed()
    bench.says('a', request(1, 100))
    bench.says('a', request(2, 5, limits.chunkSizeMinBytes))
    bench.says('a', { ...request(3), digest: `${digest.slice(0, -1)}0` as typeof digest } as PeerMessage)
    expect(bench.told('missing').map(({ id }) => id)).toEqual([1, 2, 3])
    expect(bench.take('upload')).toEqual([])
  })

  it('that is cancelled stops, or is never begun', () => {
    const bench = createSeed()
    for (const [at, peer] of ['a', 'b', 'c'].entries()) bench.says(peer, request(at))
    bench.says('c', { type: 'cancel', id: 2 })
    bench.says('a', { type: 'cancel', id: 0 })
    expect(bench.take('stop-upload')).toEqual([{ type: 'stop-upload', peer: 'a', id: 0 }])
    expect(bench.swarm.stats()).toMatchObject({ uploadsActive: 1, uploadsWaiting: 0 })
  })

  it('goes with its peer', () => {
    const bench = createSeed()
    bench.joins('a', [])
    for (const id of [1, 2]) bench.says('a', request(id))
    bench.handle({ type: 'peer-disconnected', peer: 'a' })
    expect(bench.swarm.stats()).toMatchObject({ uploadsActive: 0, uploadsWaiting: 0 })
  })

  it('that can not be read is missing, and the next has its turn', () => {
    const bench = createSeed()
    for (const [at, peer] of ['a', 'b', 'c'].entries()) bench.says(peer, request(at))
    bench.take('upload')
    bench.handle({ type: 'uploaded', peer: 'a', id: 0, ok: false })
    expect(bench.told('missing')).toEqual([{ type: 'missing', id: 0, to: 'a' }])
    expect(bench.take('upload').map(({ peer }) => peer)).toEqual(['c'])
  })
})

describe('the next turn', () => {
  it('is that of a peer that is not being served', () => {
    const bench = createSeed()
    for (const [peer, id] of [
      ['a', 1],
      ['b', 1],
      ['a', 2],
      ['c', 1],
    ] as const)
      bench.says(peer, request(id))
    bench.take('upload')
    bench.handle({ type: 'uploaded', peer: 'b', id: 1, ok: true })
    expect(bench.take('upload').map(({ peer }) => peer)).toEqual(['c'])
  })

  it('is that of the chunk with the fewest copies, unless another has waited long', () => {
    const bench = createSeed()
    bench.joins('x', [2, 9])
    bench.joins('y', [2])
    for (const [at, peer] of ['a', 'b', 'c', 'd'].entries()) bench.says(peer, request(at))
    bench.take('upload')
    bench.handle({ type: 'uploaded', peer: 'a', id: 0, ok: true })
    expect(bench.take('upload').map(({ index }) => index)).toEqual([3])
    bench.pass(300)
    bench.says('e', request(9))
    bench.handle({ type: 'uploaded', peer: 'b', id: 1, ok: true })
    expect(bench.take('upload').map(({ index }) => index)).toEqual([2])
  })

  it('is that of a chunk that nobody else has, however long another has waited', () => {
    const bench = createSeed()
    bench.joins('x', [2])
    for (const [at, peer] of ['a', 'b', 'c'].entries()) bench.says(peer, request(at))
    bench.take('upload')
    bench.pass(2000)
    bench.says('d', request(3))
    bench.handle({ type: 'uploaded', peer: 'a', id: 0, ok: true })
    expect(bench.take('upload').map(({ index }) => index)).toEqual([3])
  })
})

/** A seed of which `count` peers at one address have asked for a chunk each. */
function createCrowded(count: number): Bench {
  const bench = createSeed()
  for (const id of span(0, count)) {
    connects(bench, `p${id}`, '10.0.0.66')
    bench.says(`p${id}`, request(id))
  }
  return bench
}

describe('one host that asks as many peers', () => {
  it('has one place while others ask, and turns none of them away', () => {
    const bench = createCrowded(limits.uploadsActiveMax + limits.uploadsWaitingMax)
    bench.pass(second)
    asks(bench, 'honest', 50)
    expect(bench.told('busy').map(({ to }) => to)).toEqual(['p9'])
    bench.take('upload')
    const ends = (peer: string, id: number): void => bench.handle({ type: 'uploaded', peer, id, ok: true })
    ends('p0', 0)
    expect(bench.take('upload')).toMatchObject([{ peer: 'honest' }])
    ends('p1', 1)
    expect(bench.take('upload')).toMatchObject([{ peer: 'p2' }])
    asks(bench, 'other', 51)
    ends('honest', 50)
    expect(bench.take('upload')).toMatchObject([{ peer: 'other' }])
    asks(bench, 'honest', 52)
    ends('other', 51)
    expect(bench.take('upload')).toMatchObject([{ peer: 'honest' }])
  })

  it('is served as many peers where nobody else asks, as where all are behind one address', () => {
    const bench = createCrowded(3)
    bench.says('p0', request(10))
    bench.says('p1', request(11))
    bench.says('p2', request(12))
    bench.take('upload')
    bench.handle({ type: 'uploaded', peer: 'p0', id: 0, ok: true })
    bench.handle({ type: 'uploaded', peer: 'p1', id: 1, ok: true })
    expect(bench.take('upload').map(({ peer }) => peer)).toEqual(['p2', 'p0'])
  })
})

/** The peer, alone at its address, asks for a chunk. */
function asks(bench: Bench, peer: string, id: number): void {
  bench.handle({ type: 'peer-connected', peer, address: `host of ${peer}` })
  bench.says(peer, request(id))
}

/** One peer has both places of a seed, and others wait. */
function createHeldUp(others = ['honest']): Bench {
  const bench = createSeed()
  for (const id of [1, 2]) asks(bench, 'idle', id)
  for (const peer of others) asks(bench, peer, 3)
  bench.take('upload')
  bench.told('queued')
  return bench
}

describe('a peer that takes no chunk whole', () => {
  const withinMs = limits.idleTakerMs / 2
  const many = ['a', 'b', 'c']

  it('keeps its places until that has lasted, and leaves them to others that wait', () => {
    const bench = createHeldUp(many)
    bench.pass(withinMs - limits.tickMs)
    expect(bench.take('stop-upload')).toEqual([])
    bench.pass(limits.tickMs)
    expect(bench.take('stop-upload')).toMatchObject([
      { peer: 'idle', id: 1 },
      { peer: 'idle', id: 2 },
    ])
    expect(bench.told('busy', 'idle').map(({ id }) => id)).toEqual([1, 2])
  })

  it('keeps its places for as long as nobody waits for them', () => {
    const bench = createHeldUp([])
    bench.pass(minute)
    expect(bench.take('stop-upload')).toEqual([])
    expect(bench.told('busy')).toEqual([])
  })

  it('has them beside those of others once it takes longer than at half a Mbit/s', () => {
    const bench = createHeldUp()
    const slowMs = limits.chunkSizeMinBytes / limits.leaseStarvedBytesPerMs
    bench.pass(slowMs - 2 * limits.tickMs)
    expect(bench.take('upload')).toEqual([])
    bench.pass(3 * limits.tickMs)
    expect(bench.take('upload')).toMatchObject([{ peer: 'honest', id: 3 }])
    expect(bench.take('stop-upload')).toEqual([])
  })

  it('has them beside those of others once it takes several times longer than is usual', () => {
    const bench = createSeed()
    bench.says('quick', request(1))
    bench.pass(10)
    bench.handle({ type: 'uploaded', peer: 'quick', id: 1, ok: true })
    for (const id of [1, 2]) bench.says('idle', request(id))
    bench.says('honest', request(3))
    bench.take('upload')
    bench.pass(limits.uploadHeldUpMs - 2 * limits.tickMs)
    expect(bench.take('upload')).toEqual([])
    bench.pass(3 * limits.tickMs)
    expect(bench.take('upload')).toMatchObject([{ peer: 'honest', id: 3 }])
  })

  it('has so beside a few only', () => {
    const bench = createSeed()
    const most = limits.uploadsActiveMax + limits.uploadsHeldUpMax
    for (const id of span(0, most + 2)) bench.says(`p${id}`, request(id))
    bench.pass(10 * second)
    expect(bench.swarm.stats()).toMatchObject({ uploadsActive: most, uploadsWaiting: 2 })
  })

  it('is turned away for a while, and longer each time, as long as others have the places', () => {
    const bench = createHeldUp(many)
    for (const restMs of [limits.idleTakerRestMs, 2 * limits.idleTakerRestMs, 4 * limits.idleTakerRestMs]) {
      bench.pass(withinMs)
      expect(bench.told('busy', 'idle').map(({ id }) => id)).toEqual([1, 2])
      for (const peer of many) bench.handle({ type: 'peer-disconnected', peer })
      bench.pass(restMs - 2 * limits.tickMs)
      for (const peer of many) asks(bench, peer, 3)
      asks(bench, 'idle', 4)
      expect(bench.told('busy', 'idle').map(({ id }) => id)).toEqual([4])
      for (const peer of many) bench.handle({ type: 'peer-disconnected', peer })
      bench.pass(2 * limits.tickMs)
      bench.take('upload')
      for (const id of [1, 2]) asks(bench, 'idle', id)
      expect(bench.take('upload')).toHaveLength(2)
      for (const peer of many) asks(bench, peer, 3)
    }
  })

  it('is given a place meanwhile that nobody else wants', () => {
    const bench = createHeldUp(many)
    bench.pass(withinMs)
    for (const peer of many) bench.handle({ type: 'peer-disconnected', peer })
    bench.take('upload')
    asks(bench, 'idle', 4)
    expect(bench.take('upload')).toMatchObject([{ peer: 'idle', id: 4 }])
  })

  it('of large chunks has the time that these take at half a Mbit/s', () => {
    const bench = createBench()
    const size = 4 * GiB
    const have = fullBitfield(chunkCountOf(size))
    bench.handle({ type: 'held', digest, size, have, complete: true })
    asks(bench, 'slow', 1)
    for (const id of span(0, 9)) asks(bench, `p${id}`, 3)
    bench.pass((2 * (4 * MiB)) / limits.leaseStarvedBytesPerMs - 1 * second)
    expect(bench.take('stop-upload')).toEqual([])
    bench.pass(2 * second)
    expect(bench.take('stop-upload')).toHaveLength(limits.uploadsActiveLargeMax)
  })

  it('is slow and honest where it takes one now and then', () => {
    const bench = createSeed()
    bench.handle({ type: 'peer-connected', peer: 'slow', address: 'host of slow' })
    for (const id of span(1, 9)) {
      bench.says('slow', request(id))
      bench.pass(limits.idleTakerMs - limits.tickMs)
      bench.handle({ type: 'uploaded', peer: 'slow', id, ok: true })
    }
    expect(bench.take('stop-upload')).toEqual([])
  })
})
