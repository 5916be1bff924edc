/** Results in a file, with the machine that they are from, and what changed since. Ratios are compared, never figures of two runs. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus, release, totalmem, type } from 'node:os'
import { type Compared, type ComparedRatio, ratioText } from './compare.ts'

/** `quick`: of a tenth of the work, which has ratios of its own. */
export type Extent = 'full' | 'quick'

export interface Kept extends Compared {
  /** When it was measured, ISO 8601. */
  at: string
  /** Of the clone that was measured. */
  commit: string | undefined
  machine: Machine
}

interface Machine {
  cpu: string
  cores: number
  memoryGiB: number
  system: string
  node: string
}

type Results = Partial<Record<Extent, Kept[]>>

/** A ratio may be so much of what it was before it counts as fallen; and as long as the intervals meet, it may be the same. */
const fallenShare = 0.75

export function kept(compared: Compared): Kept {
  return { ...compared, at: new Date().toISOString(), commit: commit(), machine: machine() }
}

function machine(): Machine {
  const all = cpus()
  return {
    cpu: all[0]?.model ?? 'unknown',
    cores: all.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${release()}`,
    node: process.versions.node,
  }
}

function commit(): string | undefined {
  try {
    const args = ['describe', '--always', '--dirty']
    return execFileSync('git', args, { cwd: import.meta.dirname, encoding: 'utf8', stdio: 'pipe' }).trim()
  } catch {
    return undefined
  }
}

export function readKept(path: string, extent: Extent): Kept[] {
  const results: Results = JSON.parse(readFileSync(path, 'utf8'))
  return results[extent] ?? []
}

/** What was measured takes the place of what the file has of the same name; the rest stays. */
export function saveKept(path: string, extent: Extent, measured: readonly Kept[]): void {
  const results: Results = existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : {}
  const others = (results[extent] ?? []).filter(({ name }) => !measured.some((each) => each.name === name))
  const all = [...others, ...measured].sort((a, b) => (a.name < b.name ? -1 : 1))
  writeFileSync(path, `${JSON.stringify({ ...results, [extent]: all }, null, 2)}\n`)
}

export interface Change {
  before: ComparedRatio
  now: ComparedRatio
  /** Of what it was; more is better. */
  share: number
  hasFallen: boolean
}

/** Whether what was measured on one says something about the other: processors differ in what they are good at. */
export function isAlike(one: Machine, other: Machine): boolean {
  const major = ({ node }: Machine) => node.split('.')[0]
  return one.cpu === other.cpu && one.cores === other.cores && major(one) === major(other)
}

/** Of all ratios that both have. */
export function changesOf(before: Compared, now: Compared): Change[] {
  return now.ratios.flatMap((ratio) => {
    const earlier = before.ratios.find(
      ({ of, figure, to, toFigure }) =>
        of === ratio.of && figure === ratio.figure && to === ratio.to && toFigure === ratio.toFigure,
    )
    if (earlier === undefined) return []
    const share = ratio.better === 'more' ? ratio.median / earlier.median : earlier.median / ratio.median
    const isApart = ratio.better === 'more' ? ratio.high < earlier.low : ratio.low > earlier.high
    return [{ before: earlier, now: ratio, share, hasFallen: share < fallenShare && isApart }]
  })
}

export function changeText({ before, now, share, hasFallen }: Change): string {
  const percent = `${share >= 1 ? '+' : ''}${((share - 1) * 100).toFixed(0)} %`
  return `${ratioText(now)}; was ${before.median.toFixed(2)}: ${percent}${hasFallen ? ' FALLEN' : ''}`
}
