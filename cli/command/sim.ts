/** `grapevine sim`: peers in virtual time, or as real processes, under faults drawn from a seed, judged by what Grapevine promises. */
import { randomInt } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { SingleBar } from 'cli-progress'
import { type Command, Option } from 'commander'
import { GrapevineError } from '../../node/index.ts'
import type { FaultKind, Plan, RunResult, Scenario, Violation, Wish, WorkloadKind } from '../../sim/index.ts'
import { atLeastOne, count } from '../argument.ts'
import { paint, tell, write, writeJson } from '../output.ts'
import { jsonOf, type Outcome, tableOf } from '../sim-table.ts'
import { stopAsked } from '../stop.ts'

interface SimOptions {
  peers?: number
  seconds?: number
  seed?: number
  runs: number
  jobs?: number
  faults?: string
  workload?: string
  scenario?: string
  real?: boolean
  report?: string
  shrink?: boolean
  json?: boolean
}

const seedMax = 2 ** 31
/** Processes share the cores with each other, and real seconds are dear. */
const realPeers = 8
const realWorkload: WorkloadKind[] = ['pubsub', 'durable']

export function addSim(program: Command): void {
  program
    .command('sim')
    .description('Simulate peers under faults and judge what becomes of their promises.')
    .option('--peers <n>', `how many (default: 3 to 20, drawn from the seed; with --real ${realPeers})`, atLeastOne)
    .option('--seconds <s>', 'seconds under faults, virtual ones unless --real (default: 60)', atLeastOne)
    .option('--seed <n>', 'the first seed (default: any)', count)
    .option('--runs <k>', 'so many seeds in a row', atLeastOne, 1)
    .option('--jobs <n>', 'runs at a time (default: one for each core)', atLeastOne)
    .option('--faults <list>', 'kinds of faults, or none (default: drawn from the seed)')
    .option('--workload <list>', 'kinds of workload (default: drawn from the seed)')
    .addOption(
      new Option('--scenario <file>', 'a run written as YAML; the simulator has examples in sim/scenario').conflicts([
        'peers',
        'seconds',
        'faults',
        'workload',
      ]),
    )
    .option('--real', 'with real processes over TCP: SIGKILL, SIGSTOP, cut links, harmed files, full disks')
    .option('--report <file>', 'write an HTML report on the run (of several, on the first that failed)')
    .addOption(new Option('--shrink', 'search for a smaller run that fails as well').conflicts('real'))
    .option('--json', 'one JSON object')
    .action(sim)
}

async function sim(options: SimOptions): Promise<void> {
  const scenario = options.scenario === undefined ? undefined : await scenarioIn(options.scenario)
  const plans = await plansOf(options, scenario)
  const progress = process.stderr.isTTY && !options.json ? progressBar(plans.length) : progressLines(plans.length)
  const results = options.real ? await runProcesses(plans, progress) : await runWorlds(plans, options, progress)
  progress.stop()
  results.sort((a, b) => a.seed - b.seed)
  for (const outcome of results) if (!('failure' in outcome)) expect(outcome, scenario)
  const failed = results.filter(({ ok }) => !ok)
  const { revision } = await import('../../sim/index.ts')
  const commit = failed.length > 0 || options.report !== undefined ? await revision() : ''
  if (options.json) await writeJson(jsonOf(results))
  else await write(tableOf(results))
  if (options.report !== undefined) await report(options.report, results, { commit, options, scenario })
  for (const outcome of failed) tellFailure(outcome, commit, options)
  if (failed.length === 0) return
  process.exitCode = 1
  const [first] = failed
  if (options.shrink && first) await shrinkFirst(plans.find(({ seed }) => seed === first.seed) as Plan)
}

async function scenarioIn(file: string): Promise<Scenario> {
  const { loadScenario, ScenarioError } = await import('../../sim/index.ts')
  try {
    return loadScenario(file)
  } catch (error) {
    if (error instanceof ScenarioError) throw new GrapevineError('InvalidOption', error.message, { option: 'scenario' })
    throw error
  }
}

/** One for each run, of seeds in a row. */
async function plansOf(options: SimOptions, scenario: Scenario | undefined): Promise<Plan[]> {
  const { drawPlan } = await import('../../sim/index.ts')
  const first = options.seed ?? scenario?.plan.seed ?? randomInt(seedMax)
  const wish = scenario === undefined ? await wishOf(options) : {}
  return Array.from({ length: options.runs }, (_, at) =>
    scenario === undefined ? drawPlan(first + at, wish) : { ...scenario.plan, seed: first + at },
  )
}

async function runWorlds(plans: Plan[], { jobs }: SimOptions, progress: Progress): Promise<Outcome[]> {
  const { runMany } = await import('../../sim/index.ts')
  const tasks = plans.map((plan) => ({ plan }))
  return runMany(tasks, { ...(jobs === undefined ? {} : { jobs }), signal: stopAsked(), ...progress })
}

/** One after the other: each is many processes. */
async function runProcesses(plans: Plan[], { onProgress, onResult }: Progress): Promise<Outcome[]> {
  const { runReal } = await import('../../sim/index.ts')
  const stop = stopAsked()
  const results: Outcome[] = []
  for (const plan of plans) {
    if (stop.aborted) break
    const running = runReal(plan, { onProgress: (share) => onProgress(results.length + share), signal: stop })
    const result = await running.catch((error) => ({ seed: plan.seed, ok: false as const, failure: String(error) }))
    results.push(result)
    onResult(result)
    onProgress(results.length)
  }
  return results
}

/** What a scenario expects beyond the promises. */
function expect(result: RunResult, scenario: Scenario | undefined): void {
  const unmet = scenario?.judge(result.stats, result.virtualMs) ?? []
  result.violations.push(...unmet)
  result.ok &&= unmet.length === 0
}

interface Reported {
  commit: string
  options: SimOptions
  scenario: Scenario | undefined
}

async function report(file: string, results: Outcome[], { commit, options, scenario }: Reported): Promise<void> {
  const done = results.filter((outcome): outcome is RunResult => 'stats' in outcome)
  const shown = done.find(({ ok }) => !ok) ?? done[0]
  if (shown === undefined) return tell('no run came to its end, so there is nothing to report')
  const { reportHtml } = await import('../../sim/index.ts')
  const others = results.map(({ seed, ok }) => ({ seed, ok }))
  const about = scenario === undefined ? {} : { about: scenario.about }
  await writeFile(file, reportHtml(shown, { commit, again: againOf(shown.seed, options), others, ...about }))
  tell(`report on seed ${shown.seed}: ${file}`)
}

async function wishOf({ peers, seconds, faults, workload, real }: SimOptions): Promise<Wish> {
  const { faultKinds, realKinds, workloadKinds } = await import('../../sim/index.ts')
  const kinds: readonly FaultKind[] = real ? realKinds : faultKinds
  // What cuts links is called so on the command line of chaos runs.
  const named = faults?.replace(/\bcut\b/g, 'partition')
  const wanted =
    named === undefined ? (real ? kinds : undefined) : named === 'none' ? 'none' : listOf('faults', named, kinds)
  const size = peers ?? (real ? realPeers : undefined)
  return {
    ...(size === undefined ? {} : { peers: size }),
    ...(seconds === undefined ? {} : { seconds }),
    ...(wanted === undefined ? {} : { faults: wanted }),
    ...(workload === undefined
      ? real
        ? { workload: realWorkload }
        : {}
      : { workload: listOf('workload', workload, workloadKinds) }),
  }
}

function listOf<T extends string>(option: string, text: string, known: readonly T[]): T[] {
  return text.split(',').map((word) => {
    const found = known.find((each) => each === word.trim())
    if (found === undefined)
      throw new GrapevineError(
        'InvalidOption',
        `--${option}: there is no ${word.trim()}: take some of ${known.join(', ')}`,
        { option },
      )
    return found
  })
}

/** What is said while runs are under way. `done` counts runs, those under way by their share. */
interface Progress {
  onProgress(done: number): void
  onResult(outcome: Outcome): void
  stop(): void
}

function progressBar(total: number): Progress {
  const bar = new SingleBar({
    format: '{bar} {value}/{total} runs, {bad} bad, {eta_formatted} left',
    stream: process.stderr,
    clearOnComplete: true,
  })
  let bad = 0
  bar.start(total, 0, { bad })
  return {
    onProgress: (done) => bar.update(Math.round(done * 100) / 100),
    onResult: ({ ok }) => bar.update({ bad: ok ? bad : ++bad }),
    stop: () => bar.stop(),
  }
}

/** Of many runs: a line after each tenth of them, and at once for each that is bad. */
function progressLines(total: number): Progress {
  const step = Math.ceil(total / 10)
  let [done, bad] = [0, 0]
  return {
    onProgress: () => {},
    onResult: (outcome) => {
      done++
      if (!outcome.ok) bad++
      if (total > 1 && (!outcome.ok || done % step === 0))
        tell(`${done}/${total} runs, ${bad} bad${outcome.ok ? '' : `: seed ${outcome.seed}, ${firstWrongIn(outcome)}`}`)
    },
    stop: () => {},
  }
}

function firstWrongIn(outcome: Outcome): string {
  if ('failure' in outcome) return outcome.failure
  const [first] = outcome.violations
  return first === undefined ? '' : sentenceOf(first)
}

function tellFailure(outcome: Outcome, commit: string, options: SimOptions): void {
  tell(`${paint('red', `seed ${outcome.seed} at ${commit}:`)}`)
  if ('failure' in outcome) tell(`  ${outcome.failure}`)
  else for (const violation of outcome.violations) tell(`  ${sentenceOf(violation)}`)
  tell(`  again: ${paint('cyan', againOf(outcome.seed, options))}`)
}

/** The one command that does the same again. */
function againOf(seed: number, { peers, seconds, faults, workload, scenario, real }: SimOptions): string {
  const given = Object.entries({ scenario, peers, seconds, faults, workload }).flatMap(([name, value]) =>
    value === undefined ? [] : [` --${name} ${value}`],
  )
  return `grapevine sim --seed ${seed}${real ? ' --real' : ''}${given.join('')}`
}

function sentenceOf({ promise, at, text }: Violation): string {
  return `${paint('bold', promise)} at ${(at / 1000).toFixed(3)} s: ${text}`
}

async function shrinkFirst(failed: Plan): Promise<void> {
  const { runMany, shrink } = await import('../../sim/index.ts')
  tell('looking for a smaller run that fails as well …')
  const { plan, tried } = await shrink(failed, {
    run: async (candidate) => (await runMany([{ plan: candidate }]))[0] as Outcome,
    onSmaller: ({ peers, timeline, safetyMs }, runs) =>
      tell(`  after ${runs} runs: ${peers.length} peers, ${timeline.length} faults, ${safetyMs / 1000} s`),
  })
  tell(`smallest after ${tried} runs; its plan goes to stdout`)
  await writeJson(plan)
}
