/** A process that runs seeds one after the other, and prints a line of JSON on each; ends after the first violation. */
import { writeSync } from 'node:fs'
import { drawPlan } from '../draw.ts'
import { runPlan } from '../run.ts'
import type { SeedVerdict } from './hunt.ts'

/** Small and short: as good at breaking, and there are many to run. */
const wishOf = (seed: number) => ({ peers: 3 + (seed % 4), seconds: 40 })

const [from, to] = process.argv.slice(2).map(Number)
for (let seed = Number(from); seed <= Number(to); seed++) {
  const { ok, violations } = await runPlan(drawPlan(seed, wishOf(seed)))
  const [first] = violations
  const verdict: SeedVerdict = { seed, ok, text: first === undefined ? '' : `${first.promise}: ${first.text}` }
  writeSync(1, `${JSON.stringify(verdict)}\n`)
  if (!ok) break
}
process.exit()
