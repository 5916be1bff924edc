/**
 * How far a subscription has acknowledged: pure. Per feed a low-water mark (all records before it are done), ranges above it
 * that are done too, and what was never wanted. A cursor names records by feed and index, so it means the same on every peer; two cursors of one
 * name merge to what either has acknowledged.
 */
import { limits } from '../limits.ts'
import type { FeedId } from '../types.ts'
import { type Done, isDone, markDone } from './done.ts'

/** Ranges of a feed that are told to other peers; what is left out may be delivered again there. */
const sharedRanges = 100

export interface FeedAcks extends Done {
  /** Batches up to this number were published before the subscription began, and are not wanted. */
  skip: number
}

export interface CursorState {
  /** Records from before this time are not wanted, ms; 0: all are. */
  since: number
  feeds: Record<string, FeedAcks>
}

export class Cursor {
  since = 0
  #feeds: Map<FeedId, FeedAcks> | undefined

  isDone(feed: FeedId, index: number): boolean {
    const acks = this.#feeds?.get(feed)
    return acks !== undefined && isDone(acks, index)
  }

  /** Whether all records of a batch are done or were never wanted. */
  coversBatch(feed: FeedId, seq: number, firstIndex: number, count: number): boolean {
    const acks = this.#feeds?.get(feed)
    if (acks === undefined) return false
    if (seq <= acks.skip || firstIndex + count <= acks.low) return true
    return acks.ranges.some(([from, to]) => from <= firstIndex && firstIndex + count <= to)
  }

  /** Whether none of these records is done. */
  isOpen(feed: FeedId, firstIndex: number, count: number): boolean {
    const acks = this.#feeds?.get(feed)
    if (acks === undefined) return true
    return firstIndex >= acks.low && acks.ranges.every(([from, to]) => to <= firstIndex || firstIndex + count <= from)
  }

  /** Marks records [from, to) as done. False where that would need more ranges than are kept: the oldest open record has to be acknowledged first. */
  done(feed: FeedId, from: number, to: number): boolean {
    return markDone(this.#acksOf(feed), from, to)
  }

  /** Batches up to `seq` are not wanted. */
  skip(feed: FeedId, seq: number): void {
    const acks = this.#acksOf(feed)
    acks.skip = Math.max(acks.skip, seq)
  }

  /** Whether it is known exactly where in this feed the subscription began. */
  knowsStart(feed: FeedId): boolean {
    return (this.#feeds?.get(feed)?.skip ?? 0) > 0
  }

  feeds(): Iterable<FeedId> {
    return this.#feeds?.keys() ?? []
  }

  /** Takes over what another cursor of this name has done; says which feeds that changed. */
  merge(state: CursorState): FeedId[] {
    this.since = Math.max(this.since, state.since)
    const changed: FeedId[] = []
    for (const [feed, acks] of Object.entries(state.feeds) as [FeedId, FeedAcks][]) {
      const before = JSON.stringify(this.#feeds?.get(feed))
      this.done(feed, 0, acks.low)
      for (const [from, to] of acks.ranges) this.done(feed, from, to)
      this.skip(feed, acks.skip)
      if (JSON.stringify(this.#feeds?.get(feed)) !== before) changed.push(feed)
    }
    return changed
  }

  /** These feeds, or all of them, in the form in which they are stored and told. */
  state(feeds: Iterable<FeedId> = this.feeds(), rangesMax = sharedRanges): CursorState {
    const state: CursorState = { since: this.since, feeds: {} }
    for (const feed of feeds) {
      const acks = this.#feeds?.get(feed)
      if (acks !== undefined)
        state.feeds[feed] = { low: acks.low, ranges: acks.ranges.slice(0, rangesMax), skip: acks.skip }
    }
    return state
  }

  #acksOf(feed: FeedId): FeedAcks {
    let acks = this.#feeds?.get(feed)
    if (acks === undefined) {
      acks = { low: 0, ranges: [], skip: 0 }
      this.#feeds ??= new Map()
      this.#feeds.set(feed, acks)
    }
    return acks
  }
}

/** Reads a state that was stored or told; undefined for what is not one. */
export function parseCursorState(text: string): CursorState | undefined {
  try {
    const state: unknown = JSON.parse(text)
    return isCursorState(state) ? state : undefined
  } catch {
    return undefined
  }
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

function isCursorState(value: unknown): value is CursorState {
  if (typeof value !== 'object' || value === null || !('since' in value) || !isCount(value.since)) return false
  if (!('feeds' in value) || typeof value.feeds !== 'object' || value.feeds === null) return false
  return Object.entries(value.feeds).every(([feed, acks]) => /^[0-9a-f]{32}$/.test(feed) && isFeedAcks(acks))
}

function isFeedAcks(value: unknown): value is FeedAcks {
  if (typeof value !== 'object' || value === null) return false
  const { low, ranges, skip } = value as Partial<FeedAcks>
  if (!isCount(low) || !isCount(skip) || !Array.isArray(ranges) || ranges.length > limits.ackRangesMax) return false
  return ranges.every(
    (range) =>
      Array.isArray(range) && range.length === 2 && isCount(range[0]) && isCount(range[1]) && range[0] < range[1],
  )
}
