import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { openTestStore, temporaryDirectory } from '../../support/disk-store.ts'
import type { BlobStore, StoredBlob } from '../../../core/ports.ts'
import { limits } from '../../../core/limits.ts'
import { KiB } from '../../../core/units.ts'
import { contentFrom } from '../../support/content.ts'
import { createMemoryStore } from '../../support/memory-store.ts'

const contents = ['x', 'y'].map((seed) => contentFrom(seed, 450 * KiB))

type Step =
  | { readonly do: 'write' | 'read'; readonly blob: number; readonly chunk: number }
  | { readonly do: 'complete' | 'discard' | 'reopen' | 'remove'; readonly blob: number }
  | { readonly do: 'restart' }

const blob = fc.nat(contents.length - 1)
const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constantFrom('write' as const, 'read' as const), blob, chunk: fc.nat(3) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('complete', 'discard', 'reopen', 'remove'), blob }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
)

/** A store, its restart, and what became of each step. */
interface Player {
  store: BlobStore
  restart(): Promise<BlobStore>
}

async function play(player: Player, script: readonly Step[]): Promise<unknown[]> {
  const seen: unknown[] = []
  let open: StoredBlob[] = []
  const openAll = async (): Promise<void> => {
    open = await Promise.all(contents.map(({ digest, size }) => player.store.open(digest, size)))
  }
  await openAll()
  for (const step of script) {
    if (step.do === 'restart') {
      player.store = await player.restart()
      await openAll()
    } else seen.push(await take(player.store, open, step).catch((error: unknown) => codeOf(error)))
    seen.push(open.map(({ complete, have }) => [complete, have.join()]))
  }
  for (const each of open) await each.close()
  return seen
}

async function take(store: BlobStore, open: StoredBlob[], step: Exclude<Step, { do: 'restart' }>): Promise<unknown> {
  const [content, stored] = [contents[step.blob], open[step.blob]]
  if (content === undefined || stored === undefined) throw new RangeError('no such blob')
  switch (step.do) {
    case 'write':
      return stored.write(step.chunk, [content.chunk(step.chunk)], content.entry(step.chunk))
    case 'read':
      return content
        .chunk(step.chunk)
        .equals(await stored.read(step.chunk * limits.chunkSizeMinBytes, content.chunk(step.chunk).length))
    case 'complete':
      return stored.markComplete()
    case 'discard':
      return stored.discard()
    case 'reopen':
      await stored.close()
      open[step.blob] = await store.open(content.digest, content.size)
      return undefined
    case 'remove': {
      await stored.close()
      const removed = await store.remove(content.digest)
      open[step.blob] = await store.open(content.digest, content.size)
      return removed
    }
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : error instanceof Error ? error.name : error
}

test('does what its twin does, whatever is asked of it', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(steps, { maxLength: 25 }), async (script) => {
      const { path, remove } = temporaryDirectory()
      let disk = await openTestStore(path)
      const twin = createMemoryStore()
      const onDisk = await play(
        {
          store: disk,
          async restart() {
            await disk.stop()
            disk = await openTestStore(path)
            return disk
          },
        },
        script,
      )
      const inMemory = await play({ store: twin, restart: async () => (twin.restart(), twin) }, script)
      await disk.stop()
      remove()
      expect(onDisk).toEqual(inMemory)
    }),
    { numRuns: 60 },
  )
}, 30_000)
