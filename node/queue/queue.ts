/** One queue as an application sees it: a topic to send to, a group with one standing member here to receive from. */
import { GrapevineError } from '../errors.ts'
import { deadHeaders, livingHeaders } from '../group/bury.ts'
import { Consumer, decode, HandedOut } from '../group/consumer.ts'
import type { Member } from '../group/member.ts'
import type { Clock } from '../ports.ts'
import { type Codec, codecOf } from '../topic/codec.ts'
import { DeliveredMessage, recordsOf } from '../topic/message.ts'
import type { Topics } from '../topic/topics.ts'
import type {
  ConsumeOptions,
  GroupEvent,
  Message,
  Queue,
  QueueRecord,
  QueueStats,
  Receipt,
  ReceiveOptions,
  SendOptions,
  Settling,
  Topic,
  TopicName,
} from '../types.ts'
import { headersOf } from './headers.ts'
import type { Lender } from './lender.ts'
import { checkReceiveOptions, checkSendOptions } from './settings.ts'

export interface QueueParts {
  name: TopicName
  codec: Codec
  member: Member
  lender: Lender
  topics: Topics
  clock: Clock
  /** The queue of dead letters, as whoever opened it has set it up. */
  dead(): Promise<{ member: Member; queue: Queue<Uint8Array> }>
}

/** No group of an application is called that. */
export const queueGroup = '_queue'

const receiptChars = 100
const browseMax = 100
/** Dead letters moved at a time, and what of other queues may lie between them. */
const redriveMax = 100
const strangersMax = 10_000
const redriveWaitMs = 100

export class PublicQueue<T> implements Queue<T> {
  readonly name: TopicName
  readonly #parts: QueueParts

  constructor(parts: QueueParts) {
    this.name = parts.name
    this.#parts = parts
  }

  async send(value: T, options: SendOptions = {}): Promise<Receipt> {
    const { member, codec, clock } = this.#parts
    const asked = checkSendOptions(options, member.options.settings.type === 'key-shared')
    const { groupId, headers, confirm, timeoutMs } = asked
    return this.#topic<T>(codec).publish(value, {
      headers: { ...headers, ...headersOf(asked, clock.now()) },
      ...(groupId !== undefined && { key: groupId }),
      ...(confirm !== undefined && { confirm }),
      ...(timeoutMs !== undefined && { timeoutMs }),
    })
  }

  async receive(options: ReceiveOptions = {}): Promise<QueueRecord<T>[]> {
    const { clock, lender, codec } = this.#parts
    const { max, waitMs, signal } = checkReceiveOptions(options)
    const end = clock.now() + waitMs
    for (;;) {
      const lent = await lender.ask(max, Math.max(0, end - clock.now()), signal)
      const records: QueueRecord<T>[] = []
      for (const one of lent) {
        const { loaded, settler } = one
        const value = decode(codec, loaded)
        if (value === undefined) void settler.refuse(loaded)
        else lender.remember(one)
        if (value !== undefined) records.push(new HandedOut<T>(settler, loaded, value.value as T))
      }
      // What nobody can decode is a dead letter, and nothing that was received.
      if (records.length > 0 || lent.length === 0) return records
    }
  }

  byReceipt(receipt: string): Settling {
    const known = this.#parts.lender.byReceipt(receipt)
    if (known !== undefined) return known
    const sentence = `no record of queue ${this.name} was received here under the receipt ${JSON.stringify(receipt.slice(0, receiptChars))}, or its time is long over`
    throw new GrapevineError('LeaseLost', sentence, {
      group: this.name,
      record: receipt.slice(0, receiptChars),
      reason: 'expired',
      holder: undefined,
    })
  }

  consume(options: ConsumeOptions = {}): AsyncIterable<QueueRecord<T>> {
    return new Consumer<T>(this.#parts.member, this.#parts.codec, options)
  }

  async browse({ max = browseMax }: { max?: number } = {}): Promise<Message<T>[]> {
    const { member, codec } = this.#parts
    const found: Message<T>[] = []
    for await (const { at, open } of member.openRecords()) {
      const { head } = at.batch
      const records = recordsOf(at.batch)
      if (records === undefined) continue
      const delivery = { head, records, offset: at.offset, codec, ack: () => Promise.reject(notReceived(this.name)) }
      for (const i of open) {
        if (found.length >= max) return found
        found.push(new DeliveredMessage<T>(delivery, i))
      }
    }
    return found
  }

  purge(): Promise<number> {
    return this.#parts.member.purge()
  }

  async redrive({ max = Number.POSITIVE_INFINITY }: { max?: number } = {}): Promise<number> {
    const { queue: dead } = await this.#parts.dead()
    const topic = this.#topic<Uint8Array>(codecOf('bytes'))
    const strangers: QueueRecord<Uint8Array>[] = []
    let moved = 0
    while (moved < max && strangers.length < strangersMax) {
      const records = await dead.receive({ max: Math.min(redriveMax, max - moved), waitMs: redriveWaitMs })
      if (records.length === 0) break
      const ours = records.filter(({ headers }) => headers[deadHeaders.topic] === this.name)
      for (const record of records) if (!ours.includes(record)) strangers.push(record)
      await Promise.all(
        ours.map((record) => topic.publish(record.value, { ...keyOf(record), headers: livingHeaders(record.headers) })),
      )
      await Promise.all(ours.map((record) => record.ack()))
      moved += ours.length
    }
    await Promise.all(strangers.map((record) => record.release()))
    return moved
  }

  async stats(): Promise<QueueStats> {
    const counts = await countsOf(this.name, this.#parts.member)
    const { member: dead } = await this.#parts.dead()
    const { lag } = await dead.status()
    return { ...counts, dead: lag }
  }

  events(): AsyncIterable<GroupEvent> {
    const { member } = this.#parts
    // Whoever only watches hears of a failure by asking for the figures.
    member.open().catch(() => undefined)
    return member.events.listen()
  }

  drain(): Promise<void> {
    return this.#parts.member.drain()
  }

  #topic<V>(codec: Codec): Topic<V> {
    return this.#parts.topics.topic<V>(this.name, codec)
  }
}

export type QueueCounts = Omit<QueueStats, 'dead'>

export async function countsOf(name: TopicName, member: Member): Promise<QueueCounts> {
  const { lag, settings } = await member.status()
  const { out, delayed } = member.counts()
  const ready = Math.max(0, lag - out - delayed)
  return { name, settings, records: lag, ready, inFlight: Math.min(out, lag), delayed: Math.min(delayed, lag) }
}

function keyOf({ key }: { key: string | undefined }): { key?: string } {
  return key === undefined ? {} : { key }
}

/** What browsing found is not ours to acknowledge. */
export function notReceived(queue: TopicName): GrapevineError<'LeaseLost'> {
  const sentence = `the record was found by browsing ${queue}: receive it to acknowledge it`
  return new GrapevineError('LeaseLost', sentence, { group: queue, record: '', reason: 'settled', holder: undefined })
}
