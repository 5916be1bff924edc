/** Small things every codec needs. All results are plain `Uint8Array`s, never `Buffer`s, so that they compare and copy alike everywhere. */
import { Buffer } from 'node:buffer'
import { hash } from 'node:crypto'

/** Sha-256, 32 bytes. The one-shot call of node:crypto costs half of `createHash` for what a head needs. */
export function sha256(data: Uint8Array): Uint8Array {
  return plain(hash('sha256', data, 'buffer'))
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0
}

/** The same memory without Buffer's methods (its `slice` does not copy, for one). */
export function plain(bytes: Uint8Array): Uint8Array {
  return bytes.constructor === Uint8Array ? bytes : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
}

/** The same memory with Buffer's methods. */
export function buffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
}
