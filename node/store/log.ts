/** One topic's arrival log: reading and appending; damage is in the hands of `Mending`. */
import assert from 'node:assert/strict'
import { GrapevineError } from '../errors.ts'
import type { ForkProof } from '../feed/chain.ts'
import { limits } from '../limits.ts'
import type { Clock, Disk, StateDb } from '../ports.ts'
import type { FeedId, TopicName } from '../types.ts'
import { type Batch, headSigned, openHead, type SignedHead } from '../wire/head.ts'
import { Arrival } from './arrival.ts'
import type { BatchCache } from './cache.ts'
import { GroupCommit } from './commit.ts'
import { dropAside } from './damage.ts'
import type { OpenFiles } from './files.ts'
import { frameBytes, frameHeaderBytes, frameHolds, frameOf, readFrameHeader } from './frame.ts'
import { type FeedMark, Marks } from './marks.ts'
import { Mending } from './mending.ts'
import { recover } from './recover.ts'
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

/** A frame up to this size is read whole where only its head is wanted: its crc is cheaper than a signature. */
const wholeBytesMax = 64 * 1024

export class SegmentLog implements TopicLog {
  readonly topic: TopicName
  readonly #parts: LogParts
  readonly #arrival: Arrival
  readonly #marks: Marks
  readonly #tail: Tail
  readonly #commit: GroupCommit
  readonly #mending: Mending
  readonly #listeners = new Set<() => void>()
  /** Newest number of each feed that waits to be written. */
  readonly #waiting = new Map<FeedId, number>()
  #closed = false

  private constructor(parts: LogParts) {
    const { topic, clock } = parts
    this.topic = topic
    this.#parts = parts
    this.#arrival = new Arrival(() => clock.now())
    this.#marks = new Marks(parts.state, topic)
    this.#tail = new Tail(parts, this.#arrival)
    this.#commit = new GroupCommit(
      (batches) => this.#write(batches),
      () => this.#waiting.clear(),
    )
    this.#mending = new Mending(parts, this.#arrival, {
      append: (batches) => this.#commit.add(batches),
      onChange: () => this.#changed(),
    })
  }

  /** Opens what is on disk, or begins anew. Rejects with `StorageFull` or `StorageFailed`. */
  static async open(parts: LogParts): Promise<{ log: SegmentLog; found: DamageFound[] }> {
    const log = new SegmentLog(parts)
    const { topic, folder, disk, files, clock } = parts
    try {
      const marks = await log.#marks.feeds()
      const found = await recover({ topic, folder, disk, files, arrival: log.#arrival, marks, now: clock.now() })
      for (const { feed } of await log.#marks.forks()) log.#setForked(feed)
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
    for (const { head } of batches) {
      assert.equal(head.head.topic, this.topic, 'a batch is stored in the log of its topic')
      const last = this.#waiting.get(head.feed) ?? this.feeds.get(head.feed)?.last
      const { seq } = head.head
      assert(last === undefined || seq === last + 1, `batch ${seq} of feed ${head.feed} does not follow ${last}`)
      this.#waiting.set(head.feed, seq)
    }
    if (batches.length > 0) await this.#commit.add(batches)
  }

  async read(feed: FeedId, seq: number): Promise<Batch | undefined> {
    const row = this.#arrival.feeds.get(feed)?.row(seq)
    return row === undefined ? undefined : this.#load(row)
  }

  async head(feed: FeedId, seq: number): Promise<SignedHead | undefined> {
    const row = this.#arrival.feeds.get(feed)?.row(seq)
    if (row === undefined) return undefined
    const { firstOffset, length, position, headBytes } = this.#arrival.rows.get(row)
    const cached = this.#parts.cache.get(this.#cacheKey(firstOffset))
    if (cached !== undefined) return cached.head
    if (length > wholeBytesMax) {
      const bytes = await this.#readAt(this.#arrival.segment(row).path, position + frameHeaderBytes, headBytes)
      const head = parseHead(bytes)
      if (head?.feed === feed && head.head.seq === seq && headSigned(head)) return head
    }
    return (await this.read(feed, seq))?.head
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
      const batch = await this.#load(row)
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
    this.#setForked(proof.feed)
    this.#changed()
  }

  isForked(feed: FeedId): boolean {
    return this.#arrival.forked.has(feed)
  }

  forks(): Promise<ForkProof[]> {
    return this.#marks.forks()
  }

  retain(rule: RetentionRule, now: number): Promise<number> {
    return this.#mending.inTurn(async () => {
      const count = this.#outlived(rule, now)
      return count === 0 ? 0 : this.#drop(count)
    })
  }

  onChange(act: () => void): () => void {
    const listener = () => act()
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#mending.idle()
    await this.#commit.idle()
    await this.#parts.files.close(`${this.#parts.folder}/`)
  }

  async #write(batches: readonly Batch[]): Promise<void> {
    const { cache } = this.#parts
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
    for (const batch of batches) {
      const { head } = batch
      const length = frameBytes(batch)
      cache.put(this.#cacheKey(this.endOffset), batch)
      this.#arrival.add({ segment, position, length, offset: this.endOffset, head }, begun.get(head.feed)?.floor)
      if (this.#waiting.get(head.feed) === head.head.seq) this.#waiting.delete(head.feed)
      position += length
    }
    this.#changed()
  }

  /** Feeds that begin here after their first batch: what came before is not missing. */
  #beginnings(batches: readonly Batch[]): Map<FeedId, FeedMark> {
    const begun = new Map<FeedId, FeedMark>()
    for (const { head: signed } of batches) {
      const { head, feed, author } = signed
      if (head.seq === 1 || this.feeds.has(feed) || begun.has(feed)) continue
      const hash = Buffer.from(head.prev).toString('hex')
      begun.set(feed, { floor: head.seq, hash, nextIndex: head.firstIndex, author, started: head.started })
    }
    return begun
  }

  /** The batch of a row; undefined when it turned out to be damaged, which is then known. */
  async #load(row: number): Promise<Batch | undefined> {
    const { cache } = this.#parts
    const { firstOffset, position, length } = this.#arrival.rows.get(row)
    const cached = cache.get(this.#cacheKey(firstOffset))
    if (cached !== undefined) return cached
    const { path } = this.#arrival.segment(row)
    // Read once more before it counts as damaged: what failed may have been the way here.
    for (let tries = 0; tries < 2; tries++) {
      const batch = parseFrame(await this.#readAt(path, position, length), firstOffset)
      if (batch === undefined) continue
      cache.put(this.#cacheKey(firstOffset), batch)
      return batch
    }
    await this.#mending.lose(firstOffset)
    return undefined
  }

  async #readAt(path: string, position: number, length: number): Promise<Uint8Array> {
    this.#refuseClosed()
    const bytes = new Uint8Array(length)
    try {
      return bytes.subarray(0, await this.#parts.files.use(path, (file) => file.read(bytes, position)))
    } catch (error) {
      throw storageError(error, path)
    }
  }

  #outlived({ maxAgeMs, maxBytes }: RetentionRule, now: number): number {
    const { segments } = this.#arrival
    let bytes = this.bytes
    let count = 0
    for (const segment of segments.slice(0, -1)) {
      const old = maxAgeMs !== undefined && segment.newest < now - maxAgeMs
      if (!old && !(maxBytes !== undefined && bytes > maxBytes)) break
      bytes -= segment.bytes
      count++
    }
    return count
  }

  async #drop(count: number): Promise<number> {
    const { disk, files, folder } = this.#parts
    const before = this.batches
    const dropped = this.#arrival.segments.slice(0, count)
    const touched = this.#arrival.dropSegments(count)
    const forgotten = this.#arrival.forgetEmptied(limits.emptiedFeedsMax)
    const marks = touched.map(({ id, floor, base, last, hash, nextIndex, author, started }): [FeedId, FeedMark] => {
      const tip = base > last ? Buffer.from(hash).toString('hex') : ''
      return [id, { floor, hash: tip, nextIndex, author, started }]
    })
    this.#changed()
    try {
      await this.#marks.setFeeds(marks)
      await this.#marks.dropFeeds(forgotten)
      for (const segment of dropped) {
        // Whoever still reads it had opened it; afterwards opening it would make a new, empty one.
        await files.close(segment.path)
        await disk.remove(segment.path)
        await dropAside(disk, folder, segment)
      }
    } catch (error) {
      throw storageError(error, folder)
    }
    return before - this.batches
  }

  #setForked(feed: FeedId): void {
    this.#arrival.forked.add(feed)
    const held = this.#arrival.feeds.get(feed)
    if (held !== undefined) held.forked = true
  }

  #changed(): void {
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

  #cacheKey(offset: number): string {
    return `${this.topic}/${offset}`
  }

  #refuseClosed(): void {
    if (this.#closed) throw new GrapevineError('PeerClosed', 'This log is closed.', {})
  }
}

function parseHead(bytes: Uint8Array): SignedHead | undefined {
  try {
    return openHead(bytes)
  } catch {
    return undefined
  }
}

function parseFrame(frame: Uint8Array, offset: number): Batch | undefined {
  const header = readFrameHeader(frame)
  if (header?.kind !== 'batch' || header.firstOffset !== offset || !frameHolds(frame, header)) return undefined
  const bodyAt = frameHeaderBytes + header.headBytes
  const head = parseHead(frame.subarray(frameHeaderBytes, bodyAt))
  return head && { head, body: frame.subarray(bodyAt) }
}
