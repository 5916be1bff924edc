/** A clock that all processes of this machine share: what one of them sent at a moment, another can say how long it took. */

/**
 * Since the machine started, in ms (CLOCK_MONOTONIC); `performance.now()` counts the same from a moment of each process's own. Where this process
 * lost its turn between the two the difference is too small: the largest of many counts.
 */
const beforeMs = Math.max(
  ...Array.from({ length: 1_000 }, () => Number(process.hrtime.bigint()) / 1e6 - performance.now()),
)

export function sharedNow(): number {
  return beforeMs + performance.now()
}
