/** A process that runs seeds one after the other, and prints a line of JSON on each; ends after the first violation. */
import { writeSync } from 'node:fs'
import { drawPlan } from '../draw.ts'
import { type FaultKind, type Focus, focuses, type Wish, type WorkloadKind } from '../plan.ts'
import { runPlan } from '../run.ts'
import type { SeedVerdict } from './hunt.ts'
import type { Wishes } from './mutant.ts'

const disks: FaultKind[] = ['power', 'wipe', 'rollback', 'bitflip', 'truncate', 'fulldisk', 'slowdisk', 'kill']
const links: FaultKind[] = ['partition', 'halfopen', 'reset', 'delay', 'pause', 'churn', 'kill']
const processes: FaultKind[] = ['kill', 'power', 'pause']
const kinds: WorkloadKind[] = ['hostile', 'durable', 'amnesia', 'latecomer', 'large', 'bulk']

/**
 * Small and short, since there are many to run, and in turns of everything drawn, of one part of the system under stress, and of a calm
 * mesh, where being slow is a fault. So each seed tries something else, whatever the bug.
 */
function wishOf(seed: number): Wish {
  const wish: Wish = { peers: 3 + (seed % 4), seconds: 40 }
  if (seed % 12 === 6) return { ...wish, faults: 'none', workload: ['pubsub', 'latecomer'] }
  if (seed % 12 === 0) return { peers: 7, seconds: 120, faults: 'none', workload: ['large'] }
  if (seed % 3 === 0) return wish
  const kind = kinds[Math.floor(seed / 3) % kinds.length] as WorkloadKind
  return { ...wish, faults: seed % 3 === 1 ? disks : links, workload: ['pubsub', kind] }
}

/** Groups, queues or requests: of members that die and pause, of links, of everything drawn, and of nothing but what consumers do. */
function sharedWishOf(seed: number, wishes: Exclude<Wishes, 'usual'>): Wish {
  const small = { peers: 3 + (seed % 4), seconds: 50 }
  if (isFocus(wishes)) return { ...small, workload: [wishes === 'loan' ? 'queue' : 'group'], focus: wishes }
  const wish: Wish = { ...small, workload: [wishes] }
  if (seed % 5 === 0) return wish
  if (seed % 5 === 4) return { ...wish, faults: 'none' }
  return { ...wish, faults: seed % 5 === 1 ? processes : seed % 5 === 2 ? ['partition'] : links }
}

const isFocus = (wishes: string): wishes is Focus => (focuses as readonly string[]).includes(wishes)

const [from, to] = process.argv.slice(2, 4).map(Number)
const wishes = process.argv[4] as Wishes
for (let seed = Number(from); seed <= Number(to); seed++) {
  const { ok, violations } = await runPlan(
    drawPlan(seed, wishes === 'usual' ? wishOf(seed) : sharedWishOf(seed, wishes)),
  )
  const [first] = violations
  const verdict: SeedVerdict = { seed, ok, text: first === undefined ? '' : `${first.promise}: ${first.text}` }
  writeSync(1, `${JSON.stringify(verdict)}\n`)
  if (!ok) break
}
process.exit()
