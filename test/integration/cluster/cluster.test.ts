/** Eight real cluster listeners on loopback: one list from one seed, and one answer to who may ask the origin. */
import { randomBytes } from 'node:crypto'
import { afterEach, expect, it } from 'vitest'
import { createMemberCluster } from '../../../agent/cluster/member-cluster.ts'
import type { MemberCluster } from '../../../agent/cluster/member-cluster.ts'
import { createIdentity } from '../../../agent/identity/identity.ts'
import { systemRandom } from '../../../agent/system/random.ts'
import type { AnnounceItem, AnswerItem } from '../../../core/directory/messages.ts'
import { limits } from '../../../core/limits.ts'
import type { Caution } from '../../../core/members/messages.ts'
import { nowhere } from '../../../core/members/places.ts'
import type { Digest } from '../../../core/oci/digest.ts'
import type { PeerId } from '../../../core/ports.ts'
import type { SwarmEvent } from '../../../core/swarm/events.ts'
import { setBit } from '../../../core/swarm/bitfield.ts'
import { digestOf, itemOf, sizeOf, span } from '../../core/directory/world.ts'
import { createPatientClock } from '../../support/patient-clock.ts'
import { until } from '../../support/until.ts'

interface Agent {
  readonly peer: PeerId
  readonly cluster: MemberCluster
  readonly items: Map<Digest, AnnounceItem>
  readonly answers: AnswerItem[]
  /** Chunks that it was granted, in order; it has each at once. */
  readonly leased: string[]
  /** What its swarm heard of members. */
  readonly news: string[]
  readonly warnings: string[]
  /** Of whom it cautions others, and of whom others caution it. */
  readonly cautions: Caution[]
  readonly cautioned: Extract<SwarmEvent, { type: 'cautioned' }>[]
}

const running = new Set<Agent>()
afterEach(async () => {
  await Promise.all([...running].map(({ cluster }) => cluster.stop()))
  running.clear()
})

const clock = createPatientClock()
const secrets = { current: randomBytes(32) }

async function startAgent(seeds: readonly string[], port = 0, peer = createIdentity().peer): Promise<Agent> {
  const warnings: string[] = []
  const items = new Map<Digest, AnnounceItem>()
  const answers: AnswerItem[] = []
  const leased: string[] = []
  const news: string[] = []
  const cautions: Caution[] = []
  const cautioned: Agent['cautioned'] = []
  const post = (event: SwarmEvent): void => {
    if (event.type === 'peer-came') news.push(`${event.peer} came`)
    if (event.type === 'peer-gone') news.push(`${event.peer} ${event.how}`)
    if (event.type === 'cautioned') cautioned.push(event)
    if (event.type !== 'directory') return
    answers.push(event.answer)
    const { digest, lease } = event.answer
    const item = items.get(digest)
    if (lease === undefined || item === undefined || item.have.complete) return
    leased.push(...span(lease.start, lease.end).map((index) => `${digest} ${index}`))
    const bits = Uint8Array.from(item.have.bits)
    for (const index of span(lease.start, lease.end)) setBit(bits, index)
    items.set(digest, { ...item, have: { complete: false, bits } })
    cluster.announce(digest, true)
  }
  const cluster = createMemberCluster(
    {
      clock,
      random: systemRandom(),
      logger: { debug() {}, info() {}, warn: ({ err }: { err: Error }) => void warnings.push(err.message) },
      secrets,
      transport: {
        self: peer,
        addresses: () => [`/ip4/127.0.0.1/tcp/5051/p2p/${peer}`],
      },
      observer: { called() {}, hosted() {} },
      places: nowhere,
      contents: { serve: async () => ({ kind: 'none' }), take: () => false },
      runner: { swarm: { announceState: (digest) => items.get(digest), cautions: () => cautions }, post },
    },
    {
      listen: { host: '127.0.0.1', port },
      advertiseAddress: '127.0.0.1',
      seeds: seeds.map((seed) => ({ host: '127.0.0.1', port: Number(seed.split(':')[1]) })),
    },
  )
  const agent: Agent = { peer, cluster, items, answers, leased, news, cautions, cautioned, warnings }
  await cluster.start()
  running.add(agent)
  return agent
}

async function startEight(): Promise<Agent[]> {
  const first = await startAgent([])
  const seed = first.cluster.address()
  const rest = await Promise.all(span(1, 8).map(() => startAgent([seed])))
  return [first, ...rest]
}

function allList(agents: readonly Agent[], expected: readonly Agent[]): boolean {
  const names = expected
    .map(({ peer }) => peer)
    .toSorted()
    .join()
  return agents.every(({ cluster }) => [...cluster.members()].toSorted().join() === names)
}

it('eight that know one seed all know each other, and soon are ready', async () => {
  const agents = await startEight()
  await until(() => allList(agents, agents))
  await until(() => agents.every(({ cluster }) => cluster.notReady() === undefined))
  expect(agents.map(({ cluster }) => cluster.stats().members)).toEqual(span(0, 8).map(() => 8))
})

it('of two with one identity who started first says where the other is, once', async () => {
  const seed = await startAgent([])
  const first = await startAgent([seed.cluster.address()])
  await until(() => allList([seed, first], [seed, first]))
  const second = await startAgent([seed.cluster.address()], 0, first.peer)
  await until(() => first.warnings.length > 0)
  await until(() => allList([second], [seed, first]))
  expect(first.warnings).toEqual([
    expect.stringContaining(`An agent at ${second.cluster.address()} has the identity of this one`),
  ])
})

function want(agent: Agent, digest: Digest, chunks: number): void {
  agent.items.set(digest, itemOf({ digest, size: sizeOf(chunks), lease: { chunks: 2, position: 0 } }))
  agent.cluster.announce(digest, true)
}

function leasedBy(agents: readonly Agent[]): string[] {
  return agents.flatMap(({ leased }) => leased)
}

/** How many peers the directory has named to it. */
function namedTo(agent: Agent): number {
  return new Set(agent.answers.flatMap(({ peers }) => peers.map(({ peer }) => peer))).size
}

it('eight that want the same three blobs at once are granted each chunk once, and name each other', async () => {
  const agents = await startEight()
  await until(() => allList(agents, agents))
  for (const number of span(1, 4)) for (const agent of agents) want(agent, digestOf(number), 24)
  await until(() => new Set(leasedBy(agents)).size === 3 * 24)
  expect(leasedBy(agents)).toHaveLength(3 * 24)
  await until(() => agents.every((agent) => namedTo(agent) === 7))
})

it('of whom one cautions all others hear from itself, and who comes later as well', async () => {
  const agents = await startEight()
  await until(() => allList(agents, agents))
  const [victim, ...others] = agents
  victim!.cautions.push({ peer: createIdentity().peer, address: '10.0.0.66', origin: 'docker.io' })
  victim!.cluster.caution()
  const late = await startAgent([victim!.cluster.address()])
  const told = [...others, late]
  await until(() => told.every(({ cautioned }) => cautioned.length > 0))
  const said = { type: 'cautioned', by: victim!.peer, address: '127.0.0.1', cautions: victim!.cautions }
  expect(told.map(({ cautioned }) => cautioned[0])).toEqual(told.map(() => said))
  expect(victim!.cautioned).toEqual([])
})

it('a member that leaves is out of all lists, and swarms hear of it', async () => {
  const agents = await startEight()
  await until(() => allList(agents, agents))
  const [leaver, ...rest] = agents.toReversed()
  await leaver!.cluster.stop()
  running.delete(leaver!)
  await until(() => allList(rest, rest))
  expect(rest.map(({ cluster }) => cluster.stats().members)).toEqual(span(0, 7).map(() => 7))
  const told = rest.map(({ news }) => news.filter((one) => one.startsWith(leaver!.peer)))
  expect(told).toEqual(span(0, 7).map(() => [`${leaver!.peer} came`, `${leaver!.peer} left`]))
})

it('a digest whose owner goes is granted on by the next, which knows what was granted', async () => {
  const agents = await startEight()
  await until(() => agents.every(({ cluster }) => cluster.notReady() === undefined))
  for (const agent of agents) want(agent, digestOf(9), 60)
  await until(() => leasedBy(agents).length >= 16)
  const owner = agents.find(({ cluster }) => cluster.stats().leases > 0)
  if (owner !== undefined) {
    running.delete(owner)
    await owner.cluster.stop()
  }
  await until(() => new Set(leasedBy(agents)).size === 60)
  const twice = leasedBy(agents).length - 60
  // What the last answers of the owner granted, and what it had itself, may be granted once more.
  expect(twice).toBeLessThanOrEqual(limits.leaseHoldersMax * 2 + (owner?.leased.length ?? 0))
})

it('one alone hosts its own directory, and is asked to tell the DHT of what it holds', async () => {
  const agent = await startAgent([])
  agent.items.set(digestOf(1), itemOf({ have: { complete: true }, wants: false }))
  agent.cluster.announce(digestOf(1), true)
  await until(() => agent.answers.length > 0)
  const told = { size: sizeOf(100), peers: [], provide: true, announceAfterMs: limits.announceIdleMs }
  expect(agent.answers).toEqual([{ digest: digestOf(1), ...told }])
})
