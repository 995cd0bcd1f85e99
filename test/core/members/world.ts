/** Members machines on virtual time and a virtual network with delays, deaths and partitions. */
import { createMembers } from '../../../core/members/members.ts'
import type { Members, MembersOutput } from '../../../core/members/members.ts'
import type { ExchangeAnswer, ExchangeRequest, MemberRecord } from '../../../core/members/messages.ts'
import type { PeerId, Random } from '../../../core/ports.ts'
import { seededRandom } from '../../support/seeded-random.ts'
import { virtualClock } from '../../support/virtual-clock.ts'

type Exchange = Extract<MembersOutput, { type: 'exchange' }>

export interface Node {
  readonly peer: PeerId
  readonly members: Members
  readonly events: MembersOutput[]
  /** Its process runs. */
  up: boolean
  /** Its machine answers for a process that does not run: connections are refused at once. */
  refuses: boolean
  /** How late its next tick comes. */
  lagMs: number
  exchanges: number
  records: number
}

export interface World {
  readonly clock: { now(): number }
  readonly nodes: Map<PeerId, Node>
  /** How long a message takes one way now, in milliseconds. */
  tripMs(random: Random): number
  /** How late a node is ticked now, in milliseconds. */
  lagMs(random: Random): number
  /** May a message go from one to the other now? */
  reaches(from: PeerId, to: PeerId): boolean
  start(peer: PeerId, seeds: readonly string[], incarnation?: number): Node
  /** The process ends without a word; its machine refuses connections, or vanishes too. */
  kill(peer: PeerId, refuses: boolean): void
  /** Passes time. */
  run(ms: number): void
  /** Passes time until `holds`, and gives how long it took; throws after `limitMs`. */
  runUntil(holds: () => boolean, limitMs: number): number
}

export function recordOf(peer: PeerId, change: Partial<MemberRecord> = {}): MemberRecord {
  return {
    peer,
    addresses: [`/dns4/${peer}/tcp/5051`],
    cluster: `${peer}:5052`,
    incarnation: 1,
    life: 1,
    state: 'alive',
    ...change,
  }
}

/** One way takes 1 to 5 ms, as within a zone; ticks come in time. */
export function createWorld(seed: string): World {
  const clock = virtualClock()
  const random = seededRandom(seed)
  const network = random.fork('network')
  const due: { atMs: number; order: number; run(): void }[] = []
  let order = 0
  let stepsAtOnce = 0
  let lives = 0
  const later = (ms: number, run: () => void): void => {
    due.push({ atMs: clock.now() + ms, order: order++, run })
  }
  const nodes = new Map<PeerId, Node>()

  const carry = (from: Node, { id, cluster, request }: Exchange): void => {
    from.exchanges++
    from.records += request.news.length
    const to = nodes.get(cluster.split(':')[0] ?? '')
    later(world.tripMs(network), () => {
      if (to === undefined || !world.reaches(from.peer, to.peer)) return
      if (to.up) answer(from, to, id, request)
      else if (to.refuses) later(1, () => from.up && from.members.failed(id, true))
    })
  }
  const answer = (from: Node, to: Node, id: number, request: ExchangeRequest): void => {
    const reply: ExchangeAnswer = to.members.handle(structuredClone(request))
    to.records += reply.news.length
    later(world.tripMs(network), () => {
      if (from.up && world.reaches(to.peer, from.peer)) from.members.exchanged(id, structuredClone(reply))
    })
  }
  const wakeMs = ({ lagMs, members }: Node): number => members.nextMs() + lagMs
  const nextTime = (): number => {
    let next = Number.POSITIVE_INFINITY
    for (const { atMs } of due) next = Math.min(next, atMs)
    for (const node of nodes.values()) if (node.up) next = Math.min(next, wakeMs(node))
    return next
  }
  const step = (untilMs: number): boolean => {
    const next = Math.max(nextTime(), clock.now())
    if (next > untilMs) return false
    stepsAtOnce = next === clock.now() ? stepsAtOnce + 1 : 0
    if (stepsAtOnce > 10_000) throw new Error(`time stands still at ${next} ms`)
    clock.set(next)
    const ready = due.filter(({ atMs }) => atMs <= next).toSorted((a, b) => a.atMs - b.atMs || a.order - b.order)
    for (const event of ready) due.splice(due.indexOf(event), 1)
    for (const event of ready) event.run()
    for (const node of nodes.values()) {
      if (!node.up || wakeMs(node) > next) continue
      node.members.tick()
      node.lagMs = world.lagMs(network)
    }
    return true
  }

  const world: World = {
    clock,
    nodes,
    tripMs: (trips) => 1 + trips.below(5),
    lagMs: () => 0,
    reaches: () => true,
    start(peer, seeds, incarnation = 1) {
      const events: MembersOutput[] = []
      const emit = (output: MembersOutput): void => {
        if (output.type === 'exchange') carry(node, output)
        else events.push(output)
      }
      const members = createMembers(
        { clock, random: random.fork(`${peer} ${incarnation}`), emit },
        { self: recordOf(peer, { incarnation, life: ++lives }) },
      )
      const node: Node = { peer, members, events, up: true, refuses: true, lagMs: 0, exchanges: 0, records: 0 }
      nodes.set(peer, node)
      members.setSeeds(seeds)
      return node
    },
    kill(peer, refuses) {
      const node = nodes.get(peer)
      if (node !== undefined) Object.assign(node, { up: false, refuses })
    },
    run(ms) {
      const untilMs = clock.now() + ms
      while (step(untilMs));
      clock.set(untilMs)
    },
    runUntil(holds, limitMs) {
      const startMs = clock.now()
      while (!holds()) {
        if (!step(startMs + limitMs)) throw new Error(`not within ${limitMs} ms`)
      }
      return clock.now() - startMs
    },
  }
  return world
}

/** Do all running nodes list exactly these as live? */
export function allList(world: World, peers: readonly PeerId[]): boolean {
  const expected = peers.toSorted().join()
  for (const { up, members } of world.nodes.values()) {
    if (up && [...members.live()].toSorted().join() !== expected) return false
  }
  return true
}

/** `count` nodes that know each other. */
export function settled(seed: string, count: number): { world: World; peers: PeerId[] } {
  const world = createWorld(seed)
  const peers = Array.from({ length: count }, (_, number) => `node-${number}`)
  for (const peer of peers) world.start(peer, ['node-0:5052'])
  world.runUntil(() => allList(world, peers), 10_000)
  world.run(3000)
  return { world, peers }
}
