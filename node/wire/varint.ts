/** Unsigned LEB128, as protobuf's varints, up to 49 bits: seven bytes. Bit operations would end at 32. */
import assert from 'node:assert/strict'

const largest = 2 ** 49 - 1

export function varintSize(value: number): number {
  if (value < 0x80 && value >= 0) return 1
  assert(Number.isInteger(value) && value >= 0 && value <= largest, 'a varint is an integer from 0 to 2^49 - 1')
  let size = 1
  for (let rest = value; rest >= 128; rest /= 128) size++
  return size
}

/** Writes `value` and returns the position after it. */
export function writeVarint(into: Uint8Array, at: number, value: number): number {
  let rest = value
  let next = at
  while (rest >= 128) {
    into[next++] = (rest % 128) | 128
    rest = Math.floor(rest / 128)
  }
  into[next] = rest
  return next + 1
}
