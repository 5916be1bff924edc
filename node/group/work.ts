/**
 * What this member has handed out and what was acknowledged to it: into its own progress at once, and to the others in one notice for all that
 * happens in one turn. What could not be written is told with the next.
 */
import { limits } from '../limits.ts'
import type { Delivery } from './backlog.ts'
import type { Notice } from './notice.ts'
import type { Attempt, Progress } from './progress.ts'

type WorkNotice = Extract<Notice, { type: 'work' }>

export class Work {
  readonly #progress: Progress
  readonly #tell: (notice: WorkNotice) => Promise<void>
  #attempts: Attempt[] = []
  #acks: WorkNotice['acks'] = []
  #next: Promise<void> | undefined

  constructor(progress: Progress, tell: (notice: WorkNotice) => Promise<void>) {
    this.#progress = progress
    this.#tell = tell
  }

  /** Resolves when others know, or may not know soon. */
  handedOut(deliveries: readonly Delivery[]): Promise<void> {
    for (const { slot, feed, index, attempt } of deliveries) {
      this.#progress.attempted([slot, feed, index, attempt])
      this.#attempts.push([slot, feed, index, attempt])
    }
    return this.#soon()
  }

  acknowledged({ slot, feed, from, index }: Delivery): Promise<void> {
    this.#progress.done(slot, feed, from, index + 1)
    this.#acks.push([slot, feed, from, index + 1])
    return this.#soon()
  }

  #soon(): Promise<void> {
    this.#next ??= Promise.resolve().then(() => {
      this.#next = undefined
      return this.#flush()
    })
    return this.#next
  }

  async #flush(): Promise<void> {
    const told: Promise<void>[] = []
    while (this.#attempts.length > 0 || this.#acks.length > 0) {
      const attempts = this.#attempts.splice(0, limits.groupWorkMax)
      const acks = this.#acks.splice(0, limits.groupWorkMax)
      told.push(
        this.#tell({ type: 'work', attempts, acks }).catch((error) => {
          if (this.#acks.length < limits.groupBacklogMax) this.#acks.push(...acks)
          throw error
        }),
      )
    }
    await Promise.all(told)
  }
}
