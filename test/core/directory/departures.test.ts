import { describe, expect, it } from 'vitest'
import type { AnnounceItem } from '../../../core/directory/messages.ts'
import { createPlaces } from '../../../core/members/places.ts'
import { limits } from '../../../core/limits.ts'
import { bitsOf, createWorld, having, span, type World } from './world.ts'

const complete: Partial<AnnounceItem> = { have: { complete: true }, wants: false }
const lease = { chunks: 4, position: 0 }

/** What the host tells a seed that departs. */
const departs = (world: World, change = complete) => world.say('leaver', { ...change, departs: true }).departure

describe('who departs hears', () => {
  it('nobody else has what it has, where it is alone', () => {
    expect(departs(createWorld())).toEqual({ sole: bitsOf(100, span(0, 100)), isWanted: false })
  })

  it('others, who read the blob, lack what they lack all together', () => {
    const world = createWorld()
    world.say('a', having(100, span(0, 60)))
    world.say('b', having(100, span(50, 90)))
    expect(departs(world)).toEqual({ sole: bitsOf(100, span(90, 100)), isWanted: true })
    expect(departs(world, { ...having(100, [7, 95]), wants: true })).toEqual({
      sole: bitsOf(100, [95]),
      isWanted: true,
    })
  })

  it('nothing is lost with it, where others have it all together', () => {
    const world = createWorld()
    world.say('a', { ...having(100, span(0, 60)), wants: false })
    world.say('b', { ...having(100, span(60, 100)), wants: false })
    expect(departs(world)).toEqual({ isWanted: false })
  })

  it('nothing is lost with it, where another seed stays', () => {
    const world = createWorld()
    world.say('a', complete)
    expect(departs(world)).toEqual({ isWanted: false })
  })

  it('to ask again soon, while the host does not know who holds what', () => {
    const world = createWorld()
    world.arrivingMs = 1500
    expect(departs(world)).toBeUndefined()
    expect(world.sayAgainMs('leaver', { ...complete, departs: true })).toBe(limits.announceMs)
    world.arrivingMs = 0
    expect(departs(world)).toBeDefined()
  })

  it('and what it has counts as before, until it has left', () => {
    const world = createWorld()
    for (const peer of ['a', 'leaver']) world.say(peer, having(100, [7]))
    for (let round = 0; round < 2; round++) departs(world, { ...having(100, [7, 95]), wants: true })
    expect([7, 95].map((index) => world.say('z').counts?.[index])).toEqual([2, 1])
  })

  it('others who depart neither have it nor take it', () => {
    const world = createWorld()
    world.say('a', { ...complete, departs: true })
    world.say('b', { departs: true })
    expect(departs(world)).toEqual({ sole: bitsOf(100, span(0, 100)), isWanted: false })
  })

  it('what is across a border is not lost, and nobody there takes it', () => {
    const zones: Record<string, string> = { leaver: 'here', near: 'here', far: 'there' }
    const world = createWorld({ directory: { places: createPlaces('zone', (peer) => ({ zone: zones[peer] ?? '' })) } })
    world.say('far', having(100, span(0, 40)))
    expect(departs(world)).toEqual({ sole: bitsOf(100, span(40, 100)), isWanted: false })
    world.say('near', having(100, []))
    expect(departs(world)).toMatchObject({ isWanted: true })
  })
})

it('who departs is granted no lease that somebody who stays may have', () => {
  const world = createWorld()
  const wish: Partial<AnnounceItem> = { lease, departs: true }
  expect(world.say('leaver', wish).lease).toBeDefined()
  world.say('a')
  expect(world.say('leaver', { ...wish, released: [], fetching: [{ start: 0, end: 4 }] })).toMatchObject({
    leaseAfterMs: limits.announceMs,
  })
  expect(world.say('a', { lease }).lease).toMatchObject({ start: 4 })
})
