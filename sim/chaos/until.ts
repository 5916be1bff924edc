/**
 * Resolves with the first truthy value of `condition`, looked at every few milliseconds;
 * rejects after `ms` with an error that says `what` did not come about. For states no event tells of.
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  ms = 5_000,
  what = String(condition),
): Promise<NonNullable<T>> {
  const end = performance.now() + ms
  for (;;) {
    const value = await condition()
    if (value) return value
    if (performance.now() >= end) throw new Error(`not so after ${ms} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
