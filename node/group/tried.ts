/**
 * How often open records of one slot were handed out, in the sets in which that was told: what comes is nearly always all new, and goes from one end
 * or as a whole, so that a set costs about what one record would. Pure.
 */
import { Indexes } from './indexes.ts'

interface Told {
  readonly indexes: Indexes
  readonly count: number
  /** Where its open records lie: [from, to), ascending. */
  open: [from: number, to: number][]
}

export class Tried {
  /** In the order in which they came; an open record is in one of them. */
  #told: Told[] = []
  #size = 0

  /** Records in sets that have open ones. */
  get size(): number {
    return this.#size
  }

  /** 0 for none. */
  get(index: number): number {
    for (const { indexes, count, open } of this.#told)
      if (indexes.touches(index, index + 1) && isIn(open, index) && indexes.has(index)) return count
    return 0
  }

  /** These were handed out so often, or more often as was known before. They must not change afterwards. */
  add(indexes: Indexes, count: number): void {
    const near = new Map<number, number>()
    for (const told of this.#told)
      if (told.indexes.touches(indexes.first, indexes.last + 1))
        for (const index of told.indexes) if (isIn(told.open, index)) near.set(index, told.count)
    if (near.size === 0) {
      this.#push(indexes, count)
      return
    }
    const more = [...indexes].filter((index) => (near.get(index) ?? 0) < count)
    for (const index of more) if (near.has(index)) this.delete(index, index + 1)
    for (const some of Indexes.of(more)) this.#push(some, count)
  }

  /** Those of [from, to). */
  delete(from: number, to: number): void {
    let isEmpty = false
    for (const told of this.#told) {
      if (!told.indexes.touches(from, to)) continue
      const [first, second] = told.open
      if (first !== undefined && second === undefined && from <= first[0] && to < first[1])
        first[0] = Math.max(to, first[0])
      else told.open = without(told.open, from, to)
      isEmpty ||= told.open.length === 0
    }
    if (!isEmpty) return
    this.#told = this.#told.filter(({ open }) => open.length > 0)
    this.#size = this.#told.reduce((size, { indexes }) => size + indexes.count, 0)
  }

  /** Forgets the set that came first. */
  shift(): void {
    this.#size -= this.#told.shift()?.indexes.count ?? 0
  }

  *entries(): Iterable<[index: number, count: number]> {
    for (const { indexes, count, open } of this.#told)
      for (const index of indexes) if (isIn(open, index)) yield [index, count]
  }

  #push(indexes: Indexes, count: number): void {
    this.#told.push({ indexes, count, open: [[indexes.first, indexes.last + 1]] })
    this.#size += indexes.count
  }
}

function isIn(ranges: readonly [number, number][], index: number): boolean {
  for (const [from, to] of ranges) if (index >= from && index < to) return true
  return false
}

/** What is left of the ranges without [from, to). */
function without(ranges: readonly [number, number][], from: number, to: number): [number, number][] {
  const left: [number, number][] = []
  for (const range of ranges) {
    if (to <= range[0] || from >= range[1]) left.push(range)
    else {
      if (range[0] < from) left.push([range[0], from])
      if (range[1] > to) left.push([to, range[1]])
    }
  }
  return left
}
