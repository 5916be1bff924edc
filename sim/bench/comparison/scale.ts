/**
 * What becomes of a record as the mesh grows: what each peer spends on it, what crosses the network for each byte delivered, and how long it
 * takes to the last peer. One peer sends, one record after the other, and all get all.
 *
 * Peers are processes of this machine, which has fewer processors than peers: what they spend while nothing is sent is taken off.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Counted, Had } from '../client.ts'
import type { Aim, Comparison, Figure, Turn } from '../compare.ts'
import { Crew } from '../crew.ts'
import { medianOf, shareOf } from '../rounds.ts'
import type { SystemName } from '../systems/all.ts'

const bytes = 65_536
const everyMs = 500
const settleMs = 3_000
const quietMsMax = 60_000

export interface ScaleWorkload {
  records: number
  sizes: readonly number[]
}

export const scaleWorkload: ScaleWorkload = { records: 40, sizes: [10, 32, 100] }

const cpu = (size: number) => `processor at ${size}`
const copies = (size: number) => `copies at ${size}`
const delay = (size: number) => `delivery at ${size}`

export function scaleComparison({ records, sizes }: ScaleWorkload): Comparison {
  const [least = 0, most = 0] = [sizes[0], sizes.at(-1)]
  const figures = sizes.flatMap((size): Figure[] => [
    { name: copies(size), unit: '', better: 'less', digits: 2 },
    { name: cpu(size), unit: ' ms', better: 'less', digits: 2 },
    { name: delay(size), unit: ' ms', better: 'less', digits: 1 },
  ])
  const aims = sizes.map((size): Aim => ({ of: 'grapevine', figure: copies(size), ratio: 1.15 }))
  const grown = (of: (size: number) => string, ratio: number): Aim => ({
    of: 'grapevine',
    figure: of(most),
    to: 'grapevine',
    toFigure: of(least),
    ratio,
  })
  return {
    name: 'scale',
    title: `A record of 64 KiB each ${everyMs / 1000} s to ${sizes.join(', ')} peers: copies on the wire, processor time of a peer, time to the last`,
    figures,
    systems: ['grapevine'],
    aims: [...aims, grown(cpu, 1.3), grown(copies, 1.3), grown(delay, Math.log(most) / Math.log(least))],
    async turn(system) {
      const turns: Turn[] = []
      for (const size of sizes) turns.push(await scaleTurn(system, size, records))
      return {
        figures: Object.assign({}, ...turns.map((turn) => turn.figures)),
        beside: turns.map(({ beside }) => beside).join('; '),
      }
    },
  }
}

async function scaleTurn(system: SystemName, size: number, records: number): Promise<Turn> {
  await using crew = await Crew.start(system, size, 'fan-out')
  const others = Array.from({ length: size - 1 }, (_, i) => i + 1)
  const tell = () => Promise.all(others.map((number) => crew.ask<Had>(number, { type: 'tell' })))
  const sent = async () => (await crew.askAll<number>(() => ({ type: 'sent' }))).reduce((sum, each) => sum + each, 0)
  const send = async (count: number) => {
    await crew.ask(0, { type: 'pace', payload: bytes, records: count, everyMs })
  }
  await Promise.all(others.map((number) => crew.ask(number, { type: 'listen', timed: true })))
  const warmUps = Math.ceil(records / 4)
  await send(warmUps)
  await arrived(crew, others, warmUps)
  await sleep(settleMs)

  const restedMs = records * everyMs
  const [idleFrom, idleSent] = [await tell(), await sent()]
  await sleep(restedMs)
  const [from, fromSent] = [await tell(), await sent()]
  await send(records)
  const [to, toSent] = [await tell(), await sent()]
  await arrived(crew, others, warmUps + records)
  const last = await tell()

  const spent = (before: readonly Had[], after: readonly Had[]) =>
    medianOf(after.map(({ cpuMs }, i) => cpuMs - (before[i]?.cpuMs ?? 0)))
  const idleMs = spent(idleFrom, from)
  const busyMs = spent(from, to)
  const delivered = others.length * records * bytes
  // Of each record, when the last had it.
  const latest = Array.from({ length: records }, (_, i) =>
    Math.max(...last.map(({ delaysMs }) => delaysMs[warmUps + i] ?? Number.NaN)),
  )
  return {
    figures: {
      [copies(size)]: (toSent - fromSent - (fromSent - idleSent)) / delivered,
      [cpu(size)]: (busyMs - idleMs) / records,
      [delay(size)]: shareOf(latest, 0.5),
    },
    beside: `${size} peers: idle ${((100 * idleMs) / restedMs).toFixed(1)} % of a processor each`,
  }
}

async function arrived(crew: Crew, others: readonly number[], records: number): Promise<void> {
  for (const end = performance.now() + quietMsMax; ; await sleep(100)) {
    const counts = await Promise.all(others.map((number) => crew.ask<Counted>(number, { type: 'count' })))
    const late = counts.filter(({ count }) => count < records).length
    if (late === 0) return
    if (performance.now() > end) throw new Error(`${late} peers did not get all ${records} records`)
  }
}
