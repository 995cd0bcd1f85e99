/** The grammar all our binary messages share: single bytes, varints, and runs of bytes whose length is known. */
import { ShoalError } from '../errors.ts'

/** Enough for `Number.MAX_SAFE_INTEGER`: seven bits a byte, least significant first. */
const varintBytesMax = 8

export function malformed(detail: string): ShoalError {
  return new ShoalError('PEER_PROTOCOL', detail)
}

/** An integer from 0 to `Number.MAX_SAFE_INTEGER` in its one shortest form (LEB128). */
export function varint(value: number): Uint8Array {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`no varint for ${value}`)
  const bytes: number[] = []
  let rest = value
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80)
  bytes.push(rest)
  return Uint8Array.from(bytes)
}

export interface VarintReader {
  /** Takes the next byte; the value when that was the last one. Throws `PEER_PROTOCOL` when overlong or over `max`. */
  feed(byte: number): number | undefined
}

/** Reads one varint after the other, a byte at a time, wherever the stream was split. */
export function createVarintReader(max: number): VarintReader {
  let value = 0
  let count = 0
  return {
    feed(byte) {
      value += (byte & 0x7f) * 0x80 ** count
      count++
      if (value > max) throw malformed(`a number is over its bound of ${max}`)
      if (byte >= 0x80 && count === varintBytesMax) throw malformed('a varint is too long')
      if (byte >= 0x80) return undefined
      if (byte === 0 && count > 1) throw malformed('a varint is not in its shortest form')
      const whole = value
      value = 0
      count = 0
      return whole
    },
  }
}

/** Walks over one message; every method throws `PEER_PROTOCOL` where the message is too short or a number too large. */
export interface Reader {
  byte(): number
  /** A varint of at most `max`. */
  varint(max: number): number
  /** A view of the next `length` bytes. */
  take(length: number): Uint8Array
  /** A copy of them, for what outlives the packet that brought it. */
  copy(length: number): Uint8Array
  /** How many bytes are left. */
  left(): number
  /** Throws unless everything was read. */
  end(): void
}

export function createReader(bytes: Uint8Array): Reader {
  let position = 0
  function byte(): number {
    const value = bytes[position]
    if (value === undefined) throw malformed('a message ends too soon')
    position++
    return value
  }
  function take(length: number): Uint8Array {
    if (position + length > bytes.length) throw malformed('a message ends too soon')
    position += length
    return bytes.subarray(position - length, position)
  }
  return {
    byte,
    take,
    copy: (length) => new Uint8Array(take(length)),
    varint(max) {
      const reader = createVarintReader(max)
      for (;;) {
        const value = reader.feed(byte())
        if (value !== undefined) return value
      }
    },
    left: () => bytes.length - position,
    end() {
      if (position < bytes.length) throw malformed('a message has trailing bytes')
    },
  }
}

/** `parts` in one array, behind a varint with their length. */
export function framed(parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  return Buffer.concat([varint(length), ...parts])
}
