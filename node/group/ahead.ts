/**
 * How many records a consumer is told ahead of those that it may have at once. A consumer that is done with all it has in less time than it takes to
 * tell the others what it gets next would wait for that again and again; so it has more told ahead, which it gets as it settles what it has. One that
 * turns slow has none: what was told ahead goes back, to whoever asks. Nor has one that takes few at once: where its process dies, all that it was told
 * counts as handed out, and its user may count on that being few. Pure.
 */
import { limits } from '../limits.ts'

export class Ahead {
  readonly #most: number
  #size = 0
  /** When it was fed and began to be counted anew, and how many it had since then. */
  #since = Number.NEGATIVE_INFINITY
  #had = 0
  /** What waited first as it was looked at last. */
  #first: unknown

  /** `most`: what the consumer may have at once. */
  constructor(most: number) {
    this.#most = most
  }

  get size(): number {
    return this.#size
  }

  /** The application gets a record. */
  onHad(): void {
    this.#had++
  }

  /** It had nothing, and gets something now. */
  onFed(now: number): void {
    const isInTime = now - this.#since <= limits.groupAheadMs
    if (isInTime && this.#had < this.#most) return
    const isFast = isInTime && this.#most >= limits.groupBusyRecords
    if (isFast) this.#size = Math.min(limits.groupAheadSets * this.#most, limits.groupConcurrencyMax)
    this.#since = now
    this.#had = 0
  }

  /** Once a beat: `first` waits longest to be asked for. True where it waited for a beat already. */
  isSlow(first: unknown): boolean {
    const isSlow = this.#size > 0 && first !== undefined && first === this.#first
    if (isSlow) this.#size = 0
    this.#first = first
    return isSlow
  }
}
