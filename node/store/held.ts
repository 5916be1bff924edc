/** What a log holds of one feed: the rows of its batches by number, some 4 bytes each, and the feed's newest head. */
import assert from 'node:assert/strict'
import type { FeedId, PeerId } from '../types.ts'
import type { Head, SignedHead } from '../wire/head.ts'
import type { FeedRange } from './topic-log.ts'

/** No feed on disk is believed to have more batches missing in one place than this: it bounds the table. */
const gapMax = 2 ** 22

/** Where a feed stands before its first batch here. */
export interface FeedTip extends Omit<FeedRange, 'base' | 'forked'> {
  id: FeedId
  floor: number
}

export class HeldFeed implements FeedRange {
  readonly id: FeedId
  /** Its number in this log, for the rows. */
  readonly number: number
  readonly author: PeerId
  readonly started: number
  /** The lowest batch we ought to hold: what lies below was dropped by retention or never was here. */
  floor: number
  last: number
  hash: Uint8Array
  nextIndex: number
  forked = false
  /** Batches missing between the table's first and `last`. */
  missing = 0
  #start: number
  /** Row + 1 by seq - start; 0 where the batch is missing. */
  #rows = new Uint32Array(1)

  constructor(number: number, tip: FeedTip) {
    this.id = tip.id
    this.number = number
    this.author = tip.author
    this.started = tip.started
    this.floor = tip.floor
    this.last = tip.last
    this.hash = tip.hash
    this.nextIndex = tip.nextIndex
    this.#start = tip.last + 1
  }

  /** What damage took may come back: friends must not take it for removed, and leave it out for good. */
  get base(): number {
    return Math.min(this.floor, this.#lowest())
  }

  #lowest(): number {
    let seq = this.#start
    while (seq <= this.last && this.row(seq) === undefined) seq++
    return seq
  }

  /** Whether a batch of this number can be put into the table at all. */
  reaches(seq: number): boolean {
    return seq <= this.last + gapMax && seq >= this.#start - gapMax
  }

  row(seq: number): number | undefined {
    if (seq < this.#start || seq > this.last) return undefined
    const row = this.#rows[seq - this.#start] as number
    return row === 0 ? undefined : row - 1
  }

  /** The number of the batch in `row`; undefined when it is not of this feed. */
  seqOf(row: number): number | undefined {
    const at = this.#rows.subarray(0, this.last + 1 - this.#start).indexOf(row + 1)
    return at < 0 ? undefined : at + this.#start
  }

  put(head: SignedHead, row: number): void {
    const { seq } = head.head
    assert(this.reaches(seq) && this.row(seq) === undefined)
    if (seq < this.#start) this.#lowerStart(seq)
    if (seq > this.last) {
      this.missing += seq - this.last
      this.#grow(seq + 1 - this.#start)
      this.last = seq
      this.hash = head.hash.slice()
      this.nextIndex = head.head.firstIndex + head.head.count
    }
    this.#rows[seq - this.#start] = row + 1
    this.missing--
  }

  /** Puts the batch after `last` into a row. Its head is not at hand: `hash` and `nextIndex` hold again from the next one on that is. */
  follow(row: number): void {
    this.#grow(this.last + 2 - this.#start)
    this.last++
    this.#rows[this.last - this.#start] = row + 1
  }

  /** Tells the numbers of its batches in rows `begin` to `end`, without `end`. */
  eachIn(begin: number, end: number, tell: (row: number, seq: number) => void): void {
    for (let i = 0; i <= this.last - this.#start; i++) {
      const row = (this.#rows[i] as number) - 1
      if (row >= begin && row < end) tell(row, this.#start + i)
    }
  }

  /**
   * Goes on with a batch further ahead than the next: retention has removed everywhere what lies between. What is held from
   * before is still read in the order of arrival, but no longer by its number.
   */
  skipTo({ seq, prev, firstIndex }: Head): void {
    this.floor = seq
    this.last = seq - 1
    this.hash = prev.slice()
    this.nextIndex = firstIndex
    this.missing = 0
    this.#start = seq
    this.#rows = new Uint32Array(1)
  }

  clear(seq: number): void {
    this.#rows[seq - this.#start] = 0
    this.missing++
  }

  /** Rows from `from` on have moved by `by`. */
  renumber(from: number, by: number): void {
    for (let i = 0; i <= this.last - this.#start; i++) {
      const held = this.#rows[i] as number
      if (held > from) this.#rows[i] = held + by
    }
  }

  /** Forgets rows before `row`; returns whether there were any. */
  dropBefore(row: number): boolean {
    let touched = false
    let dropped = 0
    for (let i = 0; i <= this.last - this.#start; i++) {
      const held = this.#rows[i] as number
      if (held === 0 || held > row) continue
      this.#rows[i] = 0
      this.missing++
      touched = true
      dropped = i + 1
    }
    if (!touched) return false
    // What lies below the newest dropped batch is not asked for again, even where a late copy is still held.
    this.floor = Math.max(this.floor, this.#start + dropped)
    const from = this.#lowest()
    this.missing -= from - this.#start
    this.#rows = this.#rows.slice(from - this.#start)
    this.#start = from
    return true
  }

  /** Numbers that ought to be here and are not, lowest first, at most `count`. */
  *holes(count: number): Generator<number> {
    const from = Math.max(this.floor, this.#start - count)
    if (this.missing === 0 && from >= this.#start) return
    for (let seq = from; seq <= this.last && count > 0; seq++) {
      if (this.row(seq) !== undefined) continue
      count--
      yield seq
    }
  }

  #lowerStart(start: number): void {
    const rows = new Uint32Array(this.last + 1 - start)
    rows.set(this.#rows.subarray(0, this.last + 1 - this.#start), this.#start - start)
    this.missing += this.#start - start
    this.#rows = rows
    this.#start = start
  }

  #grow(length: number): void {
    if (length <= this.#rows.length) return
    const old = this.#rows
    this.#rows = new Uint32Array(Math.max(length, Math.ceil(old.length * 1.5)))
    this.#rows.set(old)
  }
}
