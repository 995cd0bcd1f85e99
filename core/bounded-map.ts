/** A map that forgets its oldest entry rather than grow beyond `max`; setting a key makes it the newest. */
export interface BoundedMap<Key, Value> {
  get(key: Key): Value | undefined
  set(key: Key, value: Value): void
  delete(key: Key): void
  isEmpty(): boolean
  /** Oldest first. */
  [Symbol.iterator](): IterableIterator<[Key, Value]>
}

export function createBoundedMap<Key, Value>(max: number): BoundedMap<Key, Value> {
  const entries = new Map<Key, Value>()
  return {
    get: (key) => entries.get(key),
    set(key, value) {
      entries.delete(key)
      entries.set(key, value)
      if (entries.size <= max) return
      for (const oldest of entries.keys()) {
        entries.delete(oldest)
        return
      }
    },
    delete: (key) => void entries.delete(key),
    isEmpty: () => entries.size === 0,
    [Symbol.iterator]: () => entries.entries(),
  }
}
