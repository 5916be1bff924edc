/** A batch whose body comes in pieces, each copied to its place once: however the stream cut it, nothing is put together before. */
import type { Uint8ArrayList } from 'uint8arraylist'
import { plain } from '../wire/bytes.ts'
import { WireError } from '../wire/error.ts'
import type { Batch, SignedHead } from '../wire/head.ts'

export class PartialBatch {
  readonly #batch: Batch
  #filled = 0

  /** Takes the memory that the head asks for. */
  constructor(head: SignedHead) {
    this.#batch = { head, body: plain(Buffer.allocUnsafeSlow(head.head.bodyBytes)) }
  }

  /** Once all of it is here. */
  get whole(): Batch | undefined {
    return this.#filled === this.#batch.body.length ? this.#batch : undefined
  }

  /** Throws WireError for what there is no room for. */
  add(piece: Uint8Array | Uint8ArrayList): void {
    const { body } = this.#batch
    if (this.#filled + piece.length > body.length) throw new WireError('a piece of no body')
    for (const part of piece instanceof Uint8Array ? [piece] : piece) {
      body.set(part, this.#filled)
      this.#filled += part.length
    }
  }
}
