/** What is published: bytes that follow from seed and id, so that one wrong byte anywhere is seen by whoever reads it. */

/** Stands at the start of every payload, so that copies of it can be counted on the wire. */
export const payloadMark = Buffer.from('gv\u0001payload', 'latin1')

const headBytes = payloadMark.length + 8
export const payloadBytesMin = headBytes

/** mark | u32 id | u32 length | bytes of a xorshift32 that starts from seed and id */
export function payloadOf(seed: number, id: number, length: number): Uint8Array {
  const bytes = Buffer.alloc(Math.max(headBytes, length))
  payloadMark.copy(bytes)
  bytes.writeUInt32LE(id, payloadMark.length)
  bytes.writeUInt32LE(bytes.length, payloadMark.length + 4)
  let word = (Math.imul(seed | 1, 0x9e3779b1) ^ Math.imul(id + 1, 0x85ebca6b)) | 1
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  let at = headBytes
  for (; at + 4 <= bytes.length; at += 4) {
    word = next(word)
    view.setInt32(at, word, true)
  }
  word = next(word)
  for (let i = at; i < bytes.length; i++) bytes[i] = word >>> (8 * (i - at))
  return bytes
}

function next(word: number): number {
  let x = word ^ (word << 13)
  x ^= x >>> 17
  return x ^ (x << 5)
}

/** The id a payload claims to have; undefined where it is none of ours. */
export function payloadId(bytes: Uint8Array): number | undefined {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.length < headBytes || view.compare(payloadMark, 0, payloadMark.length, 0, payloadMark.length) !== 0)
    return undefined
  return view.readUInt32LE(payloadMark.length)
}

/** Bytes of payloads that a check keeps, to compare others with. More: those asked for longest ago go. */
const keptBytesMax = 32 * 1024 * 1024

/** Whether these are the very bytes that were published under their id. */
export class PayloadCheck {
  readonly #seed: number
  /** The last ones made, used longest ago first: each is read by many peers, and once more by the fresh readers of each. */
  readonly #recent = new Map<number, Uint8Array>()
  #bytes = 0

  constructor(seed: number) {
    this.#seed = seed
  }

  holds(bytes: Uint8Array): boolean {
    const id = payloadId(bytes)
    if (id === undefined) return false
    const right = this.#right(id, bytes.length)
    return Buffer.compare(right, bytes) === 0
  }

  #right(id: number, length: number): Uint8Array {
    const known = this.#recent.get(id)
    const right = known?.length === length ? known : payloadOf(this.#seed, id, length)
    this.#recent.delete(id)
    this.#recent.set(id, right)
    this.#bytes += right.length - (known?.length ?? 0)
    while (this.#bytes > keptBytesMax) {
      const [oldest, { length: freed }] = this.#recent.entries().next().value as [number, Uint8Array]
      this.#recent.delete(oldest)
      this.#bytes -= freed
    }
    return right
  }
}
