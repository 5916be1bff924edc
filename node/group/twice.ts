/**
 * Records that two members dealt with. In a connected mesh nobody acknowledges what another has acknowledged, since it does not
 * hold the slot; after a partition without a quorum it shows what both sides did.
 */
import { limits } from '../limits.ts'
import type { FeedId, PeerId } from '../types.ts'
import { Marked } from './marked.ts'

/** By feed and slot, who had what. */
type Known = Map<FeedId, Map<number, Marked<PeerId>>>

export class Twice {
  /** In two generations, so that forgetting the oldest costs nothing. */
  #young: Known = new Map()
  #old: Known = new Map()
  #count = 0
  readonly #found = new Set<string>()

  /** The last of them: `feed/index`. */
  get found(): string[] {
    return [...this.#found]
  }

  /** What was done before is done again now; what was found stays. */
  forget(): void {
    this.#young = new Map()
    this.#old = new Map()
    this.#count = 0
  }

  /** Somebody has, or had, these records of a slot, ascending, under a lease of its own. Returns which of them somebody else did, and who, where that is news. */
  had(slot: number, feed: FeedId, indexes: readonly number[], by: PeerId): [index: number, other: PeerId][] {
    const young = this.#youngOf(slot, feed)
    const old = this.#old.get(feed)?.get(slot)
    const twice: [number, PeerId][] = []
    for (const index of indexes) {
      const other = young.get(index) ?? old?.get(index)
      if (other === undefined) {
        young.set(index, by)
        this.#count++
      } else if (other !== by && this.#isNews(`${feed}/${index}`)) twice.push([index, other])
    }
    if (this.#count > limits.groupDeliveriesMax) {
      this.#old = this.#young
      this.#young = new Map()
      this.#count = 0
    }
    return twice
  }

  #isNews(id: string): boolean {
    if (this.#found.has(id)) return false
    this.#found.add(id)
    if (this.#found.size > limits.groupDeliveriesMax) {
      const [oldest] = this.#found
      this.#found.delete(oldest as string)
    }
    return true
  }

  #youngOf(slot: number, feed: FeedId): Marked<PeerId> {
    const slots = this.#young.get(feed) ?? new Map<number, Marked<PeerId>>()
    this.#young.set(feed, slots)
    const marked = slots.get(slot) ?? new Marked<PeerId>()
    slots.set(slot, marked)
    return marked
  }
}
