/**
 * Records that two members dealt with. In a connected mesh nobody acknowledges what another has acknowledged, since it does not
 * hold the slot; after a partition without a quorum it shows what both sides did.
 */
import { limits } from '../limits.ts'
import type { FeedId, PeerId } from '../types.ts'

export class Twice {
  readonly #by = new Map<string, PeerId>()
  readonly #found = new Set<string>()

  /** The last of them: `feed/index`. */
  get found(): string[] {
    return [...this.#found]
  }

  /** What was done before is done again now; what was found stays. */
  forget(): void {
    this.#by.clear()
  }

  /** Somebody has, or had, the record under a lease of its own. Returns who else did, where that is news. */
  had(feed: FeedId, index: number, by: PeerId): PeerId | undefined {
    const id = `${feed}/${index}`
    const other = this.#by.get(id)
    if (other === undefined) this.#by.set(id, by)
    if (this.#by.size > limits.groupDeliveriesMax) forgetOldest(this.#by)
    if (other === undefined || other === by || this.#found.has(id)) return undefined
    this.#found.add(id)
    if (this.#found.size > limits.groupDeliveriesMax) forgetOldest(this.#found)
    return other
  }
}

function forgetOldest(all: Map<string, unknown> | Set<string>): void {
  for (const oldest of all.keys()) {
    all.delete(oldest)
    return
  }
}
