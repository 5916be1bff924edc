/**
 * What another system publishes of itself, as tests: each rule is named as its documentation puts it, and a story between simulated peers
 * shows that it holds here too. Where we differ on purpose, the rule begins with `unlike` and says what holds instead.
 */
import * as assert from 'uvu/assert'
import { type SimulatedWorld, simulate } from '../../sim/index.ts'
import type { Suite } from './suite.ts'

export interface Rule<N extends number> {
  rule: string
  /** Where the documentation says so, and what of it the words above may leave out. */
  published: string
  /** Default 1. */
  seed?: number
  holds(world: SimulatedWorld<N>): Promise<unknown>
}

export function testRules<const N extends number>(test: Suite, peers: N, rules: readonly Rule<N>[]): void {
  for (const { rule, seed = 1, holds } of rules)
    test(rule, () => simulate({ peers, seed }, holds), { deadlineMs: 90_000 })
}

/** That a time is at least `min` and less than `max`, ms. */
export function between(ms: number, min: number, max: number, what = 'it'): void {
  assert.ok(ms >= min && ms < max, `${what} took ${ms} ms, and not ${min} to ${max}`)
}
