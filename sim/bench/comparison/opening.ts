/**
 * Opening what is on disk: of a log of so many records and of one ten times as long, as it was left behind, and when its indexes are lost and all of it
 * has to be read through, from the disk, as after a power cut. How fast it is read is told by what the longer log takes more than the shorter; beside it reading a file.
 */
import type { Opened } from '../client.ts'
import type { Comparison, Turn } from '../compare.ts'
import { Crew } from '../crew.ts'
import { medianOf } from '../rounds.ts'
import type { SystemName } from '../systems/all.ts'

const bytes = 256
const times = 3
const growth = 10

const scan = 'read through'
const [short, long] = ['short', 'long']

export interface OpeningWorkload {
  /** In the longer one. */
  records: number
}

export const openingWorkload: OpeningWorkload = { records: 2_000_000 }

export function openingComparison({ records }: OpeningWorkload): Comparison {
  const counts = [records / growth, records].map((count) => Math.round(count).toLocaleString('en'))
  return {
    name: 'opening',
    title: `Opening a peer with ${counts.join(' (short) and ')} (long) records of ${bytes} B on disk`,
    figures: [
      { name: scan, unit: ' MB/s', better: 'more' },
      { name: long, unit: ' ms', better: 'less', digits: 1 },
      { name: short, unit: ' ms', better: 'less', digits: 1 },
    ],
    systems: ['grapevine', 'file'],
    aims: [
      { of: 'grapevine', figure: scan, to: 'file', ratio: 0.5 },
      { of: 'grapevine', figure: long, to: 'grapevine', toFigure: short, ratio: 1.2 },
    ],
    async turn(system) {
      const shorter = await opened(system, Math.round(records / growth))
      const longer = await opened(system, records)
      return turnOf(shorter, longer)
    },
  }
}

interface Taken {
  bytes: number
  ms: number
  /** Without indexes. */
  bareMs: number
}

async function opened(system: SystemName, records: number): Promise<Taken> {
  await using crew = await Crew.start(system, 1, 'publish')
  await crew.ask(0, { type: 'send', payload: bytes, records, distinct: 1_000 })
  const take = async (bare: boolean) => {
    const each: Opened[] = []
    for (let i = 0; i < times; i++) each.push(await crew.ask<Opened>(0, { type: 'reopen', bare }))
    return each
  }
  const [usual, bare] = [await take(false), await take(true)]
  const msOf = (each: readonly Opened[]) => medianOf(each.map(({ ms }) => ms))
  return { bytes: usual[0]?.bytes ?? 0, ms: msOf(usual), bareMs: msOf(bare) }
}

function turnOf(shorter: Taken, longer: Taken): Turn {
  const rate = (longer.bytes - shorter.bytes) / 1e6 / ((longer.bareMs - shorter.bareMs) / 1000)
  return {
    figures: { [scan]: rate, [long]: longer.ms, [short]: shorter.ms },
    beside: `${Math.round(longer.bytes / 1e6)} MB read through in ${longer.bareMs.toFixed(0)} ms`,
  }
}
