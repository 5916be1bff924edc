/** Batches kept in memory after storing or reading, for all logs of a store; the one used longest ago goes first. */
import type { Batch } from '../wire/head.ts'

/** What an entry costs besides its bytes: the head's fields, hashes and the map (guess). */
const entryBytes = 1_000

export class BatchCache {
  readonly #bytesMax: number
  readonly #held = new Map<string, Batch>()
  #bytes = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get(key: string): Batch | undefined {
    const batch = this.#held.get(key)
    if (batch === undefined) return undefined
    this.#held.delete(key)
    this.#held.set(key, batch)
    return batch
  }

  put(key: string, batch: Batch): void {
    this.delete(key)
    const held = unshared(batch)
    if (sizeOf(held) > this.#bytesMax) return
    this.#held.set(key, held)
    this.#bytes += sizeOf(held)
    for (const oldest of this.#held.keys()) {
      if (this.#bytes <= this.#bytesMax) return
      this.delete(oldest)
    }
  }

  delete(key: string): void {
    const batch = this.#held.get(key)
    if (batch === undefined) return
    this.#held.delete(key)
    this.#bytes -= sizeOf(batch)
  }
}

function sizeOf({ head, body }: Batch): number {
  return head.bytes.length + body.length + entryBytes
}

/** A body that is a small view on a large network buffer would keep all of that alive. */
function unshared(batch: Batch): Batch {
  const { head, body } = batch
  return body.buffer.byteLength > 2 * body.length + entryBytes ? { head, body: body.slice() } : batch
}
