/** The invariants of DESIGN that a simulation can see. */
import { limits } from '../../core/limits.ts'
import type { SimNode } from './node.ts'

/** Invariant 6: queues and maps stay within core/limits.ts. */
export function checkBounds(node: SimNode): void {
  const stats = node.life?.swarm.stats()
  if (stats === undefined) return
  const bound = (name: string, value: number, most: number): void => {
    if (value > most || value < 0) node.world.violated(`${node.id}: ${name} is ${value}, bounded by ${most}`)
  }
  bound('uploads active', stats.uploadsActive, limits.uploadsActiveMax)
  bound('uploads waiting', stats.uploadsWaiting, limits.uploadsWaitingMax)
  bound('requests', stats.requests, stats.peersConnected * limits.requestsPerPeer)
  bound('bytes in flight', stats.inFlightBytes, limits.inFlightMaxBytes)
  bound('bytes settling', stats.settlingBytes, limits.inFlightMaxBytes + limits.originInFlightMaxBytes)
  bound('peers known', stats.peersKnown, limits.peersMax)
}

/** Invariant 7: a restart finds every chunk that was kept before the crash. */
export function checkDisk(node: SimNode, heldBefore: number): void {
  const held = node.disk.heldCount()
  if (held < heldBefore) node.world.violated(`${node.id}: restarted with ${held} chunks of ${heldBefore}`)
}
