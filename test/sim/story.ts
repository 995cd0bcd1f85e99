/** Small worlds with a plot: what is given, what happens, how it ends. */
import { MiB } from '../../core/units.ts'
import { chunkCountOf, chunkLengthOf } from '../../core/swarm/chunks.ts'
import { entryPayload } from '../../core/swarm/entry.ts'
import type { SwarmOptions } from '../../core/swarm/state.ts'
import type { Blob } from './matter.ts'
import { crash, depart, hang, start, type SimNode } from './node.ts'
import { quiet, type SimOptions } from './options.ts'
import type { Pull } from './puller.ts'
import { imageBytes, type Sim } from './sim.ts'
import { createSim } from './world.ts'

export interface Story {
  readonly sim: Sim
  node(number: number): SimNode
  pull(number: number): Pull
  /** All nodes start; five seconds later, when members know each other and directories who holds what, these nodes' pulls begin (default: all). */
  begin(pulling?: readonly number[]): void
  /** The node has held the blobs for long. */
  seed(number: number, blobs?: readonly Blob[]): void
  /** `ms` after the pulls began. */
  at(ms: number, act: () => void): void
  /** The node stays away. */
  lose(node: SimNode, how: Loss): void
  wait(ms: number): void
  /** Owner, standby and who would follow, for a layer's directory, as most see it. */
  hosts(layer?: number): readonly SimNode[]
  /** Runs until all that began and live are done, or `withinMs` has passed; true when done. */
  end(withinMs?: number): boolean
  /** Bytes that left the origin, over the image. */
  originRatio(): number
  /** Milliseconds since the pulls began. */
  nowMs(): number
}

/** Its process dies, its machine dies, it stops with its connections open, or it says goodbye. */
export type Loss = 'dies' | 'falls silent' | 'hangs' | 'departs'

const beginMs = 5000

export function tell(change: Partial<SimOptions>, swarm: SwarmOptions = {}, seed = 'story'): Story {
  const options = { ...quiet, layerBytes: [8 * MiB], realBytes: true, seeds: 1, ...change }
  const sim = createSim({ seed, options, swarm })
  const node = (number: number): SimNode => sim.nodes[number]!
  const began = new Set<Pull>()
  return {
    sim,
    node,
    pull: (number) => sim.pulls[number]!,
    begin(pulling = sim.nodes.map((_, number) => number)) {
      for (const one of sim.nodes) start(one)
      sim.engine.run(beginMs, () => false)
      for (const number of pulling) began.add(sim.pulls[number]!)
      for (const pull of began) pull.begin()
    },
    seed: (number, blobs = sim.layers) => blobs.forEach((blob) => fill(node(number), blob)),
    wait: (ms) => void sim.engine.run(sim.engine.clock.now() + ms, () => false),
    lose(victim, how) {
      sim.pulls.find((pull) => pull.node === victim)!.isOff = true
      if (how === 'hangs') hang(victim)
      else if (how === 'departs') depart(victim)
      else crash(victim, how === 'falls silent')
    },
    hosts(layer = 0) {
      const { life } = sim.nodes.find((one) => one.life !== undefined && one.behaviour === 'honest')!
      return life!.owners.of(sim.layers[layer]!.digest).map((id) => sim.world.nodes.get(id)!)
    },
    at: (ms, act) => sim.engine.after(beginMs + ms - sim.engine.clock.now(), act),
    end: (withinMs = 60_000) => sim.engine.run(beginMs + withinMs, () => [...began].every(isOver)),
    originRatio: () => sim.world.origin.sentBytes() / imageBytes(sim),
    nowMs: () => sim.engine.clock.now() - beginMs,
  }
}

function isOver({ doneAtMs, isOff, node }: Pull): boolean {
  return doneAtMs !== undefined || isOff || node.behaviour === 'freezes'
}

/** The node has held the blob for long. */
export function fill(node: SimNode, blob: Blob): void {
  const { digest, size } = blob
  for (let index = 0; index < chunkCountOf(size); index++) {
    const pieces = [blob.piece(index, 0, chunkLengthOf(size, index))]
    const witness = { kind: 'proved' } as const
    const hash = blob.hash(index, pieces)
    const signature = node.notary.sign(entryPayload(digest, size, { index, hash, witness }))
    node.disk.keep(blob, index, pieces, { index, hash, witness, signer: node.id, signature })
  }
  node.disk.of(digest)!.complete = true
}
