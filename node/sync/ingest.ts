/**
 * The one way a batch from elsewhere gets into a log: verified, in the order of its feed, on disk, then told.
 *
 * Batches of a feed queue here while the one before is being committed and are taken together: one signature check and one
 * commit for all of them (natural batching again). Every commit ends with a batch whose own signature was checked; so does
 * every log, and whoever fetches all of a feed gets a head that vouches for the rest.
 */
import { checkRange, type ForkProof, forkOf, type RangeFault, type Tip } from '../feed/chain.ts'
import { limits } from '../limits.ts'
import type { TopicLog } from '../store/topic-log.ts'
import type { FeedId, PeerId, TopicName } from '../types.ts'
import { type Batch, headSigned } from '../wire/head.ts'

export interface IngestEvents {
  /** These are on disk: those of one commit, in order. */
  onStored(log: TopicLog, feed: FeedId, arrivals: readonly Arrival[]): void
  /** What `source` sent does not verify; nothing of it was kept. */
  onBad(source: PeerId, reason: string): void
  /** Fetching has to begin again after what is stored; `source` is to blame, or our own disk. */
  onRewind(log: TopicLog, feed: FeedId, source: PeerId | undefined): void
  onFork(log: TopicLog, proof: ForkProof): void
  /** `source` may hold another batch under this number than we do. */
  onSuspect(log: TopicLog, feed: FeedId, seq: number, source: PeerId): void
  onStorageError(log: TopicLog, error: unknown): void
  /** Nothing that arrived of a feed waits any more. */
  onIdle(log: TopicLog): void
}

interface Queue {
  topic: TopicName
  feed: FeedId
  /** Newest number that arrived and is not yet on disk. */
  last: number
  arrivals: Arrival[]
}

export interface Arrival {
  batch: Batch
  source: PeerId
  /** A feed of which nothing is held may begin at this batch, since friends have removed what came before. */
  mayBegin: boolean
}

export class Ingest {
  readonly #events: IngestEvents
  readonly #queues = new Map<string, Queue>()
  #closed = false

  constructor(events: IngestEvents) {
    this.#events = events
  }

  /** Queues a batch whose head has been parsed; the queue is bounded by the wants that were sent. */
  offer(log: TopicLog, arrival: Arrival): void {
    if (this.#closed) return
    const key = `${log.topic}/${arrival.batch.head.feed}`
    const { feed, head } = arrival.batch.head
    const queue = this.#queues.get(key)
    if (queue !== undefined) {
      queue.arrivals.push(arrival)
      queue.last = Math.max(queue.last, head.seq)
      return
    }
    this.#queues.set(key, { topic: log.topic, feed, last: head.seq, arrivals: [arrival] })
    void this.#work(log, key, feed)
  }

  /** How far a feed goes of which something has arrived and is being stored; 0 where nothing is. */
  lastOf(topic: TopicName, feed: FeedId): number {
    return this.#queues.get(`${topic}/${feed}`)?.last ?? 0
  }

  /** How far each feed of a topic goes of which something has arrived and is being stored. */
  targets(topic: TopicName): Map<FeedId, number> {
    const targets = new Map<FeedId, number>()
    for (const queue of this.#queues.values()) if (queue.topic === topic) targets.set(queue.feed, queue.last)
    return targets
  }

  close(): void {
    this.#closed = true
    for (const { arrivals } of this.#queues.values()) arrivals.length = 0
  }

  async #work(log: TopicLog, key: string, feed: FeedId): Promise<void> {
    const arrivals = this.#queues.get(key)?.arrivals ?? []
    try {
      while (arrivals.length > 0 && !this.#closed) {
        const stored = await this.#commit(log, feed, takeRun(arrivals))
        if (!stored) arrivals.length = 0
      }
    } catch (error) {
      this.#events.onStorageError(log, error)
      this.#events.onRewind(log, feed, undefined)
    } finally {
      this.#queues.delete(key)
      this.#events.onIdle(log)
    }
  }

  /** Stores what is good of a run; false when fetching has to begin again. */
  async #commit(log: TopicLog, feed: FeedId, run: Arrival[]): Promise<boolean> {
    const range = log.feeds.get(feed)
    if (range?.forked) return false
    const tip: Tip | undefined = range && { seq: range.last, hash: range.hash, nextIndex: range.nextIndex }
    const fresh: Arrival[] = []
    for (const arrival of run) {
      if (tip !== undefined && arrival.batch.head.head.seq <= tip.seq) await this.#compare(log, arrival)
      else fresh.push(arrival)
    }
    const first = fresh[0]
    if (first === undefined) return !log.feeds.get(feed)?.forked
    if (tip === undefined && log.feeds.size >= limits.feedsPerTopicMax) return false
    if (tip === undefined && first.batch.head.head.seq !== 1 && !first.mayBegin) {
      this.#events.onRewind(log, feed, undefined)
      return false
    }
    const { good, bad } = this.#verify(tip, fresh)
    if (good.length > 0) {
      await log.append(good)
      this.#events.onStored(log, feed, fresh.slice(0, good.length))
    }
    if (bad !== undefined) this.#reject(log, feed, bad.arrival, bad.reason)
    return bad === undefined
  }

  /**
   * All at once by the newest signature. Where that fails, as much as a later signature vouches for: what the last friend
   * in a chain of friends spoiled is refused, what is good before it is kept.
   */
  #verify(tip: Tip | undefined, run: Arrival[]): { good: Batch[]; bad?: { arrival: Arrival; reason: RangeFault } } {
    const batches = run.map((arrival) => arrival.batch)
    const begins = run[0]?.mayBegin === true && (batches[0]?.head.head.seq ?? 0) > (tip?.seq ?? 0) + 1
    const after = begins ? undefined : tip
    // A gap may hide batches, never use an index twice.
    if (begins && (batches[0]?.head.head.firstIndex ?? 0) < (tip?.nextIndex ?? 0))
      return { good: [], bad: { arrival: run[0] as Arrival, reason: 'index' } }
    const verdict = checkRange(after, batches)
    if (verdict.ok) return { good: batches }
    for (let count = verdict.at; count > 0; count--) {
      const good = batches.slice(0, count)
      if (checkRange(after, good).ok) return { good, bad: { arrival: run[count] as Arrival, reason: verdict.reason } }
    }
    return { good: [], bad: { arrival: run[verdict.at] as Arrival, reason: verdict.reason } }
  }

  #reject(log: TopicLog, feed: FeedId, arrival: Arrival, reason: RangeFault): void {
    const { head } = arrival.batch
    // Signed, and yet not a continuation of what we hold: its author wrote another batch before it. That one is the proof.
    if (reason === 'chain' && headSigned(head)) this.#events.onSuspect(log, feed, head.head.seq - 1, arrival.source)
    else if (reason !== 'order') this.#events.onBad(arrival.source, `sent a batch that does not verify (${reason})`)
    this.#events.onRewind(log, feed, reason === 'order' ? undefined : arrival.source)
  }

  /** What we hold already, again: the same, or the proof of a fork. */
  async #compare(log: TopicLog, arrival: Arrival): Promise<void> {
    const { head } = arrival.batch
    const held = await log.head(head.feed, head.head.seq)
    if (held === undefined || Buffer.compare(held.hash, head.hash) === 0) return
    const proof = forkOf(held, head)
    if (proof !== undefined) this.#events.onFork(log, proof)
    else this.#events.onBad(arrival.source, 'sent a batch whose signature does not verify')
  }
}

/** From the front of the queue, as many as one commit takes. */
function takeRun(queue: Arrival[]): Arrival[] {
  let bytes = 0
  let count = 0
  for (const { batch } of queue) {
    if (count > 0 && bytes + batch.body.length > limits.commitBytesMax) break
    bytes += batch.body.length
    count++
  }
  return queue.splice(0, count)
}
