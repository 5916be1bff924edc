/**
 * What this member has handed out and what was acknowledged to it: into its own progress at once, and to the others in one notice for all that
 * happens in one turn. An acknowledgement that could not be written is told with the next, or with the next beat; an attempt that could not was none.
 */
import { limits } from '../limits.ts'
import type { Delivery } from './backlog.ts'
import type { Notice } from './notice.ts'
import type { Attempt, Progress } from './progress.ts'

type WorkNotice = Extract<Notice, { type: 'work' }>

export class Work {
  readonly #progress: Progress
  readonly #tell: (notice: WorkNotice) => Promise<boolean>
  #attempts: Attempt[] = []
  #acks: WorkNotice['acks'] = []
  #next: Promise<boolean> | undefined
  /** How often the group was moved. */
  #round = 0

  constructor(progress: Progress, tell: (notice: WorkNotice) => Promise<boolean>) {
    this.#progress = progress
    this.#tell = tell
  }

  /** True when others know as well as the group asks for. Rejects when it could not be written. */
  async handedOut(deliveries: readonly Delivery[]): Promise<boolean> {
    const round = this.#round
    const attempts = deliveries.map(({ slot, feed, index, attempt }): Attempt => [slot, feed, index, attempt])
    this.#attempts.push(...attempts)
    const known = await this.#soon()
    // Only now: what could not be written does not reach its consumer, and is no attempt.
    if (this.#round === round) for (const attempt of attempts) this.#progress.attempted(attempt)
    return known
  }

  acknowledged({ slot, feed, from, index }: Delivery): Promise<boolean> {
    this.#progress.done(slot, feed, from, index + 1)
    this.#acks.push([slot, feed, from, index + 1])
    return this.#soon()
  }

  /** Tells what could not be written before. */
  async again(): Promise<void> {
    if (this.#acks.length > 0) await this.#soon().catch(() => undefined)
  }

  /** The group was moved: what was not told yet counts no more. */
  renew(): void {
    this.#round++
    this.#attempts = []
    this.#acks = []
  }

  #soon(): Promise<boolean> {
    this.#next ??= Promise.resolve().then(() => {
      this.#next = undefined
      return this.#flush()
    })
    return this.#next
  }

  async #flush(): Promise<boolean> {
    const round = this.#round
    const told: Promise<boolean>[] = []
    while (this.#attempts.length > 0 || this.#acks.length > 0) {
      const attempts = this.#attempts.splice(0, limits.groupWorkMax)
      const acks = this.#acks.splice(0, limits.groupWorkMax)
      told.push(
        this.#tell({ type: 'work', attempts, acks }).catch((error) => {
          if (this.#round === round && this.#acks.length < limits.groupBacklogMax) this.#acks.push(...acks)
          throw error
        }),
      )
    }
    return (await Promise.all(told)).every((known) => known)
  }
}
