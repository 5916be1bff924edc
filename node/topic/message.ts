/** A delivered record: reads what it shows out of the batch when asked, so that what nobody looks at costs nothing. */
import { limits } from '../limits.ts'
import type { FeedId, Headers, Message, PeerId, TopicName } from '../types.ts'
import { expandBody } from '../wire/compress.ts'
import { WireError } from '../wire/error.ts'
import type { Batch, SignedHead } from '../wire/head.ts'
import { openRecords, type RecordBatch } from '../wire/record.ts'
import type { Codec } from './codec.ts'

/** A batch that is open. */
export interface Opened {
  readonly head: SignedHead
  readonly records: RecordBatch
  /** Offset of the batch's first record. */
  readonly offset: number
}

/** What the records of one delivered batch share. */
export interface Delivery extends Opened {
  codec: Codec
  ack(feed: FeedId, index: number): Promise<void>
}

/** All of a record but its value, and what becomes of it. */
export class OpenedRecord {
  readonly #opened: Opened
  readonly #at: number

  constructor(opened: Opened, at: number) {
    this.#opened = opened
    this.#at = at
  }

  get topic(): TopicName {
    return this.#opened.head.head.topic
  }

  get key(): string | undefined {
    return this.#opened.records.key(this.#at)
  }

  get headers(): Headers {
    return this.#opened.records.headers(this.#at)
  }

  get time(): number {
    return this.#opened.head.head.time + this.#opened.records.timeDelta(this.#at)
  }

  get publisher(): PeerId {
    return this.#opened.head.author
  }

  get feed(): FeedId {
    return this.#opened.head.feed
  }

  get seq(): number {
    return this.#opened.head.head.seq
  }

  get index(): number {
    return this.#opened.head.head.firstIndex + this.#at
  }

  get id(): string {
    return `${this.feed}/${this.index}`
  }

  get offset(): number {
    return this.#opened.offset + this.#at
  }
}

export class DeliveredMessage<T> extends OpenedRecord implements Message<T> {
  readonly #delivery: Delivery
  readonly #at: number

  constructor(delivery: Delivery, at: number) {
    super(delivery, at)
    this.#delivery = delivery
    this.#at = at
  }

  /** Throws `CodecFailed` where the bytes are not what the topic's codec says. */
  get value(): T {
    return this.#delivery.codec.decode(this.#delivery.records.value(this.#at)) as T
  }

  ack(): Promise<void> {
    return this.#delivery.ack(this.feed, this.index)
  }
}

/** Batches opened last, the oldest first: the same one is mostly asked for by several in turn, and opening it finds each of its records. */
const opened = new Map<Batch, RecordBatch>()
let openedBytes = 0

/** The records of a batch. Undefined where it is signed by its author and yet no record batch: nobody can read it, and nobody is held up by it. */
export function recordsOf(batch: Batch): RecordBatch | undefined {
  const known = opened.get(batch)
  if (known !== undefined) return known
  const { head, body } = batch
  try {
    const records = openRecords(expandBody(head.head, body), head.head.count)
    records.check()
    remember(batch, records)
    return records
  } catch (error) {
    if (error instanceof WireError) return undefined
    throw error
  }
}

function remember(batch: Batch, records: RecordBatch): void {
  opened.set(batch, records)
  openedBytes += batch.head.head.rawBytes
  for (const oldest of opened.keys()) {
    if (openedBytes <= limits.openedBytesMax) return
    opened.delete(oldest)
    openedBytes -= oldest.head.head.rawBytes
  }
}
