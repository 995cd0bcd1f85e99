/** The store against what only real processes and real filesystems do. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { realDisk } from '../../agent/store/disk.ts'
import type { DiskStore } from '../../agent/store/store.ts'
import type { StoredBlob } from '../../core/ports.ts'
import { hasBit } from '../../core/swarm/bitfield.ts'
import { chunkSizeOf } from '../../core/swarm/chunks.ts'
import { KiB, MiB, second } from '../../core/units.ts'
import { type Content, contentFrom, fill } from '../support/content.ts'
import { crashContents, type CrashContent } from '../support/crash-contents.ts'
import { directoryForTest, logLines, openTestStore } from '../support/disk-store.ts'
import { lacks } from '../support/needs.ts'
import { seededRandom } from '../support/seeded-random.ts'

interface Child {
  readonly process: ChildProcess
  readonly lines: string[]
  /** Resolves with the first line that passes. */
  until(passes: (line: string) => boolean): Promise<void>
  kill(): Promise<void>
}

function startChild(...args: string[]): Child {
  const script = join(import.meta.dirname, '..', 'support', 'store-child.ts')
  const child = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  const output = createInterface({ input: child.stdout })
  const ended = once(output, 'close')
  const lines: string[] = []
  const waits = new Set<(line: string) => void>()
  output.on('line', (line) => {
    lines.push(line)
    for (const wait of waits) wait(line)
  })
  async function kill(): Promise<void> {
    child.kill('SIGKILL')
    await Promise.all([exited, ended])
  }
  onTestFinished(kill)
  return {
    process: child,
    lines,
    async until(passes) {
      const { promise, resolve } = Promise.withResolvers<void>()
      const wait = (line: string): void => {
        if (passes(line)) resolve()
      }
      waits.add(wait)
      await promise
      waits.delete(wait)
    },
    kill,
  }
}

async function keep(store: DiskStore, content: Content): Promise<void> {
  const blob = await store.open(content.digest, content.size)
  try {
    await fill(blob, content)
  } finally {
    await blob.close()
  }
}

/** What the child had done for certain when it died: per blob, chunks kept and not taken back since. */
function promised(lines: readonly string[], contents: readonly CrashContent[]): Set<number>[] {
  const kept = contents.map(() => new Set<number>())
  for (const line of lines) {
    const [what, blob, chunk] = line.split(' ')
    if (what === 'kept') kept[Number(blob)]?.add(Number(chunk))
    if (what === 'gone') kept[Number(blob)]?.clear()
  }
  return kept
}

/** Every chunk that the store claims is right, and every other is refused; resolves with those it has. */
async function readAll(store: DiskStore, content: CrashContent): Promise<Set<number>> {
  const held = new Set<number>()
  const blob = await store.open(content.digest, content.size)
  for (const index of content.order) {
    const read = blob.read(index * chunkSizeOf(content.size), content.chunk(index).length)
    const isHeld = hasBit(blob.have, index)
    const outcome = await read.then(
      (bytes) => (content.chunk(index).equals(bytes) ? 'right' : 'wrong'),
      (error: { code: unknown }) => error.code,
    )
    expect(outcome).toBe(isHeld ? 'right' : 'CHUNK_CORRUPT')
    expect(blob.entry(index)).toEqual(isHeld ? content.entry(index) : undefined)
    if (isHeld) held.add(index)
  }
  await blob.close()
  return held
}

describe('kill -9', () => {
  test('at any moment loses no chunk that was kept, and makes none up', async () => {
    const directory = directoryForTest()
    const seed = process.env['SHOAL_TEST_SEED'] ?? String(Date.now())
    const random = seededRandom(seed)
    const deadline = performance.now() + 8 * second
    let promises = 0
    let rounds = 0
    for (; rounds < 30 && performance.now() < deadline; rounds++) {
      const contents = crashContents(`${seed} ${rounds % 3}`)
      const child = startChild('write', directory, `${seed} ${rounds % 3}`)
      let linesLeft = random.below(60)
      await child.until(() => linesLeft-- === 0)
      await setTimeout(random.below(5))
      await child.kill()
      const store = await openTestStore(directory)
      for (const [blob, kept] of promised(child.lines, contents).entries()) {
        const content = contents[blob]
        const held = content === undefined ? new Set() : await readAll(store, content)
        expect(kept.difference(held), `seed ${seed}, round ${rounds}, blob ${blob}`).toEqual(new Set())
        promises += kept.size
      }
      await store.stop()
    }
    console.log(`kill -9: ${rounds} rounds, ${promises} chunks promised and found (SHOAL_TEST_SEED=${seed})`)
    expect(promises).toBeGreaterThan(0)
  })

  test('of the process that has the directory frees it', async () => {
    const directory = directoryForTest()
    const child = startChild('hold', directory)
    await child.until((line) => line === 'open')
    const refused = openTestStore(directory)
    await expect(refused).rejects.toMatchObject({ code: 'STORE_LOCKED' })
    await expect(refused).rejects.toThrow(`belongs to process ${child.process.pid}`)
    await child.kill()
    const store = await openTestStore(directory)
    await store.stop()
  })
})

/** 4 MiB; unmounted when the test ends. */
function mountTmpfs(): string {
  const path = join(directoryForTest(), 'mounted')
  mkdirSync(path)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'shoal-test', path])
  onTestFinished(() => void execFileSync('umount', ['-l', path]))
  return path
}

describe.skipIf(lacks('root'))('a filesystem of its own', () => {
  const [a, b, c] = ['a', 'b', 'c'].map((seed) => contentFrom(seed, 1900 * KiB)) as [Content, Content, Content]
  /** Only the filesystem itself says no. */
  const liar = { ...realDisk, usage: async () => ({ sizeBytes: 1e9, availableBytes: 1e9, inodes: 0, inodesFree: 0 }) }

  test('that is full refuses chunks, keeps what it has, and takes more when there is room', async () => {
    const store = await openTestStore(mountTmpfs())
    await keep(store, a)
    await keep(store, b)
    store.pin(a.digest)
    store.pin(b.digest)
    await expect(keep(store, c)).rejects.toMatchObject({ code: 'DISK_FULL' })
    const blob = await store.open(a.digest, a.size)
    expect(a.bytes.equals(await blob.read(0, a.size))).toBe(true)
    await blob.close()
    store.unpin(a.digest)
    await keep(store, c)
    expect(store.state(a.digest)).toBeUndefined()
    await store.stop()
  })

  test('that is full in spite of what it says leaves no half chunk', async () => {
    const directory = mountTmpfs()
    const store = await openTestStore(directory, { disk: liar })
    const opened = await Promise.all([a, b, c].map((content) => store.open(content.digest, content.size)))
    const [one, two, three] = opened as [StoredBlob, StoredBlob, StoredBlob]
    await fill(one, a)
    await fill(two, b)
    await expect(fill(three, c)).rejects.toMatchObject({ code: 'DISK_FULL' })
    for (const blob of opened) await blob.close()
    await store.stop()
    const next = await openTestStore(directory, { disk: liar })
    expect(next.state(a.digest)?.have).toEqual(Uint8Array.of(0xff, 0x7f))
    await keep(next, c)
    const blob = await next.open(c.digest, c.size)
    expect(c.bytes.equals(await blob.read(0, c.size))).toBe(true)
    await blob.close()
    await next.stop()
  })

  test('that turned read-only is passed by, with a loud word', async () => {
    const directory = mountTmpfs()
    const before = await openTestStore(directory)
    await keep(before, a)
    await before.stop()
    execFileSync('mount', ['-o', 'remount,ro', directory])
    const { lines, logger } = logLines()
    const store = await openTestStore(directory, { logger })
    expect(lines).toEqual(['error: the data directory can not be used: all blobs pass through unkept'])
    expect(store.stats().mode).toBe('pass-through')
    await expect(keep(store, b)).rejects.toMatchObject({ code: 'DISK_FAILED' })
    await store.stop()
  })

  test('is never filled above the watermark', async () => {
    const directory = mountTmpfs()
    const store = await openTestStore(directory, {
      options: { highWatermark: 0.8, lowWatermark: 0.7, maxBytes: 100 * MiB },
    })
    for (const content of [a, b, c, a]) {
      await keep(store, content)
      const { sizeBytes, availableBytes } = await realDisk.usage(directory)
      expect(availableBytes / sizeBytes).toBeGreaterThanOrEqual(0.2)
    }
    await store.stop()
  })
})
