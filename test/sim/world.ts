/** Builds a world from its options and seed, lets things go wrong in it, and says what came of it. */
import type { Notary, PeerId, Random } from '../../core/ports.ts'
import type { SwarmOptions } from '../../core/swarm/state.ts'
import { createMemoryNotary } from '../support/memory-notary.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { noteArrival } from './budget.ts'
import { checkBounds, checkRestart, noteBlind, watchCautioned } from './checkers.ts'
import { createEngine } from './engine.ts'
import { obey } from './hands.ts'
import { hollowBlob, realBlob, type Blob } from './matter.ts'
import { createNetwork } from './network.ts'
import { windowFor } from './links.ts'
import { createGivenOwners, nameOf } from './owners.ts'
import { crash, createNode, start, type SimNode, type World } from './node.ts'
import type { SimOptions } from './options.ts'
import { createOrigin } from './origin.ts'
import { createPull, type Pull } from './puller.ts'
import type { Sim } from './sim.ts'
import type { OnTrace } from './trace.ts'

export interface SimSetup {
  readonly seed: number | string
  readonly options: SimOptions
  readonly swarm?: SwarmOptions
  /** Called with each line of the trace (trace.ts); without it none is made. */
  readonly onTrace?: OnTrace
}

export function createSim({ onTrace, options, seed, swarm = {} }: SimSetup): Sim {
  const engine = createEngine()
  const random = seededRandom(seed)
  const violations: string[] = []
  const layers = createLayers(random.fork('layers'), options)
  const nodes = new Map<PeerId, SimNode>()
  const world: World = {
    engine,
    network: createNetwork(engine, random.fork('network'), {
      jitterMs: options.jitterMs,
      lossOneIn: options.lossOneIn,
      frameBytes: options.frameBytes,
    }),
    origin: createOrigin(engine, random.fork('origin'), {
      upBytesPerMs: options.originBytesPerMs,
      firstByteMs: options.originFirstByteMs,
      unranged: options.originUnranged,
      faultOneIn: options.originFaultOneIn,
      frameBytes: options.frameBytes / 4,
      windowBytes: windowFor(options.frameBytes),
    }),
    originName: 'registry.example',
    blobs: new Map(layers.map((blob) => [blob.digest, blob])),
    nodes,
    seeds: Array.from({ length: options.seeds }, (_, number) => nameOf(number)),
    notaryOf: options.realBytes ? createMemoryNotary : trustingNotary,
    realBytes: options.realBytes,
    givenOwners: options.seeds === 0 ? createGivenOwners(engine, options.nodes) : undefined,
    traffic: { announceBytes: 0, headBytes: 0 },
    trace: onTrace && ((line) => onTrace(`${engine.clock.now().toFixed(3)} ${line}\n`)),
    answered: undefined,
    helpsItself: undefined,
    foundNoSeed: undefined,
    foundOut: undefined,
    violated: (what) => void violations.push(`${engine.clock.now().toFixed(3)} ms: ${what}`),
  }
  for (let number = 0; number < options.nodes; number++) addNode(world, random, options, swarm, number)
  const pulls = [...nodes.values()].map((node) => createPull(engine, node, { ...options, layers }))
  const given = { options, random, world, engine, layers, nodes: [...nodes.values()], pulls }
  const sim: Sim = { ...given, violations, allowances: [], blindMs: new Map() }
  world.foundOut = (finder) => watchCautioned(sim, finder)
  return sim
}

function createLayers(random: Random, { layerBytes, realBytes }: SimOptions): Blob[] {
  return layerBytes.map((size, at) => (realBytes ? realBlob(random, size) : hollowBlob(`layer ${at}`, size)))
}

/** Where only time matters nobody forges, and signing may cost nothing. */
function trustingNotary(self: PeerId): Notary {
  const signature = new Uint8Array(0)
  return { self, sign: () => signature, verify: () => true }
}

function addNode(world: World, random: Random, options: SimOptions, swarm: SwarmOptions, number: number): void {
  const own = random.fork(`node ${number}`)
  const spread = 1 + (own.below(1000) / 1000) * (options.linkSpread - 1)
  const isSlow = number >= options.nodes - options.slowNodes
  const usual = options.linkBytesPerMs / spread
  const rate = isSlow ? Math.max(usual / slowness, Math.min(usual, slowBytesPerMs)) : usual
  createNode(
    world,
    own,
    {
      id: nameOf(number),
      upBytesPerMs: rate * options.upShare * (number < options.weakUplinks ? weakShare : 1),
      downBytesPerMs: rate,
      delayMs: (options.delayMsMax * (1 + own.below(1000))) / 2000,
      diskMs: number < options.slowDisks ? options.slowDiskMs : 1,
      diskRefusesOneIn: options.diskRefusesOneIn,
      zone: `zone ${number % options.zones}`,
      zoneKnown: options.zonesKnown,
      border: options.border,
      swarm: { witnesses: options.witnesses, ...swarm },
    },
    obey,
  )
}

/** A weak uplink has this part of another's. */
export const weakShare = 0.1

/**
 * A slow node has this part of another's link, but not less than 8 Mbit/s. Where a chunk takes as long as a stall (2.4 Mbit/s)
 * and everybody offers one, a node still chokes: it cancels what is on its way, asks others, and insists on the origin.
 */
const slowness = 10
const slowBytesPerMs = 1000

/** Starts the nodes, late joiners within `faultsUntilMs` and the others at once, and, within `startSpreadMs`, their pulls. */
export function startAll(sim: Sim): void {
  const { engine, nodes, options } = sim
  const random = sim.random.fork('pulls')
  for (const [number, pull] of sim.pulls.entries()) {
    const joinMs = isLate(options, number) ? random.below(options.faultsUntilMs + 1) : 0
    const pullMs = options.startSpreadMs === 0 ? 0 : random.below(options.startSpreadMs)
    if (joinMs === 0) start(nodes[number]!)
    else engine.after(joinMs, () => join(sim, pull.node))
    engine.after(joinMs + pullMs, () => beginIfUp(pull))
  }
}

function join(sim: Sim, node: SimNode): void {
  start(node)
  noteArrival(sim, node)
}

/** Those after the seeds, so that a cluster is there to be joined. */
function isLate({ lateJoiners, seeds }: SimOptions, number: number): boolean {
  return number >= seeds && number < seeds + lateJoiners
}

function beginIfUp(pull: Pull): void {
  if (pull.node.life !== undefined && pull.startedAtMs === undefined) pull.begin()
}

/** Looks ten times a second whether all bounds are kept. */
export function watch(sim: Sim): void {
  for (const node of sim.nodes) checkBounds(node)
  noteBlind(sim)
  sim.engine.after(100, () => watch(sim))
}

/** A node crashes and comes back: its disk is as it was, its pull begins again. */
export function crashAndRestart(sim: Sim, pull: Pull, awayMs: number, isSilent = false): void {
  const { node } = pull
  if (node.life === undefined) return
  crash(node, isSilent)
  sim.engine.after(awayMs, () => restart(sim, pull))
}

export function restart(sim: Sim, pull: Pull): void {
  join(sim, pull.node)
  checkRestart(pull.node)
  if (pull.doneAtMs === undefined) pull.begin()
}
