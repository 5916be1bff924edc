/**
 * What a group has done, as everybody in it comes to know: acknowledged records, and how often each open one was handed out. Pure.
 *
 * Per feed and slot there is a low-water mark and ranges above it; since a slot has only some of a feed's records, an acknowledgement covers
 * the gap from the record of its slot before. Below the mark of the whole feed (`all`) everything is done in every slot, and what was
 * known of single slots is dropped: that is what keeps this small.
 *
 * What is acknowledged here comes record by record, and is only put down; before anything is asked or told it is taken in, by slots, where it is few ranges.
 *
 * States only grow, and merging takes the larger of each: in whatever order, however often and by whatever way parts of it arrive, all who have
 * heard the same know the same (a state-based CRDT, Shapiro and others 2011). Taking over a slot is reading this.
 */
import { limits } from '../limits.ts'
import { type Done, isDone, markDone } from '../topic/done.ts'
import type { FeedId } from '../types.ts'
import { bySlot, Indexes } from './indexes.ts'
import { Tried } from './tried.ts'

/** Of a feed, as told: `all`, and of each slot that is further its mark and ranges. */
export interface FeedProgress {
  all: number
  slots: [slot: number, low: number, ranges: [number, number][]][]
}

export interface ProgressState {
  feeds: Record<string, FeedProgress>
  attempts: Attempt[]
}

/** A record of this slot was handed out `count` times. */
export type Attempt = [slot: number, feed: FeedId, index: number, count: number]

/** An acknowledgement: [from, index] of the slot is done. */
export interface Ack {
  readonly slot: number
  readonly feed: FeedId
  readonly from: number
  readonly index: number
}

interface Feed {
  all: number
  slots: Map<number, Done>
  /** By slot, how often each open record was handed out. */
  attempts: Map<number, Tried>
}

export class Progress {
  readonly #known = new Map<FeedId, Feed>()
  #attempts = 0
  #acks: Ack[] = []

  /** As `done`, by a consumer here. */
  acknowledged(ack: Ack): void {
    this.#acks.push(ack)
    if (this.#acks.length >= limits.groupWorkMax) this.#settle()
  }

  isDone(slot: number, feed: FeedId, index: number): boolean {
    const known = this.#feeds.get(feed)
    if (known === undefined) return false
    if (index < known.all) return true
    const done = known.slots.get(slot)
    return done !== undefined && isDone(done, index)
  }

  /** Everything of the slot in [from, to) is done. False where too many gaps are open to remember it. */
  done(slot: number, feed: FeedId, from: number, to: number): boolean {
    const known = this.#feedOf(feed)
    if (known === undefined) return false
    if (to <= known.all) return true
    const done = known.slots.get(slot) ?? { low: known.all, ranges: [] }
    known.slots.set(slot, done)
    if (!markDone(done, from, to)) return false
    this.#forget(known.attempts.get(slot), from, to)
    return true
  }

  /** Everything of the feed before `index` is done. */
  doneBefore(feed: FeedId, index: number): void {
    const known = this.#feedOf(feed)
    if (known === undefined || index <= known.all) return
    known.all = index
    for (const [slot, done] of known.slots) {
      markDone(done, 0, index)
      if (done.low === index && done.ranges.length === 0) known.slots.delete(slot)
    }
    for (const attempts of known.attempts.values()) this.#forget(attempts, 0, index)
  }

  /** Up to where everything of the feed is known to be done. */
  doneBeforeOf(feed: FeedId): number {
    return this.#feeds.get(feed)?.all ?? 0
  }

  /** Open records that were handed out more than once. */
  get redelivered(): number {
    let sum = 0
    for (const { attempts } of this.#feeds.values())
      for (const tried of attempts.values()) for (const [, count] of tried.entries()) if (count > 1) sum++
    return sum
  }

  /** How often an open record was handed out. */
  attempts(slot: number, feed: FeedId, index: number): number {
    return this.#feeds.get(feed)?.attempts.get(slot)?.get(index) ?? 0
  }

  /** Records of the slot. Above `limits.groupAttemptsMax`, counting all of a set that has open ones, the oldest are forgotten: they are handed out more often. */
  attempted(slot: number, feed: FeedId, indexes: Indexes, count: number): void {
    const known = this.#feedOf(feed)
    if (known === undefined) return
    const attempts = known.attempts.get(slot) ?? new Tried()
    known.attempts.set(slot, attempts)
    const before = attempts.size
    for (const some of openOf(indexes, known.slots.get(slot) ?? { low: known.all, ranges: [] }))
      attempts.add(some, count)
    this.#attempts += attempts.size - before
    while (this.#attempts > limits.groupAttemptsMax) this.#forgetOldest()
  }

  /** Nothing is done. */
  clear(): void {
    this.#feeds.clear()
    this.#attempts = 0
  }

  merge(state: ProgressState): void {
    for (const [feed, { all, slots }] of Object.entries(state.feeds) as [FeedId, FeedProgress][]) {
      this.doneBefore(feed, all)
      for (const [slot, low, ranges] of slots) {
        this.done(slot, feed, 0, low)
        for (const [from, to] of ranges) this.done(slot, feed, from, to)
      }
    }
    for (const [slot, feed, index, count] of state.attempts) this.attempted(slot, feed, new Indexes(index), count)
  }

  feeds(): FeedId[] {
    return [...this.#feeds.keys()]
  }

  /** What is known of these feeds, in the form in which it is told. */
  state(feeds: Iterable<FeedId> = this.#feeds.keys()): ProgressState {
    const state: ProgressState = { feeds: {}, attempts: [] }
    for (const feed of feeds) {
      const known = this.#feeds.get(feed)
      if (known === undefined) continue
      const slots = [...known.slots].map(([slot, { low, ranges }]): FeedProgress['slots'][number] => [
        slot,
        low,
        ranges.map(([from, to]) => [from, to]),
      ])
      state.feeds[feed] = { all: known.all, slots: slots.sort(([a], [b]) => a - b) }
      for (const [slot, attempts] of known.attempts)
        for (const [index, count] of attempts.entries()) state.attempts.push([slot, feed, index, count])
    }
    return state
  }

  get #feeds(): Map<FeedId, Feed> {
    if (this.#acks.length > 0) this.#settle()
    return this.#known
  }

  #settle(): void {
    const acks = this.#acks
    this.#acks = []
    for (const [feed, slots] of bySlot(acks))
      for (const some of slots) {
        const [first] = some ?? []
        if (some === undefined || first === undefined) continue
        let [start, end] = [first.from, first.from]
        for (const { from, index } of some) {
          if (from > end) {
            this.done(first.slot, feed, start, end)
            start = from
          }
          start = Math.min(start, from)
          end = index + 1
        }
        this.done(first.slot, feed, start, end)
      }
  }

  /** Undefined where one more feed is not remembered: its records may be delivered again. */
  #feedOf(feed: FeedId): Feed | undefined {
    let known = this.#feeds.get(feed)
    if (known === undefined && this.#feeds.size < limits.feedsPerTopicMax) {
      known = { all: 0, slots: new Map(), attempts: new Map() }
      this.#feeds.set(feed, known)
    }
    return known
  }

  #forgetOldest(): void {
    for (const { attempts: bySlot } of this.#feeds.values())
      for (const attempts of bySlot.values())
        if (attempts.size > 0) {
          const before = attempts.size
          attempts.shift()
          this.#attempts += attempts.size - before
          return
        }
  }

  /** Those of [from, to). */
  #forget(attempts: Tried | undefined, from: number, to: number): void {
    if (attempts === undefined) return
    const before = attempts.size
    attempts.delete(from, to)
    this.#attempts += attempts.size - before
  }
}

/** The same ones where none of them is done, as of records that were handed out just now. */
function openOf(indexes: Indexes, done: Readonly<Done>): Indexes[] {
  if (indexes.last < done.low) return []
  const isOpen = indexes.first >= done.low && !done.ranges.some(([from, to]) => indexes.touches(from, to))
  return isOpen ? [indexes] : Indexes.of([...indexes].filter((index) => !isDone(done, index)))
}
