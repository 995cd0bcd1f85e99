/**
 * The first frame in each direction of a control stream; it settles which of two simultaneous dials lives
 * (agent/transport/links.ts). The opener says the number of its attempt; the answer says whether the stream is taken,
 * and the highest number the answerer has used itself, so that its older attempts, still under way, are known to be void.
 */
import { createReader, framed, malformed, varint } from './bytes.ts'

export interface Answer {
  /** False: the answerer's own stream, already under way, is the one to use. */
  readonly taken: boolean
  readonly attempt: number
}

export function encodeHello(attempt: number): Uint8Array {
  return framed([varint(attempt)])
}

export function decodeHello(frame: Uint8Array): number {
  const reader = createReader(frame)
  const attempt = reader.varint(Number.MAX_SAFE_INTEGER)
  reader.end()
  return attempt
}

export function encodeAnswer(answer: Answer): Uint8Array {
  return framed([Uint8Array.of(answer.taken ? 1 : 0), varint(answer.attempt)])
}

export function decodeAnswer(frame: Uint8Array): Answer {
  const reader = createReader(frame)
  const taken = reader.byte()
  if (taken > 1) throw malformed('an answer that is neither yes nor no')
  const attempt = reader.varint(Number.MAX_SAFE_INTEGER)
  reader.end()
  return { taken: taken === 1, attempt }
}
