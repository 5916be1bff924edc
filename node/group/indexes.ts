/**
 * Ascending indexes of records of one slot, as they are told: the first, the last, and the steps from each to the next as one text, a character
 * each. All members hear of every record, and nearly all they do with what they hear is to compare and keep it: that looks at both ends, and
 * nothing is done index by index. Only who asks for single ones reads the text.
 */
import type { FeedId } from '../types.ts'

/** A step is a character behind this one, which no step is: those that are written longer in JSON come before. */
const noStep = 0x22
/** Beyond come the surrogates, which are no characters. Longer steps begin indexes anew. */
const stepMax = 0xd7ff - noStep

export class Indexes {
  readonly first: number
  last: number
  steps: string

  /** `steps` may be anything where somebody else says so: what does not ascend to `last` ends there. */
  constructor(first: number, last = first, steps = '') {
    this.first = first
    this.last = last
    this.steps = steps
  }

  /** In as many as it takes. */
  static of(indexes: readonly number[]): Indexes[] {
    const all: Indexes[] = []
    for (const index of indexes) if (!all.at(-1)?.grow(index)) all.push(new Indexes(index))
    return all
  }

  get count(): number {
    return this.steps.length + 1
  }

  /** One more, that lies behind the others or is the last of them. False where it is too far away. Not to be called once it is told. */
  grow(index: number): boolean {
    const step = index - this.last
    if (step === 0) return true
    if (step > stepMax) return false
    this.steps += String.fromCharCode(noStep + step)
    this.last = index
    return true
  }

  /** Whether any may lie in [from, to). */
  touches(from: number, to: number): boolean {
    return from <= this.last && to > this.first
  }

  has(index: number): boolean {
    let at = this.first
    for (let i = 0; at < index && i < this.steps.length; i++) at += this.steps.charCodeAt(i) - noStep
    return at === index && this.touches(index, index + 1)
  }

  *[Symbol.iterator](): Iterator<number> {
    let index = this.first
    yield index
    for (let i = 0; i < this.steps.length; i++) {
      const step = this.steps.charCodeAt(i) - noStep
      index += step
      if (step < 1 || index > this.last) return
      yield index
    }
  }

  /** As it is told. */
  toJSON(): [first: number, last: number, steps: string] {
    return [this.first, this.last, this.steps]
  }
}

interface Placed {
  readonly slot: number
  readonly feed: FeedId
  readonly index: number
}

/** By feed and slot, ascending: consumers beside each other have records of all slots in turns, and by slots these are in few sets. */
export function bySlot<T extends Placed>(records: readonly T[]): Map<FeedId, (T[] | undefined)[]> {
  const feeds = new Map<FeedId, (T[] | undefined)[]>()
  const unsorted = new Set<T[]>()
  let last: FeedId | undefined
  let slots: (T[] | undefined)[] = []
  for (const record of records) {
    const { feed, slot, index } = record
    if (feed !== last) {
      slots = feeds.get(feed) ?? []
      feeds.set(feed, slots)
      last = feed
    }
    const known = slots[slot]
    if (known === undefined) slots[slot] = [record]
    else {
      if ((known[known.length - 1] as T).index > index) unsorted.add(known)
      known.push(record)
    }
  }
  for (const some of unsorted) some.sort((one, other) => one.index - other.index)
  return feeds
}
