/**
 * The first frame in each direction of a control stream; it settles which of two simultaneous dials lives
 * (agent/transport/links.ts). The opener says the number of its attempt; the answer says whether the stream is taken,
 * and the highest number the answerer has used itself, so that its older attempts, still under way, are known to be void.
 * An answer that takes it also offers the lanes that belong to the link (agent/transport/lanes.ts).
 */
import { createReader, framed, malformed, varint } from './bytes.ts'

/** Where the answerer waits for the opener's lanes, and the key that both sides then prove to have. */
export interface LanesOffer {
  readonly port: number
  /** Names the key; random, used once a lane. */
  readonly id: Uint8Array
  readonly key: Uint8Array
}

export const laneIdLength = 16
export const laneKeyLength = 32
const portMax = 65_535

export interface Answer {
  /** Undefined: the stream is not taken; the answerer's own, already under way, is the one to use. */
  readonly lanes: LanesOffer | undefined
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

export function encodeAnswer({ attempt, lanes }: Answer): Uint8Array {
  const offer = lanes === undefined ? [] : [varint(lanes.port), lanes.id, lanes.key]
  return framed([Uint8Array.of(lanes === undefined ? 0 : 1), varint(attempt), ...offer])
}

export function decodeAnswer(frame: Uint8Array): Answer {
  const reader = createReader(frame)
  const taken = reader.byte()
  if (taken > 1) throw malformed('an answer that is neither yes nor no')
  const attempt = reader.varint(Number.MAX_SAFE_INTEGER)
  const lanes =
    taken === 0
      ? undefined
      : { port: reader.varint(portMax), id: reader.copy(laneIdLength), key: reader.copy(laneKeyLength) }
  reader.end()
  return { attempt, lanes }
}
