import { rmSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { describe } from 'vitest'
import { chunkSizeOf } from '../../core/swarm/chunks.ts'
import {
  commitContent,
  contentPath,
  dataPath,
  makeContentDirectory,
  openTestStore,
  temporaryDirectory,
} from '../support/disk-store.ts'
import { createMemoryStore } from '../support/memory-store.ts'
import { storeContract, type StoreUnderTest } from './store.ts'

describe('the store of tests', () => {
  storeContract(async () => {
    const store = createMemoryStore()
    return {
      store,
      async restart() {
        store.restart()
        return store
      },
      corrupt: async (digest, index) => store.corrupt(digest, index),
      commit: async (bytes) => void store.commit(bytes),
      forget: async (digest) => store.forget(digest),
      end: async () => {},
    }
  })
})

describe('the store on disk', () => {
  storeContract(startOnDisk)
})

async function startOnDisk(): Promise<StoreUnderTest> {
  const { path: directory, remove } = temporaryDirectory()
  const contentDirectory = makeContentDirectory(directory)
  const options = { containerdContentDirectory: contentDirectory }
  let store = await openTestStore(directory, { options })
  await store.start()
  return {
    store,
    async restart() {
      await store.stop()
      store = await openTestStore(directory, { options })
      await store.start()
      return store
    },
    async corrupt(digest, index) {
      await using file = await open(dataPath(directory, digest), 'r+')
      const at = index * chunkSizeOf((await file.stat()).size)
      const { buffer } = await file.read(Buffer.alloc(1), 0, 1, at)
      await file.write(Buffer.of((buffer[0] ?? 0) ^ 1), 0, 1, at)
    },
    commit: async (bytes) => commitContent(contentDirectory, bytes),
    forget: async (digest) => rmSync(contentPath(contentDirectory, digest)),
    async end() {
      await store.stop()
      remove()
    },
  }
}
