/** A directory with a border between zones; the zone of `a1` is `a`. */
import { describe, expect, it } from 'vitest'
import type { AnnounceItem } from '../../../core/directory/messages.ts'
import { limits } from '../../../core/limits.ts'
import { createPlaces } from '../../../core/members/places.ts'
import { createWorld, digestOf, having, sizeOf, span } from './world.ts'

const chunks = 100
const places = createPlaces('zone', (peer) => (peer === 'stranger' ? undefined : { zone: peer.slice(0, 1) }))
const world = () => createWorld({ directory: { places } })
const wish = (change: Partial<AnnounceItem['lease']> = {}): Partial<AnnounceItem> => ({
  lease: { chunks: 4, position: 0, ...change },
})

const wishFor = (position: number) => wish({ chunks: 1, position, theseOnly: true })

describe('leases with a border', () => {
  it('send one agent of all areas to the origin for a chunk', () => {
    const host = world()
    expect(host.say('a1', wish()).lease).toMatchObject({ start: 0, end: 4 })
    expect(host.say('b1', wish()).lease).toMatchObject({ start: 4, end: 8 })
    expect(host.say('b1', wish()).lease).not.toHaveProperty('source')
  })

  it('send one agent of an area across for what another area has', () => {
    const host = world()
    host.say('a1', having(chunks, span(0, 3)))
    expect(host.say('b1', wish()).lease).toMatchObject({ start: 0, end: 3, source: { peer: 'a1', complete: false } })
    expect(host.say('b2', wish()).lease).toMatchObject({ start: 3, end: 7 })
    expect(host.say('c1', wish()).lease).toMatchObject({ start: 0, end: 3, source: { peer: 'a1' } })
  })

  it('name those who have it in turn', () => {
    const host = world()
    for (const peer of ['a1', 'a2']) host.say(peer, { have: { complete: true }, wants: false })
    const sources = ['b1', 'b2', 'c1', 'c2'].map((peer) => host.say(peer, wish()).lease?.source?.peer)
    expect(sources).toEqual(['a1', 'a2', 'a1', 'a2'])
  })

  it('grant a chunk anew when it does not come across', () => {
    const host = world()
    host.say('a1', { have: { complete: true }, wants: false })
    host.say('b1', wish())
    host.clock.advance(limits.leaseFirstByteMs)
    host.say('b1', { fetching: [{ start: 0, end: 4 }] })
    expect(host.say('b2', wish()).lease).toMatchObject({ start: 0, end: 4, source: { peer: 'a1' } })
  })

  it('go on across while the origin, or the asker, rests', () => {
    const host = world()
    host.say('a1', { ...having(chunks, [5]), origin: 'o', originRetryAfterMs: 10_000 })
    expect(host.say('b1', { ...wish(), origin: 'o' }).lease).toMatchObject({ start: 5, end: 6, source: { peer: 'a1' } })
    expect(host.say('b2', { ...wish(), origin: 'o' }).lease).toBeUndefined()
    expect(host.say('b3', wish({ acrossOnly: true })).lease).toBeUndefined()
    expect(host.say('b3', wish()).lease).toMatchObject({ start: 0, end: 4 })
  })

  it('of the origin end where another area has the next chunk, which comes across', () => {
    const host = world()
    host.say('a1', having(chunks, [2]))
    expect(host.say('b1', wish()).lease).toEqual({ id: expect.any(Number), start: 0, end: 2, ttlMs: limits.leaseTtlMs })
    expect(host.say('b2', wish()).lease).toMatchObject({ start: 2, end: 3, source: { peer: 'a1' } })
    expect(host.say('b3', wish()).lease).toMatchObject({ start: 3, end: 7 })
  })

  it('name of those who have one chunk the one that was named least, and none who lacks it or is banned', () => {
    const host = world()
    host.say('a1', having(chunks, [0]))
    host.say('a2', having(chunks, [1]))
    host.say('c1', having(chunks, [0, 1]))
    expect(host.say('b1', { ...wishFor(1), bans: ['a2'] }).lease?.source?.peer).toBe('c1')
    expect(host.say('b2', wishFor(0)).lease?.source?.peer).toBe('a1')
    expect(host.say('d1', wishFor(0)).lease?.source?.peer).toBe('a1')
    expect(host.say('d2', wishFor(1)).lease?.source?.peer).toBe('a2')
  })

  it('are asked for again soon while another area has the blob as well', () => {
    const host = world()
    host.say('a1')
    host.say('b1', having(chunks, span(0, chunks)))
    host.clock.advance(6000)
    expect(host.say('b1', { ...having(chunks, span(0, chunks)), ...wish() })).toMatchObject({
      leaseAfterMs: limits.announceMs,
    })
  })

  it('cross from nobody who describes the blob with another size', () => {
    const host = world()
    host.say('a1', { size: sizeOf(50), have: { complete: true }, wants: false })
    expect(host.say('b1', wish()).lease).not.toHaveProperty('source')
  })

  it('send who insists to the origin', () => {
    const host = world()
    host.say('a1', { have: { complete: true }, wants: false })
    expect(host.say('b1', wish({ insists: true })).lease).not.toHaveProperty('source')
  })

  it('send nobody, who may insist, to the origin for what another area is fetching', () => {
    const host = world()
    host.say('a1', wish())
    expect(host.say('b1', wish({ insists: true })).lease).toMatchObject({ start: 4, end: 8 })
  })

  it('send nobody, who may insist, to the origin for what another area is fetching, though a third is said to have it', () => {
    const host = world()
    host.say('a1', { have: { complete: true }, wants: false })
    host.say('b1', wish({ insists: true }))
    expect(host.say('c1', wish({ insists: true })).lease).toMatchObject({ start: 4, end: 8 })
  })

  it('send nobody across to whom it has banned, but one of all areas to the origin', () => {
    const host = world()
    host.say('a1', { have: { complete: true }, wants: false })
    const bans = ['a1']
    expect(host.say('b1', { ...wish(), bans }).lease).toEqual({
      id: expect.any(Number),
      start: 0,
      end: 4,
      ttlMs: limits.leaseTtlMs,
    })
    expect(host.say('c1', { ...wish({ theseOnly: true }), bans }).lease).toBeUndefined()
    host.say('b1', having(chunks, span(0, 4)))
    expect(host.say('c1', { ...wish(), bans }).lease).toMatchObject({ start: 0, end: 4, source: { peer: 'b1' } })
    expect(host.say('d1', wish()).lease).toMatchObject({ start: 0, end: 4, source: { peer: 'a1' } })
  })

  it('let one agent of all areas have the blob of an origin that ignores Range, and the others what it has', () => {
    const host = world()
    expect(host.say('a1', { ...wish(), unranged: true }).lease).toMatchObject({ start: 0, end: chunks })
    expect(host.say('b1', { ...wish(), unranged: true }).lease).toBeUndefined()
    host.say('a1', having(chunks, [0, 1]))
    expect(host.say('b1', { ...wish(), unranged: true }).lease).toMatchObject({
      start: 0,
      end: 2,
      source: { peer: 'a1' },
    })
  })
})

describe('an origin that ignores Range', () => {
  it('keeps nobody who gets the blob on one side from bringing across what is on the other', () => {
    const host = world()
    const fetching = { unranged: true, fetching: [{ start: 0, end: chunks }] }
    host.say('a1', { ...having(chunks, [0, 1]), ...fetching })
    host.say('b1', fetching)
    const across = { start: 0, end: 2, source: { peer: 'a1' } }
    expect(host.say('b2', { ...wish(), unranged: true }).lease).toMatchObject(across)
    expect(host.say('b3', { ...wish(), unranged: true }).lease).toBeUndefined()
  })

  it('sends the blob to nobody, who may insist, while another area is getting it', () => {
    const host = world()
    const whole = { ...wish({ insists: true }), unranged: true }
    expect(host.say('a1', whole).lease).toMatchObject({ start: 0, end: chunks })
    expect(host.say('b1', whole).lease).toBeUndefined()
    host.say('a1', having(chunks, span(0, 50)))
    expect(host.say('b1', whole).lease).toBeUndefined()
  })
})

describe('an area', () => {
  it('of a holder that is not known as a member yet is asked for again soon: it is noted nowhere', () => {
    const host = world()
    expect(host.sayAgainMs('stranger', { have: { complete: true }, wants: false })).toBe(limits.announceMs)
  })

  it('is a swarm of its own: neighbours, and what counts as rare, are of that area', () => {
    const host = world()
    host.say('a1', having(chunks, [0]))
    host.say('a2', having(chunks, [1]))
    const { counts, peers } = host.say('b1')
    expect(peers).toEqual([])
    expect(Math.max(...counts!)).toBe(0)
    expect(
      host
        .say('a3')
        .peers.map(({ peer }) => peer)
        .toSorted(),
    ).toEqual(['a1', 'a2'])
  })

  it('has nobody in it whose place is not known yet', () => {
    const host = world()
    expect(host.say('stranger', wish())).toEqual({ digest: digestOf(1), peers: [], leaseAfterMs: limits.announceMs })
    expect(host.directory.stats().announcers).toBe(0)
  })

  it('ends with its last announcer, and the others stay', () => {
    const host = world()
    host.say('a1')
    host.say('b1')
    host.say('a1', { leaves: true })
    expect(host.directory.stats()).toMatchObject({ digests: 1, announcers: 1 })
    expect(host.say('b2').peers.map(({ peer }) => peer)).toEqual(['b1'])
  })

  it('passes small content on within, and only its first agent asks another area', () => {
    const host = world()
    const relayFor = (from: string): string | undefined =>
      host.directory.locate({ from, digest: digestOf(1), origin: 'o', except: [] }).relay
    expect(['a1', 'a2', 'b1', 'b2', 'c1', 'c2', 'b3'].map(relayFor)).toEqual([
      undefined,
      'a1',
      'a1',
      'b1',
      'a1',
      'c1',
      'b1',
    ])
  })
})
