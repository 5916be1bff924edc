/**
 * Comparing systems on a machine that others use too: they take turns, and what counts is how they did side by side. Pure.
 *
 * In each round every system has one turn, in one order and then in the other (A B C, C B A, ...), so that a machine that slows down does not
 * favour whoever comes first. A ratio is taken within a round; of the ratios the median counts, with the interval that a bootstrap
 * (Efron 1979) gives it: the medians of as many ratios drawn from them with replacement, many times over.
 */

export interface Ratio {
  median: number
  /** Ends of the 95 % interval. */
  low: number
  high: number
  rounds: number
}

const draws = 10_000
const share = 0.95

/** Who has a turn, round by round. */
export function turnsOf<Name>(names: readonly Name[], rounds: number): Name[][] {
  return Array.from({ length: rounds }, (_, round) => (round % 2 === 0 ? [...names] : [...names].reverse()))
}

/** Of an even number, the mean of the two in the middle. NaN where there is nothing. */
export function medianOf(values: readonly number[]): number {
  return quantileOf(Float64Array.from(values).sort(), 0.5)
}

/** How much `one` is of `other`, over the rounds in which both have a figure. Undefined where there is none. */
export function ratioOf(one: readonly (number | null)[], other: readonly (number | null)[]): Ratio | undefined {
  const ratios = one.flatMap((figure, round) => {
    const beside = other[round]
    return figure === null || beside === null || beside === undefined ? [] : [figure / beside]
  })
  if (ratios.length === 0) return undefined
  const random = randomFrom(ratios.length)
  const drawn = Float64Array.from({ length: draws }, () =>
    medianOf(ratios.map(() => ratios[Math.floor(random() * ratios.length)] as number)),
  ).sort()
  const low = quantileOf(drawn, (1 - share) / 2)
  const high = quantileOf(drawn, (1 + share) / 2)
  return { median: medianOf(ratios), low, high, rounds: ratios.length }
}

/** What so large a share of the values lies below: of 0.99, all but a hundredth. */
export function shareOf(values: Iterable<number>, at: number): number {
  return quantileOf(Float64Array.from(values).sort(), at)
}

/** Between its neighbours where it lies between two values. */
function quantileOf(sorted: Float64Array, at: number): number {
  const place = at * (sorted.length - 1)
  const before = sorted[Math.floor(place)] ?? Number.NaN
  const after = sorted[Math.ceil(place)] ?? Number.NaN
  return before + (after - before) * (place - Math.floor(place))
}

/** Numbers in [0, 1) that are the same each time, so that the same figures give the same interval (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
