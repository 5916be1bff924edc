/**
 * Group throughput: consumers in several processes share a queue that was filled before, and acknowledge each record.
 *
 * The clock runs from the first record that any of them had to the last one. Each must be had by somebody; what is had twice is counted.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Counted, Had } from '../client.ts'
import type { Comparison, Turn } from '../compare.ts'
import { Crew } from '../crew.ts'
import type { SystemName } from '../systems/all.ts'

export interface GroupWorkload {
  records: number
  bytes: number
  processes: number
  consumers: number
  /** Records that a consumer may have at once. */
  prefetch: number
}

const pollMs = 100
/** Nothing new came so long: it has failed. */
const quietMsMax = 30_000

export const groupWorkload: GroupWorkload = { records: 60_000, bytes: 256, processes: 4, consumers: 10, prefetch: 256 }

export function groupComparison(workload: GroupWorkload): Comparison {
  const { records, bytes, processes, consumers, prefetch } = workload
  return {
    name: 'group',
    title: `Group throughput: receive and acknowledge ${records.toLocaleString('en')} records of ${bytes} B, ${consumers} consumers in ${processes} processes, ${prefetch} at once each`,
    figures: [
      { name: '', unit: '/s', better: 'more' },
      { name: 'uneven by', unit: ' %', better: 'less', digits: 1 },
    ],
    systems: ['grapevine', 'jetstream', 'rabbitmq'],
    aims: [
      { of: 'grapevine', figure: '', to: 'jetstream', ratio: 2 },
      { of: 'grapevine', figure: '', to: 'rabbitmq', ratio: 2 },
      { of: 'grapevine', figure: 'uneven by', ratio: 5 },
    ],
    turn: (system) => groupTurn(system, workload),
  }
}

async function groupTurn(system: SystemName, workload: GroupWorkload): Promise<Turn> {
  const { records, bytes, processes, consumers, prefetch } = workload
  await using crew = await Crew.start(system, processes, 'share')
  await crew.ask(0, { type: 'send', payload: bytes, records })
  const consumersOf = (number: number) => Math.floor((consumers + processes - 1 - number) / processes)
  await crew.askAll((number) => ({ type: 'consume', consumers: consumersOf(number), prefetch }))
  return turnOf(await allHad(crew, records), records)
}

/** Resolves when each record was had. */
async function allHad(crew: Crew, records: number): Promise<Had[]> {
  for (let last = 0, changed = performance.now(); ; ) {
    await sleep(pollMs)
    const counted = await crew.askAll<Counted>(() => ({ type: 'count' }))
    const failed = counted.find(({ failure }) => failure !== undefined)
    if (failed) throw new Error(failed.failure)
    const count = counted.reduce((sum, each) => sum + each.count, 0)
    if (count >= records) {
      const had = await crew.askAll<Had>(() => ({ type: 'tell' }))
      if (distinct(had) === records) return had
    }
    if (count > last) changed = performance.now()
    else if (performance.now() - changed > quietMsMax)
      throw new Error(`${count} of ${records} records came, then nothing`)
    last = count
  }
}

function distinct(had: readonly Had[]): number {
  return new Set(had.flatMap(({ numbers }) => [...numbers])).size
}

function turnOf(had: readonly Had[], records: number): Turn {
  const some = had.filter(({ numbers }) => numbers.length > 0)
  const firstAt = Math.min(...some.map((each) => each.firstAt))
  const lastAt = Math.max(...some.map((each) => each.lastAt))
  const shares = had.flatMap((each) => each.shares)
  const count = shares.reduce((sum, each) => sum + each, 0)
  const percent = (share: number) => ((share * 100) / count).toFixed(1)
  // What a server takes is not in it.
  const cpuUs = (had.reduce((sum, { cpuMs }) => sum + cpuMs, 0) * 1000) / count
  const beside = [
    `shares ${percent(Math.min(...shares))} to ${percent(Math.max(...shares))} %`,
    `${count - records} twice`,
    `${cpuUs.toFixed(0)} us of its clients each`,
  ]
  // Of what each would have, were all equal.
  const away = Math.max(...shares.map((share) => Math.abs((share * shares.length) / count - 1)))
  const figures = { '': records / ((lastAt - firstAt) / 1000), 'uneven by': 100 * away }
  return { figures, beside: beside.join(', ') }
}
