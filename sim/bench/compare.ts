/** Runs a comparison: the systems that are here take turns, after one turn each that does not count. */
import { heapFlags } from './crew.ts'
import { medianOf, type Ratio, ratioOf, turnsOf } from './rounds.ts'
import { loadSystem, type SystemName } from './systems/all.ts'
import type { System } from './systems/system.ts'

export interface Figure {
  name: string
  unit: string
  better: 'more' | 'less'
  /** Behind the decimal point. Default 0. */
  digits?: number
}

/** What a turn comes to. */
export interface Turn {
  /** By the name of the figure. */
  figures: Record<string, number>
  /** What else is worth knowing of it, in words. */
  beside: string
}

/** How much of another's figure one's figure is to be: at least where more is better, at most where less is. */
export interface Aim {
  of: SystemName
  figure: string
  /** Undefined: what the figure itself is to be. */
  to?: SystemName
  /** Where it is another one of the other's. */
  toFigure?: string
  ratio: number
}

export interface Comparison {
  name: string
  /** What is measured, in one line. */
  title: string
  /** The first is the one that all are compared by. */
  figures: readonly Figure[]
  /** The first is compared with all others. */
  systems: readonly SystemName[]
  aims: readonly Aim[]
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
  /** Of each figure, by round; null where the turn failed. */
  figures: Record<string, (number | null)[]>
  medians: Record<string, number>
  beside: string
}

export interface ComparedRatio extends Ratio {
  of: string
  figure: string
  /** Undefined: not a ratio but the figure itself. */
  to?: string
  toFigure: string
  better: 'more' | 'less'
  /** What it is to be; undefined where nothing is asked. */
  aim?: number
  /** Whether the whole interval is on the right side of it. */
  met?: boolean
}

export interface Compared {
  name: string
  title: string
  figures: readonly Figure[]
  rows: Row[]
  ratios: ComparedRatio[]
  skipped: { system: string; why: string }[]
}

export async function compare(comparison: Comparison, options: CompareOptions): Promise<Compared> {
  const { name, title, figures } = comparison
  const { rounds, cold = false, only = comparison.systems, onProgress } = options
  const wanted = comparison.systems.filter((system) => only.includes(system))
  const loaded = new Map<SystemName, System>()
  const needs = new Map<SystemName, string>()
  for (const system of wanted) {
    const one = await loadSystem(system)
    if (one.version() === undefined) needs.set(system, one.needs ?? 'what it needs')
    else loaded.set(system, one)
  }
  const here = [...loaded.keys()]
  const skipped = wanted
    .filter((system) => !loaded.has(system))
    .map((system) => ({ system, why: `${needs.get(system)} is not installed here` }))
  for (const { system, why } of skipped) onProgress(`${name}: ${system} is left out: ${why}`)

  const turns = new Map<SystemName, (Turn | undefined)[]>(here.map((system) => [system, []]))
  const take = async (system: SystemName, round: string): Promise<Turn | undefined> => {
    const turn = await comparison.turn(system).catch((error: unknown) => {
      onProgress(`${name}: ${round}: ${system} failed: ${error instanceof Error ? error.message : String(error)}`)
    })
    if (turn) onProgress(`${name}: ${round}: ${system} ${figuresText(figures, turn.figures)}; ${turn.beside}`)
    return turn ?? undefined
  }
  if (!cold) for (const system of here) await take(system, 'warm-up')
  for (const [round, order] of turnsOf(here, rounds).entries())
    for (const system of order) turns.get(system)?.push(await take(system, `round ${round + 1} of ${rounds}`))

  const rows = [...loaded].map(([name, system]) => rowOf(name, system, figures, turns.get(name) ?? []))
  return { name, title, figures, rows, ratios: ratiosOf(comparison, rows), skipped }
}

function rowOf(
  name: SystemName,
  { version, client, durability }: System,
  figures: readonly Figure[],
  turns: readonly (Turn | undefined)[],
): Row {
  const byRound = Object.fromEntries(
    figures.map((figure) => [figure.name, turns.map((turn) => turn?.figures[figure.name] ?? null)] as const),
  )
  const medians = Object.fromEntries(
    Object.entries(byRound).map(
      ([figure, values]) => [figure, medianOf(values.filter((value) => value !== null))] as const,
    ),
  )
  // Of the turn that is nearest to the median.
  const first = figures[0]?.name ?? ''
  const away = (turn: Turn) => Math.abs((turn.figures[first] ?? 0) - (medians[first] ?? 0))
  const [typical] = turns.filter((turn) => turn !== undefined).toSorted((a, b) => away(a) - away(b))
  const beside = typical?.beside ?? 'failed in every round'
  const started = `${client}, node ${heapFlags.join(' ')}`
  return { system: name, version: version() ?? '', client: started, durability, figures: byRound, medians, beside }
}

/** Those that are to be something, then the first system's first figure beside that of everybody else. */
function ratiosOf({ aims, systems: names, figures }: Comparison, rows: readonly Row[]): ComparedRatio[] {
  const [first] = names
  const [figure] = figures
  if (first === undefined || figure === undefined) return []
  const others = names
    .filter((to) => to !== first && !aims.some((aim) => aim.to === to && aim.of === first))
    .map((to): Omit<Aim, 'ratio'> & { ratio?: number } => ({ of: first, figure: figure.name, to }))
  return [...aims, ...others].flatMap(({ of, figure: name, to, toFigure = name, ratio: aim }) => {
    const seriesOf = (system: string, figure: string) => rows.find((row) => row.system === system)?.figures[figure]
    const ones = seriesOf(of, name)
    const those = to === undefined ? ones?.map(() => 1) : seriesOf(to, toFigure)
    const ratio = ones && those && ratioOf(ones, those)
    if (!ratio) return []
    const better = figures.find((each) => each.name === name)?.better ?? 'more'
    const asked = aim === undefined ? {} : { aim, met: better === 'more' ? ratio.low >= aim : ratio.high <= aim }
    return [{ of, figure: name, ...(to !== undefined && { to }), toFigure, better, ...ratio, ...asked }]
  })
}

function figuresText(figures: readonly Figure[], values: Record<string, number>): string {
  return figures.map((figure) => figureText(figure, values[figure.name] ?? Number.NaN)).join(', ')
}

export function figureText({ name, unit, digits = 0 }: Figure, value: number): string {
  const digitsOf = { minimumFractionDigits: digits, maximumFractionDigits: digits }
  const number = Number.isNaN(value) ? '-' : value.toLocaleString('en', digitsOf)
  return `${name === '' ? '' : `${name} `}${number}${unit}`
}

export function ratioText({
  of,
  figure,
  to,
  toFigure,
  median,
  low,
  high,
  rounds,
  better,
  aim,
  met,
}: ComparedRatio): string {
  const what = figure === '' ? '' : `${figure} `
  const other = to === undefined ? '' : ` of ${toFigure === figure || toFigure === '' ? '' : `${toFigure} of `}${to}`
  const digits = (ratio: number) => ratio.toFixed(2)
  const interval = `95 % interval ${digits(low)} to ${digits(high)}, ${rounds} rounds`
  const asked =
    aim === undefined ? '' : `; at ${better === 'more' ? 'least' : 'most'} ${aim}: ${met ? 'met' : 'MISSED'}`
  return `${what}of ${of} is ${digits(median)}${other} (${interval})${asked}`
}

/** As it is printed for people. */
export function comparedText({ title, figures, rows, ratios, skipped }: Compared): string {
  const lines = rows.flatMap(({ system, version, client, durability, medians, beside }) => [
    `  ${`${system} ${version}`.padEnd(24)} ${figuresText(figures, medians)}`,
    `  ${' '.repeat(24)} ${beside}`,
    `  ${' '.repeat(24)} ${client}; ${durability}`,
  ])
  for (const ratio of ratios) lines.push(`  ${ratioText(ratio)}`)
  for (const { system, why } of skipped) lines.push(`  ${system} is left out: ${why}`)
  return [title, ...lines].join('\n')
}
