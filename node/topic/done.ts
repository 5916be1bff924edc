/** What is done of a numbered sequence: everything below a low-water mark, and ranges above it. Pure. */
import { limits } from '../limits.ts'

export interface Done {
  /** Everything before this index is done. */
  low: number
  /** Ranges [from, to) above `low` that are done, ascending, not touching. */
  ranges: [number, number][]
}

export function isDone({ low, ranges }: Readonly<Done>, index: number): boolean {
  return index < low || ranges.some(([from, to]) => index >= from && index < to)
}

/** Marks [from, to) as done. False where that would need more ranges than are kept: the oldest open index has to be done first. */
export function markDone(done: Done, from: number, to: number): boolean {
  if (to <= done.low) return true
  if (from <= done.low) done.low = to
  else if (!insert(done.ranges, from, to)) return false
  // Ranges that the low-water mark has reached are part of it.
  while (done.ranges[0] !== undefined && done.ranges[0][0] <= done.low) {
    done.low = Math.max(done.low, done.ranges[0][1])
    done.ranges.shift()
  }
  return true
}

/** Adds [from, to) to ascending ranges, joining those it touches; false when there is no room for another. */
function insert(ranges: [number, number][], from: number, to: number): boolean {
  // Acknowledgements mostly come in order: look from the end.
  let at = ranges.length
  while (at > 0 && (ranges[at - 1] as [number, number])[0] > from) at--
  const before = ranges[at - 1]
  if (before !== undefined && before[1] >= from) {
    before[1] = Math.max(before[1], to)
    at--
  } else {
    if (ranges.length >= limits.ackRangesMax) return false
    ranges.splice(at, 0, [from, to])
  }
  const current = ranges[at] as [number, number]
  while (ranges[at + 1] !== undefined && (ranges[at + 1] as [number, number])[0] <= current[1]) {
    current[1] = Math.max(current[1], (ranges[at + 1] as [number, number])[1])
    ranges.splice(at + 1, 1)
  }
  return true
}
