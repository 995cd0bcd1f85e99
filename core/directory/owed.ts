/** What is left, by hosts that may not have heard so: each is told until it has, or would have forgotten it anyway. */
import { limits } from '../limits.ts'
import type { Digest } from '../oci/digest.ts'
import type { PeerId } from '../ports.ts'
import type { AnnounceItem } from './messages.ts'

export interface Owed {
  /** At most `limits.leftDigestsMax` in all are remembered. */
  add(host: PeerId, left: readonly AnnounceItem[], untilMs: number): void
  /** The host has heard what a call said; what it is owed since then, or found no room in it, it has not. */
  settle(host: PeerId, said: readonly AnnounceItem[]): void
  /** It is held again. */
  forget(digest: Digest): void
  expire(nowMs: number): void
  /** To which something is owed. */
  hosts(): Iterable<PeerId>
  of(host: PeerId): AnnounceItem[]
}

export function createOwed(): Owed {
  const byHost = new Map<PeerId, { readonly untilMs: number; readonly left: Map<Digest, AnnounceItem> }>()

  function room(): number {
    let count: number = limits.leftDigestsMax
    for (const { left } of byHost.values()) count -= left.size
    return count
  }

  function add(host: PeerId, left: readonly AnnounceItem[], untilMs: number): void {
    if (!byHost.has(host) && byHost.size >= limits.owedHostsMax) return
    const known = byHost.get(host) ?? { untilMs, left: new Map() }
    const free = room()
    let added = 0
    for (const item of left) if (known.left.has(item.digest) || added++ < free) known.left.set(item.digest, item)
    if (known.left.size > 0) byHost.set(host, known)
  }

  function settle(host: PeerId, said: readonly AnnounceItem[]): void {
    const left = byHost.get(host)?.left
    for (const { digest, leaves } of said) if (leaves === true) left?.delete(digest)
    if (left?.size === 0) byHost.delete(host)
  }

  function forget(digest: Digest): void {
    for (const [host, { left }] of byHost) if (left.delete(digest) && left.size === 0) byHost.delete(host)
  }

  function expire(nowMs: number): void {
    for (const [host, { untilMs }] of byHost) if (untilMs <= nowMs) byHost.delete(host)
  }

  return {
    add,
    settle,
    forget,
    expire,
    hosts: () => byHost.keys(),
    of: (host) => [...(byHost.get(host)?.left.values() ?? [])],
  }
}
