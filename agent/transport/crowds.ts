/** What is open at a time from each IP address, in its one form (`plainHost`): who opens many must not take the room of all others. */
export interface Crowds<Key, Item> {
  add(address: string, key: Key, item: Item): void
  delete(address: string, key: Key): void
  countOf(address: string): number
  /** Takes out what came first from there. */
  takeFirst(address: string): Item | undefined
  /** All of all addresses. */
  [Symbol.iterator](): IterableIterator<Item>
}

export function createCrowds<Key, Item>(): Crowds<Key, Item> {
  const crowds = new Map<string, Map<Key, Item>>()

  function remove(address: string, key: Key): void {
    const crowd = crowds.get(address)
    crowd?.delete(key)
    if (crowd?.size === 0) crowds.delete(address)
  }

  return {
    add(address, key, item) {
      const crowd = crowds.get(address) ?? new Map()
      crowds.set(address, crowd.set(key, item))
    },
    delete: remove,
    countOf: (address) => crowds.get(address)?.size ?? 0,
    takeFirst(address) {
      for (const [key, item] of crowds.get(address) ?? []) {
        remove(address, key)
        return item
      }
      return undefined
    },
    *[Symbol.iterator]() {
      for (const crowd of crowds.values()) yield* crowd.values()
    },
  }
}
