/**
 * Catch-up: one process has sent all, and another one that has nothing yet comes and reads it.
 *
 * The clock runs from when it is told to read to the last byte it had. Beside it what a bare stream between two processes carries.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Counted, Had } from '../client.ts'
import { sharedNow } from '../clock.ts'
import type { Comparison, Turn } from '../compare.ts'
import { Crew } from '../crew.ts'
import type { SystemName } from '../systems/all.ts'

const bytes = 1_024
const pollMs = 50
const quietMsMax = 20_000

export interface CatchUpWorkload {
  records: number
}

export const catchUpWorkload: CatchUpWorkload = { records: 100_000 }

export function catchUpComparison({ records }: CatchUpWorkload): Comparison {
  return {
    name: 'catch-up',
    title: `An empty process reads ${records.toLocaleString('en')} records of ${bytes} B that another has sent before`,
    figures: [{ name: '', unit: ' MB/s', better: 'more', digits: 1 }],
    systems: ['grapevine', 'grapevine-memory', 'noise-stream', 'tcp-stream', 'jetstream', 'redis'],
    aims: [
      { of: 'grapevine', figure: '', to: 'noise-stream', ratio: 0.5 },
      { of: 'grapevine-memory', figure: '', to: 'noise-stream', ratio: 0.5 },
    ],
    turn: (system) => catchUpTurn(system, records),
  }
}

async function catchUpTurn(system: SystemName, records: number): Promise<Turn> {
  await using crew = await Crew.start(system, 2, 'catch-up')
  await crew.ask(0, { type: 'send', payload: bytes, records })
  const beganAt = sharedNow()
  await crew.ask(1, { type: 'listen' })
  await arrived(crew, records * bytes)
  const { lastAt, firstAt } = await crew.ask<Had>(1, { type: 'tell' })
  const memory = await crew.ask<number>(1, { type: 'memory' })
  const megabytes = (records * bytes) / 1e6
  return {
    figures: { '': megabytes / ((lastAt - beganAt) / 1000) },
    beside: `the first after ${(firstAt - beganAt).toFixed(0)} ms, at most ${Math.round(memory / 2 ** 20)} MiB`,
  }
}

async function arrived(crew: Crew, wanted: number): Promise<void> {
  for (let [last, changed] = [0, performance.now()]; ; ) {
    await sleep(pollMs)
    const { bytes: got, failure } = await crew.ask<Counted>(1, { type: 'count' })
    if (failure !== undefined) throw new Error(failure)
    if (got >= wanted) return
    if (got > last) changed = performance.now()
    else if (performance.now() - changed > quietMsMax) throw new Error(`${got} of ${wanted} bytes came, then nothing`)
    last = got
  }
}
