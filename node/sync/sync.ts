/**
 * Anti-entropy and fetching, `/grapevine/sync/1`: one long-lived stream per friend.
 *
 * What friends tell each other, in order:
 * 1. `digest`: a print per topic, of what changed since it was last told; on opening, of everything held. One that asks is answered, in
 *    the order of the stream after everything that follows from it: so whoever asked knows when it has heard all.
 * 2. Where a print differs from ours, our `frontier` of that topic (with many feeds first 256 `buckets`, then the frontier of those that differ).
 * 3. Whoever is told of batches it lacks sends a `want`; whoever is told of less than it has answers with what it is ahead in.
 * 4. `batch`, `chunk`, `end` answer a want (`serve`), are put together (`fetch`), verified and stored (`ingest`).
 * 5. `stored` tells a feed's author, where it is a friend or becomes one, that its batches are on our disk: that is what confirms a publish.
 * 6. `fork` tells a friend that follows a feed known to be forked the proof (`forks`).
 *
 * Promises: a body is asked for from one friend at a time (scheduler, rule 1), only what verifies reaches a log, and
 * every buffer that a friend can fill is bounded. Refuses topics that are not held. Where a topic is held as `own` (published to but
 * not carried), our feeds are offered and nobody else's fetched.
 *
 * Files: `scheduler` what to fetch from whom (pure), `frontier` comparing (pure), `comparison` with one friend, `holdings`, `fetch`,
 * `serve`, `ingest`, `repair`, `forks`, `travel`.
 */
import type { ForkProof } from '../feed/chain.ts'
import type { HybridClock } from '../feed/hlc.ts'
import type { Host } from '../host/host.ts'
import { type FrameBytes, type Link, type Links, links } from '../host/link.ts'
import { limits } from '../limits.ts'
import type { Clock, Meter, Random, Timer, Tracer } from '../ports.ts'
import type { FeedRange, TopicLog } from '../store/topic-log.ts'
import type { FeedId, PeerId, TopicName } from '../types.ts'
import { WireError } from '../wire/error.ts'
import { decodeFrame, encodeFrame, type Frame, type FrontierEntry } from '../wire/frame.ts'
import type { Batch, SignedHead } from '../wire/head.ts'
import { Comparison } from './comparison.ts'
import { Fetch } from './fetch.ts'
import { Forks } from './forks.ts'
import { Holdings, type HoldMode } from './holdings.ts'
import { type Arrival, Ingest } from './ingest.ts'
import { Repair } from './repair.ts'
import { WantServer } from './serve.ts'
import { Travel } from './travel.ts'

export interface SyncEvents {
  /** Batches from elsewhere are on our disk. */
  onStored(topic: TopicName, feed: FeedId, last: number): void
  /** `peer` has our feed on its disk up to `seq`. */
  onConfirmed(peer: PeerId, topic: TopicName, feed: FeedId, seq: number): void
  onMisbehaved(peer: PeerId, reason: string): void
  onFork(topic: TopicName, proof: ForkProof): void
  onStorageError(topic: TopicName, error: unknown): void
}

export interface SyncOptions {
  host: Host
  clock: Clock
  random: Random
  hybrid: HybridClock
  meter: Meter | undefined
  tracer: Tracer | undefined
  events: SyncEvents
}

interface Friend {
  link: Link
  server: WantServer
  comparison: Comparison
}

export class Sync {
  readonly #options: SyncOptions
  readonly #me: PeerId
  readonly #holdings = new Holdings()
  readonly #friends = new Map<PeerId, Friend>()
  readonly #fetch: Fetch
  readonly #ingest: Ingest
  readonly #repair: Repair
  readonly #forks: Forks
  readonly #links: Links
  readonly #timers: Timer[]
  readonly travel = new Travel()
  readonly #waiters = new Set<() => void>()
  /** A head already parsed by the gossip room. */
  knownHead: (topic: TopicName, feed: FeedId, seq: number) => SignedHead | undefined = () => undefined

  constructor(options: SyncOptions) {
    this.#options = options
    this.#me = options.host.id
    const linkOf = (peer: PeerId) => this.#friends.get(peer)?.link
    this.#ingest = new Ingest({
      onStored: (log, feed, arrivals) => this.#onStored(log, feed, arrivals),
      onBad: (source, reason) => options.events.onMisbehaved(source, reason),
      onRewind: (log, feed, blame) => {
        const held = log.feeds.get(feed)?.last ?? 0
        this.#fetch.input({ type: 'rewound', topic: log.topic, feed, held, ...(blame && { blame }) })
        // What others offered while it was being verified was passed over.
        if (blame !== undefined) this.#ask(log.topic)
      },
      onFork: (log, proof) => this.#mark(log, proof),
      onSuspect: (log, feed, seq, source) => {
        const link = linkOf(source)
        if (link !== undefined) this.#repair.probe(link, log, feed, seq)
      },
      onStorageError: (log, error) => options.events.onStorageError(log.topic, error),
      onIdle: () => this.#wake(),
    })
    this.#fetch = new Fetch({
      clock: options.clock,
      linkOf,
      knownHead: (topic, feed, seq) => this.knownHead(topic, feed, seq),
      onBatch: (topic, batch, source, mayBegin) => {
        const held = this.#holdings.get(topic)
        if (held !== undefined) this.#ingest.offer(held.log, { batch, source, mayBegin })
      },
    })
    this.#repair = new Repair({
      clock: options.clock,
      onFork: (log, proof) => this.#mark(log, proof),
      friendsOf: (topic) => this.holders(topic).flatMap((peer) => linkOf(peer) ?? []),
    })
    this.#forks = new Forks({
      probe: (link, log, feed, seq) => this.#repair.probe(link, log, feed, seq),
      onProof: (log, proof) => this.#mark(log, proof),
      onFork: (log, proof) => options.events.onFork(log.topic, proof),
    })
    this.#links = links(options.host, '/grapevine/sync/1', {
      onOpen: (link) => this.#onOpen(link),
      onFrame: (link, frame) => this.#onFrame(link, frame),
      onClose: (link, _reason, fault) => {
        if (fault === 'oversize') options.events.onMisbehaved(link.peer, 'sent a sync frame that is too large')
        this.#onClose(link)
      },
    })
    // Spread over the second half of the period, so that friends do not all ask in the same moment.
    const period = limits.digestMs * (0.75 + 0.5 * options.random.float())
    this.#timers = [
      options.clock.every(period, () => this.#onDigestTime()),
      options.clock.every(limits.stallMs / 3, () => this.#onTick()),
    ]
  }

  /** Takes part for this topic with this log; again with another mode changes the mode. */
  hold(log: TopicLog, mode: HoldMode): void {
    if (this.#holdings.hold(log, mode)) this.#ask(log.topic)
  }

  /** Stops taking part; the log is not touched. */
  release(topic: TopicName): void {
    this.#holdings.release(topic)
    this.#fetch.input({ type: 'released', topic })
    for (const { comparison } of this.#friends.values()) comparison.forget(topic)
  }

  /** Gossip says that `peer` has this batch. */
  onHeard(peer: PeerId, head: SignedHead): void {
    this.#offer(peer, head.head.topic, { feed: head.feed, base: 1, last: head.head.seq })
  }

  /** A batch that came inside a gossip message. */
  onInline(peer: PeerId, batch: Batch): void {
    const held = this.#holdings.get(batch.head.head.topic)
    if (held?.mode === 'carry') this.#ingest.offer(held.log, { batch, source: peer, mayBegin: false })
  }

  /** Newest batch of the feed that has come and is being stored; 0 where none is. */
  arriving(topic: TopicName, feed: FeedId): number {
    return this.#ingest.lastOf(topic, feed)
  }

  /** Linked friends. */
  friends(): PeerId[] {
    return [...this.#friends.keys()]
  }

  /** Linked friends that hold the topic. */
  holders(topic: TopicName): PeerId[] {
    return this.#friendsWhere((comparison) => comparison.holds(topic))
  }

  /** Linked friends whose frontier of the topic was the same as ours when they last told it. */
  level(topic: TopicName): PeerId[] {
    return this.#friendsWhere((comparison) => comparison.isLevel(topic))
  }

  /** Whether something of the topic is on its way to us of which friends have removed what comes before it. */
  hasGap(topic: TopicName): boolean {
    return this.#fetch.hasGap(topic)
  }

  /** How far each feed of the topic is known to go of which something is missing here. */
  targets(topic: TopicName): Map<FeedId, number> {
    const targets = this.#fetch.targets(topic)
    for (const [feed, last] of this.#ingest.targets(topic)) targets.set(feed, Math.max(last, targets.get(feed) ?? 0))
    return targets
  }

  /**
   * Resolves when every friend linked now has said what it holds of the topic, or after `timeoutMs`.
   * With `level`, also when everything they offered is here.
   */
  async settled(topic: TopicName, timeoutMs: number, level: 'heard' | 'level'): Promise<void> {
    this.#ask(topic)
    const asked = [...this.#friends.values()]
    const done = () =>
      asked.every(({ comparison, link }) => comparison.hasAnswered(topic) || !link.open) &&
      (level === 'heard' || this.targets(topic).size === 0)
    await this.until(done, timeoutMs)
  }

  /** Connected peers that have not said yet what they have of the topic. */
  unanswered(topic: TopicName): PeerId[] {
    const { host } = this.#options
    return host.connected().filter((peer) => this.#friends.get(peer)?.comparison.hasAnswered(topic) !== true)
  }

  /** Resolves when a friend is linked, or after `timeoutMs`. */
  async linked(timeoutMs: number): Promise<void> {
    await this.until(() => this.#friends.size > 0, timeoutMs)
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) timer.cancel()
    this.#ingest.close()
    await this.#links.close()
    this.#wake()
  }

  /** Resolves when `done` holds, looked at whenever a friend says something, or after `timeoutMs`. */
  until(done: () => boolean, timeoutMs: number): Promise<void> {
    if (done()) return Promise.resolve()
    return new Promise((resolve) => {
      const finish = () => {
        this.#waiters.delete(check)
        timer.cancel()
        resolve()
      }
      const check = () => {
        if (done()) finish()
      }
      const timer = this.#options.clock.after(timeoutMs, finish)
      this.#waiters.add(check)
    })
  }

  #wake(): void {
    for (const check of [...this.#waiters]) check()
  }

  #ask(topic: TopicName): void {
    for (const { comparison } of this.#friends.values()) comparison.ask([topic])
  }

  #friendsWhere(holds: (comparison: Comparison) => boolean): PeerId[] {
    return [...this.#friends].filter(([, { comparison }]) => holds(comparison)).map(([peer]) => peer)
  }

  #onOpen(link: Link): void {
    const server = new WantServer(link, (topic) => this.#holdings.get(topic)?.log)
    const now = () => this.#options.clock.now()
    const comparison = new Comparison(link, this.#holdings, now, (log, entry) => this.#onEntry(link, log, entry))
    this.#friends.set(link.peer, { link, server, comparison })
    comparison.ask(this.#holdings.topics())
    this.#confirmTo(link)
    this.#wake()
  }

  /**
   * Tells an author how much we have of its newest feeds. What came by way of others, before we were linked, it would not hear
   * of otherwise: where nothing differs, no frontier is sent.
   */
  #confirmTo(link: Link): void {
    for (const log of this.#holdings.logs()) {
      let newest: [FeedId, FeedRange] | undefined
      for (const entry of log.feeds) {
        if (entry[1].author === link.peer && entry[1].started >= (newest?.[1].started ?? 0)) newest = entry
      }
      if (newest !== undefined)
        link.send(encodeFrame({ type: 'stored', topic: log.topic, feed: newest[0], seq: newest[1].last }))
    }
  }

  #onClose(link: Link): void {
    if (this.#friends.get(link.peer)?.link !== link) return
    this.#friends.delete(link.peer)
    this.#fetch.input({ type: 'lost', peer: link.peer })
    this.#repair.onLost(link.peer)
    this.travel.onLost(link.peer)
    this.#wake()
  }

  #onFrame(link: Link, bytes: FrameBytes): void {
    const friend = this.#friends.get(link.peer)
    if (friend?.link !== link) return
    try {
      const frame = decodeFrame(bytes)
      if (frame !== undefined) this.#handle(friend, frame)
    } catch (error) {
      if (!(error instanceof WireError)) throw error
      this.#options.events.onMisbehaved(link.peer, `sent a sync frame that is wrong: ${error.message}`)
      link.close('misbehaved')
    }
  }

  #handle(friend: Friend, frame: Frame): void {
    const { peer } = friend.link
    switch (frame.type) {
      case 'digest':
        friend.comparison.onDigest(frame)
        this.#wake()
        break
      case 'buckets':
        friend.comparison.onBuckets(frame)
        break
      case 'frontier':
        friend.comparison.onFrontier(frame)
        this.#wake()
        break
      case 'want':
        if (!friend.server.onWant(frame)) this.#options.events.onMisbehaved(peer, 'asks for more than it may at once')
        break
      case 'more':
        friend.server.onMore(frame)
        break
      case 'cancel':
        friend.server.onCancel(frame.id)
        break
      case 'batch':
        if (!this.#repair.onBatchFrame(peer, frame)) this.#fetch.onBatchFrame(peer, frame)
        break
      case 'chunk':
        if (!this.#repair.onChunkFrame(peer, frame)) this.#fetch.onChunkFrame(peer, frame)
        break
      case 'end':
        if (!this.#repair.onEndFrame(peer, frame)) this.#fetch.onEndFrame(peer, frame)
        this.#wake()
        break
      case 'stored':
        this.#onConfirmed(peer, frame.topic, frame.feed, frame.seq)
        break
      case 'fork':
        if (!this.#forks.onProof(this.#holdings.get(frame.topic)?.log, frame))
          this.#options.events.onMisbehaved(peer, 'sent a proof of a fork that proves nothing')
        break
      default:
        frame satisfies never
    }
  }

  /** What a friend says that it holds of a feed. */
  #onEntry(link: Link, log: TopicLog, entry: FrontierEntry): void {
    this.#onConfirmed(link.peer, log.topic, entry.feed, entry.last)
    this.#offer(link.peer, log.topic, entry)
    this.#forks.onEntry(link, log, entry)
  }

  #offer(peer: PeerId, topic: TopicName, { feed, base, last }: { feed: FeedId; base: number; last: number }): void {
    const held = this.#holdings.get(topic)
    if (held?.mode !== 'carry') return
    const range = held.log.feeds.get(feed)
    if (range?.forked) return
    // What has arrived and is being written need not come a second time from whoever offers it now.
    const here = Math.max(range?.last ?? 0, this.#ingest.lastOf(topic, feed))
    this.#fetch.input({ type: 'offered', peer, topic, feed, base, last, held: here })
  }

  #onConfirmed(peer: PeerId, topic: TopicName, feed: FeedId, seq: number): void {
    const range = this.#holdings.get(topic)?.log.feeds.get(feed)
    if (range?.author === this.#me) this.#options.events.onConfirmed(peer, topic, feed, Math.min(seq, range.last))
  }

  #onStored(log: TopicLog, feed: FeedId, arrivals: readonly Arrival[]): void {
    const last = arrivals.at(-1)?.batch
    if (last === undefined) return
    const { seq, time, tick } = last.head.head
    this.#options.hybrid.observe({ time, tick })
    this.#friends.get(last.head.author)?.link.send(encodeFrame({ type: 'stored', topic: log.topic, feed, seq }))
    this.#options.events.onStored(log.topic, feed, seq)
    let bytes = 0
    const now = this.#options.clock.now()
    for (const { batch, source } of arrivals) {
      bytes += batch.body.length + batch.head.bytes.length
      this.travel.note(batch, source, now)
      this.#options.meter?.arrived(now - batch.head.head.time)
      this.#options.tracer?.arrived(batch, source, now)
    }
    this.#fetch.onStored(log.topic, feed, bytes, seq)
    this.#wake()
  }

  #mark(log: TopicLog, proof: ForkProof): void {
    this.#forks.mark(log, proof).catch((error: unknown) => this.#options.events.onStorageError(log.topic, error))
  }

  #onDigestTime(): void {
    for (const { comparison } of this.#friends.values()) comparison.tellChanges()
  }

  #onTick(): void {
    this.#fetch.input({ type: 'tick' })
    for (const log of this.#holdings.logs()) this.#repair.tend(log)
  }
}
