/**
 * Scenario files: a run written by hand, as YAML. Named groups of peers, who publishes and reads what, a timeline of faults, and what
 * is expected beyond the promises, which always are. Owns reading and checking them; whatever is wrong is told with file, line and field.
 */
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { LineCounter, parseDocument } from 'yaml'
import type { z } from 'zod'
import type { Violation } from '../check/judge.ts'
import type { Plan } from '../plan.ts'
import type { Stats } from '../stats.ts'
import { NoSuchPeer, planOf } from './compile.ts'
import { holds } from './measure.ts'
import { type Expectable, type ScenarioText, scenarioShape } from './shape.ts'

export interface Scenario {
  about: string
  plan: Plan
  /** What of the expectations is not so. */
  judge(stats: Stats, at: number): Violation[]
}

/** A scenario file that is wrong; the message says where and what to write instead. */
export class ScenarioError extends Error {
  readonly file: string
  readonly line: number
  readonly field: string

  constructor(file: string, line: number, field: string, sentence: string) {
    super(`${file}:${line}: ${field === '' ? '' : `\`${field}\` `}${sentence}`)
    this.name = 'ScenarioError'
    this.file = file
    this.line = line
    this.field = field
  }
}

/** Throws `ScenarioError`, and what reading the file throws. */
export function loadScenario(path: string): Scenario {
  return parseScenario(readFileSync(path, 'utf8'), basename(path))
}

export function parseScenario(text: string, file = 'scenario'): Scenario {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines })
  const lineAt = (offset: number) => lines.linePos(offset).line
  const [broken] = document.errors
  if (broken) throw new ScenarioError(file, lineAt(broken.pos[0]), '', `is not YAML: ${broken.message.split('\n')[0]}`)
  /** Of the node, or of the nearest one around it. */
  const lineOf = (path: PropertyKey[]): number => {
    for (let length = path.length; length >= 0; length--) {
      const node = length === 0 ? document.contents : document.getIn(path.slice(0, length), true)
      const range = (node as { range?: [number, number, number] } | undefined)?.range
      if (range) return lineAt(range[0])
    }
    return 1
  }
  const fail = (path: PropertyKey[], sentence: string) => new ScenarioError(file, lineOf(path), fieldOf(path), sentence)

  const parsed = scenarioShape.safeParse(document.toJS() ?? {})
  if (!parsed.success) {
    const { path, message } = deepest(parsed.error.issues)
    throw fail(path, message)
  }
  try {
    const scenario = parsed.data
    return { about: scenario.about ?? '', plan: planOf(scenario), judge: (stats, at) => unmet(scenario, stats, at) }
  } catch (error) {
    if (error instanceof NoSuchPeer) throw fail(error.path, error.message)
    throw error
  }
}

interface Place {
  path: PropertyKey[]
  message: string
}

/** The first thing wrong, in words. */
function deepest(issues: readonly z.core.$ZodIssue[]): Place {
  const [issue] = issues
  if (issue === undefined) return { path: [], message: 'is wrong' }
  if (issue.code === 'unrecognized_keys') {
    const [key = ''] = issue.keys
    return { path: [...issue.path, key], message: 'is not known here' }
  }
  // Most of the ways to write it, and why none fits: the one that got furthest knows best.
  if (issue.code === 'invalid_union') {
    const [best] = issue.errors
      .filter((each) => each.some((inner) => inner.path.length > 0 || inner.code === 'unrecognized_keys'))
      .map(deepest)
    if (best !== undefined) return { path: [...issue.path, ...best.path], message: best.message }
  }
  if (issue.code === 'invalid_type' && /received undefined/.test(issue.message))
    return { path: [...issue.path], message: 'is missing' }
  if (issue.code === 'invalid_key') return { path: [...issue.path], message: issue.issues[0]?.message ?? 'is no name' }
  return { path: [...issue.path], message: issue.message }
}

/** `timeline[2].for`. */
function fieldOf(path: PropertyKey[]): string {
  return path
    .map((part, at) => (typeof part === 'number' ? `[${part}]` : `${at === 0 ? '' : '.'}${String(part)}`))
    .join('')
}

const figures: Record<Expectable, (stats: Stats) => number> = {
  published: ({ published }) => published,
  confirmed: ({ confirmed }) => confirmed,
  delivered: ({ delivered }) => delivered,
  lost: ({ lost }) => lost,
  duplicated: ({ duplicated }) => duplicated,
  outOfOrder: ({ outOfOrder }) => outOfOrder,
  repaired: ({ repaired }) => repaired,
  copies: ({ copiesPerPayload }) => copiesPerPayload,
  deliveryP50: ({ deliveryMs }) => deliveryMs.p50,
  deliveryP99: ({ deliveryMs }) => deliveryMs.p99,
  deliveryMax: ({ deliveryMs }) => deliveryMs.max,
  hopsMax: ({ hops }) => hops.max,
  acked: ({ groups }) => groups?.acked ?? 0,
  redelivered: ({ groups }) => groups?.redelivered ?? 0,
  dead: ({ groups }) => groups?.dead ?? 0,
  takeoverMax: ({ groups }) => groups?.takeoverMs.max ?? 0,
}

function unmet({ expect }: ScenarioText, stats: Stats, at: number): Violation[] {
  return (Object.keys(expect) as Expectable[]).flatMap((name) => {
    const wanted = expect[name]
    const value = figures[name](stats)
    if (wanted === undefined || holds(wanted, value)) return []
    const text = `expected ${name} ${wanted.relation} ${wanted.bound}, and it is ${Math.round(value * 100) / 100}`
    return [{ promise: 'expected' as const, at, text, ids: [] }]
  })
}
