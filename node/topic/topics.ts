/**
 * Topics: publishing with confirmation, subscriptions, cursors.
 *
 * Promises: G1 (a publish resolves when the record is on our disk and on as many others as were asked for: `confirm`, `publisher`), G2 (a
 * subscription gets every record from its start on, until acknowledged: `subscription`, `cursor`, `cursors`), G3 within a feed (the arrival log
 * has each feed in order). `carrier` decides what is carried here and why.
 *
 * A record's way: `topic` encodes -> `publisher` seals, stores, announces -> gossip and sync bring it to other peers' logs -> `subscription`
 * reads it there and here.
 */
import { createHash } from 'node:crypto'
import { GrapevineError } from '../errors.ts'
import type { HybridClock } from '../feed/hlc.ts'
import { FeedWriter } from '../feed/writer.ts'
import type { Gossip } from '../gossip/gossip.ts'
import { limits } from '../limits.ts'
import type { Clock, Meter, Random, StateDb } from '../ports.ts'
import type { Presence } from '../presence/presence.ts'
import type { TopicLog } from '../store/topic-log.ts'
import type { Sync } from '../sync/sync.ts'
import type {
  FeedId,
  Group,
  GroupOptions,
  PeerId,
  RequestHandler,
  Responder,
  RespondOptions,
  StartPosition,
  SubscribeOptions,
  Subscription,
  Topic,
  TopicName,
} from '../types.ts'
import type { SigningKey } from '../wire/key.ts'
import type { RecordInput } from '../wire/record.ts'
import { parseTopic } from '../wire/topic.ts'
import type { Carrier } from './carrier.ts'
import type { Codec } from './codec.ts'
import { Confirmations } from './confirm.ts'
import { Cursor, type CursorState } from './cursor.ts'
import { CursorKeeper } from './cursors.ts'
import { Publisher, type Sink } from './publisher.ts'
import { type Reading, TopicSubscription } from './subscription.ts'
import { PublicTopic } from './topic.ts'

export interface TopicsOptions {
  me: PeerId
  key: SigningKey
  state: StateDb
  sync: Sync
  gossip: Gossip
  presence: Presence
  carrier: Carrier
  clock: Clock
  random: Random
  hybrid: HybridClock
  meter: Meter | undefined
  confirmTimeoutMs: number
  /** What is published here could not be stored. */
  onStorageError(topic: TopicName, error: unknown): void
  /** Whether there are ways to find other peers: then a peer is not taken to be alone before it has had time to. */
  discovers: boolean
  /** There are addresses to join. */
  joins: boolean
  /** Groups and responders are rooms above this one. */
  group(topic: TopicName, name: string, options: GroupOptions, codec: Codec): Group<unknown>
  respond(topic: TopicName, codec: Codec, handler: RequestHandler, options: RespondOptions): Responder
}

/** After the start, friends are still being found: so long a reader waits for the first, and `auto` hopes for one. */
const discoveryMs = 1_500
/**
 * And so long it waits where we were told whom to join. Between busy machines a handshake takes seconds, and a member of a group that begins
 * alone, beside others that it does not know of, does again what they have done.
 */
const joinMs = 2 * limits.dialTimeoutMs
/** And so long for those who hold the topic to say what they have, and then for all of that to come. */
const meetMs = 3_000
const levelMs = 10_000
/** Whoever was asked to carry a topic may not yet have known enough of the mesh to agree: it is asked again. */
const recheckMs = 500
/** How long a shared cursor waits to be confirmed; it is tried again with the next. */
const shareTimeoutMs = 3_000

export class Topics {
  readonly #options: TopicsOptions
  readonly #publishers = new Map<TopicName, { publisher: Publisher; confirmations: Confirmations }>()
  readonly #subscriptions = new Set<TopicSubscription<unknown>>()
  readonly #names = new Set<string>()
  #state: 'open' | 'draining' | 'closed' = 'open'
  readonly #discoveredBy: number
  readonly #linkedBy: number
  readonly #offs: (() => void)[]

  constructor(options: TopicsOptions) {
    this.#options = options
    const { clock, presence, discovers, joins } = options
    this.#discoveredBy = clock.now() + (discovers ? discoveryMs : 0)
    this.#linkedBy = joins ? clock.now() + joinMs : this.#discoveredBy
    const timers = [clock.after(discoveryMs, () => this.recheck()), clock.every(recheckMs, () => this.recheck())]
    this.#offs = [presence.onChange(() => this.recheck()), ...timers.map((timer) => () => timer.cancel())]
  }

  topic<T>(name: string, codec: Codec): Topic<T> {
    return this.own(parseTopic(name), codec)
  }

  /** As `topic`, also for those of our own. */
  own<T>(topic: TopicName, codec: Codec): Topic<T> {
    return new PublicTopic<T>({
      name: topic,
      codec,
      publisher: () => this.#publisherOf(topic).publisher,
      confirmTimeoutMs: this.#options.confirmTimeoutMs,
      now: () => this.#options.clock.now(),
      breathe: () => this.#options.clock.breathe(),
      assertOpen: () => this.#assertOpen(),
      subscribe: (options, its) => this.#subscribe(topic, options, its),
      group: (name, options, its) => this.#options.group(topic, name, options, its),
      respond: (handler, options) => this.#options.respond(topic, codec, handler, options),
    })
  }

  /** Queues a record that is bytes already; its sink hears the rest. Throws `QueueFull`, `RecordTooLarge`, `PeerClosed`. */
  append(topic: TopicName, record: RecordInput, sink: Sink): void {
    if (this.#state === 'closed') throw new GrapevineError('PeerClosed', 'the peer is closed', {})
    this.#publisherOf(topic).publisher.enqueue(record, sink)
  }

  /**
   * A reader begins now, with what comes from here on: whatever friends say that they hold is history, but for what is published
   * here after this call. Returns what writes that into a cursor, once the topic is carried.
   */
  latest(topic: TopicName): (log: TopicLog, cursor: Cursor) => Promise<void> {
    const subscribedAt = this.#options.clock.now()
    const ownTip = this.#publishers.get(topic)?.publisher.tip
    return async (log, cursor) => {
      await this.meet(topic, 'heard')
      this.#skipHistory(log, cursor, subscribedAt, ownTip)
    }
  }

  onConfirmed(peer: PeerId, topic: TopicName, feed: FeedId, seq: number): void {
    this.#publishers.get(topic)?.confirmations.onConfirmed(peer, feed, seq)
  }

  /** What `auto` means may have changed, and who could carry what waits to be confirmed. */
  recheck(): void {
    for (const [topic, { confirmations }] of this.#publishers) {
      confirmations.recheck()
      if (confirmations.wanted > 0) this.#options.carrier.seek(topic, confirmations.wanted)
    }
  }

  /** Takes no more publishes; resolves when those on their way are done and acknowledgements are shared. */
  async drain(): Promise<void> {
    if (this.#state === 'open') this.#state = 'draining'
    await Promise.all([...this.#publishers.values()].map(({ publisher }) => publisher.idle()))
    await Promise.all([...this.#subscriptions].map((subscription) => subscription.close()))
    await Promise.all([...this.#publishers.values()].map(({ publisher }) => publisher.idle()))
  }

  async close(): Promise<void> {
    this.#state = 'closed'
    for (const off of this.#offs) off()
    for (const { confirmations } of this.#publishers.values()) confirmations.close()
    await Promise.all([...this.#subscriptions].map((subscription) => subscription.close().catch(() => undefined)))
    await Promise.all([...this.#publishers.values()].map(({ publisher }) => publisher.stop()))
  }

  #assertOpen(): void {
    if (this.#state !== 'open')
      throw new GrapevineError('PeerClosed', `the peer is ${this.#state === 'closed' ? 'closed' : 'draining'}`, {})
  }

  #publisherOf(topic: TopicName): { publisher: Publisher; confirmations: Confirmations } {
    const known = this.#publishers.get(topic)
    if (known !== undefined) return known
    const { carrier, clock, random, hybrid, key, gossip, meter } = this.#options
    const confirmations = new Confirmations(clock, () => this.#autoNeed(topic))
    const publisher = new Publisher({
      openLog: () => carrier.hold(topic),
      newWriter: () => new FeedWriter(key, topic, clock.now(), random.bytes(8)),
      stamp: () => hybrid.stamp(),
      announce: (batch) => gossip.announce(batch),
      confirmations,
      meter,
      onFailed: (error) => this.#options.onStorageError(topic, error),
      seekCarriers: (need) => carrier.seek(topic, need),
    })
    const made = { publisher, confirmations }
    this.#publishers.set(topic, made)
    return made
  }

  /** One other peer, where there is (or may be found in a moment) one that carries the topic or could. */
  #autoNeed(topic: TopicName): number {
    const { sync, presence, clock } = this.#options
    if (sync.holders(topic).length > 0 || clock.now() < this.#discoveredBy) return 1
    // A friend whose card is still on its way may carry it as well.
    if (sync.friends().some((peer) => presence.card(peer)?.role !== 'guest')) return 1
    for (const card of presence.cards()) if (card.role !== 'guest') return 1
    return 0
  }

  #subscribe(topic: TopicName, options: SubscribeOptions, codec: Codec): Subscription<unknown> {
    const from = checkFrom(options.from ?? 'latest')
    const { name } = options
    const key = `${topic}/${name}`
    if (name !== undefined) this.#claimName(topic, name, key)
    const keeper = name === undefined ? undefined : this.#keeperOf(topic, name)
    const reading = this.#open(topic, from, keeper)
    const subscription = new TopicSubscription<unknown>(reading, codec, options.signal, async () => {
      this.#subscriptions.delete(subscription)
      if (keeper !== undefined) {
        await keeper.close()
        this.#options.carrier.drop(controlTopicOf(topic), 'subscribed')
      }
      this.#names.delete(key)
      this.#options.carrier.drop(topic, 'subscribed')
    })
    this.#subscriptions.add(subscription)
    return subscription
  }

  #claimName(topic: TopicName, name: string, key: string): void {
    if (!/^[A-Za-z0-9._-]{1,249}$/.test(name)) {
      throw new GrapevineError(
        'InvalidOption',
        `name ${JSON.stringify(name)} is not allowed: 1 to 249 of A-Z a-z 0-9 . _ -`,
        { option: 'name' },
      )
    }
    if (this.#names.has(key)) {
      throw new GrapevineError(
        'SubscriptionInUse',
        `a subscription named ${name} on ${topic} is open on this peer: close it first, or take another name`,
        { name, topic },
      )
    }
    this.#names.add(key)
  }

  #keeperOf(topic: TopicName, name: string): CursorKeeper {
    const { state, clock } = this.#options
    return new CursorKeeper({ topic, name, db: state, clock, share: (as, told) => this.#share(topic, as, told) })
  }

  #share(topic: TopicName, name: string, state: CursorState): Promise<void> {
    const control = controlTopicOf(topic)
    if (this.#state === 'closed' || !this.#publisherOf(control).publisher.hasRoom) return Promise.resolve()
    const record = { value: Buffer.from(JSON.stringify(state)), key: name, time: this.#options.clock.now() }
    return new Promise((resolve) => {
      const sink: Sink = {
        confirm: 'auto',
        timeoutMs: shareTimeoutMs,
        onDone: () => resolve(),
        onFailed: () => resolve(),
      }
      this.append(control, record, sink)
    })
  }

  async #open(topic: TopicName, from: StartPosition, keeper: CursorKeeper | undefined): Promise<Reading> {
    const latest = this.latest(topic)
    // Before anything is awaited: what we publish from here on lies behind it.
    const end = this.#options.carrier.endOffset(topic)
    const log = await this.#options.carrier.carry(topic, 'subscribed')
    const cursor = keeper?.cursor ?? new Cursor()
    let offset = log.startOffset
    if (keeper === undefined || !(await this.#recall(topic, keeper))) {
      if (from === 'latest') {
        offset = end
        await latest(log, cursor)
      } else if (from instanceof Date) {
        cursor.since = from.getTime()
        offset = log.offsetAt(cursor.since)
      } else if (typeof from === 'number') {
        offset = from
        if (keeper !== undefined) await doneBefore(log, cursor, from)
      }
      await keeper?.begin()
    }
    return { log, cursor, offset, ack: keeper && ((feed, index) => keeper.ack(feed, index)) }
  }

  /** What the subscription of this name has acknowledged, here or on other peers; false when there never was one. */
  async #recall(topic: TopicName, keeper: CursorKeeper): Promise<boolean> {
    const known = await keeper.load()
    const control = await this.#options.carrier.carry(controlTopicOf(topic), 'subscribed')
    await this.meet(control.topic, 'level')
    return (await keeper.follow(control)) || known
  }

  /** Waits, within bounds, for friends that hold the topic to say what they have (`level`: and until we have it too). */
  async meet(topic: TopicName, until: 'heard' | 'level'): Promise<void> {
    const { sync, presence, clock } = this.#options
    await sync.linked(Math.max(0, this.#linkedBy - clock.now()))
    await sync.until(() => presence.carriersOf(topic).length === 0 || sync.holders(topic).length > 0, meetMs)
    await sync.settled(topic, until === 'level' ? levelMs : meetMs, until)
  }

  /** Peers that may have of the topic what we do not know of: those connected that have not answered yet, and carriers that are no friends. */
  strangers(topic: TopicName): PeerId[] {
    const { sync, presence } = this.#options
    const holders = new Set(sync.holders(topic))
    return [...sync.unanswered(topic), ...presence.carriersOf(topic).filter((peer) => !holders.has(peer))]
  }

  /** Everything known of now is history, but for what we published ourselves since the call to subscribe. */
  #skipHistory(
    log: TopicLog,
    cursor: Cursor,
    subscribedAt: number,
    ownTip: { feed: FeedId; seq: number } | undefined,
  ): void {
    for (const [feed, seq] of this.#options.sync.targets(log.topic)) cursor.skip(feed, seq)
    for (const [feed, { author, started, last }] of log.feeds) {
      if (author === this.#options.me && feed === ownTip?.feed) cursor.skip(feed, ownTip.seq)
      else if (author !== this.#options.me || started < subscribedAt) cursor.skip(feed, last)
    }
    // A feed that nobody told us of may begin now, with a clock that is behind ours.
    cursor.since = subscribedAt - limits.clockAheadMsMax
  }
}

/** Where the cursors of a topic's subscriptions are shared. */
function controlTopicOf(topic: TopicName): TopicName {
  const name = `$cursors.${topic}`
  const short =
    name.length <= limits.topicBytesMax ? name : `$cursors.${createHash('sha256').update(topic).digest('hex')}`
  return parseTopic(short, { own: true })
}

function checkFrom(from: StartPosition): StartPosition {
  const valid =
    from === 'earliest' ||
    from === 'latest' ||
    (from instanceof Date && !Number.isNaN(from.getTime())) ||
    (Number.isSafeInteger(from) && (from as number) >= 0)
  if (valid) return from
  throw new GrapevineError(
    'InvalidOption',
    `from is ${String(from)}: it is 'earliest', 'latest', a Date or an offset from 0`,
    { option: 'from' },
  )
}

/** An offset means something on this peer only: everything before it counts as done, so that the cursor means the same everywhere. */
async function doneBefore(log: TopicLog, cursor: Cursor, offset: number): Promise<void> {
  for (let at = log.startOffset; at < offset; ) {
    const found = await log.at(at)
    if (found === undefined) return
    if ('damaged' in found) {
      at = found.nextOffset
      continue
    }
    const { head } = found.batch.head
    const count = Math.min(head.count, offset - found.offset)
    if (count > 0) cursor.done(found.batch.head.feed, head.firstIndex, head.firstIndex + count)
    at = found.offset + head.count
  }
}
