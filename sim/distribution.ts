/** How values spread, in three figures. */
export interface Distribution {
  p50: number
  p99: number
  max: number
}

/** Nearest rank. Zeros where there is nothing. */
export function distributionOf(values: readonly number[]): Distribution {
  const sorted = Float64Array.from(values).sort()
  const rank = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0
  return { p50: rank(0.5), p99: rank(0.99), max: sorted.at(-1) ?? 0 }
}
