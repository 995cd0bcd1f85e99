/** What a run is made of, drawn from its seed. */
import { limits } from '../../core/limits.ts'
import type { Random } from '../../core/ports.ts'
import { KiB, MiB } from '../../core/units.ts'

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
  readonly originBytesPerMs: number
  readonly originFirstByteMs: number
  readonly originUnranged: boolean
  readonly originFaultOneIn: number
  /** What a link sends at a time: `limits.frameSizeBytes`, or more where a coarser grain will do. */
  readonly frameBytes: number
  readonly delayMsMax: number
  readonly jitterMs: number
  readonly lossOneIn: number
  /** Pulls begin within this time. */
  readonly startSpreadMs: number
  /** Nodes that crash at a random moment, and how long they stay away; of these, machines that fall silent. */
  readonly crashes: number
  readonly awayMs: number
  readonly silentCrashes: number
  /** Connections that break. */
  readonly breaks: number
  readonly spoilers: number
  readonly freezers: number
  readonly diskRefusesOneIn: number
  /** Ranged reads by lazy pullers, beside the pulls. */
  readonly rangedReads: number
  /** No fault begins after this. */
  readonly faultsUntilMs: number
  /** All must be done this long after the last fault. */
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
  originBytesPerMs: 6250,
  originFirstByteMs: 20,
  originUnranged: false,
  originFaultOneIn: 0,
  frameBytes: limits.frameSizeBytes,
  delayMsMax: 1,
  jitterMs: 0,
  lossOneIn: 0,
  startSpreadMs: 0,
  crashes: 0,
  awayMs: 0,
  silentCrashes: 0,
  breaks: 0,
  spoilers: 0,
  freezers: 0,
  diskRefusesOneIn: 0,
  rangedReads: 0,
  faultsUntilMs: 0,
  patienceMs: 120_000,
}

/** A world with everything in it that can go wrong. */
export function drawOptions(random: Random, nodes = 50): SimOptions {
  const oneOf = <T>(...choices: readonly T[]): T => choices[random.below(choices.length)]!
  const some = (most: number): number => random.below(most + 1)
  const layers = 1 + random.below(3)
  const crashes = some(Math.ceil(nodes / 8))
  return {
    ...quiet,
    nodes,
    layerBytes: Array.from({ length: layers }, () => 1 + random.below(oneOf(64 * KiB, 2 * MiB, 4 * MiB))),
    width: 1 + random.below(3),
    prefetch: some(2),
    seeds: oneOf(1, 3),
    realBytes: true,
    linkBytesPerMs: oneOf(1000, 6250, 60_000),
    linkSpread: oneOf(1, 1, 3),
    originBytesPerMs: oneOf(1000, 6250, 60_000),
    originFirstByteMs: oneOf(1, 20, 150),
    originUnranged: oneOf(false, false, false, true),
    originFaultOneIn: oneOf(0, 0, 5, 20),
    delayMsMax: oneOf(1, 10, 40),
    jitterMs: oneOf(0, 1, 20),
    lossOneIn: oneOf(0, 0, 50, 500),
    startSpreadMs: oneOf(0, 500, 5000),
    crashes,
    awayMs: oneOf(500, 3000),
    silentCrashes: some(crashes),
    breaks: oneOf(0, 0, 20),
    spoilers: oneOf(0, 0, 1, 2),
    freezers: oneOf(0, 0, 1, 2),
    diskRefusesOneIn: oneOf(0, 0, 0, 20),
    rangedReads: oneOf(0, 10),
    faultsUntilMs: oneOf(500, 2000, 5000),
  }
}
