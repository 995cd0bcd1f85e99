import { describe, expect, it } from 'vitest'
import { leavingMs, noteLeft } from '../../../core/swarm/spreading.ts'
import { createSession } from '../../../core/swarm/session.ts'
import type { Session, SwarmState, Upload } from '../../../core/swarm/state.ts'
import { virtualClock, type VirtualClock } from '../../support/virtual-clock.ts'
import { createStateOn, digest, sizeOf } from './bench.ts'

const chunk = sizeOf(1)

interface Desk {
  readonly clock: VirtualClock
  readonly state: SwarmState
  readonly session: Session
}

/** A node with a blob of ten chunks that nobody else has, at time 0. */
function createDesk(): Desk {
  const clock = virtualClock()
  const state = createStateOn(clock)
  const session = createSession(digest, sizeOf(10), 0)
  state.sessions.set(digest, session)
  return { clock, state, session }
}

/** A request that came now. */
function asked({ clock }: Desk, index: number, change: Partial<Upload> = {}): Upload {
  return {
    peer: 'a',
    host: 'a',
    id: index,
    digest,
    index,
    offset: 0,
    askedAtMs: clock.now(),
    startedAtMs: 0,
    toldAtMs: 0,
    ...change,
  }
}

/** It has begun to leave. */
function begin({ session, state }: Desk, upload: Upload): Upload {
  state.uploads.active.push(upload)
  session.sent[upload.index]!++
  return upload
}

/** It leaves `ms` from now. */
function leave({ clock, state }: Desk, upload: Upload, ms: number): void {
  clock.advance(ms)
  state.uploads.active.splice(state.uploads.active.indexOf(upload), 1)
  noteLeft(state, upload)
}

describe('how long what only this node has takes to leave it', () => {
  it('is nothing while nothing has left and nobody waits', () => {
    const desk = createDesk()
    expect(leavingMs(desk.state, chunk)).toBe(0)
  })

  it('is told by the first that left', () => {
    const desk = createDesk()
    leave(desk, begin(desk, asked(desk, 0)), 1000)
    expect(leavingMs(desk.state, 0)).toBe(0)
    expect(leavingMs(desk.state, 2 * chunk)).toBe(2000)
  })

  it('follows by a fifth what later ones take, not counting what they waited for others to leave', () => {
    const desk = createDesk()
    const first = begin(desk, asked(desk, 0))
    const second = begin(desk, asked(desk, 1))
    leave(desk, first, 1000)
    leave(desk, second, 400)
    expect(leavingMs(desk.state, chunk)).toBeCloseTo(880, 9)
  })

  it('counts the bytes that were sent, where the peer had some of the chunk', () => {
    const desk = createDesk()
    leave(desk, begin(desk, asked(desk, 0, { offset: chunk / 2 })), 1000)
    expect(leavingMs(desk.state, chunk)).toBe(2000)
  })

  it('is not told by a chunk that others have, was sent before, or is of a blob that is forgotten', () => {
    const desk = createDesk()
    desk.session.availability[0] = 1
    leave(desk, begin(desk, asked(desk, 0)), 1000)
    desk.session.sent[1] = 1
    leave(desk, begin(desk, asked(desk, 1)), 1000)
    const late = begin(desk, asked(desk, 2))
    desk.state.sessions.delete(digest)
    leave(desk, late, 1000)
    expect(leavingMs(desk.state, chunk)).toBe(0)
  })

  it('counts each chunk that is asked for once, and none that others have or that has left', () => {
    const desk = createDesk()
    leave(desk, begin(desk, asked(desk, 0)), 1000)
    desk.session.availability[3] = 1
    begin(desk, asked(desk, 1))
    const waiting = [asked(desk, 2), asked(desk, 2, { peer: 'b' }), asked(desk, 3), asked(desk, 0), asked(desk, 1)]
    desk.state.uploads.waiting.push(...waiting)
    expect(leavingMs(desk.state, 0)).toBe(2000)
    expect(leavingMs(desk.state, chunk)).toBe(3000)
  })

  it('is at least what the oldest has taken so far', () => {
    const desk = createDesk()
    begin(desk, asked(desk, 0))
    desk.clock.advance(3000)
    desk.state.uploads.waiting.push(asked(desk, 1))
    expect(leavingMs(desk.state, chunk)).toBe(9000)
  })
})
