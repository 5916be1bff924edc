/**
 * What is known of a topic's feeds beyond their batches, in the state database: proofs of forks, and what was dropped
 * by retention. Without the latter (the state can be lost) dropped batches look like lost ones and are fetched again.
 *
 *     fork/<topic>/<feed>   length of the first head u32, the first head, the second
 *     feed/<topic>/<feed>   JSON of FeedMark
 */
import type { ForkProof } from '../feed/chain.ts'
import type { StateDb } from '../ports.ts'
import type { FeedId, PeerId, TopicName } from '../types.ts'
import { openHead } from '../wire/head.ts'

export interface FeedMark {
  /** Lowest batch number we ought to hold. */
  floor: number
  /** Batch `floor - 1`, where the feed has nothing else: what the next one must follow. */
  hash: string
  nextIndex: number
  author: PeerId
  started: number
}

export class Marks {
  readonly #state: StateDb
  readonly #topic: TopicName

  constructor(state: StateDb, topic: TopicName) {
    this.#state = state
    this.#topic = topic
  }

  async feeds(): Promise<Map<FeedId, FeedMark>> {
    const marks = new Map<FeedId, FeedMark>()
    for await (const [feed, value] of this.#all('feed')) {
      const mark = readMark(value)
      if (mark !== undefined) marks.set(feed, mark)
    }
    return marks
  }

  async setFeeds(marks: Iterable<[FeedId, FeedMark]>): Promise<void> {
    const puts = [...marks].map(([feed, mark]) => ({
      type: 'put' as const,
      key: this.#key('feed', feed),
      value: Buffer.from(JSON.stringify(mark)),
    }))
    if (puts.length > 0) await this.#state.batch(puts)
  }

  async dropFeeds(feeds: readonly FeedId[]): Promise<void> {
    const dels = feeds.map((feed) => ({ type: 'del' as const, key: this.#key('feed', feed) }))
    if (dels.length > 0) await this.#state.batch(dels)
  }

  async addFork({ feed, a, b }: ForkProof): Promise<void> {
    const length = Buffer.alloc(4)
    length.writeUInt32LE(a.bytes.length)
    await this.#state.put(this.#key('fork', feed), Buffer.concat([length, a.bytes, b.bytes]))
  }

  async fork(feed: FeedId): Promise<ForkProof | undefined> {
    const value = await this.#state.get(this.#key('fork', feed))
    return value && readProof(feed, value)
  }

  async forks(): Promise<ForkProof[]> {
    const proofs: ForkProof[] = []
    for await (const [feed, value] of this.#all('fork')) proofs.push(readProof(feed, value))
    return proofs
  }

  /** Forgets what is known of the topic's feeds. Proofs stay: a fork does not heal by fetching anew. */
  async clearFeeds(): Promise<void> {
    await this.#state.clear(this.#range('feed'))
  }

  async *#all(kind: 'feed' | 'fork'): AsyncGenerator<[FeedId, Uint8Array]> {
    const skip = this.#key(kind, '').length
    for await (const [key, value] of this.#state.iterator(this.#range(kind))) yield [key.slice(skip) as FeedId, value]
  }

  #range(kind: 'feed' | 'fork') {
    return { gt: this.#key(kind, ''), lt: this.#key(kind, '~') }
  }

  #key(kind: 'feed' | 'fork', feed: string): string {
    return `${kind}/${this.#topic}/${feed}`
  }
}

function readProof(feed: FeedId, value: Uint8Array): ForkProof {
  const end = 4 + Buffer.from(value).readUInt32LE()
  const [a, b] = [openHead(value.subarray(4, end)), openHead(value.subarray(end))]
  return { feed, seq: a.head.seq, a, b }
}

function readMark(value: Uint8Array): FeedMark | undefined {
  try {
    const mark = JSON.parse(Buffer.from(value).toString()) as FeedMark
    return Number.isSafeInteger(mark.floor) && mark.floor > 0 ? mark : undefined
  } catch {
    return undefined
  }
}
