/**
 * Records that two members dealt with. In a connected mesh nobody acknowledges what another has acknowledged, since it does not
 * hold the slot; after a partition without a quorum it shows what both sides did.
 */
import { limits } from '../limits.ts'
import type { FeedId, PeerId } from '../types.ts'
import { Indexes } from './indexes.ts'

interface Had {
  indexes: Indexes
  by: PeerId
  /** Made here of small sets, as records that are acknowledged one by one come, so that few are looked through. */
  isOurs: boolean
}

const smallMax = 8

/** By feed and slot, who had what: a record is in one of them. */
type Known = Map<FeedId, Map<number, Had[]>>

/** By who had them and of which feed: records of slots. */
export type Dealt = [by: PeerId, feed: FeedId, had: [slot: number, indexes: Indexes][]][]

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

  /** Who had what, as far as it is remembered. */
  state(): Dealt {
    const all = new Map<string, Dealt[number]>()
    for (const generation of [this.#old, this.#young])
      for (const [feed, slots] of generation)
        for (const [slot, some] of slots)
          for (const { by, indexes } of some) {
            const known = all.get(`${by} ${feed}`) ?? [by, feed, []]
            all.set(`${by} ${feed}`, known)
            known[2].push([slot, indexes])
          }
    return [...all.values()]
  }

  /** Somebody has, or had, these records of a slot under a lease of its own. Returns which of them somebody else did, and who, where that is news. */
  had(slot: number, feed: FeedId, indexes: Indexes, by: PeerId): [index: number, other: PeerId][] {
    const young = this.#youngOf(slot, feed)
    const twice: [number, PeerId][] = []
    const near: Had[] = []
    for (const known of [young, this.#old.get(feed)?.get(slot) ?? []])
      for (const had of known) if (had.indexes.touches(indexes.first, indexes.last + 1)) near.push(had)
    const fresh = near.length === 0 ? [indexes] : Indexes.of(this.#freshOf(near, feed, indexes, by, twice))
    for (const some of fresh) {
      keep(young, some, by)
      this.#count += some.count
    }
    if (this.#count > limits.groupDeliveriesMax) {
      this.#old = this.#young
      this.#young = new Map()
      this.#count = 0
    }
    return twice
  }

  /** Those that nobody had, of the others into `twice` what is to be told. */
  #freshOf(near: Had[], feed: FeedId, indexes: Indexes, by: PeerId, twice: [number, PeerId][]): number[] {
    const known = new Map<number, PeerId>()
    for (const had of near) for (const index of had.indexes) if (!known.has(index)) known.set(index, had.by)
    const fresh: number[] = []
    for (const index of indexes) {
      const other = known.get(index)
      if (other === undefined) fresh.push(index)
      else if (other !== by && this.#isNews(`${feed}/${index}`)) twice.push([index, other])
    }
    return fresh
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

  #youngOf(slot: number, feed: FeedId): Had[] {
    const slots = this.#young.get(feed) ?? new Map<number, Had[]>()
    this.#young.set(feed, slots)
    const had = slots.get(slot) ?? []
    slots.set(slot, had)
    return had
  }
}

function keep(young: Had[], indexes: Indexes, by: PeerId): void {
  if (indexes.count >= smallMax) {
    young.push({ indexes, by, isOurs: false })
    return
  }
  for (const index of indexes) {
    const last = young.at(-1)
    const isRoom = last?.isOurs && last.by === by && last.indexes.last < index && last.indexes.count < smallMax
    if (!isRoom || !last.indexes.grow(index)) young.push({ indexes: new Indexes(index), by, isOurs: true })
  }
}
