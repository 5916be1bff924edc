/**
 * A reader of one topic on this peer: a position in the arrival log that only moves forward, and a cursor that says what is not wanted
 * (acknowledged before, published before it began). Live and historic records come the same way, out of the log; a slow reader is simply
 * further back. At a damaged place it waits until friends have repaired it, or the log has given it up.
 */
import { limits } from '../limits.ts'
import type { TopicLog } from '../store/topic-log.ts'
import type { FeedId, Message, Subscription } from '../types.ts'
import type { SignedHead } from '../wire/head.ts'
import type { RecordBatch } from '../wire/record.ts'
import type { Codec } from './codec.ts'
import type { Cursor } from './cursor.ts'
import { DeliveredMessage, type Delivery, recordsOf } from './message.ts'

/** What a subscription reads with; settled once it has found its place. */
export interface Reading {
  log: TopicLog
  cursor: Cursor
  /** Where in the arrival log to begin. */
  offset: number
  /** Acknowledges durably; undefined for a subscription without a name. */
  ack: ((feed: FeedId, index: number) => Promise<void>) | undefined
}

export class TopicSubscription<T> implements Subscription<T> {
  readonly #reading: Promise<Reading>
  readonly #codec: Codec
  readonly #onClose: () => Promise<void>
  readonly #signal: AbortSignal | undefined
  #offset = 0
  #off: (() => void) | undefined
  #wake: (() => void) | undefined
  #changed = false
  #closed = false
  #closing: Promise<void> | undefined
  #unacked = 0
  /** Those who ask at the same time get one batch after the other. */
  #turn: Promise<unknown> | undefined
  #onAbort: (() => void) | undefined

  constructor(reading: Promise<Reading>, codec: Codec, signal: AbortSignal | undefined, onClose: () => Promise<void>) {
    this.#codec = codec
    this.#onClose = onClose
    this.#signal = signal
    this.#reading = reading.then((found) => {
      this.#offset = found.offset
      this.#off = found.log.onChange(() => this.#notify())
      if (this.#closed) this.#off()
      return found
    })
    // Whoever does not look at `ready` hears of the failure by iterating.
    this.#reading.catch(() => undefined)
    if (signal === undefined) return
    // Whoever closes as well hears what went wrong.
    this.#onAbort = () => this.close().catch(() => undefined)
    if (signal.aborted) this.#onAbort()
    signal.addEventListener('abort', this.#onAbort)
  }

  get ready(): Promise<void> {
    return this.#reading.then(() => undefined)
  }

  batches(): AsyncIterable<Message<T>[]> {
    return {
      [Symbol.asyncIterator]: () => ({ next: () => this.#nextResult(), return: () => this.#return<Message<T>[]>() }),
    }
  }

  [Symbol.asyncIterator](): AsyncIterator<Message<T>> {
    let batch: Message<T>[] = []
    let at = 0
    let turn: Promise<unknown> = Promise.resolve()
    const next = async (): Promise<IteratorResult<Message<T>, undefined>> => {
      while (at >= batch.length) {
        const result = await this.#nextResult()
        if (result.done) return result
        batch = result.value
        at = 0
      }
      return { done: false, value: batch[at++] as Message<T> }
    }
    return {
      next: () => {
        const result = turn.then(next, next)
        turn = result
        return result
      },
      return: () => this.#return<Message<T>>(),
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    this.#closed = true
    if (this.#onAbort !== undefined) this.#signal?.removeEventListener('abort', this.#onAbort)
    this.#off?.()
    this.#notify()
    await this.#reading.catch(() => undefined)
    await this.#onClose()
  }

  async #return<V>(): Promise<IteratorResult<V, undefined>> {
    await this.close()
    return { done: true, value: undefined }
  }

  #nextResult(): Promise<IteratorResult<Message<T>[], undefined>> {
    const next = () => this.#nextBatch()
    const result = this.#turn === undefined ? next() : this.#turn.then(next, next)
    this.#turn = result
    return result
  }

  async #nextBatch(): Promise<IteratorResult<Message<T>[], undefined>> {
    const reading = await this.#reading
    while (!this.#closed) {
      this.#changed = false
      const messages = this.#unacked < limits.unackedMax ? await this.#read(reading) : undefined
      if (this.#closed) break
      if (messages === undefined) await this.#change()
      else if (messages.length > 0) {
        if (reading.ack !== undefined) this.#unacked += messages.length
        return { done: false, value: messages }
      }
    }
    return { done: true, value: undefined }
  }

  /** What is wanted of the next batch; undefined when there is none yet. */
  async #read(reading: Reading): Promise<Message<T>[] | undefined> {
    const { log, cursor } = reading
    const at = await log.at(this.#offset)
    if (at === undefined || 'damaged' in at) return undefined
    const { head } = at.batch
    const { seq, firstIndex, count } = head.head
    // A batch that holds the offset we begin with, or one that a reader is in the middle of.
    const from = Math.max(0, this.#offset - at.offset)
    this.#offset = at.offset + count
    if (cursor.coversBatch(head.feed, seq, firstIndex, count)) {
      cursor.done(head.feed, firstIndex, firstIndex + count)
      return []
    }
    const records = recordsOf(at.batch)
    if (records === undefined) return []
    const to = Math.min(count, from + limits.deliveredMax)
    this.#offset = at.offset + to
    const delivery: Delivery = {
      head,
      records,
      offset: at.offset,
      codec: this.#codec,
      ack: (feed, index) => this.#ack(reading, feed, index),
    }
    const messages: Message<T>[] = []
    const isWanted = this.#wanted(cursor, head, records)
    for (let i = from; i < to; i++) if (isWanted(i)) messages.push(new DeliveredMessage<T>(delivery, i))
    return messages
  }

  /** Which records of a batch are wanted: mostly all of them, which is looked at once. */
  #wanted(cursor: Cursor, { feed, head }: SignedHead, records: RecordBatch): (i: number) => boolean {
    // Of a feed that was there when the subscription began, the cursor knows the exact place; the time is for the others.
    const since = cursor.knowsStart(feed) ? 0 : cursor.since
    if (since === 0 && cursor.isOpen(feed, head.firstIndex, head.count)) return () => true
    return (i) =>
      !cursor.isDone(feed, head.firstIndex + i) && (since === 0 || head.time + records.timeDelta(i) >= since)
  }

  #ack({ cursor, ack }: Reading, feed: FeedId, index: number): Promise<void> {
    if (ack === undefined) return Promise.resolve()
    if (cursor.isDone(feed, index)) return ack(feed, index)
    const saved = ack(feed, index)
    // Where the cursor has no room for it yet, the record still counts as open.
    if (cursor.isDone(feed, index)) this.#onAcked()
    else void saved.then(() => this.#onAcked()).catch(() => undefined)
    return saved
  }

  #onAcked(): void {
    this.#unacked--
    if (this.#unacked === limits.unackedMax - 1) this.#notify()
  }

  #notify(): void {
    this.#changed = true
    this.#wake?.()
  }

  async #change(): Promise<void> {
    if (this.#changed) return
    await new Promise<void>((resolve) => {
      this.#wake = resolve
    })
    this.#wake = undefined
  }
}
