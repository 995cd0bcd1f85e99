import { Writable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createOutbox } from '../../../agent/transport/control.ts'
import { limits } from '../../../core/limits.ts'

/** What it was given in each write. */
function recordingLane(): { readonly lane: Writable; readonly writes: string[] } {
  const writes: string[] = []
  const lane = new Writable({
    write(bytes: Buffer, _encoding, done) {
      writes.push(bytes.toString())
      done()
    },
  })
  return { lane, writes }
}

test('what several callbacks of one turn of the event loop say leaves in one write', async () => {
  const { lane, writes } = recordingLane()
  const outbox = createOutbox()
  outbox.open(lane)
  outbox.push(Buffer.from('one '))
  await Promise.resolve()
  process.nextTick(() => outbox.push(Buffer.from('two')))
  await setImmediate()
  expect(writes).toEqual(['one two'])
  outbox.push(Buffer.from('three'))
  await setImmediate()
  expect(writes).toEqual(['one two', 'three'])
})

test('what is said before the lane is open leaves as it opens', async () => {
  const { lane, writes } = recordingLane()
  const outbox = createOutbox()
  outbox.push(Buffer.from('one '))
  await setImmediate()
  outbox.push(Buffer.from('two'))
  outbox.open(lane)
  expect(writes).toEqual(['one two'])
})

test('more than may wait is refused', () => {
  const outbox = createOutbox()
  expect(outbox.push(Buffer.alloc(limits.controlQueueMaxBytes))).toBe(true)
  expect(outbox.push(Buffer.alloc(1))).toBe(false)
})
