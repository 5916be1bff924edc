/**
 * Forked feeds: suspected where a friend's newest head differs from ours, proven by two signed heads of one number, and told to whoever
 * follows one branch still. Branches of different lengths never meet at their ends, so without the telling the longer one would
 * go on at the peers that have it.
 */
import { type ForkProof, forkOf } from '../feed/chain.ts'
import type { Link } from '../host/link.ts'
import type { TopicLog } from '../store/topic-log.ts'
import type { FeedId } from '../types.ts'
import { encodeFrame, type FrameOf, type FrontierEntry } from '../wire/frame.ts'
import { openHead } from '../wire/head.ts'
import { samePrint } from './frontier.ts'

export interface ForksOptions {
  /** Asks the friend for this one batch, whose signature may prove a fork. */
  probe(link: Link, log: TopicLog, feed: FeedId, seq: number): void
  /** A friend has proven a fork of a feed that is here. */
  onProof(log: TopicLog, proof: ForkProof): void
  /** A feed is marked as forked, once. */
  onFork(log: TopicLog, proof: ForkProof): void
}

export class Forks {
  readonly #options: ForksOptions
  /** Feeds of which each friend has the proof from us. */
  readonly #told = new WeakMap<Link, Set<FeedId>>()

  constructor(options: ForksOptions) {
    this.#options = options
  }

  /** A friend tells how far it holds a feed: as one that we know to be forked, or as far as we and with another head. */
  onEntry(link: Link, log: TopicLog, { feed, last, mark }: FrontierEntry): void {
    const range = log.feeds.get(feed)
    if (range === undefined) return
    if (range.forked) void this.#tell(link, log, feed).catch(() => undefined)
    else if (range.last === last && !samePrint(range.hash.subarray(0, mark.length), mark))
      this.#options.probe(link, log, feed, last)
  }

  /** A friend sends a proof. False where it proves nothing. Of a feed that is not here it is dropped, or proofs could fill the disk. Throws `WireError`. */
  onProof(log: TopicLog | undefined, frame: FrameOf<'fork'>): boolean {
    const proof = forkOf(openHead(frame.a), openHead(frame.b))
    if (proof === undefined || proof.a.head.topic !== frame.topic) return false
    if (log?.feeds.has(proof.feed)) this.#options.onProof(log, proof)
    return true
  }

  /** Stops a feed for good. */
  async mark(log: TopicLog, proof: ForkProof): Promise<void> {
    if (log.feeds.get(proof.feed)?.forked) return
    await log.markForked(proof)
    this.#options.onFork(log, proof)
  }

  async #tell(link: Link, log: TopicLog, feed: FeedId): Promise<void> {
    const told = this.#told.get(link) ?? new Set()
    if (told.has(feed)) return
    this.#told.set(link, told.add(feed))
    const proof = await log.fork(feed)
    if (proof !== undefined)
      link.send(encodeFrame({ type: 'fork', topic: log.topic, a: proof.a.bytes, b: proof.b.bytes }))
  }
}
