/** A process that plays runs one after the other, as its parent (`batch.ts`) sends them. */
import { drawPlan } from './draw.ts'
import type { Plan, Wish } from './plan.ts'
import { type RunResult, runPlan } from './run.ts'

export type Task = { seed: number; wish: Wish } | { plan: Plan }
export type Answer =
  | { type: 'progress'; share: number }
  | { type: 'result'; result: RunResult }
  | { type: 'failed'; text: string }

const tell = (answer: Answer) => process.send?.(answer)

process.on('message', (task: Task) => {
  const plan = 'plan' in task ? task.plan : drawPlan(task.seed, task.wish)
  runPlan(plan, { onProgress: (share) => tell({ type: 'progress', share }) }).then(
    (result) => tell({ type: 'result', result }),
    (error: unknown) =>
      tell({ type: 'failed', text: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
  )
})
process.on('disconnect', () => process.exit())
