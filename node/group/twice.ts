/**
 * Records that two members dealt with. In a connected mesh nobody acknowledges what another has acknowledged, since it does not
 * hold the slot; after a partition without a quorum it shows what both sides did.
 */
import { limits } from '../limits.ts'
import type { FeedId, PeerId } from '../types.ts'

type Known = Map<FeedId, Map<number, PeerId>>

export class Twice {
  /** Who had what, in two generations, so that forgetting the oldest costs nothing. */
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

  /** Somebody has, or had, the record under a lease of its own. Returns who else did, where that is news. */
  had(feed: FeedId, index: number, by: PeerId): PeerId | undefined {
    const other = this.#young.get(feed)?.get(index) ?? this.#old.get(feed)?.get(index)
    if (other === undefined) this.#remember(feed, index, by)
    if (other === undefined || other === by) return undefined
    const id = `${feed}/${index}`
    if (this.#found.has(id)) return undefined
    this.#found.add(id)
    if (this.#found.size > limits.groupDeliveriesMax) {
      const [oldest] = this.#found
      this.#found.delete(oldest as string)
    }
    return other
  }

  #remember(feed: FeedId, index: number, by: PeerId): void {
    if (this.#count === limits.groupDeliveriesMax) {
      this.#old = this.#young
      this.#young = new Map()
      this.#count = 0
    }
    const known = this.#young.get(feed)
    if (known === undefined) this.#young.set(feed, new Map([[index, by]]))
    else known.set(index, by)
    this.#count++
  }
}
