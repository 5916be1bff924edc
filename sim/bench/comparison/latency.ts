/**
 * How long a record is on its way from one process to another, on a clock that both share.
 *
 * `hop`: two processes, one record each 20 ms, so that nothing else is on its way; of NATS it is a round trip between two clients, which is what
 * asking somebody takes at the least. `busy`: eight processes, each of which sends an eighth of the records and gets all of them.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Counted, Had, Published } from '../client.ts'
import type { Comparison, Figure, Turn } from '../compare.ts'
import { Crew } from '../crew.ts'
import { shareOf } from '../rounds.ts'
import type { SystemName } from '../systems/all.ts'

const bytes = 100
const hopEveryMs = 20
const busyPeers = 8
const busyPerSecond = 1_000
/** For what is still on its way when the last was sent. */
const settleMs = 1_000

const figures: Figure[] = [
  { name: 'half within', unit: ' ms', better: 'less', digits: 2 },
  { name: '99 % within', unit: ' ms', better: 'less', digits: 2 },
]

export interface LatencyWorkload {
  records: number
}

export const hopWorkload: LatencyWorkload = { records: 300 }
export const busyWorkload: LatencyWorkload = { records: 6_000 }

export function hopComparison({ records }: LatencyWorkload): Comparison {
  return {
    name: 'hop',
    title: `One hop of ${bytes} B on an idle mesh (of NATS: a round trip)`,
    figures,
    systems: ['grapevine', 'grapevine-memory', 'nats', 'jetstream', 'rabbitmq', 'redis', 'mosquitto', 'gossipsub'],
    aims: [
      { of: 'grapevine', figure: 'half within', to: 'nats', ratio: 1.5 },
      { of: 'grapevine', figure: '99 % within', to: 'nats', ratio: 2 },
      { of: 'grapevine-memory', figure: 'half within', to: 'nats', ratio: 1.5 },
      { of: 'grapevine-memory', figure: '99 % within', to: 'nats', ratio: 2 },
    ],
    turn: (system) => hopTurn(system, records),
  }
}

async function hopTurn(system: SystemName, records: number): Promise<Turn> {
  const isAsked = system === 'nats'
  await using crew = await Crew.start(system, 2, isAsked ? 'round-trip' : 'fan-out')
  await crew.ask(1, { type: 'listen', timed: true })
  const pace = (count: number) =>
    crew.ask<Published>(0, { type: 'pace', payload: bytes, records: count, everyMs: hopEveryMs })
  const warmUps = Math.ceil(records / 5)
  await pace(warmUps)
  const { tookMs } = await pace(records)
  if (isAsked) return turnOf(tookMs, records)
  await sleep(settleMs)
  const { delaysMs } = await crew.ask<Had>(1, { type: 'tell' })
  return turnOf(delaysMs.slice(warmUps), records)
}

export function busyComparison({ records }: LatencyWorkload): Comparison {
  return {
    name: 'busy',
    title: `${busyPeers} processes send ${busyPerSecond.toLocaleString('en')} records of ${bytes} B a second together, and each gets all`,
    figures,
    systems: ['grapevine', 'grapevine-memory', 'rabbitmq', 'jetstream', 'nats', 'redis'],
    aims: [{ of: 'grapevine', figure: '99 % within', to: 'rabbitmq', ratio: 1 }],
    turn: (system) => busyTurn(system, records),
  }
}

async function busyTurn(system: SystemName, records: number): Promise<Turn> {
  await using crew = await Crew.start(system, busyPeers, 'fan-out')
  await crew.askAll(() => ({ type: 'listen', timed: true }))
  const everyMs = (busyPeers * 1000) / busyPerSecond
  const pace = (count: number) =>
    crew.askAll(() => ({ type: 'pace', payload: bytes, records: Math.ceil(count / busyPeers), everyMs }))
  await pace(records / 5)
  await sleep(settleMs)
  const before = await crew.askAll<Counted>(() => ({ type: 'count' }))
  await pace(records)
  await sleep(settleMs)
  const had = await crew.askAll<Had>(() => ({ type: 'tell' }))
  const delaysMs = had.flatMap((each, number) => each.delaysMs.slice(before[number]?.count))
  return turnOf(delaysMs, Math.ceil(records / busyPeers) * busyPeers * busyPeers)
}

function turnOf(delaysMs: ArrayLike<number> & Iterable<number>, records: number): Turn {
  const beside = `${delaysMs.length.toLocaleString('en')} of ${records.toLocaleString('en')} came, the last within ${shareOf(delaysMs, 1).toFixed(1)} ms`
  const within = { 'half within': shareOf(delaysMs, 0.5), '99 % within': shareOf(delaysMs, 0.99) }
  return { figures: within, beside }
}
