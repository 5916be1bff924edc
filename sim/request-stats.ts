/** The figures of a run's requests, from its history alone. */
import { type Distribution, distributionOf } from './distribution.ts'
import type { History } from './history.ts'

export interface RequestStats {
  asked: number
  answered: number
  /** The handler threw. */
  refused: number
  timedOut: number
  /** Told that nobody responds. */
  unattended: number
  /** From asking to the answer. */
  answerMs: Distribution
}

export function requestStatsOf({ requests: { asked } }: History): RequestStats {
  const failed = (code: string) =>
    asked.filter(({ outcome }) => outcome?.type === 'failed' && outcome.code === code).length
  const times = asked.flatMap(({ at, outcome }) => (outcome?.type === 'answered' ? [outcome.at - at] : []))
  return {
    asked: asked.length,
    answered: times.length,
    refused: failed('RequestFailed'),
    timedOut: failed('RequestTimeout'),
    unattended: failed('NoResponders'),
    answerMs: distributionOf(times),
  }
}
