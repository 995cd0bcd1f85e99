/** Sets of chunk indices as bytes; bit `i` is bit `i % 8` (least significant first) of byte `i >> 3`. */

export function bitfieldOf(count: number): Uint8Array {
  return new Uint8Array((count + 7) >> 3)
}

export function fullBitfield(count: number): Uint8Array {
  const bits = bitfieldOf(count).fill(0xff)
  if (count % 8 !== 0) bits[bits.length - 1] = (1 << (count % 8)) - 1
  return bits
}

export function hasBit(bits: Uint8Array, index: number): boolean {
  return ((bits[index >> 3] ?? 0) & (1 << (index & 7))) !== 0
}

export function setBit(bits: Uint8Array, index: number): void {
  bits[index >> 3] = (bits[index >> 3] ?? 0) | (1 << (index & 7))
}

export function clearBit(bits: Uint8Array, index: number): void {
  bits[index >> 3] = (bits[index >> 3] ?? 0) & ~(1 << (index & 7))
}

export function isEmpty(bits: Uint8Array): boolean {
  for (const byte of bits) if (byte !== 0) return false
  return true
}

export function countBits(bits: Uint8Array): number {
  let count = 0
  for (let byte of bits) for (; byte !== 0; byte &= byte - 1) count++
  return count
}

/** Is `bits` a well-formed bitfield for `count` chunks: right length, no bit beyond the end? */
export function isBitfieldFor(bits: Uint8Array, count: number): boolean {
  if (bits.length !== (count + 7) >> 3) return false
  return count % 8 === 0 || (bits.at(-1) ?? 0) >> (count % 8) === 0
}
