/**
 * Records sent more than once under one deduplication id. Pure. Of those sent within one window, counted from the first of them, one is handed
 * out. They share a slot and a lane, so that they have their turn one after the other: whoever's turn comes after another was done is a duplicate.
 * Nothing but what is done decides, which all members know, so it does not matter who holds the slot, nor in which order they came there.
 */
import { limits } from '../limits.ts'
import type { FeedId } from '../types.ts'

interface Sent {
  feed: FeedId
  index: number
  time: number
}

export class Duplicates {
  /** By id; those heard of last at the end. */
  readonly #sent = new Map<string, Sent[]>()

  /** `time`: when it was sent, ms. Beyond `limits.queueDedupMax` ids the one heard of longest ago is forgotten. */
  add(id: string, feed: FeedId, index: number, time: number): void {
    const known = this.#sent.get(id) ?? []
    if (known.some((other) => other.feed === feed && other.index === index)) return
    const newest = Math.max(time, ...known.map((other) => other.time))
    const recent = known.filter((other) => newest - other.time < 2 * limits.queueDedupMs)
    this.#sent.delete(id)
    this.#sent.set(id, [...recent, { feed, index, time }].sort(byTime))
    if (this.#sent.size <= limits.queueDedupMax) return
    for (const [oldest] of this.#sent) {
      this.#sent.delete(oldest)
      break
    }
  }

  /** Whether another that was sent in the same window is done. */
  isDuplicate(id: string, feed: FeedId, index: number, isDone: (feed: FeedId, index: number) => boolean): boolean {
    let window: Sent[] = []
    for (const sent of this.#sent.get(id) ?? []) {
      const [first] = window
      if (first === undefined || sent.time - first.time >= limits.queueDedupMs) {
        if (has(window, feed, index)) break
        window = []
      }
      window.push(sent)
    }
    if (!has(window, feed, index)) return false
    return window.some((other) => (other.feed !== feed || other.index !== index) && isDone(other.feed, other.index))
  }
}

function has(sent: readonly Sent[], feed: FeedId, index: number): boolean {
  return sent.some((one) => one.feed === feed && one.index === index)
}

function byTime(a: Sent, b: Sent): number {
  return a.time - b.time || (a.feed < b.feed ? -1 : a.feed > b.feed ? 1 : a.index - b.index)
}
