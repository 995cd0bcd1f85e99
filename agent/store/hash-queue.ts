/**
 * In which order, and how fast, containerd's files are hashed: what has just come, or is read now, at once; what has been there for
 * long must be read from the disk, and waits its turn.
 */
import { limits } from '../../core/limits.ts'
import type { Digest } from '../../core/oci/digest.ts'

export interface HashQueue {
  add(digest: Digest, modifiedMs: number): void
  /** Next, whatever its age. */
  addFirst(digest: Digest): void
  /** A digest that was added twice counts twice. */
  readonly waiting: number
  /** Waits for the one that is being hashed. */
  stop(): Promise<void>
}

/** `hash` resolves with how many bytes were hashed, and never rejects. One at a time. */
export function createHashQueue(hash: (digest: Digest) => Promise<number>): HashQueue {
  /** The next one is last. */
  const urgent: Digest[] = []
  /** The newest is last, once it is sorted. */
  const backlog: { readonly digest: Digest; readonly modifiedMs: number }[] = []
  let isSorted = true
  let hashing: Promise<void> | undefined
  let resting: NodeJS.Timeout | undefined
  let isStopped = false

  function addFirst(digest: Digest): void {
    urgent.push(digest)
    hashMore()
  }

  function hashMore(): void {
    if (!isStopped) hashing ??= Promise.resolve().then(hashAll)
  }

  async function hashAll(): Promise<void> {
    for (let next = take(); next !== undefined; next = take()) {
      const bytes = await hash(next.digest)
      if (next.isOld && bytes > 0) rest(bytes / limits.storeContainerdHashBytesPerMs)
    }
    hashing = undefined
  }

  function take(): { readonly digest: Digest; readonly isOld: boolean } | undefined {
    if (isStopped) return undefined
    const first = urgent.pop()
    if (first !== undefined) return { digest: first, isOld: false }
    if (resting !== undefined) return undefined
    if (!isSorted) backlog.sort((a, b) => a.modifiedMs - b.modifiedMs)
    isSorted = true
    const newest = backlog.pop()
    return newest === undefined ? undefined : { digest: newest.digest, isOld: true }
  }

  function rest(ms: number): void {
    if (isStopped) return
    const end = (): void => {
      resting = undefined
      hashMore()
    }
    resting = setTimeout(end, Math.max(ms, limits.storeContainerdHashRestMs)).unref()
  }

  return {
    add(digest, modifiedMs) {
      if (Date.now() - modifiedMs < limits.storeContainerdFreshMs) return addFirst(digest)
      isSorted = backlog.push({ digest, modifiedMs }) === 1
      hashMore()
    },
    addFirst,
    get waiting() {
      return urgent.length + backlog.length
    },
    async stop() {
      isStopped = true
      clearTimeout(resting)
      await hashing
    },
  }
}
