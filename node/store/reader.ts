/** Reading batches of one log, from the cache or from disk; what does not hold is never returned. */
import { GrapevineError } from '../errors.ts'
import type { FeedId, TopicName } from '../types.ts'
import { type Batch, headSigned, type SignedHead } from '../wire/head.ts'
import type { Arrival } from './arrival.ts'
import type { BatchCache } from './cache.ts'
import type { OpenFiles } from './files.ts'
import { frameHeaderBytes, frameHolds, headIn, readFrameHeader } from './frame.ts'
import type { Mending } from './mending.ts'
import { storageError } from './tail.ts'

/** A frame up to this size is read whole where only its head is wanted: its crc is cheaper than a signature. */
const wholeBytesMax = 64 * 1024

export interface ReaderParts {
  topic: TopicName
  files: OpenFiles
  cache: BatchCache
}

export class BatchReader {
  readonly #parts: ReaderParts
  readonly #arrival: Arrival
  readonly #mending: Pick<Mending, 'lose'>
  #closed = false

  /** `mending` is told of batches that turn out to be damaged. */
  constructor(parts: ReaderParts, arrival: Arrival, mending: Pick<Mending, 'lose'>) {
    this.#parts = parts
    this.#arrival = arrival
    this.#mending = mending
  }

  /** The batch of a row; undefined when it turned out to be damaged, which is then known. */
  async batch(row: number): Promise<Batch | undefined> {
    const { cache } = this.#parts
    const { firstOffset, position, length } = this.#arrival.rows.get(row)
    const cached = cache.get(this.#cacheKey(firstOffset))
    if (cached !== undefined) return cached
    const { path } = this.#arrival.segment(row)
    // Read once more before it counts as damaged: what failed may have been the way here.
    for (let tries = 0; tries < 2; tries++) {
      const batch = parseFrame(await this.#readAt(path, position, length), firstOffset)
      if (batch !== undefined) {
        cache.put(this.#cacheKey(firstOffset), batch)
        return batch
      }
      // Retention may have dropped it meanwhile.
      if (!this.#arrival.holds(firstOffset)) return undefined
    }
    await this.#mending.lose(firstOffset)
    return undefined
  }

  /** The head in a row, which is that of this batch. */
  async head(row: number, feed: FeedId, seq: number): Promise<SignedHead | undefined> {
    const { firstOffset, length, position, headBytes } = this.#arrival.rows.get(row)
    const cached = this.#parts.cache.get(this.#cacheKey(firstOffset))
    if (cached !== undefined) return cached.head
    if (length > wholeBytesMax) {
      const bytes = await this.#readAt(this.#arrival.segment(row).path, position + frameHeaderBytes, headBytes)
      const head = headIn(bytes)
      if (head?.feed === feed && head.head.seq === seq && headSigned(head)) return head
    }
    // The row may have got another number meanwhile.
    const now = this.#arrival.feeds.get(feed)?.row(seq)
    return now === undefined ? undefined : (await this.batch(now))?.head
  }

  /** Keeps a batch at hand that was just stored at this offset. */
  keep(offset: number, batch: Batch): void {
    this.#parts.cache.put(this.#cacheKey(offset), batch)
  }

  /** From now on nothing is opened any more, which might make a removed file anew. */
  close(): void {
    this.#closed = true
  }

  async #readAt(path: string, position: number, length: number): Promise<Uint8Array> {
    if (this.#closed) throw new GrapevineError('PeerClosed', 'This log is closed.', {})
    const bytes = new Uint8Array(length)
    try {
      return bytes.subarray(0, await this.#parts.files.use(path, (file) => file.read(bytes, position)))
    } catch (error) {
      throw storageError(error, path)
    }
  }

  #cacheKey(offset: number): string {
    return `${this.#parts.topic}/${offset}`
  }
}

function parseFrame(frame: Uint8Array, offset: number): Batch | undefined {
  const header = readFrameHeader(frame)
  if (header?.kind !== 'batch' || header.firstOffset !== offset || !frameHolds(frame, header)) return undefined
  const bodyAt = frameHeaderBytes + header.headBytes
  const head = headIn(frame.subarray(frameHeaderBytes, bodyAt))
  return head && { head, body: frame.subarray(bodyAt) }
}
