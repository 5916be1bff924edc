/** One topic as an application sees it: values in, values out, over a publisher and subscriptions of bytes. */
import { GrapevineError } from '../errors.ts'
import { limits } from '../limits.ts'
import type {
  Group,
  GroupOptions,
  Outgoing,
  PublishManyOptions,
  PublishManyResult,
  PublishOptions,
  Receipt,
  RequestHandler,
  Responder,
  RespondOptions,
  SubscribeOptions,
  Subscription,
  Topic,
  TopicName,
} from '../types.ts'
import type { Codec } from './codec.ts'
import type { Confirm, Wish } from './confirm.ts'
import type { Done, Publisher, Sink } from './publisher.ts'

export interface TopicParts {
  name: TopicName
  codec: Codec
  /** Made when something is first published. */
  publisher(): Publisher
  confirmTimeoutMs: number
  now(): number
  /** See `Clock.breathe`. */
  breathe(): Promise<void> | undefined
  assertOpen(): void
  subscribe(options: SubscribeOptions, codec: Codec): Subscription<unknown>
  group(name: string, options: GroupOptions, codec: Codec): Group<unknown>
  respond(handler: RequestHandler, options: RespondOptions): Responder
}

/** What publishMany keeps in the queue before it waits: enough for several batches, far from the queue's limit. */
const bulkBytes = 4 * limits.batchBytesMax
/** Records that publishMany queues before others have a turn; the first batch has so many. */
const turnRecords = 1_000

export class PublicTopic<T> implements Topic<T> {
  readonly name: TopicName
  readonly #parts: TopicParts

  constructor(parts: TopicParts) {
    this.name = parts.name
    this.#parts = parts
  }

  publish(value: T, options: PublishOptions = {}): Promise<Receipt> {
    return new Promise((resolve, reject) => {
      this.#enqueue(value, options, new Single(this.#wish(options), resolve, reject))
    })
  }

  async publishMany(
    values: Iterable<Outgoing<T>> | AsyncIterable<Outgoing<T>>,
    options: PublishManyOptions = {},
  ): Promise<PublishManyResult> {
    const bulk = new Bulk(this.#wish(options), options.onProgress)
    try {
      if (Symbol.asyncIterator in values) {
        for await (const each of values) {
          if (this.#mustWait(bulk)) await this.#room(bulk)
          if (bulk.error !== undefined) break
          this.#add(bulk, each)
        }
      } else {
        // No promise for each.
        let inTurn = 0
        for (const each of values) {
          if (this.#mustWait(bulk)) await this.#room(bulk)
          if (bulk.error !== undefined) break
          this.#add(bulk, each)
          if (++inTurn % turnRecords === 0) await this.#parts.breathe()
        }
      }
    } catch (error) {
      bulk.error ??= error
    }
    while (bulk.queued > 0) await bulk.change()
    if (bulk.error !== undefined) throw bulk.error
    return bulk.result()
  }

  subscribe(options: SubscribeOptions = {}): Subscription<T> {
    this.#parts.assertOpen()
    return this.#parts.subscribe(options, this.#parts.codec) as Subscription<T>
  }

  group(name: string, options: GroupOptions = {}): Group<T> {
    this.#parts.assertOpen()
    return this.#parts.group(name, options, this.#parts.codec) as Group<T>
  }

  respond(handler: RequestHandler<T>, options: RespondOptions = {}): Responder {
    this.#parts.assertOpen()
    return this.#parts.respond(handler as RequestHandler, options)
  }

  #mustWait({ error, queuedBytes }: Bulk): boolean {
    return (error === undefined && queuedBytes >= bulkBytes) || !this.#parts.publisher().hasRoom
  }

  async #room(bulk: Bulk): Promise<void> {
    while (bulk.error === undefined && bulk.queuedBytes >= bulkBytes) await bulk.change()
    if (!this.#parts.publisher().hasRoom) await this.#parts.publisher().room()
  }

  #add(bulk: Bulk, { value, key, headers }: Outgoing<T>): void {
    bulk.queuedBytes += this.#enqueue(value, { key, headers }, bulk)
    bulk.queued++
  }

  #enqueue(
    value: T,
    { key, headers }: { key?: string | undefined; headers?: Outgoing<T>['headers'] },
    sink: Sink,
  ): number {
    this.#parts.assertOpen()
    const record = {
      value: this.#parts.codec.encode(value),
      key,
      headers: headers && checkHeaders(headers),
      time: this.#parts.now(),
    }
    return this.#parts.publisher().enqueue(record, sink)
  }

  #wish(options: PublishOptions): Wish {
    const { confirm = 'auto', timeoutMs = this.#parts.confirmTimeoutMs } = options
    if (confirm !== 'auto' && (!Number.isSafeInteger(confirm) || confirm < 0)) {
      throw new GrapevineError(
        'InvalidOption',
        `confirm is ${String(confirm)}: it is 'auto' or the number of other peers to wait for, from 0`,
        { option: 'confirm' },
      )
    }
    if (!(timeoutMs > 0))
      throw new GrapevineError('InvalidOption', `timeoutMs is ${String(timeoutMs)}: it is a time in ms above 0`, {
        option: 'timeoutMs',
      })
    return { confirm, timeoutMs }
  }
}

/** The sink of one publish. */
class Single implements Sink {
  readonly confirm: Confirm
  readonly timeoutMs: number
  readonly #resolve: (receipt: Receipt) => void
  readonly #reject: (error: unknown) => void

  constructor(wish: Wish, resolve: (receipt: Receipt) => void, reject: (error: unknown) => void) {
    this.confirm = wish.confirm
    this.timeoutMs = wish.timeoutMs
    this.#resolve = resolve
    this.#reject = reject
  }

  onDone({ feed, seq, index, copies }: Done): void {
    this.#resolve({ feed, seq, index, copies })
  }

  onFailed(_count: number, _bytes: number, error: unknown): void {
    this.#reject(error)
  }
}

/** The one sink of a publishMany: counts instead of promises. */
class Bulk implements Sink {
  readonly confirm: Confirm
  readonly timeoutMs: number
  readonly #onProgress: ((progress: PublishManyResult) => void) | undefined
  #published = 0
  #confirmed = 0
  #copies = Number.POSITIVE_INFINITY
  #wake: (() => void) | undefined
  queued = 0
  queuedBytes = 0
  error: unknown

  constructor(wish: Wish, onProgress: PublishManyOptions['onProgress']) {
    this.confirm = wish.confirm
    this.timeoutMs = wish.timeoutMs
    this.#onProgress = onProgress
  }

  result(): PublishManyResult {
    return { published: this.#published, confirmed: this.#confirmed, copies: this.#confirmed === 0 ? 0 : this.#copies }
  }

  onDone({ count, bytes, copies }: { count: number; bytes: number; copies: number }): void {
    this.#published += count
    this.#confirmed += count
    this.#copies = Math.min(this.#copies, copies)
    this.#settle(count, bytes)
  }

  onFailed(count: number, bytes: number, error: unknown): void {
    // What merely lacks confirmations is on our disk and on its way.
    if (error instanceof GrapevineError && error.code === 'ConfirmTimeout') this.#published += count
    this.error ??= error
    this.#settle(count, bytes)
  }

  /** Resolves when something of it has been dealt with. */
  change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }

  #settle(count: number, bytes: number): void {
    this.queued -= count
    this.queuedBytes -= bytes
    this.#onProgress?.(this.result())
    this.#wake?.()
  }
}

function checkHeaders(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value !== 'string')
      throw new GrapevineError('InvalidOption', `header ${JSON.stringify(name)} is not text`, { option: 'headers' })
  }
  return headers
}
