import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { varint } from '../../../core/wire/bytes.ts'
import { createFrameDecoder, splitFrames } from '../../../core/wire/frames.ts'
import { cut, fractions } from './arbitraries.ts'

const frameMaxBytes = 64 * 1024

function framesOf(pieces: readonly Uint8Array[]): Uint8Array[] {
  const decoder = createFrameDecoder(frameMaxBytes)
  return pieces.flatMap((piece) => [...decoder.push(piece)])
}

test('frames survive any split, one byte at a time included', () => {
  const frames = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 6 })
  fc.assert(
    fc.property(frames, fractions, fc.boolean(), (bodies, at, byByte) => {
      const stream = Buffer.concat(bodies.flatMap((body) => [varint(body.length), body]))
      const pieces = byByte ? [...stream].map((byte) => Uint8Array.of(byte)) : cut(stream, at)
      expect(framesOf(pieces).map((frame) => [...frame])).toEqual(bodies.map((body) => [...body]))
    }),
  )
})

test('a frame within one piece is a view of it', () => {
  const piece = Uint8Array.of(2, 7, 8)
  const [frame] = framesOf([piece])
  expect(frame?.buffer).toBe(piece.buffer)
})

test('a frame over the bound is refused before anything is kept for it', () => {
  expect(() => framesOf([varint(frameMaxBytes + 1)])).toThrow(expect.objectContaining({ code: 'PEER_PROTOCOL' }))
  expect(framesOf([varint(frameMaxBytes)])).toEqual([])
})

test('a frame that comes a byte at a time is copied once, not once a byte', () => {
  const body = new Uint8Array(frameMaxBytes).fill(7)
  const decoder = createFrameDecoder(frameMaxBytes)
  const stream = Buffer.concat([varint(body.length), body])
  const frames: Uint8Array[] = []
  for (let at = 0; at < stream.length; at++) frames.push(...decoder.push(stream.subarray(at, at + 1)))
  expect(frames).toHaveLength(1)
  expect(frames[0]?.buffer.byteLength).toBe(frameMaxBytes)
})

async function* source() {
  yield Uint8Array.of(1, 5, 2)
  yield [Uint8Array.of(6), Uint8Array.of(7, 0)]
}

test('as a transform it takes arrays and lists of arrays', async () => {
  const frames: number[][] = []
  for await (const frame of splitFrames(source(), frameMaxBytes)) frames.push([...frame])
  expect(frames).toEqual([[5], [6, 7], []])
})
