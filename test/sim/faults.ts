/** Lets things go wrong, at moments that the seed chooses. */
import type { Random } from '../../core/ports.ts'
import { crashAndRestart, type Sim } from './world.ts'

export function planFaults(sim: Sim): void {
  const random = sim.random.fork('faults')
  const { breaks, crashes, freezers, silentCrashes, spoilers } = sim.options
  const shuffled = shuffle(random, sim.pulls)
  for (const { node } of shuffled.slice(0, spoilers)) node.behaviour = 'spoils'
  for (const { node } of shuffled.slice(spoilers, spoilers + freezers))
    sometime(sim, random, () => (node.behaviour = 'freezes'))
  for (let crash = 0; crash < crashes; crash++) {
    const pull = shuffled[spoilers + freezers + crash]
    const isSilent = crash < silentCrashes
    if (pull !== undefined) sometime(sim, random, () => crashAndRestart(sim, pull, sim.options.awayMs, isSilent))
  }
  for (let count = 0; count < breaks; count++) sometime(sim, random, () => breakOne(sim, random))
  sim.engine.after(sim.options.faultsUntilMs, () => sim.world.origin.set({ faults: false }))
}

function sometime(sim: Sim, random: Random, act: () => void): void {
  sim.engine.after(random.below(sim.options.faultsUntilMs + 1), act)
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
      node.readers.open({ blob, start, end, whole: false, prefetch: false, onEnd: () => undefined })
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
