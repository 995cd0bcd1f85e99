import { describe, expect, it } from 'vitest'
import { bitfieldOf } from '../../../core/swarm/bitfield.ts'
import { onJoin } from '../../../core/swarm/neighbours.ts'
import { isOvertaken, notePace, remainingMs, wouldOvertake } from '../../../core/swarm/pace.ts'
import { peerOf } from '../../../core/swarm/peers.ts'
import { createSession } from '../../../core/swarm/session.ts'
import type { Peer, SwarmState, Transfer } from '../../../core/swarm/state.ts'
import { beginTransfer } from '../../../core/swarm/transfers.ts'
import { virtualClock, type VirtualClock } from '../../support/virtual-clock.ts'
import { createStateOn, digest, sizeOf } from './bench.ts'

const chunk = sizeOf(1)
const factor = 6

interface Desk {
  readonly clock: VirtualClock
  readonly state: SwarmState
  /** A neighbour, from which a chunk takes so long; 0: unknown. */
  peer(id: string, chunkMs: number): Peer
}

/** A node that wants a blob of ten chunks; peers send two at a time. */
function createDesk(): Desk {
  const clock = virtualClock()
  const state = createStateOn(clock, { limits: { overtakeFactor: factor, uploadsActiveMax: 2 } })
  const size = sizeOf(10)
  state.sessions.set(digest, createSession(digest, size, 0))
  return {
    clock,
    state,
    peer(id, chunkMs) {
      const peer = peerOf(state, id)
      onJoin(state, peer, { type: 'join', digest, size, have: bitfieldOf(10) })
      peer.byteMs = chunkMs / chunk
      return peer
    },
  }
}

/** Asks the peer for a chunk, now. */
function ask({ state }: Desk, peer: Peer, index = 0): Transfer {
  beginTransfer(state, peer.neighbours.get(digest)!, index)
  return peer.transfers.at(-1)!
}

/** The chunk has begun to come, `bytes` of it. */
function begin({ clock }: Desk, transfer: Transfer, bytes = 0): Transfer {
  transfer.state = 'active'
  transfer.startedAtMs = clock.now()
  transfer.received += bytes
  return transfer
}

describe('how fast a peer sends', () => {
  it('is what a byte of its first chunk took from the head on, then a fifth of the way to each later one', () => {
    const desk = createDesk()
    const peer = desk.peer('a', 0)
    const first = ask(desk, peer)
    desk.clock.advance(5000)
    begin(desk, first, 1000)
    desk.clock.advance(500)
    notePace(desk.state, first)
    expect([peer.byteMs, desk.state.byteMs]).toEqual([0.5, 0.5])
    const second = begin(desk, ask(desk, peer, 1), 1000)
    desk.clock.advance(1000)
    notePace(desk.state, second)
    expect([peer.byteMs, desk.state.byteMs]).toEqual([0.6, 0.6])
  })

  it('is not told by a transfer that brought nothing', () => {
    const desk = createDesk()
    const peer = desk.peer('a', 0)
    const transfer = begin(desk, ask(desk, peer))
    desk.clock.advance(500)
    notePace(desk.state, transfer)
    expect([peer.byteMs, desk.state.byteMs]).toEqual([0, 0])
  })
})

describe('the time until a transfer ends', () => {
  it('is that of the chunk and of its share of those ahead, before it has begun', () => {
    const desk = createDesk()
    const transfer = ask(desk, desk.peer('a', 100))
    expect(remainingMs(desk.state, transfer)).toBe(100)
    transfer.ahead = 3
    expect(remainingMs(desk.state, transfer)).toBe(250)
  })

  it('is taken from what peers usually take, for one that has sent nothing so far', () => {
    const desk = createDesk()
    desk.state.byteMs = 40 / chunk
    expect(remainingMs(desk.state, ask(desk, desk.peer('a', 0)))).toBe(40)
  })

  it('follows its own pace once it has begun', () => {
    const desk = createDesk()
    const transfer = begin(desk, ask(desk, desk.peer('a', 100)), chunk / 4)
    desk.clock.advance(1000)
    expect(remainingMs(desk.state, transfer)).toBe(3000)
  })

  it('is at least as long as nothing has come', () => {
    const desk = createDesk()
    const transfer = begin(desk, ask(desk, desk.peer('a', 100)))
    desk.clock.advance(60)
    expect(remainingMs(desk.state, transfer)).toBe(100)
    desk.clock.advance(640)
    expect(remainingMs(desk.state, transfer)).toBe(700)
  })
})

describe('another peer', () => {
  it.each([
    [600, false],
    [601, true],
  ])('would overtake what takes %s ms in a sixth of that: %s', (remaining, isMuchSooner) => {
    const desk = createDesk()
    const transfer = begin(desk, ask(desk, desk.peer('slow', 0)))
    desk.clock.advance(remaining)
    const other = desk.peer('fast', 100)
    expect(wouldOvertake(desk.state, other, transfer)).toBe(isMuchSooner)
    expect(isOvertaken(desk.state, transfer, ask(desk, other, 0))).toBe(isMuchSooner)
  })

  it('would not where others wait there before, or it is asked for more already', () => {
    const desk = createDesk()
    const transfer = begin(desk, ask(desk, desk.peer('slow', 0)))
    desk.clock.advance(900)
    const other = desk.peer('fast', 100)
    expect(wouldOvertake(desk.state, other, transfer)).toBe(true)
    other.ahead = 1
    expect(wouldOvertake(desk.state, other, transfer)).toBe(false)
    other.ahead = 0
    ask(desk, other, 1)
    expect(wouldOvertake(desk.state, other, transfer)).toBe(false)
  })
})
