/**
 * What libp2p remembers of peers, and its DHT of who provides what: in memory, as its own does, but of each kind no more than the
 * newest, since every member may have us write as many as it likes.
 */
import { MemoryDatastore } from 'datastore-core/memory'
import { limits } from '../../core/limits.ts'

type Key = Parameters<MemoryDatastore['put']>[0]
type AbortOptions = Parameters<MemoryDatastore['put']>[2]

/** The keys of one kind, the one that was used longest ago first. */
interface Kind {
  readonly keys: Map<string, Key>
  readonly max: number
}

/** `put` throws a RangeError where the record is longer than `limits.recordMaxBytes`, which refuses the message that brought it. */
export function createRecords(): MemoryDatastore {
  const all = new MemoryDatastore()
  const [put, get, remove] = [all.put.bind(all), all.get.bind(all), all.delete.bind(all)]
  const peers: Kind = { keys: new Map(), max: limits.peerRecordsMax }
  const others: Kind = { keys: new Map(), max: limits.dhtRecordsMax }

  function kindOf(name: string): Kind {
    return name.startsWith('/peers/') ? peers : others
  }

  function use(key: Key): void {
    const name = key.toString()
    const { keys, max } = kindOf(name)
    keys.delete(name)
    keys.set(name, key)
    if (keys.size <= max) return
    for (const oldest of keys.values()) {
      void forget(oldest)
      return
    }
  }

  function forget(key: Key, options?: AbortOptions): void | Promise<void> {
    const name = key.toString()
    kindOf(name).keys.delete(name)
    return remove(key, options)
  }

  return Object.assign(all, {
    delete: forget,
    put(key: Key, value: Uint8Array, options?: AbortOptions) {
      const length = key.toString().length + value.length
      if (length > limits.recordMaxBytes) throw new RangeError(`a record of ${length} bytes`)
      use(key)
      return put(key, value, options)
    },
    // This node's own record is read for each peer, and so is never the oldest.
    get(key: Key, options?: AbortOptions) {
      const value = get(key, options)
      use(key)
      return value
    },
  })
}
