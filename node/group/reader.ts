/**
 * Reads the topic's arrival log for one member: what is in slots that it delivers goes into its backlog, as far as that has room.
 *
 * 1. Taking a slot over means reading again from the first batch that is not done in every slot (`#low`). Where there is no room, half of what waits is
 *    forgotten for that, from the end: else what somebody had in hands as it died would come after all that waits here.
 * 2. Each record is given the end of the one before it in its feed and slot, so that its acknowledgement covers the gap between. A gap in what is
 *    here (lost, or unwanted) is never covered: what comes back later is still delivered.
 * 3. `#low` moves on over batches that are done in every slot, and says so in the progress, which then forgets the single slots.
 */
import { limits } from '../limits.ts'
import type { Clock } from '../ports.ts'
import type { Damage, StoredBatch, TopicLog } from '../store/topic-log.ts'
import { recordsOf } from '../topic/message.ts'
import type { FeedId } from '../types.ts'
import type { Batch } from '../wire/head.ts'
import type { RecordBatch } from '../wire/record.ts'
import type { Backlog, Entry } from './backlog.ts'
import type { Duplicates } from './duplicates.ts'
import type { Start } from './notice.ts'
import { wantedSince } from './position.ts'
import type { Progress } from './progress.ts'
import type { Slots } from './slots.ts'

/** What is asked for a record beyond its place: see `Entry`. */
export type Sorting = Pick<Entry, 'notBefore' | 'priority' | 'expires' | 'dedupId'>

export interface ReaderOptions {
  log: TopicLog
  clock: Clock
  slots: Slots
  progress: Progress
  backlog: Backlog
  /** Records of one key in one lane. */
  byKey: boolean
  /** Of a queue, what its sender asked for. */
  sort: ((records: RecordBatch, at: number) => Sorting) | undefined
  duplicates: Duplicates
  /** Until when somebody has it who borrowed it from the slot's last holder. */
  heldUntil(feed: FeedId, index: number): number | undefined
  /** Where the group begins. */
  start(): Start
  isOurs(slot: number): boolean
  onAdded(): void
}

interface FeedScan {
  /** Index of the record that follows what was read. */
  next: number
  /** By slot, where its record before ends. */
  ends: Float64Array
}

export class Reader {
  readonly #options: ReaderOptions
  readonly #off: () => void
  readonly #scans = new Map<FeedId, FeedScan>()
  #low: number
  /** How often everything was begun again. */
  #turn = 0
  #offset: number
  #reading = false
  /** There may be more than there was room for. */
  #isFull = false
  #again = false
  #folding = false
  #closed = false

  constructor(options: ReaderOptions) {
    this.#options = options
    this.#low = options.log.startOffset
    this.#offset = this.#low
    this.#off = options.log.onChange(() => this.read())
  }

  /** Everything that is here now is done. Returns the feeds that have something. */
  endAll(): FeedId[] {
    const { log, progress } = this.#options
    for (const [feed, { nextIndex }] of log.feeds) progress.doneBefore(feed, nextIndex)
    return [...log.feeds.keys()]
  }

  get isReading(): boolean {
    return this.#reading
  }

  /** There are new slots: what is open of them lies behind us, and part of what lies ahead gives way to it. */
  restart(): void {
    if (!this.#hasRoom) this.#options.backlog.shrink(limits.groupBacklogMax / 2)
    this.#offset = this.#low
    this.#scans.clear()
    this.read()
  }

  /** The group was moved: everything is looked at again. */
  rewind(): void {
    this.#low = this.#options.log.startOffset
    this.#turn++
    this.restart()
  }

  /** Reads on as far as there is something and room for it. */
  read(): void {
    this.#again = true
    if (this.#reading || this.#closed) return
    this.#reading = true
    // A disk that cannot be read now is asked again with the next change.
    void this.#readAll().catch(() => undefined)
  }

  /** Something is done: where that was what it waited for, it reads on. */
  onRoom(): void {
    if (this.#isFull && this.#hasRoom) this.read()
  }

  close(): void {
    this.#closed = true
    this.#off()
  }

  /** Moves the low end over what is done in every slot. Resolves with where it is, undefined where that is unchanged. */
  async fold(): Promise<number | undefined> {
    if (this.#folding) return undefined
    this.#folding = true
    const before = this.#low
    const turn = this.#turn
    try {
      for (;;) {
        const pause = this.#options.clock.breathe()
        if (pause !== undefined) await pause
        const at = await this.#options.log.at(this.#low)
        if (this.#turn !== turn) return undefined
        if (this.#closed || at === undefined || 'damaged' in at || this.#openOf(at.batch).length > 0)
          return this.#low > before ? this.#low : undefined
        const { head } = at.batch
        // Behind a gap nothing can be said of the whole feed; that this batch is done is known slot by slot.
        if (this.#isContiguous(at.batch))
          this.#options.progress.doneBefore(head.feed, head.head.firstIndex + head.head.count)
        this.#low = at.offset + head.head.count
      }
    } finally {
      this.#folding = false
    }
  }

  /** Batches with records that are here and not done, and which of their records these are. */
  async *open(): AsyncGenerator<{ at: StoredBatch; open: number[] }> {
    for (let offset = this.#low; ; ) {
      const pause = this.#options.clock.breathe()
      if (pause !== undefined) await pause
      const at = await this.#options.log.at(offset)
      if (at === undefined) return
      offset = nextOffset(at)
      if ('damaged' in at) continue
      const open = this.#openOf(at.batch).map(({ i }) => i)
      if (open.length > 0) yield { at, open }
    }
  }

  /** Records that are here and not done, by slot. */
  async lag(): Promise<number[]> {
    const lags = new Array<number>(this.#options.slots.count).fill(0)
    for (let offset = this.#low; ; ) {
      const pause = this.#options.clock.breathe()
      if (pause !== undefined) await pause
      const at = await this.#options.log.at(offset)
      if (at === undefined) return lags
      offset = nextOffset(at)
      if ('damaged' in at) continue
      for (const { slot } of this.#openOf(at.batch)) lags[slot] = (lags[slot] ?? 0) + 1
    }
  }

  async #readAll(): Promise<void> {
    try {
      while (this.#again && !this.#closed) {
        this.#again = false
        this.#isFull = false
        while (this.#hasRoom) {
          const pause = this.#options.clock.breathe()
          if (pause !== undefined) await pause
          const from = this.#offset
          const at = await this.#options.log.at(from)
          if (at === undefined || 'damaged' in at || this.#closed) break
          // Begun again from further back meanwhile.
          if (this.#offset !== from) continue
          this.#offset = nextOffset(at)
          if (this.#take(at)) this.#options.onAdded()
        }
        this.#isFull = !this.#hasRoom
      }
    } finally {
      // In the moment in which there is nothing more: what comes in the next one finds nobody reading.
      this.#reading = false
    }
  }

  get #hasRoom(): boolean {
    const { backlog } = this.#options
    return backlog.size < limits.groupBacklogMax && backlog.delayed < limits.queueDelayedMax
  }

  /** True where something was added. */
  #take(at: StoredBatch): boolean {
    const { backlog, start } = this.#options
    const { feed, head } = at.batch.head
    const scan = this.#scanOf(at.batch)
    scan.next = head.firstIndex + head.count
    const since = wantedSince(start(), feed, head.seq)
    if (since === Number.POSITIVE_INFINITY) {
      scan.ends.fill(scan.next)
      return false
    }
    const before = backlog.size + backlog.delayed
    const records = recordsOf(at.batch)
    if (records !== undefined) this.#takeAll(at, records, scan.ends, since)
    return backlog.size + backlog.delayed > before
  }

  /** By itself, so that nothing stands behind the loop: the compiler would throw its program away there. */
  #takeAll(at: StoredBatch, records: RecordBatch, ends: Float64Array, since: number): void {
    /** By slot, as far as it was asked. */
    const ours = new Array<boolean | undefined>(this.#options.slots.count).fill(undefined)
    for (let i = 0; i < records.count; i++) this.#takeOne(at, records, i, ends, since, ours)
  }

  #takeOne(
    { batch, offset }: StoredBatch,
    records: RecordBatch,
    i: number,
    ends: Float64Array,
    since: number,
    ours: (boolean | undefined)[],
  ): void {
    const { backlog, progress, slots, isOurs, byKey, sort, duplicates } = this.#options
    const { feed, head } = batch.head
    const index = head.firstIndex + i
    const key = byKey ? records.key(i) : undefined
    const sorting = sort?.(records, i)
    // Where keys are kept in order, each has ids of its own: those of another are in another slot.
    const inKey = byKey && key !== undefined && sorting?.dedupId !== undefined
    const dedupId = inKey ? `${key}/${sorting.dedupId}` : sorting?.dedupId
    if (dedupId !== undefined) duplicates.add(dedupId, feed, index, head.time + records.timeDelta(i))
    const slot = slots.of(feed, index, key, dedupId)
    const from = ends[slot] as number
    ends[slot] = index + 1
    ours[slot] ??= isOurs(slot)
    if (!ours[slot] || progress.isDone(slot, feed, index)) return
    const lane = byKey && key !== undefined ? `k${key}` : dedupId === undefined ? undefined : `d${dedupId}`
    const time = head.time + records.timeDelta(i)
    if (time < since) return
    const isTried = progress.attempts(slot, feed, index) > 0
    const entry = { slot, feed, index, from, offset: offset + i, lane, seq: head.seq, time, isTried }
    if (sorting === undefined) backlog.add(entry)
    else backlog.add({ ...entry, ...sorting, ...this.#heldBack(feed, index, sorting), ...(inKey && { dedupId }) })
  }

  /** What somebody borrowed is left to it. */
  #heldBack(feed: FeedId, index: number, { notBefore = 0 }: Sorting): Sorting {
    const until = this.#options.heldUntil(feed, index)
    return until === undefined ? {} : { notBefore: Math.max(until, notBefore) }
  }

  #scanOf(batch: Batch): FeedScan {
    const { feed, head } = batch.head
    const known = this.#scans.get(feed)
    if (known !== undefined) {
      if (known.next !== head.firstIndex) known.ends.fill(head.firstIndex)
      return known
    }
    const from = this.#isContiguous(batch) ? 0 : head.firstIndex
    const scan = { next: 0, ends: new Float64Array(this.#options.slots.count).fill(from) }
    this.#scans.set(feed, scan)
    return scan
  }

  /** Whether everything of the feed before this batch is done, or was removed before it came here. */
  #isContiguous({ head: { feed, head } }: Batch): boolean {
    const { log, progress } = this.#options
    return head.firstIndex <= progress.doneBeforeOf(feed) || log.feeds.get(feed)?.base === head.seq
  }

  /** Which records of a batch are not done. */
  #openOf(batch: Batch): { slot: number; i: number }[] {
    const { slots, progress, sort, byKey } = this.#options
    const { feed, head } = batch.head
    const since = wantedSince(this.#options.start(), feed, head.seq)
    const open: { slot: number; i: number }[] = []
    if (since === Number.POSITIVE_INFINITY || head.firstIndex + head.count <= progress.doneBeforeOf(feed)) return open
    const records = recordsOf(batch)
    for (let i = 0; records !== undefined && i < records.count; i++) {
      const key = byKey ? records.key(i) : undefined
      const slot = slots.of(feed, head.firstIndex + i, key, sort?.(records, i).dedupId)
      if (progress.isDone(slot, feed, head.firstIndex + i)) continue
      if (head.time + records.timeDelta(i) >= since) open.push({ slot, i })
    }
    return open
  }
}

function nextOffset(at: StoredBatch | Damage): number {
  return 'damaged' in at ? at.nextOffset : at.offset + at.batch.head.head.count
}
