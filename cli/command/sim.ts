/** `grapevine sim`: peers in virtual time under faults drawn from a seed, judged by what Grapevine promises. */
import { randomInt } from 'node:crypto'
import { SingleBar } from 'cli-progress'
import { type Command, InvalidArgumentError } from 'commander'
import type { FaultKind, RunFailure, RunResult, Stats, Violation, Wish, WorkloadKind } from '../../sim/index.ts'
import { atLeastOne, count } from '../argument.ts'
import { byteText, paint, table, tell, write, writeJson } from '../output.ts'
import { stopAsked } from '../stop.ts'

interface SimOptions {
  peers?: number
  seconds?: number
  seed?: number
  runs: number
  jobs?: number
  faults?: string
  workload?: string
  shrink?: boolean
  json?: boolean
}

type Outcome = RunResult | RunFailure

const seedMax = 2 ** 31

export function addSim(program: Command): void {
  program
    .command('sim')
    .description('Simulate peers under faults and judge what becomes of their promises.')
    .option('--peers <n>', 'how many (default: 3 to 20, drawn from the seed)', atLeastOne)
    .option('--seconds <s>', 'virtual seconds under faults (default: 60)', atLeastOne)
    .option('--seed <n>', 'the first seed (default: any)', count)
    .option('--runs <k>', 'so many seeds in a row', atLeastOne, 1)
    .option('--jobs <n>', 'runs at a time (default: one for each core)', atLeastOne)
    .option('--faults <list>', 'kinds of faults, or none (default: drawn from the seed)')
    .option('--workload <list>', 'kinds of workload (default: drawn from the seed)')
    .option('--shrink', 'search for a smaller run that fails as well')
    .option('--json', 'one JSON object')
    .action(sim)
}

async function sim(options: SimOptions): Promise<void> {
  const { runMany } = await import('../../sim/index.ts')
  const wish = await wishOf(options)
  const first = options.seed ?? randomInt(seedMax)
  const tasks = Array.from({ length: options.runs }, (_, at) => ({ seed: first + at, wish }))
  const bar = options.json || !process.stderr.isTTY ? undefined : progressBar(tasks.length)
  const results = await runMany(tasks, {
    ...(options.jobs === undefined ? {} : { jobs: options.jobs }),
    signal: stopAsked(),
    onProgress: (done) => bar?.update(Math.round(done * 100) / 100),
  })
  bar?.stop()
  results.sort((a, b) => a.seed - b.seed)
  const failed = results.filter(({ ok }) => !ok)
  const commit = failed.length > 0 ? await commitOf() : ''
  if (options.json) await writeJson(jsonOf(results))
  else await write(tableOf(results))
  for (const outcome of failed) tellFailure(outcome, commit, options)
  if (failed.length === 0) return
  process.exitCode = 1
  if (options.shrink) await shrinkFirst(failed[0] as Outcome, wish)
}

async function wishOf({ peers, seconds, faults, workload }: SimOptions): Promise<Wish> {
  const { faultKinds, workloadKinds } = await import('../../sim/index.ts')
  return {
    ...(peers === undefined ? {} : { peers }),
    ...(seconds === undefined ? {} : { seconds }),
    ...(faults === undefined ? {} : { faults: faults === 'none' ? 'none' : listOf<FaultKind>(faults, faultKinds) }),
    ...(workload === undefined ? {} : { workload: listOf<WorkloadKind>(workload, workloadKinds) }),
  }
}

function listOf<T extends string>(text: string, known: readonly T[]): T[] {
  return text.split(',').map((word) => {
    const found = known.find((each) => each === word.trim())
    if (found === undefined)
      throw new InvalidArgumentError(`There is no ${word.trim()}: take some of ${known.join(', ')}.`)
    return found
  })
}

function progressBar(total: number): SingleBar {
  const bar = new SingleBar({
    format: '{bar} {value}/{total} runs, {eta_formatted} left',
    stream: process.stderr,
    clearOnComplete: true,
  })
  bar.start(total, 0)
  return bar
}

function jsonOf(results: Outcome[]): unknown {
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
function tableOf(results: Outcome[]): string {
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
    ['memory', byteText(stats.memoryBytes)],
    ['virtual / real', `${(virtualMs / 1000).toFixed(1)} s / ${(realMs / 1000).toFixed(1)} s`],
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

function tellFailure(outcome: Outcome, commit: string, { peers, seconds, faults, workload }: SimOptions): void {
  tell(`${paint('red', `seed ${outcome.seed} at ${commit}:`)}`)
  if ('failure' in outcome) tell(`  ${outcome.failure}`)
  else for (const violation of outcome.violations) tell(`  ${sentenceOf(violation)}`)
  const given = Object.entries({ peers, seconds, faults, workload }).flatMap(([name, value]) =>
    value === undefined ? [] : [` --${name} ${value}`],
  )
  tell(`  again: ${paint('cyan', `grapevine sim --seed ${outcome.seed}${given.join('')}`)}`)
}

function sentenceOf({ promise, at, text }: Violation): string {
  return `${paint('bold', promise)} at ${(at / 1000).toFixed(3)} s: ${text}`
}

/** In a clone its commit, elsewhere the version of the package. */
async function commitOf(): Promise<string> {
  const { revision } = await import('../../sim/index.ts')
  return revision()
}

async function shrinkFirst(failed: Outcome, wish: Wish): Promise<void> {
  const { drawPlan, runMany, shrink } = await import('../../sim/index.ts')
  tell('looking for a smaller run that fails as well …')
  const { plan, tried } = await shrink(drawPlan(failed.seed, wish), {
    run: async (candidate) => (await runMany([{ plan: candidate }]))[0] as Outcome,
    onSmaller: ({ peers, timeline, safetyMs }, runs) =>
      tell(`  after ${runs} runs: ${peers.length} peers, ${timeline.length} faults, ${safetyMs / 1000} s`),
  })
  tell(`smallest after ${tried} runs; its plan goes to stdout`)
  await writeJson(plan)
}
