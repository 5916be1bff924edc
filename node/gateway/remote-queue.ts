/** A queue through the local API. What is sent goes over the connection of its topic, all else is asked one thing at a time. */
import { isError } from '../errors.ts'
import { limits } from '../limits.ts'
import { headersOf } from '../queue/headers.ts'
import { notReceived, queueGroup } from '../queue/queue.ts'
import { checkReceiveOptions, checkSendOptions } from '../queue/settings.ts'
import type { Codec } from '../topic/codec.ts'
import type {
  ConsumeOptions,
  GroupEvent,
  Message,
  Queue,
  QueueOptions,
  QueueRecord,
  QueueStats,
  Receipt,
  ReceiveOptions,
  SendOptions,
  Settling,
  Topic,
  TopicName,
} from '../types.ts'
import type { QueueRecordJson } from './queue.ts'
import { RemoteConsumer } from './remote-consumer.ts'
import { remoteEvents } from './remote-events.ts'
import { type Fields, RemoteMessage } from './remote-message.ts'
import { askJson } from './remote-socket.ts'
import type { RemoteOwner } from './remote-topic.ts'

export interface RemoteQueueParts<T> {
  owner: RemoteOwner
  name: TopicName
  codec: Codec
  options: QueueOptions
  topic: Topic<T>
}

export class RemoteQueue<T> implements Queue<T> {
  readonly name: TopicName
  readonly #parts: RemoteQueueParts<T>
  readonly #settings: Omit<QueueOptions, 'codec'>
  readonly #consumers = new Set<RemoteConsumer<T>>()

  constructor(parts: RemoteQueueParts<T>) {
    this.name = parts.name
    this.#parts = parts
    const { codec: _, ...settings } = parts.options
    this.#settings = settings
  }

  async send(value: T, options: SendOptions = {}): Promise<Receipt> {
    const { topic } = this.#parts
    const asked = checkSendOptions(options, this.#parts.options.fifo === true)
    const { groupId, headers, confirm, timeoutMs } = asked
    return topic.publish(value, {
      headers: { ...headers, ...headersOf(asked, Date.now()) },
      ...(groupId !== undefined && { key: groupId }),
      ...(confirm !== undefined && { confirm }),
      ...(timeoutMs !== undefined && { timeoutMs }),
    })
  }

  async receive(options: ReceiveOptions = {}): Promise<QueueRecord<T>[]> {
    const { max, waitMs, signal } = checkReceiveOptions(options)
    const end = performance.now() + waitMs
    for (;;) {
      signal?.throwIfAborted()
      const leftMs = Math.max(0, end - performance.now())
      const asked = { max, waitMs: Math.min(leftMs, limits.apiPollMs) }
      const { records } = await this.#ask<{ records: QueueRecordJson[] }>('receive', asked, signal)
      const opened = records.map((record) => this.#open(record)).filter((record) => record !== undefined)
      if (opened.length > 0 || (records.length === 0 && leftMs <= asked.waitMs)) return opened
    }
  }

  consume(options: ConsumeOptions = {}): RemoteConsumer<T> {
    const { owner, name, codec } = this.#parts
    owner.assertOpen()
    const { place } = owner
    const parts = { place, topic: name, codec, group: queueGroup, options: this.#settings, queue: true }
    const consumer = owner.adopt(new RemoteConsumer<T>(parts, options))
    this.#consumers.add(consumer)
    void consumer.ended.then(() => {
      this.#consumers.delete(consumer)
      owner.release(consumer)
    })
    return consumer
  }

  async browse(options: { max?: number } = {}): Promise<Message<T>[]> {
    const { records } = await this.#ask<{ records: QueueRecordJson[] }>('browse', options)
    return records.map(
      (record) => new RemoteMessage<T>(this.#fields(record), () => Promise.reject(notReceived(this.name))),
    )
  }

  async purge(): Promise<number> {
    return (await this.#ask<{ count: number }>('purge')).count
  }

  async redrive(options: { max?: number } = {}): Promise<number> {
    return (await this.#ask<{ count: number }>('redrive', options)).count
  }

  stats(): Promise<QueueStats> {
    return this.#ask('stats')
  }

  events(): AsyncIterable<GroupEvent> {
    const { owner } = this.#parts
    owner.assertOpen()
    return remoteEvents(owner, '/v1/group-events', {
      topic: this.name,
      group: queueGroup,
      options: this.#settings,
      queue: true,
    })
  }

  async drain(): Promise<void> {
    await Promise.all([...this.#consumers].map((consumer) => consumer.drain()))
  }

  byReceipt(receipt: string): Settling {
    const settle = async (act: string, ms?: number) => {
      await this.#ask('settle', { receipt, act, ...(ms !== undefined && { ms }) })
    }
    return {
      ack: () => settle('ack'),
      nack: ({ delayMs } = {}) => settle('nack', delayMs),
      extend: (ms) => settle('extend', ms),
      release: () => settle('release'),
    }
  }

  /** Undefined where its bytes are not what the codec says: refused, it is a dead letter in the end. */
  #open(record: QueueRecordJson): QueueRecord<T> | undefined {
    const settling = this.byReceipt(record.receipt ?? '')
    try {
      return new RemoteQueueRecord<T>(this.#fields(record), record, settling)
    } catch (error) {
      if (!isError(error, 'CodecFailed')) throw error
      settling.nack().catch(() => undefined)
      return undefined
    }
  }

  #fields({ value, key, headers, time, publisher, feed, seq, index, offset }: QueueRecordJson): Fields<T> {
    const decoded = this.#parts.codec.decode(Buffer.from(value, 'base64')) as T
    return { topic: this.name, value: decoded, key, headers, time, publisher, feed, seq, index, offset }
  }

  #ask<R>(what: string, more: object = {}, signal?: AbortSignal): Promise<R> {
    const { owner } = this.#parts
    owner.assertOpen()
    const body = { queue: this.name, options: this.#settings, ...more }
    return owner.track(askJson<R>(owner.place, `/v1/queue/${what}`, body, signal))
  }
}

class RemoteQueueRecord<T> extends RemoteMessage<T> implements QueueRecord<T> {
  readonly attempt: number
  readonly fencingToken: number
  readonly receipt: string
  readonly #settling: Settling

  constructor(fields: Fields<T>, { attempt = 1, fencingToken = 0, receipt = '' }: QueueRecordJson, settling: Settling) {
    super(fields, () => settling.ack())
    this.attempt = attempt
    this.fencingToken = fencingToken
    this.receipt = receipt
    this.#settling = settling
  }

  nack(options?: { delayMs?: number }): Promise<void> {
    return this.#settling.nack(options)
  }

  extend(ms: number): Promise<void> {
    return this.#settling.extend(ms)
  }

  release(): Promise<void> {
    return this.#settling.release()
  }
}
