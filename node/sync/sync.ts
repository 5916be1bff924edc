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
 *
 * Promises: a body is asked for from one friend at a time (scheduler, rule 1), only what verifies reaches a log, and
 * every buffer that a friend can fill is bounded. Refuses topics that are not held. Where a topic is held as `own` (published to but
 * not carried), our feeds are offered and nobody else's fetched.
 *
 * Files: `scheduler` what to fetch from whom (pure), `frontier` comparing (pure), `fetch`, `serve`, `ingest`, `repair`.
 */
import type { ForkProof } from '../feed/chain.ts'
import type { HybridClock } from '../feed/hlc.ts'
import type { Host } from '../host/host.ts'
import { type Link, type Links, links } from '../host/link.ts'
import { limits } from '../limits.ts'
import type { Clock, Random, Timer } from '../ports.ts'
import type { FeedRange, TopicLog } from '../store/topic-log.ts'
import type { FeedId, PeerId, TopicName } from '../types.ts'
import { WireError } from '../wire/error.ts'
import {
  decodeFrame,
  encodeFrame,
  type Frame,
  type FrameOf,
  type FrontierEntry,
  type TopicPrint,
} from '../wire/frame.ts'
import type { Batch, SignedHead } from '../wire/head.ts'
import { Fetch } from './fetch.ts'
import { bucketPrints, differingBuckets, entriesAhead, entriesOf, printOf, samePrint } from './frontier.ts'
import { Ingest } from './ingest.ts'
import { Repair } from './repair.ts'
import { WantServer } from './serve.ts'

export type HoldMode = 'carry' | 'own'

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
  events: SyncEvents
}

interface Held {
  log: TopicLog
  mode: HoldMode
  /** Of the log as it is; undefined when it has changed since. */
  print: Uint8Array | undefined
  off: () => void
}

interface FriendState {
  link: Link
  server: WantServer
  /** What it last told of each topic that it holds. */
  theirs: Map<TopicName, Uint8Array>
  /** What we last told it. */
  told: Map<TopicName, Uint8Array>
  /** When a topic that stays different is compared again. */
  again: Map<TopicName, number>
  /** A frontier that comes in several frames. */
  partial: Map<TopicName, Map<FeedId, number>>
  /** Our newest question about a topic. */
  asked: Map<TopicName, { question: number; answered: boolean }>
  questions: number
  /** Topics of which it compared buckets, and has yet to say what it is ahead in. */
  bucketed: Set<TopicName>
}

/** Feeds up to which a frontier is sent whole, without buckets first. */
const wholeFrontierFeeds = 64
/** Entries in one frontier frame: about 50 bytes each. */
const entriesPerFrame = 2_000

export class Sync {
  readonly #options: SyncOptions
  readonly #me: PeerId
  readonly #held = new Map<TopicName, Held>()
  readonly #friends = new Map<PeerId, FriendState>()
  readonly #fetch: Fetch
  readonly #ingest: Ingest
  readonly #repair: Repair
  readonly #links: Links
  readonly #timers: Timer[]
  readonly #waiters = new Set<() => void>()
  /** A head already parsed and verified by the gossip room. */
  knownHead: (topic: TopicName, feed: FeedId, seq: number) => SignedHead | undefined = () => undefined

  constructor(options: SyncOptions) {
    this.#options = options
    this.#me = options.host.id
    const linkOf = (peer: PeerId) => this.#friends.get(peer)?.link
    this.#ingest = new Ingest({
      onStored: (log, feed, batches) => this.#onStored(log, feed, batches),
      onBad: (source, reason) => options.events.onMisbehaved(source, reason),
      onRewind: (log, feed, blame) => {
        const held = log.feeds.get(feed)?.last ?? 0
        this.#fetch.input({ type: 'rewound', topic: log.topic, feed, held, ...(blame && { blame }) })
        // What others offered while it was being verified was passed over.
        if (blame !== undefined)
          for (const friend of this.#friends.values()) this.#tell(friend, [log.topic], { ask: true })
      },
      onFork: (log, proof) => void this.#onFork(log, proof),
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
        const held = this.#held.get(topic)
        if (held !== undefined) this.#ingest.offer(held.log, { batch, source, mayBegin })
      },
    })
    this.#repair = new Repair({
      clock: options.clock,
      onFork: (log, proof) => void this.#onFork(log, proof),
      friendsOf: (topic) => this.holders(topic).flatMap((peer) => linkOf(peer) ?? []),
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
    const { topic } = log
    const known = this.#held.get(topic)
    if (known?.mode === mode) return
    known?.off()
    const held: Held = { log, mode, print: undefined, off: () => {} }
    held.off = log.onChange(() => {
      held.print = undefined
    })
    this.#held.set(topic, held)
    for (const friend of this.#friends.values()) this.#tell(friend, [topic], { ask: true })
  }

  /** Stops taking part; the log is not touched. */
  release(topic: TopicName): void {
    this.#held.get(topic)?.off()
    this.#held.delete(topic)
    this.#fetch.input({ type: 'released', topic })
    for (const friend of this.#friends.values()) {
      friend.asked.delete(topic)
      friend.bucketed.delete(topic)
      friend.partial.delete(topic)
      this.#tell(friend, [topic])
    }
  }

  /** Gossip says that `peer` has this batch. */
  onHeard(peer: PeerId, head: SignedHead): void {
    this.#offer(peer, head.head.topic, { feed: head.feed, base: 1, last: head.head.seq })
  }

  /** A batch that came inside a gossip message. */
  onInline(peer: PeerId, batch: Batch): void {
    const held = this.#held.get(batch.head.head.topic)
    if (held?.mode === 'carry') this.#ingest.offer(held.log, { batch, source: peer, mayBegin: false })
  }

  /** Linked friends. */
  friends(): PeerId[] {
    return [...this.#friends.keys()]
  }

  /** Linked friends that hold the topic. */
  holders(topic: TopicName): PeerId[] {
    return [...this.#friends].filter(([, friend]) => friend.theirs.has(topic)).map(([peer]) => peer)
  }

  /** Linked friends whose frontier of the topic was the same as ours when they last told it. */
  level(topic: TopicName): PeerId[] {
    const mine = this.#printOf(topic)
    if (mine === undefined) return []
    return this.holders(topic).filter((peer) =>
      samePrint(this.#friends.get(peer)?.theirs.get(topic) ?? mine.subarray(1), mine),
    )
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
    for (const friend of this.#friends.values()) this.#tell(friend, [topic], { ask: true })
    const asked = [...this.#friends.values()]
    const done = () =>
      asked.every((friend) => hasAnswered(friend, topic) || !friend.link.open) &&
      (level === 'heard' || this.targets(topic).size === 0)
    await this.until(done, timeoutMs)
  }

  /** Resolves when a friend is linked, or after `timeoutMs`. */
  async linked(timeoutMs: number): Promise<void> {
    await this.until(() => this.#friends.size > 0, timeoutMs)
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) timer.cancel()
    this.#ingest.close()
    await this.#links.close()
    for (const held of this.#held.values()) held.off()
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

  #onOpen(link: Link): void {
    const server = new WantServer(link, (topic) => this.#held.get(topic)?.log)
    const friend: FriendState = {
      link,
      server,
      theirs: new Map(),
      told: new Map(),
      again: new Map(),
      partial: new Map(),
      asked: new Map(),
      questions: 0,
      bucketed: new Set(),
    }
    this.#friends.set(link.peer, friend)
    this.#tell(friend, [...this.#held.keys()], { ask: true })
    this.#confirmTo(link)
    this.#wake()
  }

  /**
   * Tells an author how much we have of its newest feeds. What came by way of others, before we were linked, it would not hear
   * of otherwise: where nothing differs, no frontier is sent.
   */
  #confirmTo(link: Link): void {
    for (const [topic, { log }] of this.#held) {
      let newest: [FeedId, FeedRange] | undefined
      for (const entry of log.feeds) {
        if (entry[1].author === link.peer && entry[1].started >= (newest?.[1].started ?? 0)) newest = entry
      }
      if (newest !== undefined) link.send(encodeFrame({ type: 'stored', topic, feed: newest[0], seq: newest[1].last }))
    }
  }

  #onClose(link: Link): void {
    if (this.#friends.get(link.peer)?.link !== link) return
    this.#friends.delete(link.peer)
    this.#fetch.input({ type: 'lost', peer: link.peer })
    this.#repair.onLost(link.peer)
    this.#wake()
  }

  #onFrame(link: Link, bytes: Uint8Array): void {
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

  #handle(friend: FriendState, frame: Frame): void {
    const { peer } = friend.link
    switch (frame.type) {
      case 'digest':
        this.#onDigest(friend, frame)
        break
      case 'buckets':
        this.#onBuckets(friend, frame)
        break
      case 'frontier':
        this.#onFrontier(friend, frame)
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
      default:
        frame satisfies never
    }
  }

  #onDigest(friend: FriendState, frame: FrameOf<'digest'>): void {
    for (const { topic, held, print } of frame.prints) {
      const mine = this.#printOf(topic)
      if (held && friend.theirs.size < limits.topicsMax) friend.theirs.set(topic, print)
      else friend.theirs.delete(topic)
      const asked = friend.asked.get(topic)
      if (frame.answer !== 0) {
        // It has seen our print and said what follows from it.
        if (asked?.question === frame.answer) asked.answered = true
      } else if (mine !== undefined && held && !samePrint(mine, print)) this.#sendFrontier(friend, topic)
    }
    const topics = frame.prints.map(({ topic }) => topic)
    if (frame.ask !== 0) this.#tell(friend, topics, { answer: frame.ask })
    this.#wake()
  }

  #sendFrontier(friend: FriendState, topic: TopicName): void {
    const held = this.#held.get(topic)
    if (held === undefined) return
    const { feeds } = held.log
    if (feeds.size > wholeFrontierFeeds)
      friend.link.send(encodeFrame({ type: 'buckets', topic, prints: bucketPrints(feeds) }))
    else this.#sendEntries(friend, topic, noBuckets, entriesOf(feeds, noBuckets), false)
    friend.again.set(topic, this.#options.clock.now() + 5 * limits.digestMs)
  }

  #onBuckets(friend: FriendState, frame: FrameOf<'buckets'>): void {
    const held = this.#held.get(frame.topic)
    if (held === undefined) return
    friend.bucketed.add(frame.topic)
    const differing = differingBuckets(bucketPrints(held.log.feeds), frame.prints)
    this.#sendEntries(friend, frame.topic, differing, entriesOf(held.log.feeds, differing), false)
  }

  #sendEntries(
    friend: FriendState,
    topic: TopicName,
    buckets: Uint8Array,
    entries: FrontierEntry[],
    answer: boolean,
  ): void {
    let at = 0
    do {
      const part = entries.slice(at, at + entriesPerFrame)
      at += entriesPerFrame
      friend.link.send(
        encodeFrame({ type: 'frontier', topic, answer, buckets, entries: part, more: at < entries.length }),
      )
    } while (at < entries.length)
  }

  #onFrontier(friend: FriendState, frame: FrameOf<'frontier'>): void {
    const { topic } = frame
    const { peer } = friend.link
    const held = this.#held.get(topic)
    if (held === undefined) return
    for (const entry of frame.entries) {
      this.#onConfirmed(peer, topic, entry.feed, entry.last)
      this.#offer(peer, topic, entry)
      this.#suspectFork(friend, held.log, entry)
    }
    const theirs = friend.partial.get(topic) ?? new Map<FeedId, number>()
    if (!frame.answer) for (const entry of frame.entries) theirs.set(entry.feed, entry.last)
    if (theirs.size > limits.feedsPerTopicMax) throw new WireError('a frontier of too many feeds')
    if (frame.more) {
      friend.partial.set(topic, theirs)
      return
    }
    friend.partial.delete(topic)
    // Always answered, also with nothing: so that the friend knows it has heard all there is.
    if (!frame.answer)
      this.#sendEntries(friend, topic, frame.buckets, entriesAhead(held.log.feeds, frame.buckets, theirs), true)
    else friend.bucketed.delete(topic)
    this.#wake()
  }

  #offer(peer: PeerId, topic: TopicName, { feed, base, last }: { feed: FeedId; base: number; last: number }): void {
    const held = this.#held.get(topic)
    if (held?.mode !== 'carry') return
    const range = held.log.feeds.get(feed)
    if (range?.forked) return
    // What has arrived and is being written need not come a second time from whoever offers it now.
    const here = Math.max(range?.last ?? 0, this.#ingest.lastOf(topic, feed))
    this.#fetch.input({ type: 'offered', peer, topic, feed, base, last, held: here })
  }

  /** As far as we are, but with another head: ask for that batch, whose signature is the proof. */
  #suspectFork(friend: FriendState, log: TopicLog, entry: FrontierEntry): void {
    const range = log.feeds.get(entry.feed)
    if (range === undefined || range.forked || range.last !== entry.last) return
    if (samePrint(range.hash.subarray(0, entry.mark.length), entry.mark)) return
    this.#repair.probe(friend.link, log, entry.feed, entry.last)
  }

  #onConfirmed(peer: PeerId, topic: TopicName, feed: FeedId, seq: number): void {
    const range = this.#held.get(topic)?.log.feeds.get(feed)
    if (range?.author === this.#me) this.#options.events.onConfirmed(peer, topic, feed, Math.min(seq, range.last))
  }

  #onStored(log: TopicLog, feed: FeedId, batches: readonly Batch[]): void {
    const last = batches.at(-1)
    if (last === undefined) return
    const { seq, time, tick } = last.head.head
    this.#options.hybrid.observe({ time, tick })
    this.#friends.get(last.head.author)?.link.send(encodeFrame({ type: 'stored', topic: log.topic, feed, seq }))
    this.#options.events.onStored(log.topic, feed, seq)
    let bytes = 0
    for (const batch of batches) bytes += batch.body.length + batch.head.bytes.length
    this.#fetch.onStored(log.topic, feed, bytes, seq)
    this.#wake()
  }

  async #onFork(log: TopicLog, proof: ForkProof): Promise<void> {
    if (log.feeds.get(proof.feed)?.forked) return
    await log.markForked(proof)
    this.#options.events.onFork(log.topic, proof)
  }

  #onDigestTime(): void {
    const now = this.#options.clock.now()
    for (const friend of this.#friends.values()) {
      const changed: TopicName[] = []
      for (const topic of this.#held.keys()) {
        const mine = this.#printOf(topic)
        const told = friend.told.get(topic)
        const theirs = friend.theirs.get(topic)
        if (mine === undefined) continue
        const level = theirs === undefined || samePrint(theirs, mine)
        if (told === undefined || !samePrint(told, mine) || (!level && (friend.again.get(topic) ?? 0) <= now))
          changed.push(topic)
      }
      this.#tell(friend, changed)
    }
  }

  #onTick(): void {
    this.#fetch.input({ type: 'tick' })
    for (const held of this.#held.values()) this.#repair.tend(held.log)
  }

  /** Sends prints of these topics, as a question, or as the answer to one. */
  #tell(friend: FriendState, topics: readonly TopicName[], { ask = false, answer = 0 } = {}): void {
    const perFrame = 500
    const question = ask ? ++friend.questions : 0
    if (ask) for (const topic of topics) friend.asked.set(topic, { question, answered: false })
    for (let at = 0; at < topics.length; at += perFrame) {
      const prints: TopicPrint[] = topics.slice(at, at + perFrame).map((topic) => {
        const print = this.#printOf(topic)
        if (print === undefined) friend.told.delete(topic)
        else friend.told.set(topic, print)
        return { topic, held: print !== undefined, print: print ?? new Uint8Array(8) }
      })
      friend.link.send(encodeFrame({ type: 'digest', ask: question, prints, answer }))
    }
  }

  #printOf(topic: TopicName): Uint8Array | undefined {
    const held = this.#held.get(topic)
    if (held === undefined) return undefined
    held.print ??= printOf(held.log.feeds)
    return held.print
  }
}

function hasAnswered({ asked, bucketed }: FriendState, topic: TopicName): boolean {
  return asked.get(topic)?.answered === true && !bucketed.has(topic)
}

const noBuckets = new Uint8Array(0)
