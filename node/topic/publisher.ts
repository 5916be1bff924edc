/**
 * Publishing to one topic: records queue, a batch is sealed of all that waits while the one before is being committed (no linger: the
 * first goes at once), stored, announced, and confirmed. One batch is in commit at a time; confirmations overlap.
 *
 * A failed commit abandons the feed: what was sealed may or may not be on the disk, and a number must never be used for
 * two batches (G6). The next publish begins a new feed.
 */
import { GrapevineError } from '../errors.ts'
import type { FeedWriter } from '../feed/writer.ts'
import { limits } from '../limits.ts'
import type { Meter } from '../ports.ts'
import type { TopicLog } from '../store/topic-log.ts'
import type { FeedId, Headers } from '../types.ts'
import type { Batch } from '../wire/head.ts'
import { type RecordInput, recordSize } from '../wire/record.ts'
import type { Confirmations, Wish } from './confirm.ts'

/** Neighbours in one batch of one sink: how many records, the first of which is `index` of its feed. */
export interface Done {
  count: number
  bytes: number
  feed: FeedId
  seq: number
  index: number
  copies: number
}

/** Who is told of the records that it queued: once for all of them in one batch, that is what keeps a promise per record away. */
export interface Sink extends Wish {
  onDone(done: Done): void
  onFailed(count: number, bytes: number, error: unknown): void
}

export interface PublisherOptions {
  openLog(): Promise<TopicLog>
  newWriter(): FeedWriter
  stamp(): { time: number; tick: number }
  announce(batch: Batch): void
  confirmations: Confirmations
  meter: Meter | undefined
  /** A batch could not be stored. */
  onFailed(error: unknown): void
  /** Asks for carriers where there are too few; called before each wait for confirmations. */
  seekCarriers(need: number): void
}

/** A class since literals that live as long as these do are put among what is old by the engine, where allocating costs twice as much. */
class Queued implements RecordInput {
  readonly value: Uint8Array
  readonly key: string | undefined
  readonly headers: Headers | undefined
  readonly time: number
  readonly bytes: number
  readonly sink: Sink

  constructor(record: RecordInput, sink: Sink) {
    this.value = record.value
    this.key = record.key
    this.headers = record.headers
    this.time = record.time
    this.bytes = recordSize(record)
    this.sink = sink
  }
}

export class Publisher {
  readonly #options: PublisherOptions
  #queue: Queued[] = []
  #queuedBytes = 0
  #running = false
  #writer: FeedWriter | undefined
  /** That the writer's feed began in. */
  #log: TopicLog | undefined
  #roomWaiters: (() => void)[] = []
  #idleWaiters: (() => void)[] = []
  #inFlight = 0
  #sealed = 0

  constructor(options: PublisherOptions) {
    this.#options = options
  }

  /** The feed being written and its newest sealed batch. */
  get tip(): { feed: FeedId; seq: number } | undefined {
    return this.#writer && { feed: this.#writer.feed, seq: this.#sealed }
  }

  /** Whether more may be queued now. */
  get hasRoom(): boolean {
    return this.#queuedBytes < limits.publishQueueBytesMax
  }

  /** Queues a record and returns its bytes; its sink hears the rest. Throws `QueueFull`, `RecordTooLarge`. */
  enqueue(record: RecordInput, sink: Sink): number {
    if (!this.hasRoom) {
      const message = `${limits.publishQueueBytesMax} bytes are waiting to be written: await earlier publishes, or use publishMany, which waits by itself`
      throw new GrapevineError('QueueFull', message, { limitBytes: limits.publishQueueBytesMax })
    }
    const queued = new Queued(record, sink)
    this.#queue.push(queued)
    this.#queuedBytes += queued.bytes
    if (!this.#running) {
      this.#running = true
      // What is published in the same turn travels together.
      queueMicrotask(() => void this.#run())
    }
    return queued.bytes
  }

  /** Resolves when there is room in the queue. */
  async room(): Promise<void> {
    while (!this.hasRoom) await new Promise<void>((resolve) => this.#roomWaiters.push(resolve))
  }

  /** Resolves when nothing is queued, being written, or awaiting confirmation. */
  async idle(): Promise<void> {
    while (this.#running || this.#inFlight > 0) await new Promise<void>((resolve) => this.#idleWaiters.push(resolve))
  }

  /** Takes nothing more; what is queued fails, what is being written is finished. */
  async stop(): Promise<void> {
    const closed = new GrapevineError('PeerClosed', 'the peer was closed before the record was written', {})
    for (const { sink, bytes } of this.#takeAll()) sink.onFailed(1, bytes, closed)
    await this.idle()
  }

  async #run(): Promise<void> {
    while (this.#queue.length > 0) {
      if (this.#inFlight >= limits.unconfirmedBatchesMax)
        await new Promise<void>((resolve) => this.#idleWaiters.push(resolve))
      else await this.#publishOne(this.#takeBatch())
    }
    this.#running = false
    this.#wakeIdle()
  }

  async #publishOne(taken: Queued[]): Promise<void> {
    try {
      const log = await this.#options.openLog()
      // A log that was handed to its keepers meanwhile took the beginning of the feed along: what follows is another feed, or this
      // peer, carrying the topic again, would take what it gave away for removed and never have it back.
      if (log !== this.#log) this.#writer = undefined
      this.#log = log
      this.#writer ??= this.#options.newWriter()
      const batch = this.#writer.seal(taken, this.#options.stamp())
      this.#sealed = batch.head.head.seq
      await log.append([batch])
      this.#options.announce(batch)
      this.#confirm(taken, batch)
    } catch (error) {
      this.#writer = undefined
      this.#options.onFailed(error)
      for (const { sink, bytes } of taken) sink.onFailed(1, bytes, error)
    }
    for (const wake of this.#roomWaiters.splice(0)) wake()
  }

  /** Neighbours with one sink, or sinks that ask for the same, wait together. */
  #confirm(taken: readonly Queued[], { head }: Batch): void {
    const { feed } = head
    const { seq, firstIndex } = head.head
    for (let from = 0; from < taken.length; ) {
      const { sink } = taken[from] as Queued
      let to = from + 1
      while (to < taken.length && sameWish((taken[to] as Queued).sink, sink)) to++
      const group = taken.slice(from, to)
      const index = firstIndex + from
      if (sink.confirm !== 0) this.#options.seekCarriers(sink.confirm === 'auto' ? 1 : sink.confirm)
      this.#inFlight++
      const confirmed = this.#options.meter?.confirming()
      void this.#options.confirmations
        .wait(feed, seq, sink)
        .then(
          (copies) => {
            confirmed?.()
            tellSinks(group, (each, count, bytes, at) =>
              each.onDone({ count, bytes, feed, seq, index: index + at, copies }),
            )
          },
          (error) => tellSinks(group, (each, count, bytes) => each.onFailed(count, bytes, error)),
        )
        .finally(() => {
          this.#inFlight--
          this.#wakeIdle()
        })
      from = to
    }
  }

  #takeBatch(): Queued[] {
    let bytes = 0
    let count = 0
    for (const queued of this.#queue) {
      if (count > 0 && (bytes + queued.bytes > limits.batchBytesMax || count >= limits.batchRecordsMax)) break
      bytes += queued.bytes
      count++
    }
    const taken = count === this.#queue.length ? this.#queue : this.#queue.slice(0, count)
    this.#queue = count === this.#queue.length ? [] : this.#queue.slice(count)
    this.#queuedBytes -= bytes
    return taken
  }

  #takeAll(): Queued[] {
    this.#queuedBytes = 0
    return this.#queue.splice(0)
  }

  #wakeIdle(): void {
    for (const wake of this.#idleWaiters.splice(0)) wake()
  }
}

function sameWish(a: Sink, b: Sink): boolean {
  return a === b || (a.confirm === b.confirm && a.timeoutMs === b.timeoutMs && a.among === b.among)
}

/** Calls once for each run of neighbours with one sink; `at` is where the run begins. */
function tellSinks(
  group: readonly Queued[],
  tell: (sink: Sink, count: number, bytes: number, at: number) => void,
): void {
  for (let from = 0; from < group.length; ) {
    const { sink } = group[from] as Queued
    let bytes = 0
    let to = from
    for (; to < group.length && (group[to] as Queued).sink === sink; to++) bytes += (group[to] as Queued).bytes
    tell(sink, to - from, bytes, from)
    from = to
  }
}
