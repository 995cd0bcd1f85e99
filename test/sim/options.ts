/** What a run is made of, drawn from its seed. */
import { type Border } from '../../core/members/places.ts'
import { limits } from '../../core/limits.ts'
import type { Random } from '../../core/ports.ts'
import { KiB, MiB, second } from '../../core/units.ts'
import { type Lie, type LieOfHost, liesOfClaims, liesOfHolders, liesOfHosts, liesOfNames } from './lies.ts'

export interface SimOptions {
  readonly nodes: number
  /** Bytes of each layer of the image that all nodes pull. */
  readonly layerBytes: readonly number[]
  readonly width: number
  readonly prefetch: number
  /** Nodes find each other by core/members, from this many seeds; 0: all know all from the beginning. */
  readonly seeds: number
  /** Real bytes can be wrong; hollow ones only take time. */
  readonly realBytes: boolean
  readonly linkBytesPerMs: number
  /** Nodes differ from `linkBytesPerMs` by up to this factor. */
  readonly linkSpread: number
  /** Uplink over downlink. */
  readonly upShare: number
  /** Nodes, the first ones, that bring as much as the others and send a tenth of it. */
  readonly weakUplinks: number
  /** Nodes with a tenth of the others' link, or 8 Mbit/s where that is more. */
  readonly slowNodes: number
  /** Nodes on whose disk each write takes `slowDiskMs`. */
  readonly slowDisks: number
  readonly slowDiskMs: number
  readonly originBytesPerMs: number
  readonly originFirstByteMs: number
  readonly originUnranged: boolean
  readonly originFaultOneIn: number
  /** How long a token lives that a pull brings: Infinity, where the origin asks for none. A new one comes when a layer has failed. */
  readonly tokenMs: number
  /** Times that the origin answers nothing, or 429 with Retry-After, for `originTroubleMs`. */
  readonly originOutages: number
  readonly originLimits: number
  readonly originTroubleMs: number
  /** What a link sends at a time: `limits.frameSizeBytes`, or more where a coarser grain will do. */
  readonly frameBytes: number
  /** The nodes stand in so many zones, in turn. */
  readonly zones: number
  /** Do agents know which one they are in? */
  readonly zonesKnown: boolean
  /** Is traffic between zones billed, and agents told so? */
  readonly border: Border
  readonly delayMsMax: number
  readonly jitterMs: number
  readonly lossOneIn: number
  /** Pulls begin within this time. */
  readonly startSpreadMs: number
  /** Nodes that crash at a random moment, and how long they stay away; of these, machines that fall silent. */
  readonly crashes: number
  readonly awayMs: number
  readonly silentCrashes: number
  /** Nodes that start while others pull. */
  readonly lateJoiners: number
  /** Nodes that say goodbye and go; every other one returns after `awayMs`. */
  readonly departures: number
  /** Times that some nodes and the others part for `partitionMs`; of these, in one direction. */
  readonly partitions: number
  readonly oneWayPartitions: number
  readonly partitionMs: number
  /** Connections that break. */
  readonly breaks: number
  readonly spoilers: number
  /** Members, at one address, that tell `lie`. */
  readonly liars: number
  readonly lie: Lie
  /** What the host of the first layer's directory tells. */
  readonly hostLie: LieOfHost | 'none'
  /** How many must agree on a chunk (`--witnesses`). */
  readonly witnesses: number
  readonly freezers: number
  readonly diskRefusesOneIn: number
  /** Ranged reads by lazy pullers, beside the pulls. */
  readonly rangedReads: number
  /** No fault begins after this; partitions and the origin's troubles end later. */
  readonly faultsUntilMs: number
  /** All must be done this long after the last fault has ended. */
  readonly patienceMs: number
}

/** A world without faults: what is varied, the caller says. */
export const quiet: SimOptions = {
  nodes: 8,
  layerBytes: [MiB],
  width: 3,
  prefetch: 2,
  seeds: 0,
  realBytes: false,
  linkBytesPerMs: 6250,
  linkSpread: 1,
  upShare: 1,
  weakUplinks: 0,
  slowNodes: 0,
  slowDisks: 0,
  slowDiskMs: 1,
  originBytesPerMs: 6250,
  originFirstByteMs: 20,
  originUnranged: false,
  originFaultOneIn: 0,
  tokenMs: Infinity,
  originOutages: 0,
  originLimits: 0,
  originTroubleMs: 0,
  frameBytes: limits.frameSizeBytes,
  zones: 1,
  zonesKnown: false,
  border: 'none',
  delayMsMax: 1,
  jitterMs: 0,
  lossOneIn: 0,
  startSpreadMs: 0,
  crashes: 0,
  awayMs: 0,
  silentCrashes: 0,
  lateJoiners: 0,
  departures: 0,
  partitions: 0,
  oneWayPartitions: 0,
  partitionMs: 0,
  breaks: 0,
  spoilers: 0,
  liars: 0,
  lie: 'forges proved',
  hostLie: 'none',
  witnesses: 1,
  freezers: 0,
  diskRefusesOneIn: 0,
  rangedReads: 0,
  faultsUntilMs: 0,
  patienceMs: 120_000,
}

/** When the last fault has ended, and the liveness phase begins. */
export function calmMs({ awayMs, faultsUntilMs, originTroubleMs, partitionMs }: SimOptions): number {
  return faultsUntilMs + Math.max(awayMs, originTroubleMs, partitionMs)
}

/** A world in which several things go wrong, others than in the next one. */
export function drawOptions(random: Random, nodes = drawNodes(random)): SimOptions {
  const oneOf = <T>(...choices: readonly T[]): T => choices[random.below(choices.length)]!
  const some = (most: number): number => random.below(most + 1)
  /** Not in every second world. */
  const maybe = (most: number): number => oneOf(0, 0, 1) * some(most)
  const few = Math.ceil(nodes / 8)
  const crashes = some(few)
  const partitions = maybe(3)
  const seeds = Math.min(oneOf(1, 3), nodes)
  return {
    ...quiet,
    nodes,
    layerBytes: Array.from({ length: 1 + some(2) }, () => 1 + random.below(oneOf(64 * KiB, 2 * MiB, 4 * MiB, 8 * MiB))),
    width: 1 + some(2),
    prefetch: some(2),
    seeds,
    realBytes: true,
    linkBytesPerMs: oneOf(3000, 6250, 60_000),
    linkSpread: oneOf(1, 1, 3),
    upShare: oneOf(1, 1, 1, 0.3),
    slowNodes: maybe(few),
    slowDisks: maybe(nodes),
    slowDiskMs: oneOf(20, 200),
    originBytesPerMs: oneOf(1000, 6250, 60_000),
    originFirstByteMs: oneOf(1, 20, 150),
    originUnranged: partitions === 0 ? oneOf(false, false, true) : random.fork('ignores Range').below(3) === 0,
    originFaultOneIn: oneOf(0, 0, 5, 20),
    originOutages: maybe(2),
    originLimits: maybe(2),
    originTroubleMs: oneOf(500, 3000, 8000),
    delayMsMax: oneOf(1, 10, 40),
    jitterMs: oneOf(0, 1, 20),
    lossOneIn: oneOf(0, 0, 50, 500),
    startSpreadMs: oneOf(0, 500, 5000),
    crashes,
    awayMs: oneOf(500, 3000),
    silentCrashes: some(crashes),
    lateJoiners: maybe(Math.min(few, nodes - seeds)),
    departures: maybe(few),
    partitions,
    oneWayPartitions: some(partitions),
    partitionMs: oneOf(500, 3000, 8000),
    breaks: oneOf(0, 0, 20),
    spoilers: oneOf(0, 0, 1, 2),
    freezers: oneOf(0, 0, 1, 2),
    diskRefusesOneIn: oneOf(0, 0, 0, 20),
    rangedReads: oneOf(0, 10),
    faultsUntilMs: oneOf(500, 2000, 5000),
    // What came later has draws of its own, so that the worlds of older seeds stay as they were; none that the tests keep has a
    // lying owner, lies of names, or denies.
    ...drawZones(random.fork('has zones')),
    ...(random.fork('narrow links').below(8) === 0 ? drawNarrowLinks(random.fork('how narrow')) : {}),
    ...drawLiars(random.fork('has liars'), 6, liesOfHolders),
    ...drawLiars(random.fork('liars in disguise'), 12, liesOfNames),
    ...drawLiars(random.fork('a member that denies'), 24, liesOfClaims),
    ...drawLyingHost(random.fork('lying owner')),
    ...drawTokens(random.fork('tokens that end')),
  }
}

/** 12 Mbit/s, or less, both ways: then all takes as many times longer, for which nobody is to blame. */
function drawNarrowLinks(random: Random): Partial<SimOptions> {
  const times = [1, 2, 4][random.below(3)]!
  const narrow = { linkBytesPerMs: 1500 / times, linkSpread: 1 }
  return times === 1 ? narrow : { ...narrow, upShare: 1, patienceMs: times * quiet.patienceMs }
}

/** In every third world nodes stand in zones, and most of these are behind borders. */
function drawZones(random: Random): Pick<SimOptions, 'zones' | 'zonesKnown' | 'border'> {
  if (random.below(3) > 0) return { zones: 1, zonesKnown: false, border: 'none' }
  return { zones: 2 + random.below(3), zonesKnown: true, border: random.below(3) > 0 ? 'zone' : 'none' }
}

/**
 * In one of so many worlds some member tells a lie, under one ID or two. A promise of a liar may hold a chunk up for
 * `starvedPromisedMs`, some after others.
 */
function drawLiars(random: Random, oneIn: number, lies: readonly Lie[]): Partial<SimOptions> {
  if (random.below(oneIn) > 0) return {}
  const liars = 1 + random.below(2)
  const lie = lies[random.below(lies.length)]!
  return { liars, lie, witnesses: 1 + random.below(2), patienceMs: 4 * quiet.patienceMs }
}

/** In every tenth world who hosts a directory lies about it, beside whoever else does. */
function drawLyingHost(random: Random): Partial<SimOptions> {
  if (random.below(10) > 0) return {}
  return { hostLie: liesOfHosts[random.below(liesOfHosts.length)]!, patienceMs: 4 * quiet.patienceMs }
}

/** In every twelfth world tokens end, before a pull does or while somebody waits long: some origins give them a minute, and one may be old. */
function drawTokens(random: Random): Partial<SimOptions> {
  if (random.below(12) > 0) return {}
  return { tokenMs: [4, 10, 30, 60][random.below(4)]! * second }
}

/** Mostly as many as make a swarm, sometimes so few that a fault hits every second one, and sometimes a crowd. */
function drawNodes(random: Random): number {
  return [2 + random.below(6), 8 + random.below(43), 8 + random.below(43), 80 + random.below(41)][random.below(4)]!
}
