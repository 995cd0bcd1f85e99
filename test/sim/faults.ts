/** Lets things go wrong, at moments that the seed chooses. */
import { createOwners } from '../../core/directory/owners.ts'
import type { PeerId, Random } from '../../core/ports.ts'
import { noteAlone, noteGrants, noteHelp, noteLoss, notePartition, noteRead } from './budget.ts'
import { watchGone } from './checkers.ts'
import { makeLiar } from './liars.ts'
import { depart, hang, part, type SimNode } from './node.ts'
import type { Pull } from './puller.ts'
import type { Sim } from './sim.ts'
import { crashAndRestart, restart } from './world.ts'

/**
 * No node has two of these faults; what else goes wrong may hit it as well. Seeds come back: where none does, who returns is a
 * cluster of its own after a while (core/members), and a list of seeds or a DNS name would name others by then.
 */
export function planFaults(sim: Sim): void {
  const random = sim.random.fork('faults')
  const { breaks, crashes, departures, freezers, liars, partitions, silentCrashes, spoilers } = sim.options
  const isSeed = ({ node }: Pull): boolean => sim.world.seeds.includes(node.id)
  const shuffled = shuffle(random, sim.pulls)
  const lasting = spoilers + freezers + departures + liars
  const lyingHost = makeHostLie(sim)
  const victims = shuffled.filter((pull) => pull !== lyingHost && !isSeed(pull)).slice(0, lasting)
  const crashing = shuffled.filter((pull) => pull !== lyingHost && !victims.includes(pull))
  each(victims, spoilers, ({ node }) => (node.behaviour = 'spoils'))
  each(victims, freezers, (pull) => sometime(sim, random, () => freeze(sim, pull)))
  each(victims, departures, (pull, number) => sometime(sim, random, () => leave(sim, pull, number % 2 === 1)))
  each(victims, liars, ({ node }) => lie(sim, node))
  each(crashing, crashes, (pull, number) => sometime(sim, random, () => die(sim, pull, number < silentCrashes)))
  sim.world.helpsItself = (node, digest) => noteHelp(sim, node, digest)
  sim.world.foundNoSeed = (node) => noteAlone(sim, node)
  sim.world.answered = (answer, request, host) => noteGrants(sim, host, answer, request)
  for (let count = 0; count < partitions; count++) sometime(sim, random, () => separate(sim, random, count))
  for (let count = 0; count < breaks; count++) sometime(sim, random, () => breakOne(sim, random))
  planOriginTroubles(sim, random)
}

/** Who is first for the first layer among all, and stays up; it lies as soon as it runs. */
function makeHostLie({ engine, layers, options: { hostLie }, pulls }: Sim): Pull | undefined {
  if (hostLie === 'none') return undefined
  const owners = createOwners({ self: '', clock: engine.clock })
  for (const { node } of pulls) owners.add(node.id)
  const [first] = owners.of(layers[0]!.digest)
  const host = pulls.find(({ node }) => node.id === first)
  engine.after(0, () => {
    if (host?.node.life !== undefined) makeLiar(host.node, hostLie)
  })
  return host
}

/** Takes so many from the list and lets `act` happen to each. */
function each(from: Pull[], count: number, act: (pull: Pull, number: number) => void): void {
  for (const [number, pull] of from.splice(0, count).entries()) act(pull, number)
}

function sometime(sim: Sim, random: Random, act: () => void): void {
  sim.engine.after(random.below(sim.options.faultsUntilMs + 1), act)
}

function lie({ options }: Sim, node: SimNode): void {
  node.address = 'rooted'
  makeLiar(node, options.lie)
}

function freeze(sim: Sim, { node }: Pull): void {
  if (node.life === undefined) return
  noteLoss(sim, node)
  hang(node)
  watchGone(sim, node)
}

function die(sim: Sim, pull: Pull, isSilent: boolean): void {
  const { node } = pull
  if (node.life === undefined) return
  noteLoss(sim, node)
  crashAndRestart(sim, pull, sim.options.awayMs, isSilent)
  watchGone(sim, node)
}

function leave(sim: Sim, pull: Pull, returns: boolean): void {
  const { node } = pull
  if (node.life === undefined) return
  pull.isOff = !returns
  depart(node, () => {
    noteLoss(sim, node)
    if (returns) sim.engine.after(goodbyeMs + sim.options.awayMs, () => restart(sim, pull))
    else watchGone(sim, node)
  })
}

/** A departed node returns later than its goodbye takes. */
const goodbyeMs = 2000

function separate(sim: Sim, random: Random, count: number): void {
  const kind = count < sim.options.oneWayPartitions ? 'one-way' : 'two-way'
  const size = 1 + random.below(Math.max(1, sim.nodes.length >> 1))
  const chosen = shuffle(random, sim.nodes).slice(0, size)
  const side = new Set<PeerId>(chosen.map(({ id }) => id))
  notePartition(sim, side)
  sim.engine.after(sim.options.partitionMs, part(sim.world, side, kind))
}

function planOriginTroubles(sim: Sim, random: Random): void {
  const { engine, options, world } = sim
  const { origin } = world
  const stop = (): void => {
    origin.set({ down: true })
    engine.after(options.originTroubleMs, () => origin.set({ down: false }))
  }
  const limit = (): void => origin.set({ limitedUntilMs: engine.clock.now() + options.originTroubleMs })
  for (let count = 0; count < options.originOutages; count++) sometime(sim, random, stop)
  for (let count = 0; count < options.originLimits; count++) sometime(sim, random, limit)
  engine.after(options.faultsUntilMs, () => origin.set({ faults: false }))
}

function breakOne(sim: Sim, random: Random): void {
  const links = sim.world.network.links()
  const link = links[random.below(Math.max(links.length, 1))]
  if (link !== undefined) sim.world.network.breakOff(...link)
}

/** Lazy pullers: each reads some bytes somewhere and goes away. */
export function planRangedReads(sim: Sim): void {
  const random = sim.random.fork('ranged reads')
  for (let count = 0; count < sim.options.rangedReads; count++) {
    const node = sim.nodes[random.below(sim.nodes.length)]
    const blob = sim.layers[random.below(sim.layers.length)]
    if (node === undefined || blob === undefined) continue
    const start = random.below(blob.size)
    const end = random.below(2) === 0 ? blob.size : start + 1 + random.below(blob.size - start)
    sim.engine.after(random.below(3000), () => {
      if (node.life === undefined || node.behaviour === 'freezes') return
      node.readers.open({ blob, start, end, whole: false, prefetch: false, onEnd: () => noteRead(sim, node, blob) })
    })
  }
}

function shuffle<T>(random: Random, items: readonly T[]): T[] {
  const shuffled = [...items]
  for (let at = shuffled.length - 1; at > 0; at--) {
    const other = random.below(at + 1)
    ;[shuffled[at], shuffled[other]] = [shuffled[other]!, shuffled[at]!]
  }
  return shuffled
}
