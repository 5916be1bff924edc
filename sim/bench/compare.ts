/** Runs a comparison: the systems that are here take turns, after one turn each that does not count. */
import { medianOf, type Ratio, ratioOf, turnsOf } from './rounds.ts'
import { type SystemName, systems } from './systems/all.ts'

/** What a turn comes to: more is better, in whatever unit. */
export interface Turn {
  figure: number
  /** What else is worth knowing of it, in words. */
  beside: string
}

export interface Comparison {
  name: string
  /** What is measured, in one line. */
  title: string
  unit: string
  systems: readonly SystemName[]
  /** What Grapevine's figure is to be of the best of the others. */
  ratioMin: number
  turn(system: SystemName): Promise<Turn>
}

export interface CompareOptions {
  rounds: number
  /** Without the turns before the first round. */
  cold?: boolean
  only?: readonly SystemName[] | undefined
  onProgress(line: string): void
}

export interface Row {
  system: SystemName
  version: string
  client: string
  durability: string
  /** By round; null where the turn failed. */
  figures: (number | null)[]
  median: number
  beside: string
}

export interface Compared {
  name: string
  title: string
  unit: string
  rows: Row[]
  /** Grapevine's figure over that of each other. */
  ratios: ({ to: SystemName } & Ratio)[]
  skipped: { system: SystemName; why: string }[]
  ratioMin: number
  /** Undefined where there is nobody to compare with. */
  met: boolean | undefined
}

const ours: SystemName = 'grapevine'

export async function compare(comparison: Comparison, options: CompareOptions): Promise<Compared> {
  const { name, title, unit, ratioMin } = comparison
  const { rounds, cold = false, only = comparison.systems, onProgress } = options
  const wanted = comparison.systems.filter((system) => only.includes(system))
  const here = wanted.filter((system) => systems[system].version() !== undefined)
  const skipped = wanted
    .filter((system) => !here.includes(system))
    .map((system) => ({ system, why: 'its server is not installed here' }))
  for (const { system, why } of skipped) onProgress(`${name}: ${system} is left out: ${why}`)

  const turns = new Map<SystemName, (Turn | undefined)[]>(here.map((system) => [system, []]))
  const take = async (system: SystemName, round: string): Promise<Turn | undefined> => {
    const turn = await comparison.turn(system).catch((error: unknown) => {
      onProgress(`${name}: ${round}: ${system} failed: ${error instanceof Error ? error.message : String(error)}`)
    })
    if (turn) onProgress(`${name}: ${round}: ${system} ${figureText(turn.figure)}${unit}, ${turn.beside}`)
    return turn ?? undefined
  }
  if (!cold) for (const system of here) await take(system, 'warm-up')
  for (const [round, order] of turnsOf(here, rounds).entries())
    for (const system of order) turns.get(system)?.push(await take(system, `round ${round + 1} of ${rounds}`))

  const figuresOf = (system: SystemName) => (turns.get(system) ?? []).map((turn) => turn?.figure)
  const ratios = here
    .filter((system) => system !== ours && here.includes(ours))
    .flatMap((to) => {
      const ratio = ratioOf(figuresOf(ours), figuresOf(to))
      return ratio === undefined ? [] : [{ to, ...ratio }]
    })
  const met = ratios.length === 0 ? undefined : ratios.every(({ median }) => median >= ratioMin)
  const rows = here.map((system) => rowOf(system, turns.get(system) ?? []))
  return { name, title, unit, rows, ratios, skipped, ratioMin, met }
}

function rowOf(system: SystemName, turns: readonly (Turn | undefined)[]): Row {
  const { version, client, durability } = systems[system]
  const figures = turns.map((turn) => turn?.figure ?? null)
  const good = turns.filter((turn) => turn !== undefined)
  const median = medianOf(good.map(({ figure }) => figure))
  // Of the turn that is nearest to the median.
  const [typical] = good.toSorted((a, b) => Math.abs(a.figure - median) - Math.abs(b.figure - median))
  const beside = typical?.beside ?? 'failed in every round'
  return { system, version: version() ?? '', client, durability, figures, median, beside }
}

function figureText(figure: number): string {
  return Number.isNaN(figure) ? '-' : Math.round(figure).toLocaleString('en')
}

/** As it is printed for people. */
export function comparedText({ title, unit, rows, ratios, skipped, ratioMin, met }: Compared): string {
  const lines = rows.map(({ system, version, client, durability, median, beside }) =>
    [
      `  ${`${system} ${version}`.padEnd(20)} ${`${figureText(median)}${unit}`.padStart(12)}   ${beside}`,
      `  ${' '.repeat(20)} ${' '.repeat(12)}   ${client}; ${durability}`,
    ].join('\n'),
  )
  for (const { to, median, low, high, rounds } of ratios)
    lines.push(
      `  ${ours} is ${median.toFixed(2)} of ${to} (95 % interval ${low.toFixed(2)} to ${high.toFixed(2)}, ${rounds} rounds)`,
    )
  for (const { system, why } of skipped) lines.push(`  ${system} is left out: ${why}`)
  if (met !== undefined) lines.push(`  at least ${ratioMin.toFixed(1)} of the better one: ${met ? 'met' : 'MISSED'}`)
  return [title, ...lines].join('\n')
}
