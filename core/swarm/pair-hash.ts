import type { PeerId } from '../ports.ts'

/**
 * A number for a pair of agents, the same from both sides (FNV-1a with a final mix). Neighbours are those with the lowest:
 * hashed by pair and not by digest, so that all layers of an image share their connections (DESIGN, Swarm).
 */
export function pairHash(one: PeerId, other: PeerId): number {
  const [low, high] = one < other ? [one, other] : [other, one]
  let hash = fnv1a(0x811c9dc5, low)
  hash = fnv1a(hash, high)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

function fnv1a(start: number, text: string): number {
  let hash = start
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return hash
}
