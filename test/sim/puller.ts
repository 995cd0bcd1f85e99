/** A containerd that pulls an image through its node: layers in order, some at a time, each read to its end. */
import type { Engine } from './engine.ts'
import type { Blob } from './matter.ts'
import { isLiar, later, type SimNode } from './node.ts'
import type { ReadEnd } from './readers.ts'

export interface PullOptions {
  readonly layers: readonly Blob[]
  /** Layers read at the same time; containerd's default is three. */
  readonly width: number
  /** Layers fetched ahead of the highest one requested (DESIGN, Life of a pull). */
  readonly prefetch: number
  /** How long a token lives. */
  readonly tokenMs: number
}

export interface Pull {
  readonly node: SimNode
  startedAtMs: number | undefined
  doneAtMs: number | undefined
  /** Its node is not coming back. */
  isOff: boolean
  /** Starts, or starts again after the node's crash. */
  begin(): void
}

/** After a layer failed, kubelet's next try; by then what a failed pull left in containerd is gone. */
const retryMs = 1000

/** The 401, the token service, and the request again. */
const tokenServiceMs = 50

export function createPull(engine: Engine, node: SimNode, options: PullOptions): Pull {
  const { layers, prefetch, tokenMs, width } = options
  let next = 0
  let finished = new Set<Blob>()
  const reading = new Map<Blob, () => void>()
  const ahead = new Map<Blob, () => void>()

  const pull: Pull = { node, startedAtMs: undefined, doneAtMs: undefined, isOff: false, begin }

  function begin(): void {
    next = 0
    finished = new Set()
    reading.clear()
    ahead.clear()
    pull.startedAtMs = engine.clock.now()
    bringToken()
    for (let slot = 0; slot < width; slot++) readNext()
  }

  function readNext(): void {
    const layer = layers[next]
    if (layer === undefined) return
    next++
    read(layer)
    for (const coming of layers.slice(next, next + prefetch)) readAhead(coming)
  }

  function read(blob: Blob): void {
    const whole = { blob, start: 0, end: blob.size, whole: true }
    reading.set(blob, node.readers.open({ ...whole, prefetch: false, onEnd: (how) => onRead(blob, how) }))
    ahead.get(blob)?.()
    ahead.delete(blob)
  }

  function readAhead(blob: Blob): void {
    if (ahead.has(blob)) return
    const whole = { blob, start: 0, end: blob.size, whole: true }
    ahead.set(blob, node.readers.open({ ...whole, prefetch: true, onEnd: () => undefined }))
  }

  /** A layer of another digest fails the whole pull, and what else is being read of the image ends with it. */
  function onRead(blob: Blob, how: ReadEnd): void {
    reading.delete(blob)
    if (how === 'failed' && isSpent()) return renew(blob)
    if (how === 'failed') return later(node, retryMs, () => read(blob))
    if (how === 'wrong') return startOver()
    finished.add(blob)
    if (finished.size === layers.length) pull.doneAtMs = engine.clock.now()
    else readNext()
  }

  const isSpent = (): boolean => node.tokenEndsAtMs <= engine.clock.now()

  const bringToken = (): void => void (node.tokenEndsAtMs = engine.clock.now() + tokenMs)

  /** containerd asks for the rest, hears 401, and shows another token. */
  function renew(blob: Blob): void {
    later(node, tokenServiceMs, () => {
      if (isSpent()) bringToken()
      read(blob)
    })
  }

  function startOver(): void {
    node.counts.retries++
    if (!isLiar(node) && pull.startedAtMs! >= node.cautionedMs)
      node.world.violated(`${node.id}: was lied to again though others had found out whom to believe no more`)
    for (const close of [...reading.values(), ...ahead.values()]) close()
    later(node, retryMs, begin)
  }

  return pull
}
