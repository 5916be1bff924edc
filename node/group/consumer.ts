/** One `consume()`: an iteration over the records that this member's desk hands out, and the records themselves. */
import { GrapevineError, isError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { Codec } from '../topic/codec.ts'
import { OpenedRecord } from '../topic/message.ts'
import type { ConsumeOptions, QueueRecord, Settling } from '../types.ts'
import { Ahead } from './ahead.ts'
import type { Delivery } from './backlog.ts'
import { Borrower } from './borrower.ts'
import type { Desk, Loaded, Settler } from './desk.ts'
import type { Member } from './member.ts'
import type { Seat } from './seats.ts'

type Result<T> = IteratorResult<QueueRecord<T>, undefined>

export class Consumer<T> implements AsyncIterable<QueueRecord<T>>, AsyncIterator<QueueRecord<T>>, Seat {
  readonly #most: number
  readonly #member: Member
  readonly #codec: Codec
  readonly #signal: AbortSignal | undefined
  readonly #waiters: PromiseWithResolvers<Result<T>>[] = []
  readonly #borrower: Borrower
  readonly #ahead: Ahead
  /** What waits for the application to ask, and what went back meanwhile. */
  #queue: Loaded[] = []
  /** How many of these wait. */
  #ready = 0
  /** How many records of our own slots the application has. */
  #hands = 0
  #desk: Desk | undefined
  #ended = false
  /** Since when records wait for the application to ask. */
  #unaskedSince: number | undefined
  /** Told to whoever asks next. */
  #error: unknown

  /** Takes part at once. Throws `InvalidOption`. */
  constructor(member: Member, codec: Codec, { concurrency = 1, signal }: ConsumeOptions) {
    if (!Number.isSafeInteger(concurrency) || concurrency < 1 || concurrency > limits.groupConcurrencyMax) {
      const sentence = `concurrency is ${String(concurrency)}: it is a whole number from 1 to ${limits.groupConcurrencyMax}`
      throw new GrapevineError('InvalidOption', sentence, { option: 'concurrency' })
    }
    this.#most = concurrency
    this.#ahead = new Ahead(concurrency)
    this.#member = member
    this.#codec = codec
    this.#signal = signal
    this.#borrower = new Borrower(member, () => {
      this.#serve()
      this.#desk?.serve()
      this.onOffer()
    })
    signal?.addEventListener('abort', this.#onAbort)
    if (signal?.aborted) this.end()
    else void this.#join()
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /** What it may have of our own slots: what it borrowed takes a place too. */
  get concurrency(): number {
    return this.#most + this.#ahead.size - this.#borrower.size
  }

  /** What the application may have more. */
  get #room(): number {
    return this.#most - this.#hands - this.#borrower.size
  }

  next(): Promise<Result<T>> {
    this.#unaskedSince = undefined
    this.#member.wake(this)
    const record = this.#waiters.length === 0 && !this.#ended ? this.#nextRecord() : undefined
    if (record !== undefined) return Promise.resolve({ done: false, value: record })
    const waiter = Promise.withResolvers<Result<T>>()
    this.#waiters.push(waiter)
    this.#serve()
    if (this.#waiters.length > 0) this.onOffer()
    return waiter.promise
  }

  /** Whoever waits for a record of a queue may have it from a member that has more than it hands out. */
  onOffer(): void {
    // Once it shows whether our own slots have something.
    queueMicrotask(() => {
      const free = this.concurrency - (this.#desk?.givenTo(this) ?? this.#most)
      // What nobody waits for yet is better off with those who do.
      this.#borrower.ask(Math.min(free, this.#room, this.#waiters.length))
    })
  }

  async return(): Promise<Result<T>> {
    this.end()
    return { done: true, value: undefined }
  }

  push(loaded: Loaded, now: number): void {
    if (this.#ready === 0 && this.#waiters.length > 0 && this.#room > 0) this.#ahead.onFed(now)
    this.#queue.push(loaded)
    loaded.delivery.with = 'consumer'
    this.#ready++
    this.#serve()
    if (this.#ready > 0 && this.#waiters.length === 0) this.#unaskedSince ??= now
  }

  isStalled(since: number): boolean {
    return this.#unaskedSince !== undefined && this.#unaskedSince <= since
  }

  takeBack(): Loaded[] {
    this.#unaskedSince = undefined
    const unused = this.#waiting()
    this.#queue = []
    for (const { delivery } of unused) this.#pass(delivery, undefined)
    return unused
  }

  onGone(delivery: Delivery): void {
    const wasHad = delivery.with === 'application'
    this.#pass(delivery, undefined)
    // What was told ahead takes its place.
    if (wasHad && this.#waiters.length > 0 && this.#ready > 0) queueMicrotask(() => this.#serve())
  }

  onBeat(): void {
    const waiting = this.#waiting()
    if (!this.#ahead.isSlow(waiting[0]?.delivery)) return
    for (const { delivery } of waiting.slice(Math.max(0, this.#room))) this.#desk?.giveBack(delivery, 0, false)
  }

  fail(error: unknown): void {
    if (this.#ended) return
    this.#error = error
    this.end()
  }

  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#signal?.removeEventListener('abort', this.#onAbort)
    this.#desk?.leave(this, this.takeBack())
    this.#borrower.end()
    this.#member.leave(this)
    this.#serve()
  }

  readonly #onAbort = () => this.end()

  async #join(): Promise<void> {
    try {
      this.#desk = await this.#member.join(this)
      if (this.#desk === undefined) this.end()
    } catch (error) {
      this.fail(error)
    }
  }

  #serve(): void {
    while (this.#waiters.length > 0) {
      const record = this.#nextRecord()
      if (record === undefined && !this.#ended) return
      const waiter = this.#waiters.shift()
      const error = this.#error
      this.#error = undefined
      if (record !== undefined) waiter?.resolve({ done: false, value: record })
      else if (error !== undefined) waiter?.reject(error)
      else waiter?.resolve({ done: true, value: undefined })
    }
  }

  #nextRecord(): QueueRecord<T> | undefined {
    const desk = this.#desk
    if (desk === undefined) return undefined
    while (this.#ready > 0 && this.#room > 0) {
      const loaded = this.#queue.shift() as Loaded
      const { delivery } = loaded
      if (delivery.with !== 'consumer') continue
      this.#pass(delivery, undefined)
      const value = decode(this.#codec, loaded)
      if (value === undefined) void desk.refuse(loaded)
      else if (desk.handOut(delivery)) {
        this.#pass(delivery, 'application')
        this.#ahead.onHad()
        return new HandedOut<T>(desk, loaded, value.value as T)
      }
    }
    if (this.#ready > 0) return undefined
    const settler = this.#member.borrowed
    for (let loaded = this.#borrower.next(); loaded && settler; loaded = this.#borrower.next()) {
      const value = decode(this.#codec, loaded)
      if (value === undefined) void settler.refuse(loaded)
      else return new HandedOut<T>(settler, loaded, value.value as T)
    }
    return undefined
  }

  #waiting(): Loaded[] {
    return this.#queue.filter(({ delivery }) => delivery.with === 'consumer')
  }

  /** Of what it is given, who has it now. */
  #pass(delivery: Delivery, to: Delivery['with']): void {
    if (delivery.with === 'consumer') this.#ready--
    if (delivery.with === 'application') this.#hands--
    if (to === 'application') this.#hands++
    delivery.with = to
  }
}

/** Names a delivery. */
export function receiptOf({ feed, index, attempt, term }: Delivery): string {
  return `${feed}/${index}/${attempt}/${term}`
}

/** Undefined where the bytes are not what the codec says. */
export function decode(codec: Codec, { batch: { records }, at }: Loaded): { value: unknown } | undefined {
  try {
    return { value: codec.decode(records.value(at)) }
  } catch (error) {
    if (isError(error, 'CodecFailed')) return undefined
    throw error
  }
}

/** What is done with one delivery. */
export class Settlement implements Settling {
  readonly #settler: Settler
  readonly #delivery: Delivery
  #settled = false

  constructor(settler: Settler, delivery: Delivery) {
    this.#settler = settler
    this.#delivery = delivery
  }

  ack(): Promise<void> {
    try {
      const told = this.#settler.ack(this.#delivery, this.#settled)
      this.#settled = true
      return told
    } catch (error) {
      return Promise.reject(error)
    }
  }

  async nack({ delayMs = 0 }: { delayMs?: number } = {}): Promise<void> {
    if (!(delayMs >= 0 && delayMs <= limits.groupExtendMsMax)) throw outside('delayMs', delayMs, 0)
    this.#settler.nack(this.#delivery, this.#settled, delayMs)
    this.#settled = true
  }

  async extend(ms: number): Promise<void> {
    if (!(ms >= 1 && ms <= limits.groupExtendMsMax)) throw outside('ms', ms, 1)
    this.#settler.extend(this.#delivery, this.#settled, ms)
  }

  release(): Promise<void> {
    return this.nack()
  }
}

export class HandedOut<T> extends OpenedRecord implements QueueRecord<T> {
  readonly value: T
  readonly #delivery: Delivery
  readonly #settlement: Settlement

  constructor(settler: Settler, { delivery, batch, at }: Loaded, value: T) {
    super(batch, at)
    this.value = value
    this.#delivery = delivery
    this.#settlement = new Settlement(settler, delivery)
  }

  get attempt(): number {
    return this.#delivery.attempt
  }

  get fencingToken(): number {
    return this.#delivery.term
  }

  get receipt(): string {
    return receiptOf(this.#delivery)
  }

  ack(): Promise<void> {
    return this.#settlement.ack()
  }

  nack(options?: { delayMs?: number }): Promise<void> {
    return this.#settlement.nack(options)
  }

  extend(ms: number): Promise<void> {
    return this.#settlement.extend(ms)
  }

  release(): Promise<void> {
    return this.#settlement.release()
  }
}

function outside(option: string, given: number, least: number): GrapevineError<'InvalidOption'> {
  const sentence = `${option} is ${String(given)}: it is a time in ms from ${least} to ${limits.groupExtendMsMax} (12 hours)`
  return new GrapevineError('InvalidOption', sentence, { option })
}
