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

interface Column {
  head: string
  of(stats: Stats): number | undefined
}

const columns: Column[] = [
  { head: 'PEERS', of: ({ peers }) => peers },
  { head: 'CONFIRMED', of: ({ confirmed }) => confirmed },
  { head: 'DELIVERED', of: ({ delivered }) => delivered },
  { head: 'LOST', of: ({ lost }) => lost },
  { head: 'DUPLICATED', of: ({ duplicated }) => duplicated },
  { head: 'OUT OF ORDER', of: ({ outOfOrder }) => outOfOrder },
  { head: 'REPAIRED', of: ({ repaired }) => repaired },
]

/** Shown where a run has them: what groups and queues acknowledged, what came again, what became a dead letter. */
const sharedColumns: Column[] = [
  { head: 'SHARED', of: ({ groups }) => groups?.acked },
  { head: 'RECEIVED', of: ({ queues }) => queues?.acked },
  { head: 'AGAIN', of: ({ groups, queues }) => sum([groups?.redelivered, queues?.redelivered]) },
  { head: 'DEAD', of: ({ groups, queues }) => sum([groups?.dead, queues?.dead]) },
  { head: 'ANSWERED', of: ({ requests }) => requests?.answered },
]

/** Of one run every figure, of many a line each. */
export function tableOf(results: Outcome[]): string {
  const [only] = results
  if (results.length === 1 && only !== undefined && !('failure' in only))
    return table(['RUN', String(only.seed)], figuresOf(only))
  const done = results.filter((outcome): outcome is RunResult => 'stats' in outcome)
  const isThere = ({ of }: Column) => done.some(({ stats }) => of(stats) !== undefined)
  const shown = [...columns, ...sharedColumns.filter(isThere)]
  const head = ['SEED', '', ...shown.map(({ head }) => head), 'COPIES', 'P99', 'REAL']
  return table(head, [...results.map((outcome) => lineOf(outcome, shown)), totalOf(results, done, shown)])
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
    ['delivery p50/p99/max', timesOf(deliveryMs)],
    ['hops p50/p99/max', `${hops.p50} / ${hops.p99} / ${hops.max}`],
    ...sharedFiguresOf('groups', stats.groups),
    ...sharedFiguresOf('queues', stats.queues),
    ...requestFiguresOf(stats.requests),
    ['memory, a peer', `${byteText(stats.memoryBytes)}, ${byteText(stats.memoryBytes / stats.peers)}`],
    [
      'virtual / real',
      `${(virtualMs / 1000).toFixed(1)} s / ${(realMs / 1000).toFixed(1)} s = ${(virtualMs / realMs).toFixed(1)}`,
    ],
    ['trace', trace],
  ]
}

function sharedFiguresOf(what: string, stats: Stats['groups']): string[][] {
  if (stats === undefined) return []
  const { handedOut, acked, redelivered, dead, takeoverMs } = stats
  return [
    [`${what}: handed out`, String(handedOut)],
    [`${what}: acknowledged`, String(acked)],
    [`${what}: redelivered`, String(redelivered)],
    [`${what}: dead letters`, String(dead)],
    [`${what}: takeover p50/p99/max`, timesOf(takeoverMs)],
  ]
}

function requestFiguresOf(stats: Stats['requests']): string[][] {
  if (stats === undefined) return []
  const { asked, answered, refused, timedOut, unattended, answerMs } = stats
  return [
    ['requests: asked', String(asked)],
    ['requests: answered', String(answered)],
    ['requests: refused', String(refused)],
    ['requests: timed out', String(timedOut)],
    ['requests: nobody there', String(unattended)],
    ['requests: answer p50/p99/max', timesOf(answerMs)],
  ]
}

const timesOf = ({ p50, p99, max }: Stats['deliveryMs']) => `${ms(p50)} / ${ms(p99)} / ${ms(max)}`

function lineOf(outcome: Outcome, shown: readonly Column[]): string[] {
  if ('failure' in outcome) return [String(outcome.seed), 'FAILED']
  const { seed, ok, stats, realMs } = outcome
  const counts = shown.map(({ of }) => of(stats) ?? '')
  const real = `${(realMs / 1000).toFixed(1)} s`
  return [
    seed,
    ok ? 'ok' : 'VIOLATED',
    ...counts,
    stats.copiesPerPayload.toFixed(2),
    ms(stats.deliveryMs.p99),
    real,
  ].map(String)
}

function totalOf(results: readonly Outcome[], done: readonly RunResult[], shown: readonly Column[]): string[] {
  const bad = results.filter(({ ok }) => !ok).length
  const sums = shown.map(({ of }) => String(sum(done.map(({ stats }) => of(stats)))))
  const realMs = sum(done.map((result) => result.realMs)) ?? 0
  return ['total', bad === 0 ? 'ok' : `${bad} BAD`, ...sums, '', '', `${(realMs / 1000).toFixed(0)} s`]
}

/** Undefined where there is nothing to add. */
function sum(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined)
  return known.length === 0 ? undefined : known.reduce((total, value) => total + value, 0)
}
