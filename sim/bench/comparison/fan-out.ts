/**
 * Live fan-out: one process sends as fast as it can, seven others get all of it.
 *
 * The clock runs from the first send to the last record that anybody got; the figure is what each of them got on average, a second. What did
 * not come until nothing had come for some seconds is lost.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Counted, Had, Published } from '../client.ts'
import type { Aim, Comparison, Turn } from '../compare.ts'
import { Crew } from '../crew.ts'
import { flushedText, flushesOf } from '../flushes.ts'
import { type Payload, payloadText } from '../payload.ts'
import type { SystemName } from '../systems/all.ts'

export interface FanOutWorkload {
  payload: Payload
  /** That the fastest send; the others send a share of it that takes them as long, about. */
  records: number
  aims: readonly Aim[]
}

const listeners = 7
const distinct = 2_000
const pollMs = 50
/** Nothing came for so long after all was sent: it will not come. */
const quietMs = 5_000
const stuckMs = 60_000

const names: SystemName[] = [
  'grapevine-memory',
  'grapevine',
  'nats',
  'mosquitto',
  'rabbitmq-classic',
  'redis',
  'jetstream',
  'rabbitmq',
  'gossipsub',
  'gossipsub-signed',
]
/** Of what the fastest are given. */
const shares: Partial<Record<SystemName, number>> = {
  mosquitto: 0.25,
  'rabbitmq-classic': 0.1,
  redis: 0.25,
  jetstream: 0.1,
  rabbitmq: 0.05,
  gossipsub: 0.02,
  'gossipsub-signed': 0.01,
}

export const fanOutWorkloads: FanOutWorkload[] = [
  {
    payload: 100,
    records: 600_000,
    aims: [
      { of: 'grapevine-memory', figure: '', to: 'nats', ratio: 1.5 },
      { of: 'grapevine-memory', figure: '', to: 'gossipsub-signed', ratio: 300 },
      { of: 'grapevine', figure: '', to: 'jetstream', ratio: 10 },
    ],
  },
  { payload: 1_024, records: 200_000, aims: [] },
  { payload: 65_536, records: 5_000, aims: [] },
  {
    payload: 'flights',
    records: 600_000,
    aims: [{ of: 'grapevine-memory', figure: '', to: 'nats', ratio: 2 }],
  },
]

export const watchedWorkload = { records: 1_500_000 }

/** What it costs the one that sends that somebody looks at its page. */
export function watchedComparison({ records }: { records: number }): Comparison {
  return {
    name: 'watched',
    title: `Live fan-out of ${payloadText(100)} while somebody looks at the page of the one that sends`,
    figures: [{ name: '', unit: '/s', better: 'more' }],
    systems: ['grapevine-watched', 'grapevine-memory'],
    aims: [{ of: 'grapevine-watched', figure: '', to: 'grapevine-memory', ratio: 0.95 }],
    turn: (system) => fanOutTurn(system, 100, records),
  }
}

export function fanOutComparison({ payload, records, aims }: FanOutWorkload): Comparison {
  const suffix = payload === 'flights' ? payload : String(payload)
  return {
    name: `fan-out-${suffix}`,
    title: `Live fan-out of ${payloadText(payload)} from one process to ${listeners} others`,
    figures: [{ name: '', unit: '/s', better: 'more' }],
    // Unsigned, it takes two flights that are the same for one message.
    systems: payload === 'flights' ? names.filter((name) => name !== 'gossipsub') : names,
    aims,
    turn: (system) => fanOutTurn(system, payload, Math.max(100, Math.round(records * (shares[system] ?? 1)))),
  }
}

async function fanOutTurn(system: SystemName, payload: Payload, records: number): Promise<Turn> {
  await using crew = await Crew.start(system, listeners + 1, 'fan-out')
  const others = Array.from({ length: listeners }, (_, i) => i + 1)
  await Promise.all(others.map((number) => crew.ask(number, { type: 'listen' })))
  const flushes = flushesOf(crew.folder)
  const sending = crew.ask<Published>(0, { type: 'send', payload, records, distinct })
  const counts = await settled(crew, others, records, sending)
  const { beganAt } = await sending
  const had = await Promise.all(others.map((number) => crew.ask<Had>(number, { type: 'tell' })))
  const memory = await crew.askAll<number>(() => ({ type: 'memory' }))

  const got = counts.reduce((sum, { count }) => sum + count, 0)
  const seconds = (Math.max(...had.map(({ lastAt }) => lastAt)) - beganAt) / 1000
  const lost = 1 - got / (listeners * records)
  const cutOff = counts.filter(({ failure }) => failure !== undefined).length
  const cpuUs = (had.reduce((sum, { cpuMs }) => sum + cpuMs, 0) * 1000) / got
  const beside = [
    `${records.toLocaleString('en')} sent`,
    lost > 0 ? `${(lost * 100).toFixed(2)} % lost` : 'none lost',
    `${cutOff} cut off`,
    flushedText(crew.folder, flushes),
    `${cpuUs.toFixed(1)} us of a listener each`,
    `at most ${Math.round(Math.max(...memory) / 2 ** 20)} MiB`,
  ]
  return { figures: { '': got / listeners / seconds }, beside: beside.join(', ') }
}

/** Resolves when all have all, or nothing comes any more. */
async function settled(
  crew: Crew,
  others: readonly number[],
  records: number,
  sending: Promise<Published>,
): Promise<Counted[]> {
  let isSent = false
  sending.then(
    () => {
      isSent = true
    },
    () => undefined,
  )
  for (let [last, changed] = [0, performance.now()]; ; ) {
    await sleep(pollMs)
    const counts = await Promise.all(others.map((number) => crew.ask<Counted>(number, { type: 'count' })))
    const got = counts.reduce((sum, { count }) => sum + count, 0)
    if (got > last) changed = performance.now()
    const quiet = performance.now() - changed
    if (got >= others.length * records || (isSent && quiet > quietMs)) return counts
    if (quiet > stuckMs) throw new Error(`nothing came for ${stuckMs / 1000} s, and not all was sent`)
    last = got
  }
}
