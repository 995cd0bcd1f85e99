/** Layers fetched ahead of a client that pulls whole layers one after the other. */
import { limits } from '../../core/limits.ts'
import type { Descriptor } from '../../core/oci/manifest.ts'
import type { Blobs, Want } from './ports.ts'

export interface Prefetch {
  /**
   * A client reads the whole layer `want`, one of `layers`: the next layers after the highest one requested so far are
   * started, below any reader. Each is dropped when nobody asked for it within `limits.prefetchUnrequestedMs`.
   */
  follow(want: Want, layers: readonly Descriptor[]): void
  /** A reader has `want` open, so the prefetch of it, if any, has done its part. */
  taken(want: Want): void
  /** Drops everything. */
  stop(): void
}

interface Running {
  readonly cancel: () => void
  readonly timer: NodeJS.Timeout
}

/** `layersAhead`: how many layers after the highest one requested are fetched. */
export function createPrefetch({ blobs }: { blobs: Blobs }, { layersAhead }: { layersAhead: number }): Prefetch {
  const running = new Map<string, Running>()
  /** Index of the highest layer requested, per list of layers: a manifest served anew starts anew. */
  const highest = new WeakMap<readonly Descriptor[], number>()

  function follow(want: Want, layers: readonly Descriptor[]): void {
    const requested = layers.findIndex(({ digest }) => digest === want.digest)
    const top = Math.max(requested, highest.get(layers) ?? -1)
    highest.set(layers, top)
    for (const layer of layers.slice(top + 1, top + 1 + layersAhead)) {
      if (!layer.foreign) start({ ...want, digest: layer.digest, size: layer.size })
    }
  }

  function start(want: Want): void {
    const key = keyOf(want)
    if (running.has(key) || running.size >= limits.prefetchesMax) return
    const timer = setTimeout(() => drop(key), limits.prefetchUnrequestedMs).unref()
    running.set(key, { cancel: blobs.prefetch(want), timer })
  }

  function drop(key: string): void {
    const prefetch = running.get(key)
    if (prefetch === undefined) return
    running.delete(key)
    clearTimeout(prefetch.timer)
    prefetch.cancel()
  }

  return {
    follow,
    taken: (want) => drop(keyOf(want)),
    stop: () => [...running.keys()].forEach(drop),
  }
}

function keyOf({ origin, repository, digest }: Want): string {
  return `${origin} ${repository} ${digest}`
}
