import { describe, expect, it } from 'vitest'
import { limits } from '../../../core/limits.ts'
import type { PeerMessage } from '../../../core/swarm/messages.ts'
import { allOf, createBench, digest, sizeOf, span, type Bench } from './bench.ts'

/** A node that alone holds the whole blob, and four neighbours that have nothing yet. */
function createSeed(chunks = 100): Bench {
  const bench = createBench({ chunks })
  bench.handle({ type: 'held', digest, size: sizeOf(chunks), have: allOf(bench), complete: true })
  for (const peer of ['a', 'b', 'c', 'd']) bench.joins(peer, [])
  return bench
}

function request(id: number, index: number): PeerMessage {
  return { type: 'request', id, digest, index, offset: 0 }
}

/** Its one request is for chunk 4 of a seed. */
function askSeed(): { readonly bench: Bench; readonly id: number } {
  const bench = createBench()
  bench.read()
  bench.joins('seed', [4])
  const [asked] = bench.told('request')
  return { bench, id: asked!.id }
}

describe('a seed that is asked for a chunk that has just left it', () => {
  it('suggests the first that has not, and sends that when asked', () => {
    const bench = createSeed()
    bench.says('a', request(1, 0))
    bench.says('b', request(2, 0))
    expect(bench.told('suggest')).toEqual([{ type: 'suggest', id: 2, index: 1, to: 'b' }])
    bench.says('b', request(3, 1))
    expect(bench.take('upload')).toMatchObject([
      { peer: 'a', index: 0 },
      { peer: 'b', index: 1 },
    ])
  })

  it('suggests each to one peer, until the offer lapses', () => {
    const bench = createSeed()
    bench.says('a', request(1, 0))
    for (const [at, peer] of ['b', 'c'].entries()) bench.says(peer, request(at, 0))
    expect(bench.told('suggest')).toMatchObject([{ index: 1 }, { index: 2 }])
    bench.pass(limits.offerMs)
    bench.says('d', request(9, 0))
    expect(bench.told('suggest')).toMatchObject([{ index: 1, to: 'd' }])
  })

  it('leaves out what waits in its queue, or what a neighbour has', () => {
    const bench = createSeed()
    bench.joins('e', [1])
    bench.says('a', request(1, 0))
    bench.says('b', request(2, 3))
    bench.says('c', request(3, 2))
    bench.says('d', request(4, 0))
    expect(bench.told('suggest')).toMatchObject([{ index: 4, to: 'd' }])
  })

  it('sends it to whoever asks a second time', () => {
    const bench = createSeed()
    bench.says('a', request(1, 0))
    bench.says('b', request(2, 0))
    bench.says('b', request(3, 0))
    expect(bench.take('upload')).toMatchObject([{ peer: 'a' }, { peer: 'b', id: 3, index: 0 }])
  })

  it('sends it when all have left', () => {
    const bench = createSeed(2)
    bench.says('a', request(1, 0))
    bench.says('b', request(2, 1))
    bench.says('c', request(3, 0))
    expect(bench.told('suggest')).toEqual([])
    expect(bench.told('queued')).toMatchObject([{ to: 'c' }])
  })

  it('begins anew for those who come when all had gone', () => {
    const bench = createSeed(2)
    bench.says('a', request(1, 0))
    bench.says('b', request(2, 1))
    for (const peer of ['a', 'b', 'c', 'd']) bench.handle({ type: 'peer-disconnected', peer })
    for (const peer of ['e', 'f']) bench.joins(peer, [])
    bench.says('e', request(3, 0))
    bench.says('f', request(4, 0))
    expect(bench.told('suggest')).toMatchObject([{ index: 1, to: 'f' }])
  })

  it('suggests no more than it has places for', () => {
    const bench = createSeed()
    const peers = span(0, limits.uploadsActiveMax + limits.uploadsWaitingMax).map((number) => `p${number}`)
    for (const peer of [...peers, 'late']) bench.joins(peer, [])
    for (const [index, peer] of peers.entries()) bench.says(peer, request(1, index))
    bench.says('late', request(1, 0))
    expect(bench.told('suggest')).toEqual([])
    expect(bench.told('busy')).toMatchObject([{ to: 'late' }])
  })
})

describe('a suggestion', () => {
  it('is followed, and what was asked for comes from others', () => {
    const { bench, id } = askSeed()
    bench.joins('other', [])
    bench.joins('seed', [4, 7])
    bench.told('request')
    bench.says('seed', { type: 'suggest', id, index: 7 })
    expect(bench.told('request').map(({ index }) => index)).not.toContain(4)
    bench.says('other', { type: 'have', digest, indices: [4] })
    expect(bench.told('request')).toMatchObject([{ to: 'other', index: 4 }])
  })

  it('of a chunk that the seed is not known to have is not followed', () => {
    const { bench, id } = askSeed()
    for (const index of [9, 100, 1e9]) bench.says('seed', { type: 'suggest', id, index })
    expect(bench.told('request')).toEqual([])
  })

  it('lets the seed be asked again when nobody else has shown the chunk', () => {
    const { bench, id } = askSeed()
    bench.says('seed', { type: 'suggest', id, index: 9 })
    bench.pass(limits.deflectedMs - 25)
    expect(bench.told('request')).toEqual([])
    bench.pass(50)
    expect(bench.told('request')).toMatchObject([{ to: 'seed', index: 4 }])
  })
})
