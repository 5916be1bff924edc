/**
 * Deliveries made by two members at once. Of one record, each delivery has a number that both sides of a partition count for themselves: when two members
 * name the same, both have delivered it.
 */
import { limits } from '../limits.ts'
import type { PeerId } from '../types.ts'
import type { Attempt } from './progress.ts'

export class Twice {
  readonly #by = new Map<string, PeerId>()
  readonly #found = new Set<string>()

  /** Records that two members delivered, the last of them. */
  get found(): string[] {
    return [...this.#found]
  }

  /** Who else made this very delivery, where that is news. */
  onAttempt([, feed, index, count]: Attempt, by: PeerId): PeerId | undefined {
    const id = `${feed}/${index}`
    const delivery = `${id} ${count}`
    const other = this.#by.get(delivery)
    if (other === undefined) this.#by.set(delivery, by)
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
