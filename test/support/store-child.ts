/**
 * A process to be killed. `hold <directory>` keeps the directory until then; `write <directory> <seed>` keeps chunks, and
 * says what it has done, a line each, only after it is done: `kept <blob> <chunk>`, `gone <blob>`.
 */
import { writeSync } from 'node:fs'
import { openStore } from '../../agent/store/store.ts'
import { systemClock } from '../../agent/system/clock.ts'
import type { Digest } from '../../core/oci/digest.ts'
import { MiB } from '../../core/units.ts'
import { crashContents, type CrashContent } from './crash-contents.ts'

const [, , mode, directory = '', seed = ''] = process.argv
const say = (line: string): void => void writeSync(1, `${line}\n`)
const logger = { info: () => {}, warn: () => {}, error: () => {} }
/** Room for two of the three blobs, so that eviction is at work too. */
const options = { directory, maxBytes: 8 * MiB, highWatermark: 1, lowWatermark: 1 }

const contents = crashContents(seed)
const store = await openStore({ clock: systemClock, logger }, options)
store.onEvicted((digest: Digest) => say(`gone ${contents.findIndex((content) => content.digest === digest)}`))
say('open')
if (mode === 'hold') setInterval(() => {}, 1000)
else for (;;) for (const [blob, content] of contents.entries()) await writeAll(blob, content)

async function writeAll(blob: number, content: CrashContent): Promise<void> {
  const stored = await store.open(content.digest, content.size)
  await Promise.all(
    content.order.map(async (index) => {
      await stored.write(
        index,
        [content.chunk(index).subarray(0, 100), content.chunk(index).subarray(100)],
        content.entry(index),
      )
      say(`kept ${blob} ${index}`)
    }),
  )
  await stored.markComplete()
  if (content.isDiscarded) {
    say(`gone ${blob}`)
    await stored.discard()
  }
  await stored.close()
}
