/**
 * Bodies are sent and stored compressed where that helps: deflate-raw at level 1, which did 290 MB/s on one core where
 * one-shot zstd of node:zlib did 17 (it sets up a context a call). Synchronous, for the simulator's sake.
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { limits } from '../limits.ts'
import { plain } from './bytes.ts'
import { WireError } from './error.ts'
import type { Compression, Head } from './head.ts'

export interface PackedBody {
  readonly body: Uint8Array
  readonly compression: Compression
}

/** Deflate cannot make more of a byte than this many (zlib's technical notes): a head that claims more is lying. */
const deflateRatioMax = 1032
/** Of a run of bodies that do not shrink, at most one in this many is tried. */
const skipMax = 64
/** Of a large one that follows such, so much from its middle is tried before all of it. */
const sampleBytes = 32 * 1024

/** Compresses `raw` when it is worth trying and saves at least an eighth; otherwise gives it back as it is. */
export function compressBody(raw: Uint8Array): PackedBody {
  if (raw.length >= limits.compressBytesMin) {
    const body = plain(deflateRawSync(raw, { level: 1 }))
    // Copied: node:zlib gives a view on a larger buffer, which would stay in memory for as long as the body does.
    if (body.length <= raw.length - raw.length / 8) return { body: body.slice(), compression: 'deflate-raw' }
  }
  return { body: raw, compression: 'none' }
}

/**
 * Compresses the bodies of one feed. Values that do not shrink (images, ciphertext) seldom come alone, so each failure
 * doubles the number of bodies that pass untried, up to 63, and the first success ends that.
 */
export class Compressor {
  #failures = 0
  #skip = 0

  compress(raw: Uint8Array): PackedBody {
    if (raw.length < limits.compressBytesMin) return { body: raw, compression: 'none' }
    if (this.#skip > 0) {
      this.#skip--
      return { body: raw, compression: 'none' }
    }
    const packed =
      this.#failures === 0 || mayShrink(raw) ? compressBody(raw) : ({ body: raw, compression: 'none' } as const)
    this.#failures = packed.compression === 'none' ? this.#failures + 1 : 0
    this.#skip = Math.min(2 ** this.#failures, skipMax) - 1
    return packed
  }
}

function mayShrink(raw: Uint8Array): boolean {
  if (raw.length <= 2 * sampleBytes) return true
  const from = (raw.length - sampleBytes) >>> 1
  return compressBody(raw.subarray(from, from + sampleBytes)).compression !== 'none'
}

/**
 * The record batch inside a body. Allocates at most `head.rawBytes` for it, whatever the body holds.
 * Throws WireError when it does not decompress to exactly that many bytes.
 */
export function expandBody(head: Head, body: Uint8Array): Uint8Array {
  if (body.length !== head.bodyBytes) throw new WireError('a body has another size than its head says')
  if (head.compression === 'none') return body
  if (head.rawBytes > body.length * deflateRatioMax)
    throw new WireError('a body cannot decompress to what its head says')
  const raw = inflate(body, head.rawBytes)
  if (raw.length !== head.rawBytes) throw new WireError('a body decompresses to another size than its head says')
  return raw
}

function inflate(body: Uint8Array, rawBytes: number): Uint8Array {
  try {
    // One byte of room more than needed, or zlib would allocate a second piece to find out that nothing follows.
    return plain(inflateRawSync(body, { maxOutputLength: rawBytes, chunkSize: Math.max(rawBytes + 1, 64) }))
  } catch (cause) {
    throw new WireError('a body does not decompress', { cause })
  }
}
