/**
 * Durable publishing from one process: so many on their way unconfirmed at once, or each only after the one before is confirmed.
 *
 * What a record is confirmed by is beside each system. Some are published before the clock starts, in the same processes.
 */
import type { Published } from '../client.ts'
import type { Aim, Comparison, Turn } from '../compare.ts'
import { Crew } from '../crew.ts'
import { flushedText, flushesOf } from '../flushes.ts'
import { shareOf } from '../rounds.ts'
import type { SystemName } from '../systems/all.ts'

const bytes = 256
/** Published before, of what is measured. */
const warmUpShare = 0.2

export interface PublishWorkload {
  name: string
  title: string
  window: number
  records: number
  /** Of what is given to the fastest. */
  shares: Partial<Record<SystemName, number>>
  systems: readonly SystemName[]
  aims: readonly Aim[]
}

const servers = ['jetstream', 'jetstream-synced', 'rabbitmq', 'rabbitmq-classic', 'redis', 'redis-synced'] as const

export const publishWorkloads: PublishWorkload[] = [
  {
    name: 'publish',
    title: `Durable publish of ${bytes} B, 500 on their way at once`,
    window: 500,
    records: 200_000,
    shares: {
      jetstream: 0.25,
      'jetstream-synced': 0.02,
      rabbitmq: 0.1,
      'rabbitmq-classic': 0.1,
      redis: 0.5,
      'redis-synced': 0.25,
    },
    systems: ['grapevine', 'grapevine-copied', ...servers],
    aims: [
      { of: 'grapevine', figure: '', to: 'jetstream-synced', ratio: 10 },
      { of: 'grapevine', figure: '', to: 'jetstream', ratio: 10 },
      { of: 'grapevine', figure: '', to: 'rabbitmq', ratio: 10 },
      { of: 'grapevine-copied', figure: '', to: 'jetstream-synced', ratio: 4 },
      { of: 'grapevine-copied', figure: '', to: 'jetstream', ratio: 4 },
      { of: 'grapevine-copied', figure: '', to: 'rabbitmq', ratio: 4 },
    ],
  },
  {
    name: 'publish-one',
    title: `Durable publish of ${bytes} B, one and wait`,
    window: 1,
    records: 2_000,
    shares: {},
    systems: ['grapevine', 'grapevine-copied', ...servers, 'fdatasync'],
    aims: [
      { of: 'grapevine', figure: '', to: 'rabbitmq', ratio: 1 },
      { of: 'grapevine', figure: '', to: 'jetstream', ratio: 1 },
      { of: 'grapevine', figure: '', to: 'jetstream-synced', ratio: 1 },
      { of: 'grapevine', figure: 'half within', to: 'fdatasync', ratio: 1.5 },
    ],
  },
]

export function publishComparison({
  name,
  title,
  window,
  records,
  shares,
  systems,
  aims,
}: PublishWorkload): Comparison {
  return {
    name,
    title,
    figures: [
      { name: '', unit: '/s', better: 'more' },
      { name: 'half within', unit: ' ms', better: 'less', digits: 2 },
      { name: '99 % within', unit: ' ms', better: 'less', digits: 2 },
    ],
    systems,
    aims,
    turn: (system) => publishTurn(system, window, Math.max(window, Math.round(records * (shares[system] ?? 1)))),
  }
}

async function publishTurn(system: SystemName, window: number, records: number): Promise<Turn> {
  await using crew = await Crew.start(system, system === 'grapevine-copied' ? 2 : 1, 'publish')
  const publish = (count: number) => crew.ask<Published>(0, { type: 'publish', payload: bytes, records: count, window })
  await publish(Math.ceil(records * warmUpShare))
  const flushes = flushesOf(crew.folder)
  const { beganAt, endedAt, tookMs } = await publish(records)
  const synced = flushedText(crew.folder, flushes)
  const memory = await crew.askAll<number>(() => ({ type: 'memory' }))
  return {
    figures: {
      '': records / ((endedAt - beganAt) / 1000),
      'half within': shareOf(tookMs, 0.5),
      '99 % within': shareOf(tookMs, 0.99),
    },
    beside: `${records.toLocaleString('en')} confirmed, ${synced}, at most ${Math.round(Math.max(...memory) / 2 ** 20)} MiB`,
  }
}
