/**
 * Comparing what we hold with one friend, topic by topic: prints first (`digest`), where they differ the frontier, and of many feeds
 * first 256 buckets. A digest that asks is answered, in the order of the stream after everything that follows from it: so
 * whoever asked knows when it has heard all.
 */
import type { Link } from '../host/link.ts'
import { limits } from '../limits.ts'
import type { TopicLog } from '../store/topic-log.ts'
import type { FeedId, TopicName } from '../types.ts'
import { WireError } from '../wire/error.ts'
import { encodeFrame, type FrameOf, type FrontierEntry, type TopicPrint } from '../wire/frame.ts'
import { bucketPrints, differingBuckets, entriesAhead, entriesOf, samePrint } from './frontier.ts'
import type { Holdings } from './holdings.ts'

/** Feeds up to which a frontier is sent whole, without buckets first. */
const wholeFrontierFeeds = 64
/** Entries in one frontier frame: about 50 bytes each. */
const entriesPerFrame = 2_000
const printsPerFrame = 500
/** A topic that stays different, as an `own` one does, is compared again after so many digests. */
const againDigests = 5

const noBuckets = new Uint8Array(0)

export class Comparison {
  readonly #link: Link
  readonly #holdings: Holdings
  readonly #now: () => number
  /** What the friend holds of one feed. */
  readonly #onEntry: (log: TopicLog, entry: FrontierEntry) => void
  /** What it last told of each topic that it holds, and what we last told it. */
  readonly #theirs = new Map<TopicName, Uint8Array>()
  readonly #told = new Map<TopicName, Uint8Array>()
  readonly #again = new Map<TopicName, number>()
  /** A frontier that comes in several frames. */
  readonly #partial = new Map<TopicName, Map<FeedId, number>>()
  /** Our newest question about a topic. */
  readonly #asked = new Map<TopicName, { question: number; answered: boolean }>()
  #questions = 0
  /** Topics of which it compared buckets, and has yet to say what it is ahead in. */
  readonly #bucketed = new Set<TopicName>()

  constructor(
    link: Link,
    holdings: Holdings,
    now: () => number,
    onEntry: (log: TopicLog, entry: FrontierEntry) => void,
  ) {
    this.#link = link
    this.#holdings = holdings
    this.#now = now
    this.#onEntry = onEntry
  }

  /** Whether the friend says that it holds the topic. */
  holds(topic: TopicName): boolean {
    return this.#theirs.has(topic)
  }

  /** Whether its frontier was the same as ours is now when it last told it. */
  isLevel(topic: TopicName): boolean {
    const [mine, theirs] = [this.#holdings.print(topic), this.#theirs.get(topic)]
    return mine !== undefined && theirs !== undefined && samePrint(mine, theirs)
  }

  /** Whether it has said all there is to say since we last asked. */
  hasAnswered(topic: TopicName): boolean {
    return this.#asked.get(topic)?.answered === true && !this.#bucketed.has(topic)
  }

  /** We take part in the topic no more. */
  forget(topic: TopicName): void {
    this.#asked.delete(topic)
    this.#bucketed.delete(topic)
    this.#partial.delete(topic)
    this.#tell([topic], {})
  }

  /** Asks what the friend holds of these topics, telling what we do. */
  ask(topics: readonly TopicName[]): void {
    const question = ++this.#questions
    for (const topic of topics) this.#asked.set(topic, { question, answered: false })
    this.#tell(topics, { ask: question })
  }

  /** Tells what has changed since it was told, and now and then what stays different. */
  tellChanges(): void {
    const now = this.#now()
    const changed = this.#holdings.topics().filter((topic) => {
      const mine = this.#holdings.print(topic)
      const told = this.#told.get(topic)
      if (mine === undefined) return false
      if (told === undefined || !samePrint(told, mine)) return true
      return this.holds(topic) && !this.isLevel(topic) && (this.#again.get(topic) ?? 0) <= now
    })
    this.#tell(changed, {})
  }

  onDigest(frame: FrameOf<'digest'>): void {
    for (const { topic, held, print } of frame.prints) {
      const asked = this.#asked.get(topic)
      const mine = this.#holdings.print(topic)
      const level = mine !== undefined && samePrint(mine, print)
      // Of most topics it is the same as ours, and kept once; what comes along with a frame would keep all of that.
      if (held && this.#theirs.size < limits.topicsMax) this.#theirs.set(topic, level ? mine : new Uint8Array(print))
      else this.#theirs.delete(topic)
      if (frame.answer !== 0) {
        // It has seen our print and said what follows from it.
        if (asked?.question === frame.answer) asked.answered = true
      } else if (mine !== undefined && held && !level) this.#sendFrontier(topic)
    }
    const topics = frame.prints.map(({ topic }) => topic)
    if (frame.ask !== 0) this.#tell(topics, { answer: frame.ask })
  }

  onBuckets({ topic, prints }: FrameOf<'buckets'>): void {
    const held = this.#holdings.get(topic)
    if (held === undefined) return
    this.#bucketed.add(topic)
    const { feeds } = held.log
    const differing = differingBuckets(bucketPrints(feeds), prints)
    this.#sendEntries({ topic, answer: false, buckets: differing, entries: entriesOf(feeds, differing) })
  }

  /** Throws `WireError` for one that is too long. */
  onFrontier(frame: FrameOf<'frontier'>): void {
    const { topic, buckets } = frame
    const held = this.#holdings.get(topic)
    if (held === undefined) return
    for (const entry of frame.entries) this.#onEntry(held.log, entry)
    const theirs = this.#partial.get(topic) ?? new Map<FeedId, number>()
    if (!frame.answer) for (const entry of frame.entries) theirs.set(entry.feed, entry.last)
    if (theirs.size > limits.feedsPerTopicMax) throw new WireError('a frontier of too many feeds')
    if (frame.more) {
      this.#partial.set(topic, theirs)
      return
    }
    this.#partial.delete(topic)
    if (frame.answer) this.#bucketed.delete(topic)
    // Always answered, also with nothing: so that the friend knows it has heard all there is.
    else this.#sendEntries({ topic, answer: true, buckets, entries: entriesAhead(held.log.feeds, buckets, theirs) })
  }

  #sendFrontier(topic: TopicName): void {
    const feeds = this.#holdings.get(topic)?.log.feeds
    if (feeds === undefined) return
    if (feeds.size > wholeFrontierFeeds)
      this.#link.send(encodeFrame({ type: 'buckets', topic, prints: bucketPrints(feeds) }))
    else this.#sendEntries({ topic, answer: false, buckets: noBuckets, entries: entriesOf(feeds, noBuckets) })
    this.#again.set(topic, this.#now() + againDigests * limits.digestMs)
  }

  #sendEntries(frontier: Omit<FrameOf<'frontier'>, 'type' | 'more'>): void {
    const { entries } = frontier
    let at = 0
    do {
      const part = entries.slice(at, at + entriesPerFrame)
      at += entriesPerFrame
      this.#link.send(encodeFrame({ ...frontier, type: 'frontier', entries: part, more: at < entries.length }))
    } while (at < entries.length)
  }

  /** Sends prints of these topics, as a question, or as the answer to one. */
  #tell(topics: readonly TopicName[], { ask = 0, answer = 0 }): void {
    for (let at = 0; at < topics.length; at += printsPerFrame) {
      const prints: TopicPrint[] = topics.slice(at, at + printsPerFrame).map((topic) => {
        const print = this.#holdings.print(topic)
        if (print === undefined) this.#told.delete(topic)
        else this.#told.set(topic, print)
        return { topic, held: print !== undefined, print: print ?? new Uint8Array(8) }
      })
      this.#link.send(encodeFrame({ type: 'digest', ask, prints, answer }))
    }
  }
}
