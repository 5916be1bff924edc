/**
 * Something known of each of some records of one slot, by their indexes: a sorted array, since what comes is nearly always behind what is there, and what
 * goes is nearly always its beginning. Both cost nothing then. Pure.
 */

/** What has gone from the beginning is cut off when it is that much, and half of all. */
const cutMin = 64

export class Marked<T> {
  readonly #indexes: number[] = []
  readonly #marks: T[] = []
  #start = 0

  get size(): number {
    return this.#indexes.length - this.#start
  }

  get first(): number | undefined {
    return this.#indexes[this.#start]
  }

  get last(): number | undefined {
    return this.size === 0 ? undefined : this.#indexes.at(-1)
  }

  get(index: number): T | undefined {
    const at = this.#at(index)
    return this.#indexes[at] === index ? this.#marks[at] : undefined
  }

  set(index: number, mark: T): void {
    const at = this.#at(index)
    if (at === this.#indexes.length) {
      this.#indexes.push(index)
      this.#marks.push(mark)
    } else if (this.#indexes[at] === index) this.#marks[at] = mark
    else {
      this.#indexes.splice(at, 0, index)
      this.#marks.splice(at, 0, mark)
    }
  }

  /** Those of [from, to). */
  delete(from: number, to: number): void {
    const [at, end] = [this.#at(from), this.#at(to)]
    if (at === this.#start) this.#start = end
    else if (end > at) {
      this.#indexes.splice(at, end - at)
      this.#marks.splice(at, end - at)
    }
    if (this.#start < cutMin || 2 * this.#start < this.#indexes.length) return
    this.#indexes.splice(0, this.#start)
    this.#marks.splice(0, this.#start)
    this.#start = 0
  }

  *entries(): Iterable<[index: number, mark: T]> {
    for (let at = this.#start; at < this.#indexes.length; at++)
      yield [this.#indexes[at] as number, this.#marks[at] as T]
  }

  /** Where it is, or would be. */
  #at(index: number): number {
    let [low, high] = [this.#start, this.#indexes.length]
    if (low === high || (this.#indexes[high - 1] as number) < index) return high
    if ((this.#indexes[low] as number) >= index) return low
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#indexes[middle] as number) < index) low = middle + 1
      else high = middle
    }
    return low
  }
}
