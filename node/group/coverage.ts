/**
 * Which notices somebody knows the effect of, by feed: those it has read, and those that a sum it has read takes in. Pure.
 *
 * Whoever sums up says up to where it knows each feed without a gap. What a sum takes in may go wherever that sum stays, since it says the same. So
 * whoever has read all that is left somewhere knows all that was ever known there, whichever notices have gone, and in whatever order they came.
 */
import { limits } from '../limits.ts'
import { type Done, markDone } from '../topic/done.ts'
import type { FeedId } from '../types.ts'

/** By feed: each of its notices up to this number is taken in. */
export type Covers = Record<FeedId, number>

export class Coverage {
  readonly #known = new Map<FeedId, Done>()
  #gaps = 0

  /** Feeds of which something was read that lies behind what is not known. */
  get gaps(): number {
    return this.#gaps
  }

  /** Up to where its notices are taken in without a gap. */
  upTo(feed: FeedId): number {
    return (this.#known.get(feed)?.low ?? 1) - 1
  }

  /** This notice was read. */
  read(feed: FeedId, seq: number): void {
    this.#mark(feed, seq, seq + 1)
  }

  /** A sum was read that takes these in. */
  take(covers: Covers): void {
    for (const [feed, upTo] of Object.entries(covers) as [FeedId, number][]) this.#mark(feed, 1, upTo + 1)
  }

  /** All of it. Of feeds that are not held those known longest are forgotten while there are more than `limits.emptiedFeedsMax`. */
  of(held: ReadonlyMap<FeedId, unknown>): Covers {
    const covers: Covers = {}
    let excess = this.#known.size - limits.emptiedFeedsMax
    for (const [feed, { low, ranges }] of this.#known) {
      if (excess > 0 && !held.has(feed)) {
        excess--
        if (ranges.length > 0) this.#gaps--
        this.#known.delete(feed)
      } else if (low > 1) covers[feed] = low - 1
    }
    return covers
  }

  #mark(feed: FeedId, from: number, to: number): void {
    let known = this.#known.get(feed)
    if (known === undefined) {
      known = { low: 1, ranges: [] }
      this.#known.set(feed, known)
    }
    const before = Math.min(1, known.ranges.length)
    // Where there are too many gaps it is not known; the next sum may say it.
    markDone(known, from, to)
    this.#gaps += Math.min(1, known.ranges.length) - before
  }
}

/** A sum, all notices of which are there. */
export interface WholeSum {
  /** Of its first notice, in the log. */
  offset: number
  covers: Covers
}

/** Which of how many notices of a sum it is, and in the last one what they take in. */
export interface SumPart {
  part?: [index: number, count: number] | undefined
  covers?: Covers | undefined
}

/** Puts sums together that were told in several notices, one behind the other in one feed. */
export class Gathering {
  readonly #begun = new Map<FeedId, { offset: number; next: number }>()

  /** The sum that is whole with this notice. */
  take(feed: FeedId, offset: number, { part, covers }: SumPart): WholeSum | undefined {
    if (part === undefined) return undefined
    const [index, count] = part
    const begun = index === 0 ? { offset, next: 0 } : this.#begun.get(feed)
    this.#begun.delete(feed)
    if (begun?.next !== index) return undefined
    if (index + 1 === count) return covers && { offset: begun.offset, covers }
    this.#begun.set(feed, { offset: begun.offset, next: index + 1 })
    return undefined
  }
}

/** Whether `one` takes in all that `other` does. */
export function takesIn(one: Covers, other: Covers): boolean {
  return (Object.entries(other) as [FeedId, number][]).every(([feed, upTo]) => (one[feed] ?? 0) >= upTo)
}
