/**
 * When to try again what failed: at once the first time, then after waits that double up to a bound, for ever. Half of each wait is
 * chance, so that those who failed together do not come back together (full jitter halves the wait of some to nothing; "equal jitter" does not:
 * M. Brooker, "Exponential Backoff and Jitter", AWS 2015).
 */
import { limits } from '../limits.ts'

export class Backoff<K> {
  readonly #waits = new Map<K, { until: number; times: number }>()
  readonly #chance: () => number

  /** `chance` is uniform in [0, 1). */
  constructor(chance: () => number) {
    this.#chance = chance
  }

  /** Whether it may be tried. */
  ready(key: K, now: number): boolean {
    const wait = this.#waits.get(key)
    return wait === undefined || wait.until <= now
  }

  failed(key: K, now: number): void {
    const times = (this.#waits.get(key)?.times ?? 0) + 1
    const full = Math.min(limits.backoffMsMax, limits.backoffMsMin * 2 ** (times - 1))
    this.#set(key, now + full / 2 + (full / 2) * this.#chance(), times)
  }

  /** Not before `ms` from now, whatever was before. */
  hold(key: K, now: number, ms: number): void {
    this.#set(key, now + ms, this.#waits.get(key)?.times ?? 0)
  }

  succeeded(key: K): void {
    this.#waits.delete(key)
  }

  #set(key: K, until: number, times: number): void {
    this.#waits.delete(key)
    this.#waits.set(key, { until, times })
    // Forgetting one only means that it may be tried sooner.
    if (this.#waits.size > limits.backoffsMax) this.#waits.delete(this.#waits.keys().next().value as K)
  }
}
