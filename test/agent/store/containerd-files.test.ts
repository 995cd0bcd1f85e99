/** What a watch does not tell is found by the next listing. */
import { mkdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { type ContainerdFilesComponents, createContainerdFiles } from '../../../agent/store/containerd-files.ts'
import type { Digest } from '../../../core/oci/digest.ts'
import { hour } from '../../../core/units.ts'
import { type Content, contentOf } from '../../support/content.ts'
import {
  commitContent,
  directoryForTest,
  eventually,
  logLines,
  makeContentDirectory,
} from '../../support/disk-store.ts'

const [first, second, third] = ['one', 'two', 'three'].map((text) => contentOf(Buffer.from(text))) as [
  Content,
  Content,
  Content,
]

/** What is there, as it was told; listed every few milliseconds, unless told otherwise. */
function watchForTest(
  contentDirectory: string,
  { watch, ...options }: { blobsMax?: number; lookMs?: number } & Pick<ContainerdFilesComponents, 'watch'> = {},
) {
  const there = new Set<Digest>()
  const { lines, logger } = logLines()
  const files = createContainerdFiles(
    {
      logger,
      onSeen: (digest, file) => (file === undefined ? there.delete(digest) : there.add(digest)),
      ...(watch === undefined ? {} : { watch }),
    },
    { directory: join(contentDirectory, 'blobs', 'sha256'), lookMs: 5, retryMs: 5, ...options },
  )
  onTestFinished(() => files.stop())
  return { files, there, lines }
}

function failToWatch(): never {
  throw Object.assign(new Error('too many open files'), { code: 'EMFILE' })
}

describe('a directory', () => {
  test('that another one takes the place of, is left for that one, which is watched too', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    const root = directoryForTest()
    const contentDirectory = makeContentDirectory(root)
    commitContent(contentDirectory, first.bytes)
    const lookMs = 1 * hour
    const { files, there } = watchForTest(contentDirectory, { lookMs })
    await files.start()
    expect(there).toEqual(new Set([first.digest]))
    renameSync(contentDirectory, join(root, 'before'))
    makeContentDirectory(root)
    commitContent(contentDirectory, second.bytes)
    await vi.advanceTimersByTimeAsync(lookMs)
    await eventually(() => there.has(second.digest))
    await eventually(() => !there.has(first.digest))
    // Within the hour until the next listing.
    commitContent(contentDirectory, third.bytes)
    await eventually(() => there.has(third.digest))
  })

  test('that is not there yet, is found when it comes', async () => {
    const root = directoryForTest()
    const { files, lines, there } = watchForTest(join(root, 'content'))
    await files.start()
    mkdirSync(join(root, 'content', 'blobs'), { recursive: true })
    commitContent(makeContentDirectory(root), first.bytes)
    await eventually(() => there.has(first.digest))
    expect(lines).toEqual([
      "warn: containerd's content can not be read: its copies are not used until it can",
      "info: containerd's content can be read now",
    ])
  })

  test('with more files than are looked at, gives as many, and others when some have gone', async () => {
    const contentDirectory = makeContentDirectory(directoryForTest())
    for (const { bytes } of [first, second, third]) commitContent(contentDirectory, bytes)
    const { files, lines, there } = watchForTest(contentDirectory, { blobsMax: 2 })
    await files.start()
    expect(there.size).toBe(2)
    expect(lines).toEqual(['warn: containerd has more content than is looked at'])
    const left = [first, second, third].filter(({ digest }) => !there.has(digest))
    const [gone] = there
    renameSync(join(contentDirectory, 'blobs/sha256', String(gone).slice(7)), join(contentDirectory, 'gone'))
    await eventually(() => left.every(({ digest }) => there.has(digest)))
    expect(there.size).toBe(2)
  })

  test('that can not be watched, as others have all of inotify, is listed all the same', async () => {
    const contentDirectory = makeContentDirectory(directoryForTest())
    commitContent(contentDirectory, first.bytes)
    const { files, lines, there } = watchForTest(contentDirectory, { watch: failToWatch })
    await files.start()
    expect(there).toEqual(new Set([first.digest]))
    commitContent(contentDirectory, second.bytes)
    await eventually(() => there.has(second.digest))
    expect(lines).toEqual(["warn: containerd's content can not be watched: what comes is found when it is listed next"])
  })
})
