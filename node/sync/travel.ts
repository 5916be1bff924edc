/** By which friends batches came here and when, of the newest of them: for whoever asks which way a record went. */
import { limits } from '../limits.ts'
import type { FeedId, PeerId } from '../types.ts'
import type { Batch } from '../wire/head.ts'

export interface Arrived {
  /** The friend it came from first. */
  from: PeerId
  /** When it was on our disk, ms by our clock. */
  at: number
}

/** What came from one friend first, since it is linked. */
export interface Brought {
  batches: number
  records: number
}

const nothing: Brought = { batches: 0, records: 0 }

export class Travel {
  readonly #arrived = new Map<string, Arrived>()
  readonly #brought = new Map<PeerId, Brought>()

  note({ head }: Batch, from: PeerId, at: number): void {
    this.#arrived.set(keyOf(head.feed, head.head.seq), { from, at })
    if (this.#arrived.size > limits.travelBatchesMax) this.#arrived.delete(this.#arrived.keys().next().value as string)
    const { batches, records } = this.brought(from)
    this.#brought.set(from, { batches: batches + 1, records: records + head.head.count })
  }

  arrived(feed: FeedId, seq: number): Arrived | undefined {
    return this.#arrived.get(keyOf(feed, seq))
  }

  brought(from: PeerId): Brought {
    return this.#brought.get(from) ?? nothing
  }

  onLost(peer: PeerId): void {
    this.#brought.delete(peer)
  }
}

function keyOf(feed: FeedId, seq: number): string {
  return `${feed}/${seq}`
}
