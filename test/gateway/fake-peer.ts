/** A peer that is only memory: enough of `Peer` to try the gateway on, with handles for what goes wrong. */
import { GrapevineError } from '../../node/errors.ts'
import { codecOf } from '../../node/topic/codec.ts'
import type {
  FeedId,
  Message,
  Outgoing,
  Peer,
  PeerEvent,
  PeerId,
  PublishManyOptions,
  PublishOptions,
  SubscribeOptions,
  Subscription,
  Topic,
  TopicOptions,
} from '../../node/types.ts'
import { parseTopic } from '../../node/wire/topic.ts'

interface Kept {
  value: Uint8Array
  key: string | undefined
  headers: Record<string, string>
}

const feed = 'ab'.repeat(16) as FeedId
const publisher = '12D3KooWfake' as PeerId

export class FakePeer implements Peer {
  readonly id = publisher
  readonly kept = new Map<string, Kept[]>()
  readonly acked: string[] = []
  /** Deliveries handed to subscribers so far, in records. */
  delivered = 0
  openSubscriptions = 0
  /** Thrown by the next publish. */
  failWith: Error | undefined
  /** Awaited before each record of `publishMany` is taken. */
  beforeTake: () => Promise<void> = async () => {}
  /** An acknowledgement waits for this. */
  beforeAck: () => Promise<void> = async () => {}
  #wakes = new Set<() => void>()
  #events: PeerEvent[] = []

  records(topic: string): Kept[] {
    const found = this.kept.get(topic) ?? []
    this.kept.set(topic, found)
    return found
  }

  emit(event: PeerEvent): void {
    this.#events.push(event)
    this.wake()
  }

  wake(): void {
    for (const wake of this.#wakes) wake()
  }

  changed(): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#wakes.delete(wake)
        resolve()
      }
      this.#wakes.add(wake)
    })
  }

  topic<T>(name: string, options: TopicOptions = {}): Topic<T> {
    return new FakeTopic<T>(this, parseTopic(name).toString(), options)
  }

  queue(): never {
    throw new Error('the gateway has no queues yet')
  }

  async request(): Promise<never> {
    throw new Error('the gateway has no requests yet')
  }

  async status() {
    const bytes = { sent: 1, received: 2, stored: 3 }
    const counts = { peersKnown: 1, friends: 0, topics: this.kept.size }
    const state = 'open' as const
    const settings = { keep: 3, role: 'peer' as const, discover: true, confirmTimeoutMs: 1, retention: {} }
    return {
      id: this.id,
      version: '0',
      addresses: [],
      data: null,
      mesh: 'open',
      since: 0,
      state,
      settings,
      joins: [],
      troubles: [],
      ...counts,
      bytes,
    }
  }

  async friends() {
    return []
  }

  async topics() {
    return []
  }

  async groups() {
    return []
  }

  async queues() {
    return []
  }

  async mesh() {
    return []
  }

  async why() {
    return []
  }

  async metrics() {
    return '# nothing\n'
  }

  async *events() {
    for (let at = this.#events.length; ; ) {
      const event = this.#events[at]
      if (event) {
        at++
        yield event
      } else {
        await this.changed()
      }
    }
  }

  async drain() {}
  async close() {}
  async [Symbol.asyncDispose]() {}
}

class FakeTopic<T> implements Topic<T> {
  readonly name
  readonly #peer: FakePeer
  readonly #codec

  constructor(peer: FakePeer, name: string, { codec }: TopicOptions) {
    this.#peer = peer
    this.name = parseTopic(name)
    this.#codec = codecOf(codec)
  }

  respond(): never {
    throw new Error('the gateway has no responders yet')
  }

  async publish(value: T, { key, headers = {}, confirm = 'auto' }: PublishOptions = {}) {
    if (this.#peer.failWith) throw this.#peer.failWith
    const kept = this.#peer.records(this.name)
    kept.push({ value: this.#codec.encode(value).slice(), key, headers })
    this.#peer.wake()
    return { feed, seq: kept.length, index: kept.length - 1, copies: confirm === 'auto' ? 1 : confirm }
  }

  async publishMany(values: Iterable<Outgoing<T>> | AsyncIterable<Outgoing<T>>, options: PublishManyOptions = {}) {
    const result = { published: 0, confirmed: 0, copies: 2 }
    for await (const { value, ...rest } of values) {
      await this.#peer.beforeTake()
      await this.publish(value, rest)
      result.published++
      result.confirmed++
    }
    options.onProgress?.(result)
    return result
  }

  subscribe({ name, from }: SubscribeOptions = {}): Subscription<T> {
    if (name === 'taken') {
      throw new GrapevineError('SubscriptionInUse', 'in use', { name, topic: this.name })
    }
    return new FakeSubscription<T>(this.#peer, this.name, this.#codec.decode, from === 'earliest')
  }

  group(): never {
    throw new Error('there are no groups here')
  }
}

class FakeSubscription<T> implements Subscription<T> {
  readonly ready = Promise.resolve()
  readonly #peer: FakePeer
  readonly #topic: string
  readonly #decode: (bytes: Uint8Array) => unknown
  #at: number
  #closed = false

  constructor(peer: FakePeer, topic: string, decode: (bytes: Uint8Array) => unknown, earliest: boolean) {
    this.#peer = peer
    this.#topic = topic
    this.#decode = decode
    this.#at = earliest ? 0 : peer.records(topic).length
    peer.openSubscriptions++
  }

  async *batches() {
    const kept = this.#peer.records(this.#topic)
    while (!this.#closed) {
      const messages = kept.slice(this.#at, this.#at + 1_000).map((record, i) => this.#message(record, this.#at + i))
      this.#at += messages.length
      this.#peer.delivered += messages.length
      if (messages.length > 0) yield messages
      else await this.#peer.changed()
    }
  }

  #message({ value, key, headers }: Kept, index: number): Message<T> {
    const id = `${feed}/${index}`
    const place = {
      feed,
      publisher,
      seq: 1 + Math.floor(index / 100),
      index,
      offset: index + 7,
      id,
      time: 1_000 + index,
    }
    const ack = async () => {
      await this.#peer.beforeAck()
      this.#peer.acked.push(id)
    }
    return { topic: parseTopic(this.#topic), value: this.#decode(value) as T, key, headers, ack, ...place }
  }

  async *[Symbol.asyncIterator]() {
    for await (const batch of this.batches()) yield* batch
  }

  async close() {
    if (!this.#closed) this.#peer.openSubscriptions--
    this.#closed = true
    this.#peer.wake()
  }

  [Symbol.asyncDispose]() {
    return this.close()
  }
}
