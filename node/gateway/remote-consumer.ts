/**
 * A consumer through the local API: keeps the records that come until its application asks, says which it took, and resolves what is done with one
 * when the peer has answered for it. A record whose bytes are not what the codec says is refused at once: it is handed out again, and in the end a dead letter.
 */
import { z } from 'zod'
import { isError } from '../errors.ts'
import type { Codec } from '../topic/codec.ts'
import type { ConsumeOptions, QueueRecord, TopicName } from '../types.ts'
import type { Channel } from './channel.ts'
import { errorOf, type GroupOpening, type HandedHead, handedHead, openFrame, parseJson, wireOptions } from './frame.ts'
import { fieldsOf } from './remote-message.ts'
import { type Act, type Gone, RemoteRecord } from './remote-record.ts'
import { type ApiPlace, lost, openChannel } from './remote-socket.ts'

const word = z.discriminatedUnion('type', [
  z.object({ type: z.literal('done'), id: z.number() }),
  z.object({ type: z.literal('gone'), id: z.number() }),
  z.object({ type: z.literal('failed'), id: z.number(), failure: z.unknown() }),
  z.object({ type: z.literal('back'), numbers: z.array(z.number()) }),
  z.object({ type: z.literal('left') }),
  z.object({ type: z.literal('end') }),
  z.object({ type: z.literal('error'), code: z.string(), message: z.string(), data: z.unknown() }),
])

type Result<T> = IteratorResult<QueueRecord<T>, undefined>

interface Pending extends PromiseWithResolvers<void> {
  gone: Gone
}
const refused: Gone = () => lost('the record was not taken')

export interface ConsumerParts extends Omit<GroupOpening, 'topic'> {
  topic: TopicName
  place: ApiPlace
  codec: Codec
}

export class RemoteConsumer<T> implements AsyncIterable<QueueRecord<T>>, AsyncIterator<QueueRecord<T>> {
  /** Resolves when nothing is left of it. */
  readonly ended: Promise<void>
  readonly #parts: ConsumerParts
  readonly #concurrency: number
  readonly #signal: AbortSignal | undefined
  readonly #ended = Promise.withResolvers<void>()
  readonly #waiters: PromiseWithResolvers<Result<T>>[] = []
  readonly #pending = new Map<number, Pending>()
  #ids = 0
  /** Records that wait for the application to ask, by number. */
  readonly #inbox = new Map<number, QueueRecord<T>>()
  #taken: number[] = []
  #channel: Channel | undefined
  /** The peer took the application for one that hangs, and sends nothing before it is asked. */
  #left = false
  #ending = false
  /** Told to whoever asks next. */
  #error: unknown

  /** Takes part at once. */
  constructor(parts: ConsumerParts, { concurrency = 1, signal }: ConsumeOptions) {
    this.#parts = parts
    this.#concurrency = concurrency
    this.#signal = signal
    this.ended = this.#ended.promise
    signal?.addEventListener('abort', this.#onAbort)
    if (signal?.aborted) this.#ending = true
    void this.#open()
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<Result<T>> {
    const waiter = Promise.withResolvers<Result<T>>()
    this.#waiters.push(waiter)
    if (this.#left) this.#channel?.send({ type: 'ask' })
    this.#left = false
    this.#serve()
    return waiter.promise
  }

  async return(): Promise<Result<T>> {
    this.#end()
    return { done: true, value: undefined }
  }

  /** Takes nothing more; resolves when what it has is settled, or its time is over. */
  async drain(): Promise<void> {
    this.#end()
    await this.ended
  }

  /** At once: the peer hands out again what is not settled. */
  close(): void {
    this.#end()
    this.#channel?.close()
  }

  async #open(): Promise<void> {
    const { place, topic, group, options, queue } = this.#parts
    try {
      if (this.#ending) return this.#ended.resolve()
      const channel = await openChannel(place, '/v1/consume', {
        onText: (text) => this.#onText(text),
        onFrame: (bytes) => this.#onFrame(bytes),
        onClose: () => this.#fail(lost('the connection to the local API was lost')),
      })
      if (this.#ending) {
        channel.close()
        return this.#ended.resolve()
      }
      this.#channel = channel
      channel.send({
        topic,
        group,
        options: wireOptions(options),
        ...(queue && { queue }),
        concurrency: this.#concurrency,
      })
    } catch (error) {
      this.#fail(error)
    }
  }

  #onText(text: string): void {
    const said = parseJson(text, word)
    switch (said.type) {
      case 'done':
        this.#answered(said.id)?.resolve()
        return
      case 'gone': {
        const pending = this.#answered(said.id)
        pending?.reject(pending.gone())
        return
      }
      case 'failed':
        this.#answered(said.id)?.reject(errorOf(said.failure, 500))
        return
      case 'back':
        for (const number of said.numbers) this.#inbox.delete(number)
        return
      case 'left':
        this.#left = this.#waiters.length === 0
        if (!this.#left) this.#channel?.send({ type: 'ask' })
        return
      case 'end':
        this.#end()
        return
      case 'error':
        this.#fail(errorOf(said, 500))
        return
      default:
        said satisfies never
    }
  }

  #answered(id: number): Pending | undefined {
    const pending = this.#pending.get(id)
    this.#pending.delete(id)
    return pending
  }

  #onFrame(bytes: Buffer): void {
    const { head, body } = openFrame(bytes, handedHead)
    const record = this.#ending ? undefined : this.#recordOf(head, body)
    if (record !== undefined) this.#inbox.set(head.first, record)
    else this.#act(head.first, { type: 'nack' }, refused).catch(() => undefined)
    this.#serve()
  }

  #recordOf(head: HandedHead, body: Uint8Array): RemoteRecord<T> | undefined {
    const { topic, codec, group } = this.#parts
    try {
      const [fields] = fieldsOf<T>(head, body, topic, codec)
      return fields && new RemoteRecord<T>(fields, { ...head, group }, (act, gone) => this.#act(head.first, act, gone))
    } catch (error) {
      if (isError(error, 'CodecFailed')) return undefined
      throw error
    }
  }

  #act(number: number, act: Act, gone: Gone): Promise<void> {
    if (!this.#channel?.open) return Promise.reject(lost('the connection to the local API was lost'))
    const id = this.#ids++
    const pending = { ...Promise.withResolvers<void>(), gone }
    this.#pending.set(id, pending)
    this.#channel.send({ id, number, ...act })
    return pending.promise
  }

  readonly #onAbort = () => this.#end()

  #end(): void {
    if (this.#ending) return
    this.#ending = true
    this.#signal?.removeEventListener('abort', this.#onAbort)
    this.#tellTaken()
    this.#channel?.send({ type: 'end' })
    this.#inbox.clear()
    this.#serve()
  }

  /** Whoever waits gets a record; after the end the first of them hears of the error, if there is one. */
  #serve(): void {
    while (this.#waiters.length > 0) {
      const [next] = this.#inbox
      if (next === undefined && !this.#ending) return
      const waiter = this.#waiters.shift()
      const error = this.#error
      this.#error = undefined
      if (next !== undefined) waiter?.resolve({ done: false, value: this.#take(...next) })
      else if (error !== undefined) waiter?.reject(error)
      else waiter?.resolve({ done: true, value: undefined })
    }
  }

  /** Those of one turn of the event loop are told together. */
  #take(number: number, record: QueueRecord<T>): QueueRecord<T> {
    this.#inbox.delete(number)
    if (this.#taken.length === 0) setImmediate(() => this.#tellTaken())
    this.#taken.push(number)
    return record
  }

  #tellTaken(): void {
    if (this.#taken.length > 0) this.#channel?.send({ type: 'taken', numbers: this.#taken })
    this.#taken = []
  }

  #fail(error: unknown): void {
    if (!this.#ending) this.#error = error
    this.#end()
    for (const { reject } of this.#pending.values()) reject(error)
    this.#pending.clear()
    this.#channel?.close()
    this.#channel = undefined
    this.#ended.resolve()
  }
}
