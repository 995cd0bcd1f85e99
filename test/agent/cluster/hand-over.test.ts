import { expect, it } from 'vitest'
import { bequeath, type HandOverComponents, offer } from '../../../agent/cluster/hand-over.ts'
import type { Fact, KnownFact } from '../../../core/directory/messages.ts'
import { limits } from '../../../core/limits.ts'
import type { PeerId } from '../../../core/ports.ts'
import { digestOf } from '../../core/directory/world.ts'

/** `heirs`: whether each takes it; undefined: it does not answer. */
function createCast(heirs: Readonly<Record<PeerId, boolean | undefined>> = {}) {
  const asked: PeerId[] = []
  const told = new Map<PeerId, KnownFact[][]>()
  const components: HandOverComponents = {
    self: 'self',
    heirs: () => Object.keys(heirs),
    hosts: () => ['first', 'self', 'third', 'fourth'],
    async take(peer) {
      asked.push(peer)
      const isTaken = heirs[peer]
      if (isTaken === undefined) throw new Error('silent')
      return { isTaken }
    },
    async inherit(peer, { facts }) {
      told.set(peer, [...(told.get(peer) ?? []), [...facts]])
      if (peer === 'first') throw new Error('silent')
      return {}
    },
  }
  return { components, asked, told }
}

const open: Fact = { kind: 'open' }

it('asks one after the other until one takes the blob', async () => {
  const { asked, components } = createCast({ dead: undefined, full: false, willing: true, spared: true })
  expect(await offer(components, digestOf(1), 10)).toBe(true)
  expect(asked).toEqual(['dead', 'full', 'willing'])
})

it('says so when nobody takes it', async () => {
  expect(await offer(createCast({ full: false }).components, digestOf(1), 10)).toBe(false)
  expect(await offer(createCast().components, digestOf(1), 10)).toBe(false)
})

it('tells what it knows to the two who will host the directory, some facts at a time, whether one hears it or not', async () => {
  const { components, told } = createCast()
  const facts = Array.from({ length: limits.handOverFactsPerMessage + 1 }, (_, number) => ({
    digest: digestOf(number),
    fact: open,
    ageMs: number,
  }))
  await bequeath(components, facts)
  expect([...told.keys()]).toEqual(['first', 'third'])
  for (const batches of told.values()) {
    expect(batches.map(({ length }) => length)).toEqual([limits.handOverFactsPerMessage, 1])
    expect(batches.flat()).toEqual(facts)
  }
})
