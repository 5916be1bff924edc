/**
 * How often open records of one slot were handed out, in the runs in which that was told: what comes is nearly always all new, and what goes the
 * beginning of a run, so that a run costs about what one record would. Pure.
 */

interface Run {
  /** Ascending. */
  indexes: readonly number[]
  /** Where those begin that are open. */
  start: number
  last: number
  count: number
}

export class Tried {
  /** In the order in which they came; a record is in one of them. */
  #runs: Run[] = []
  #size = 0

  get size(): number {
    return this.#size
  }

  /** One of the first that came. */
  get oldest(): number | undefined {
    const [run] = this.#runs
    return run && firstOf(run)
  }

  /** 0 for none. */
  get(index: number): number {
    for (const run of this.#runs)
      if (index <= run.last && index >= firstOf(run) && run.indexes.indexOf(index, run.start) >= 0) return run.count
    return 0
  }

  /** These, ascending, were handed out so often, or more often as was known before. They must not change afterwards. */
  add(indexes: readonly number[], count: number): void {
    const [first, last] = [indexes[0], indexes.at(-1)]
    if (first === undefined || last === undefined) return
    if (this.#runs.some((run) => first <= run.last && last >= firstOf(run))) {
      const more = indexes.filter((index) => this.get(index) < count)
      for (const index of more) this.delete(index, index + 1)
      this.#push(more, count)
    } else this.#push(indexes, count)
  }

  /** Those of [from, to). */
  delete(from: number, to: number): void {
    let isEmpty = false
    for (const run of this.#runs) {
      if (to <= firstOf(run) || from > run.last) continue
      const before = run.indexes.length - run.start
      if (from <= firstOf(run)) while (run.start < run.indexes.length && firstOf(run) < to) run.start++
      else {
        run.indexes = run.indexes.slice(run.start).filter((index) => index < from || index >= to)
        run.start = 0
        run.last = run.indexes.at(-1) as number
      }
      this.#size -= before - (run.indexes.length - run.start)
      isEmpty ||= run.start === run.indexes.length
    }
    if (isEmpty) this.#runs = this.#runs.filter(({ indexes, start }) => start < indexes.length)
  }

  *entries(): Iterable<[index: number, count: number]> {
    for (const { indexes, start, count } of this.#runs)
      for (let at = start; at < indexes.length; at++) yield [indexes[at] as number, count]
  }

  #push(indexes: readonly number[], count: number): void {
    if (indexes.length === 0) return
    this.#runs.push({ indexes, start: 0, last: indexes.at(-1) as number, count })
    this.#size += indexes.length
  }
}

function firstOf({ indexes, start }: Run): number {
  return indexes[start] as number
}
