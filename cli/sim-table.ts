/** The result of simulated runs, on stdout. */
import type { RunFailure, RunResult, Stats } from '../sim/index.ts'
import { byteText, table } from './output.ts'

export type Outcome = RunResult | RunFailure

/** Without what only a report draws. */
export function jsonOf(results: Outcome[]): unknown {
  const plain = results.map((outcome) => {
    if ('failure' in outcome) return { ...outcome, violations: [], trace: null }
    const { timeline, ...rest } = outcome
    return rest
  })
  return plain.length === 1
    ? plain[0]
    : { runs: plain.length, failed: plain.filter(({ ok }) => !ok).length, results: plain }
}

const ms = (value: number) => `${Math.round(value)} ms`

/** Of one run every figure, of many a line each. */
export function tableOf(results: Outcome[]): string {
  const [only] = results
  if (results.length === 1 && only !== undefined && !('failure' in only))
    return table(['RUN', String(only.seed)], figuresOf(only))
  const head = [
    'SEED',
    '',
    'PEERS',
    'CONFIRMED',
    'DELIVERED',
    'LOST',
    'DUPLICATED',
    'OUT OF ORDER',
    'REPAIRED',
    'COPIES',
    'P99',
    'REAL',
  ]
  return table(head, [...results.map(lineOf), ...totalOf(results)])
}

function figuresOf({ stats, virtualMs, realMs, trace, ok }: RunResult): string[][] {
  const { deliveryMs, hops } = stats
  return [
    ['result', ok ? 'ok' : 'VIOLATED'],
    ['peers', String(stats.peers)],
    ['faults', String(stats.faults)],
    ['published', String(stats.published)],
    ['confirmed', String(stats.confirmed)],
    ['delivered', String(stats.delivered)],
    ['lost', String(stats.lost)],
    ['duplicated', String(stats.duplicated)],
    ['out of order', String(stats.outOfOrder)],
    ['repaired', String(stats.repaired)],
    ['copies of each payload', stats.copiesPerPayload.toFixed(2)],
    ['delivery p50/p99/max', `${ms(deliveryMs.p50)} / ${ms(deliveryMs.p99)} / ${ms(deliveryMs.max)}`],
    ['hops p50/p99/max', `${hops.p50} / ${hops.p99} / ${hops.max}`],
    ['memory, a peer', `${byteText(stats.memoryBytes)}, ${byteText(stats.memoryBytes / stats.peers)}`],
    [
      'virtual / real',
      `${(virtualMs / 1000).toFixed(1)} s / ${(realMs / 1000).toFixed(1)} s = ${(virtualMs / realMs).toFixed(1)}`,
    ],
    ['trace', trace],
  ]
}

function lineOf(outcome: Outcome): string[] {
  if ('failure' in outcome) return [String(outcome.seed), 'FAILED']
  const { seed, ok, stats, realMs } = outcome
  return [
    seed,
    ok ? 'ok' : 'VIOLATED',
    ...countsOf(stats),
    stats.copiesPerPayload.toFixed(2),
    ms(stats.deliveryMs.p99),
    `${(realMs / 1000).toFixed(1)} s`,
  ].map(String)
}

function totalOf(results: Outcome[]): string[][] {
  const done = results.filter((outcome): outcome is RunResult => 'stats' in outcome)
  const sum = (of: (result: RunResult) => number) => done.reduce((total, result) => total + of(result), 0)
  const counts = [0, 1, 2, 3, 4, 5, 6].map((at) => sum(({ stats }) => countsOf(stats)[at] ?? 0))
  const bad = results.filter(({ ok }) => !ok).length
  return [
    [
      'total',
      bad === 0 ? 'ok' : `${bad} BAD`,
      ...counts.map(String),
      '',
      '',
      `${(sum(({ realMs }) => realMs) / 1000).toFixed(0)} s`,
    ],
  ]
}

const countsOf = ({ peers, confirmed, delivered, lost, duplicated, outOfOrder, repaired }: Stats) => [
  peers,
  confirmed,
  delivered,
  lost,
  duplicated,
  outOfOrder,
  repaired,
]
