/** One topic's arrival log: reading and appending; damage is in the hands of `Mending`. */
import assert from 'node:assert/strict'
import { GrapevineError } from '../errors.ts'
import type { ForkProof } from '../feed/chain.ts'
import { limits } from '../limits.ts'
import type { Clock, Disk, StateDb } from '../ports.ts'
import type { FeedId, TopicName } from '../types.ts'
import type { Batch, SignedHead } from '../wire/head.ts'
import { Arrival, type Segment } from './arrival.ts'
import type { BatchCache } from './cache.ts'
import { GroupCommit, type GroupWriter } from './commit.ts'
import type { OpenFiles } from './files.ts'
import { fileHeaderBytes, frameBytes, frameHeaderBytes, frameOf } from './frame.ts'
import { type FeedMark, Marks } from './marks.ts'
import { Mending, type MendingEffects } from './mending.ts'
import { BatchReader } from './reader.ts'
import { recover } from './recover.ts'
import { dropSegments, outlived } from './retention.ts'
import { scrub } from './scrub.ts'
import { writeIndex } from './segment-index.ts'
import { storageError, Tail } from './tail.ts'
import type { Damage, DamageEvent, DamageFound, RetentionRule, StoredBatch, TopicLog } from './topic-log.ts'

export interface LogParts {
  topic: TopicName
  /** Of the topic, within the data folder. */
  folder: string
  disk: Disk
  files: OpenFiles
  cache: BatchCache
  clock: Clock
  state: StateDb
  onDamage: (event: DamageEvent) => void
  segmentBytesMax: number
}

/** Most of a peer's thousands of logs are idle: what they do not need they do not have. */
const nobody: readonly (() => void)[] = []

export class SegmentLog implements TopicLog, GroupWriter, MendingEffects {
  readonly topic: TopicName
  readonly #parts: LogParts
  readonly #arrival: Arrival
  readonly #marks: Marks
  readonly #tail: Tail
  readonly #commit: GroupCommit
  readonly #mending: Mending
  readonly #reader: BatchReader
  #listeners: readonly (() => void)[] = nobody
  /** Newest number of each feed that waits to be written. */
  #waiting: Map<FeedId, number> | undefined
  changes = 0
  #closed = false

  private constructor(parts: LogParts) {
    const { topic, clock } = parts
    this.topic = topic
    this.#parts = parts
    this.#arrival = new Arrival(clock)
    this.#marks = new Marks(parts.state, topic)
    this.#tail = new Tail(parts, this.#arrival)
    this.#commit = new GroupCommit(this)
    this.#mending = new Mending(parts, this.#arrival, this)
    this.#reader = new BatchReader(parts, this.#arrival, this.#mending)
  }

  /** Opens what is on disk, or begins anew. Rejects with `StorageFull` or `StorageFailed`. */
  static async open(parts: LogParts): Promise<{ log: SegmentLog; found: DamageFound[] }> {
    const log = new SegmentLog(parts)
    const { topic, folder, disk, files, clock } = parts
    try {
      const marks = await log.#marks.feeds()
      const found = await recover({ topic, folder, disk, files, arrival: log.#arrival, marks, now: clock.now() })
      for (const { feed } of await log.#marks.forks()) log.#arrival.fork(feed)
      for (const segment of log.#arrival.segments.slice(0, -1)) log.#index(segment)
      return { log, found }
    } catch (error) {
      throw storageError(error, folder)
    }
  }

  get feeds(): TopicLog['feeds'] {
    return this.#arrival.feeds
  }

  get startOffset(): number {
    return this.#arrival.startOffset
  }

  get endOffset(): number {
    return this.#arrival.endOffset
  }

  get batches(): number {
    return this.#arrival.rows.length
  }

  get records(): number {
    return this.#arrival.records
  }

  get bytes(): number {
    return this.#arrival.bytes
  }

  async append(batches: readonly Batch[]): Promise<void> {
    this.#refuseClosed()
    const newest = new Map<FeedId, number>()
    for (const { head } of batches) {
      assert.equal(head.head.topic, this.topic, 'a batch is stored in the log of its topic')
      const last = newest.get(head.feed) ?? this.#waiting?.get(head.feed) ?? this.feeds.get(head.feed)?.last
      const { seq } = head.head
      assert(last === undefined || seq > last, `batch ${seq} of feed ${head.feed} does not follow ${last}`)
      newest.set(head.feed, seq)
    }
    if (batches.length === 0) return
    this.#waiting ??= new Map()
    for (const [feed, seq] of newest) this.#waiting.set(feed, seq)
    await this.#commit.add(batches)
  }

  async read(feed: FeedId, seq: number): Promise<Batch | undefined> {
    const row = this.#arrival.feeds.get(feed)?.row(seq)
    return row === undefined ? undefined : this.#reader.batch(row)
  }

  async head(feed: FeedId, seq: number): Promise<SignedHead | undefined> {
    const row = this.#arrival.feeds.get(feed)?.row(seq)
    return row === undefined ? undefined : this.#reader.head(row, feed, seq)
  }

  get isWriting(): boolean {
    return this.#commit.isBusy
  }

  offsetOf(feed: FeedId, seq: number): number | undefined {
    const row = this.#arrival.feeds.get(feed)?.row(seq)
    return row === undefined ? undefined : this.#arrival.rows.firstOffset(row)
  }

  async at(offset: number): Promise<StoredBatch | Damage | undefined> {
    for (;;) {
      const { rows, regions } = this.#arrival
      const row = rows.find(offset)
      const region = regions.find(({ nextOffset }) => nextOffset > offset)
      if (region !== undefined && (row === rows.end || region.offset < rows.firstOffset(row))) {
        return { damaged: true, nextOffset: region.nextOffset }
      }
      if (row === rows.end) return undefined
      const found = rows.firstOffset(row)
      const batch = await this.#reader.batch(row)
      if (batch !== undefined) return { row, offset: found, batch }
    }
  }

  offsetAt(time: number): number {
    const { rows, regions, endOffset } = this.#arrival
    let row = rows.first
    while (row < rows.end && rows.time(row) + limits.batchSpanMsMax < time) row++
    const offset = row < rows.end ? rows.firstOffset(row) : endOffset
    // What is lost right before it may be as young.
    return regions.find(({ nextOffset }) => nextOffset === offset)?.offset ?? offset
  }

  holes(): { feed: FeedId; seq: number }[] {
    return this.#mending.holes()
  }

  repair(batch: Batch): Promise<boolean> {
    this.#refuseClosed()
    return this.#mending.repair(batch)
  }

  giveUp(now: number): Promise<number> {
    return this.#mending.giveUp(now)
  }

  async markForked(proof: ForkProof): Promise<void> {
    await this.#marks.addFork(proof).catch((error) => {
      throw storageError(error, 'state')
    })
    this.#arrival.fork(proof.feed)
    this.changed()
  }

  fork(feed: FeedId): Promise<ForkProof | undefined> {
    return this.#marks.fork(feed)
  }

  retain(rule: RetentionRule, now: number): Promise<number> {
    return this.#mending.inTurn(async () => {
      const count = outlived(this.#arrival, rule, now)
      if (count === 0) return 0
      const before = this.batches
      const dropping = dropSegments(this.#parts, this.#arrival, this.#marks, count)
      const dropped = before - this.batches
      this.changed()
      await dropping
      return dropped
    })
  }

  /** Looks at what was not read when the log was opened; damage is told. Resolves when that is done, or the log closed. */
  scrub(): Promise<void> {
    const { topic, files, clock, onDamage } = this.#parts
    const lose = (offset: number) => this.#mending.lose(offset)
    return scrub({ topic, files, clock, arrival: this.#arrival, onDamage, lose, isClosed: () => this.#closed })
  }

  onChange(act: () => void): () => void {
    this.#listeners = [...this.#listeners, act]
    let stopped = false
    return () => {
      if (!stopped) this.#listeners = this.#listeners.toSpliced(this.#listeners.indexOf(act), 1)
      stopped = true
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#mending.idle()
    await this.#commit.idle()
    await this.#mending.idle()
    this.#reader.close()
    await this.#parts.files.close(`${this.#parts.folder}/`)
  }

  /** For `Mending`: what lies in no order any more. */
  appendAny(batches: readonly Batch[]): Promise<void> {
    return this.#commit.add(batches)
  }

  /** For `GroupCommit`. */
  onFailed(): void {
    this.#waiting?.clear()
  }

  /** For `GroupCommit`. */
  async write(batches: readonly Batch[]): Promise<void> {
    const begun = this.#beginnings(batches)
    await this.#marks.setFeeds(begun).catch((error) => {
      throw storageError(error, 'state')
    })
    const headers = new Uint8Array(batches.length * frameHeaderBytes)
    const pieces: Uint8Array[] = []
    let offset = this.endOffset
    for (const [i, batch] of batches.entries()) {
      pieces.push(...frameOf(batch, offset, headers.subarray(i * frameHeaderBytes, (i + 1) * frameHeaderBytes)))
      offset += batch.head.head.count
    }
    let { segment, position } = await this.#tail.write(
      pieces,
      batches.reduce((sum, batch) => sum + frameBytes(batch), 0),
    )
    const finished = this.#arrival.segments.at(-2)
    if (position === fileHeaderBytes && finished !== undefined) this.#index(finished)
    for (const batch of batches) {
      const { head } = batch
      const length = frameBytes(batch)
      this.#reader.keep(this.endOffset, batch)
      this.#arrival.add({ segment, position, length, offset: this.endOffset, head }, begun.get(head.feed)?.floor)
      if (this.#waiting?.get(head.feed) === head.head.seq) this.#waiting.delete(head.feed)
      position += length
    }
    this.changed()
  }

  /** Writes the index of a finished segment that has none, beside everything else. */
  #index(segment: Segment): void {
    if (segment.indexed) return
    void this.#mending.inTurn(async () => {
      if (!this.#arrival.segments.includes(segment)) return
      segment.indexed = await writeIndex(this.#parts, this.#arrival, segment)
    })
  }

  /** Feeds that begin here after their first batch, or go on after a gap: what came before, or lies between, is not missing. */
  #beginnings(batches: readonly Batch[]): Map<FeedId, FeedMark> {
    const begun = new Map<FeedId, FeedMark>()
    const newest = new Map<FeedId, number>()
    for (const { head: signed } of batches) {
      const { head, feed, author } = signed
      const last = newest.get(feed) ?? this.feeds.get(feed)?.last ?? 0
      newest.set(feed, Math.max(last, head.seq))
      if (head.seq <= last + 1) continue
      const hash = Buffer.from(head.prev).toString('hex')
      begun.set(feed, { floor: head.seq, hash, nextIndex: head.firstIndex, author, started: head.started })
    }
    return begun
  }

  /** Tells everybody who listens. */
  changed(): void {
    this.changes++
    for (const act of this.#listeners) {
      try {
        act()
      } catch (error) {
        // A listener's mistake must be seen, but what was stored stays stored.
        queueMicrotask(() => {
          throw error
        })
      }
    }
  }

  #refuseClosed(): void {
    if (this.#closed) throw new GrapevineError('PeerClosed', 'This log is closed.', {})
  }
}
