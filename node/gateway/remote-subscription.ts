/**
 * A subscription through the local API. Numbers the records as they come, says what its reader has dealt with (that is
 * what lets more come), and gathers acknowledgements: those of one turn of the event loop travel together, and each
 * `ack()` resolves when the peer has answered for it.
 */
import { z } from 'zod'
import { GrapevineError } from '../errors.ts'
import type { Codec } from '../topic/codec.ts'
import type { Message, StartPosition, SubscribeOptions, Subscription, TopicName } from '../types.ts'
import type { Channel } from './channel.ts'
import { deliveryHead, errorOf, openFrame, parseJson } from './frame.ts'
import { Inbox } from './inbox.ts'
import { fieldsOf, RemoteMessage } from './remote-message.ts'
import { type ApiPlace, lost, openChannel } from './remote-socket.ts'

const word = z.discriminatedUnion('type', [
  z.object({ type: z.literal('ready') }),
  z.object({ type: z.literal('end') }),
  z.object({ type: z.literal('acked'), id: z.number() }),
  z.object({ type: z.literal('unacked'), id: z.number(), failure: z.unknown() }),
  z.object({ type: z.literal('error'), code: z.string(), message: z.string(), data: z.unknown() }),
])

/** How long a peer may take to share the last acknowledgements before closing goes on without it. */
const closeMs = 5_000

interface Delivery<T> {
  messages: Message<T>[]
  bytes: number
}

interface AckFlush {
  numbers: number[]
  done: PromiseWithResolvers<void>
}

export class RemoteSubscription<T> implements Subscription<T> {
  readonly ready: Promise<void>
  /** Resolves when nothing is left of it. */
  readonly ended: Promise<void>
  readonly #topic: TopicName
  readonly #codec: Codec
  readonly #named: boolean
  readonly #ready = Promise.withResolvers<void>()
  readonly #ended = Promise.withResolvers<void>()
  readonly #inbox = new Inbox<Delivery<T>>()
  readonly #acks = new Map<number, AckFlush>()
  #gathering: AckFlush | undefined
  #flushes = 0
  #channel: Channel | undefined
  #closing = false

  constructor(place: ApiPlace, topic: TopicName, codec: Codec, options: SubscribeOptions) {
    this.#topic = topic
    this.#codec = codec
    this.#named = options.name !== undefined
    this.ready = this.#ready.promise
    this.ended = this.#ended.promise
    // Whoever does not wait for `ready` hears of a failure from the iteration.
    this.ready.catch(() => {})
    options.signal?.addEventListener('abort', () => void this.close(), { once: true })
    if (options.signal?.aborted) this.#closing = true
    void this.#open(place, options)
  }

  async #open(place: ApiPlace, { name, from }: SubscribeOptions): Promise<void> {
    try {
      const channel = await openChannel(place, '/v1/subscribe', {
        onText: (text) => this.#onText(text),
        onFrame: (bytes) => this.#onFrame(bytes),
        onClose: () => this.#fail(lost('the connection to the local API was lost')),
      })
      this.#channel = channel
      channel.send({ topic: this.#topic, name, from: from === undefined ? undefined : wireStart(from) })
      if (this.#closing) channel.send({ type: 'close' })
    } catch (error) {
      this.#fail(error)
    }
  }

  #onText(text: string): void {
    const said = parseJson(text, word)
    switch (said.type) {
      case 'ready':
        this.#ready.resolve()
        return
      case 'acked':
        this.#acks.get(said.id)?.done.resolve()
        this.#acks.delete(said.id)
        return
      case 'unacked':
        this.#acks.get(said.id)?.done.reject(errorOf(said.failure, 500))
        this.#acks.delete(said.id)
        return
      case 'error':
        this.#fail(errorOf(said, 500))
        return
      case 'end':
        this.#ready.resolve()
        this.#inbox.end()
        this.#ended.resolve()
        return
      default:
        said satisfies never
    }
  }

  #onFrame(bytes: Buffer): void {
    try {
      this.#inbox.push({ messages: this.#messagesOf(bytes), bytes: bytes.length })
    } catch (error) {
      this.#fail(error)
      this.#channel?.close()
    }
  }

  #messagesOf(bytes: Buffer): Message<T>[] {
    const { head, body } = openFrame(bytes, deliveryHead)
    return fieldsOf<T>(head, body, this.#topic, this.#codec).map(
      (fields, at) => new RemoteMessage(fields, () => this.#ack(head.first + at)),
    )
  }

  #fail(error: unknown): void {
    this.#ready.reject(error)
    if (this.#closing) this.#inbox.end()
    else this.#inbox.fail(error)
    for (const flush of this.#acks.values()) flush.done.reject(error)
    this.#acks.clear()
    this.#channel?.close()
    this.#channel = undefined
    this.#ended.resolve()
  }

  #ack(number: number): Promise<void> {
    if (!this.#named) return Promise.resolve()
    if (!this.#channel?.open) return Promise.reject(lost('the connection to the local API was lost'))
    if (!this.#gathering) {
      this.#gathering = { numbers: [], done: Promise.withResolvers<void>() }
      setImmediate(() => this.#flushAcks())
    }
    this.#gathering.numbers.push(number)
    return this.#gathering.done.promise
  }

  #flushAcks(): void {
    const flush = this.#gathering
    this.#gathering = undefined
    if (!flush) return
    if (!this.#channel?.open) {
      flush.done.reject(lost('the connection to the local API was lost'))
      return
    }
    const id = this.#flushes++
    this.#acks.set(id, flush)
    this.#channel.send({ type: 'ack', id, ranges: rangesOf(flush.numbers) })
  }

  async *batches(): AsyncGenerator<Message<T>[]> {
    try {
      for (let next = await this.#inbox.take(); next; next = await this.#inbox.take()) {
        yield next.messages
        this.#channel?.send({ type: 'taken', bytes: next.bytes })
      }
    } finally {
      await this.close()
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Message<T>> {
    for await (const messages of this.batches()) yield* messages
  }

  async close(): Promise<void> {
    if (!this.#closing) {
      this.#closing = true
      this.#flushAcks()
      this.#channel?.send({ type: 'close' })
      this.#inbox.clear()
      const timer = setTimeout(() => this.#fail(lost('the peer did not end the subscription')), closeMs)
      void this.ended.then(() => clearTimeout(timer))
    }
    await this.ended
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

function wireStart(from: StartPosition): unknown {
  if (from instanceof Date) {
    if (!Number.isNaN(from.getTime())) return { time: from.getTime() }
    throw new GrapevineError('InvalidOption', 'from is a Date that is no time', { option: 'from' })
  }
  return typeof from === 'number' ? { offset: from } : from
}

/** Numbers as inclusive ranges, neighbours joined. */
function rangesOf(numbers: number[]): [number, number][] {
  const ranges: [number, number][] = []
  for (const number of numbers.sort((a, b) => a - b)) {
    const last = ranges.at(-1)
    if (last && number <= last[1] + 1) last[1] = number
    else ranges.push([number, number])
  }
  return ranges
}
