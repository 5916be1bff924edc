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
  for (let at = headBytes; at < bytes.length; at += 4) {
    word ^= word << 13
    word ^= word >>> 17
    word ^= word << 5
    for (let i = at; i < Math.min(at + 4, bytes.length); i++) bytes[i] = word >>> (8 * (i - at))
  }
  return bytes
}

/** The id a payload claims to have; undefined where it is none of ours. */
export function payloadId(bytes: Uint8Array): number | undefined {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.length < headBytes || view.compare(payloadMark, 0, payloadMark.length, 0, payloadMark.length) !== 0)
    return undefined
  return view.readUInt32LE(payloadMark.length)
}

/** Whether these are the very bytes that were published under their id. */
export class PayloadCheck {
  readonly #seed: number
  /** The last ones made: each is read by many peers at about the same time. */
  readonly #recent = new Map<number, Uint8Array>()

  constructor(seed: number) {
    this.#seed = seed
  }

  holds(bytes: Uint8Array): boolean {
    const id = payloadId(bytes)
    if (id === undefined) return false
    let right = this.#recent.get(id)
    if (right?.length !== bytes.length) right = payloadOf(this.#seed, id, bytes.length)
    this.#recent.delete(id)
    this.#recent.set(id, right)
    if (this.#recent.size > 16) this.#recent.delete(this.#recent.keys().next().value as number)
    return Buffer.compare(right, bytes) === 0
  }
}
