/**
 * Memory of a process that has nothing to do, some seconds after it was ready and without garbage: beside a node of libp2p that has gossipsub
 * and nothing else; and what a thousand more topics add to it when there are as many.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Used } from '../client.ts'
import type { Comparison, Turn } from '../compare.ts'
import { Crew } from '../crew.ts'
import type { SystemName } from '../systems/all.ts'

const topics = 1_000
const settleMs = 5_000

const process = 'a process'
const topic = 'a topic'

export function memoryComparison(): Comparison {
  return {
    name: 'memory',
    title: `Memory of an idle process, and of each of ${topics.toLocaleString('en')} more idle topics`,
    figures: [
      { name: process, unit: ' MiB', better: 'less', digits: 1 },
      { name: topic, unit: ' KiB', better: 'less', digits: 2 },
    ],
    systems: ['grapevine', 'gossipsub'],
    aims: [
      { of: 'grapevine', figure: process, to: 'gossipsub', ratio: 1.5 },
      { of: 'grapevine', figure: topic, ratio: 4 },
    ],
    turn: memoryTurn,
  }
}

async function memoryTurn(system: SystemName): Promise<Turn> {
  await using crew = await Crew.start(system, 2, 'idle')
  await sleep(settleMs)
  const rested = await crew.ask<Used>(0, { type: 'used' })
  const beside = `${(rested.heap / 2 ** 20).toFixed(1)} MiB of it objects`
  const figures = { [process]: rested.rss / 2 ** 20 }
  if (system !== 'grapevine') return { figures, beside }
  // The first ones bring the code for them, plain and optimized.
  await crew.ask(0, { type: 'take-up', topics })
  await sleep(settleMs)
  const before = await crew.ask<Used>(0, { type: 'used' })
  await crew.ask(0, { type: 'take-up', topics })
  await sleep(settleMs)
  const after = await crew.ask<Used>(0, { type: 'used' })
  return { figures: { ...figures, [topic]: (after.heap - before.heap) / topics / 1024 }, beside }
}
