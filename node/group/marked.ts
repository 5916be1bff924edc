/**
 * Something known of each of some records of one slot, by their indexes: a sorted array, since what comes is nearly always behind what is there, and
 * costs nothing then. Pure.
 */
export class Marked<T> {
  readonly #indexes: number[] = []
  readonly #marks: T[] = []

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

  /** Where it is, or would be. */
  #at(index: number): number {
    let [low, high] = [0, this.#indexes.length]
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
