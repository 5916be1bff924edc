/**
 * `npm run sim:mutants`: plants one bug after the other in a copy of the project, runs simulated worlds until one shows a violation,
 * and says which were caught within how many seeds. What a seed finds also without the bug does not count for it.
 *
 *   --seeds N   at most so many each (200)      --only A,B  these only
 *   --jobs N    at a time (2)                   --json      the result as JSON on stdout
 *   --groups    those of consumer groups, queues and requests instead, in runs that have these
 *
 * Exits with 1 where fewer than 95 % are caught.
 */
import { parseArgs } from 'node:util'
import { hunt, type SeedVerdict } from './hunt.ts'
import { mutants } from './list.ts'
import { type Mutant, type Wishes, wishesOf } from './mutant.ts'
import { Tree } from './tree.ts'

interface Finding {
  name: string
  breaks: string
  why: string
  caught: boolean
  /** Runs it took, or that were tried. */
  seeds: number
  /** The one that caught it, and what it showed. */
  seed: number | undefined
  text: string
  seconds: number
}

const share = 0.95

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '200' },
    jobs: { type: 'string', default: '2' },
    only: { type: 'string' },
    json: { type: 'boolean', default: false },
    groups: { type: 'boolean', default: false },
  },
})
const seedsMax = wholeNumber('--seeds', values.seeds)
const chosen = choose(values.only)
const findings: Finding[] = []
const healthy = new Map<string, Promise<boolean>>()

using clean = new Tree()
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(130))
const waiting = [...chosen]
await Promise.all(
  Array.from({ length: Math.min(wholeNumber('--jobs', values.jobs), chosen.length) }, async () => {
    using tree = new Tree()
    for (let mutant = waiting.shift(); mutant !== undefined; mutant = waiting.shift()) {
      const finding = await judge(tree, mutant)
      findings.push(finding)
      tell(`${String(findings.length).padStart(3)}/${chosen.length}  ${sentenceOf(finding)}`)
    }
  }),
)
report()

async function judge(tree: Tree, mutant: Mutant): Promise<Finding> {
  const begun = performance.now()
  const { name, breaks, why } = mutant
  return tree.with(mutant, async () => {
    let caught: SeedVerdict | undefined
    let from = 1
    while (caught === undefined && from <= seedsMax) {
      const found = await hunt(tree.folder, from, seedsMax, wishesOf(mutant))
      if (found === undefined) break
      if (await isHealthy(found.seed, wishesOf(mutant))) caught = found
      from = found.seed + 1
    }
    const seconds = Math.round((performance.now() - begun) / 100) / 10
    const seeds = caught?.seed ?? seedsMax
    return {
      name,
      breaks,
      why,
      caught: caught !== undefined,
      seeds,
      seed: caught?.seed,
      text: caught?.text ?? '',
      seconds,
    }
  })
}

/** Whether this seed shows nothing in the project as it is. */
function isHealthy(seed: number, wishes: Wishes): Promise<boolean> {
  const key = `${wishes} ${seed}`
  const known = healthy.get(key) ?? hunt(clean.folder, seed, seed, wishes).then((found) => found === undefined)
  healthy.set(key, known)
  return known
}

function report(): void {
  const caught = findings.filter((finding) => finding.caught)
  const missed = findings.filter((finding) => !finding.caught)
  if (values.json) {
    process.stdout.write(`${JSON.stringify({ total: findings.length, caught: caught.length, seedsMax, findings })}\n`)
  } else {
    const percent = ((100 * caught.length) / findings.length).toFixed(0)
    process.stdout.write(
      `${caught.length} of ${findings.length} planted bugs caught (${percent} %) within ${seedsMax} seeds each\n`,
    )
    for (const { name, breaks, why } of missed) process.stdout.write(`not caught: ${name} (${breaks}: ${why})\n`)
  }
  if (caught.length < share * findings.length) process.exitCode = 1
}

function sentenceOf({ name, caught, seeds, text, seconds }: Finding): string {
  if (!caught) return `${name}: not caught in ${seeds} seeds (${seconds} s)`
  return `${name}: caught by seed ${seeds} (${seconds} s): ${text}`
}

function choose(only: string | undefined): readonly Mutant[] {
  if (only === undefined) return mutants.filter((one) => (wishesOf(one) !== 'usual') === values.groups)
  return only.split(',').map((name) => {
    const mutant = mutants.find((one) => one.name === name)
    if (mutant === undefined) fail(`there is no mutant ${name}, but ${mutants.map((one) => one.name).join(', ')}`)
    return mutant
  })
}

function wholeNumber(option: string, text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1) fail(`${option} takes a whole number from 1`)
  return value
}

function tell(line: string): void {
  process.stderr.write(`${line}\n`)
}

function fail(sentence: string): never {
  tell(sentence)
  process.exit(2)
}
