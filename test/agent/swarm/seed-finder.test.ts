import { expect, onTestFinished, test } from 'vitest'
import { createLogger } from '../../../agent/logging.ts'
import { createSeedFinder, type SeedFinderComponents } from '../../../agent/swarm/seed-finder.ts'
import type { SwarmEvent } from '../../../core/swarm/events.ts'
import { createMemoryNetwork } from '../../support/memory-transport.ts'
import { digestOf } from '../../support/registry-content.ts'
import { until } from '../../support/until.ts'

const digest = digestOf(Buffer.from('wanted'))
const other = digestOf(Buffer.from('another'))
const logger = createLogger({ level: 'fatal', format: 'json' })

function finderOn(transport: SeedFinderComponents['transport']) {
  const posted: SwarmEvent[] = []
  const finder = createSeedFinder({ transport, post: (event) => posted.push(event), logger }, { provideAfterMs: 0 })
  onTestFinished(() => finder.stop())
  return { ...finder, posted }
}

async function twoParties() {
  const network = createMemoryNetwork({ now: () => 0 })
  const [holder, seeker] = [network.create('holder'), network.create('seeker')]
  await Promise.all([holder.start(), seeker.start()])
  return { holder, seeker }
}

test('whom a directory asks to tell the DHT is found by those whose directories are silent', async () => {
  const { holder, seeker } = await twoParties()
  const answer = { digest, size: 1, peers: [], provide: true }
  const provided = Promise.withResolvers<void>()
  const at = finderOn({
    ...holder,
    provide(told) {
      holder.provide(told)
      provided.resolve()
    },
  })
  at.heard({ type: 'directory', answer })
  at.heard({ type: 'directory', answer: { digest: other, size: 1, peers: [] } })
  expect(at.posted).toHaveLength(2)

  await provided.promise
  const { heard, posted } = finderOn(seeker)
  heard({ type: 'directory-silent', digest: other })
  heard({ type: 'directory-silent', digest })
  await until(() => posted.length === 3)
  const seed = { peer: 'holder', addresses: holder.addresses(), complete: true }
  expect(posted).toEqual([
    { type: 'directory-silent', digest: other },
    { type: 'directory-silent', digest },
    { type: 'directory', answer: { digest, peers: [seed] } },
  ])
})

test('looks once at a time for a digest, again once that has ended, and never names itself', async () => {
  const searches: PromiseWithResolvers<void>[] = []
  const { heard, posted } = finderOn({
    self: 'seeker',
    provide: () => {},
    async *findSeeds() {
      const search = Promise.withResolvers<void>()
      searches.push(search)
      yield { peer: 'seeker', addresses: [] }
      await search.promise
      yield { peer: 'late', addresses: [] }
    },
  })
  const silent = { type: 'directory-silent', digest } as const
  heard(silent)
  heard(silent)
  heard({ type: 'directory-silent', digest: other })
  await until(() => searches.length === 2)
  searches[0]?.resolve()
  await until(() => posted.length === 4)
  const late = { peer: 'late', addresses: [], complete: true }
  expect(posted.at(-1)).toEqual({ type: 'directory', answer: { digest, peers: [late] } })
  await until(() => {
    heard(silent)
    return searches.length === 3
  })
})
