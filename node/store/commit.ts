/**
 * Group commit: what waits while one write is under way becomes the next one, so that all of it shares a sync. There is
 * no linger: a lone entry is written at once. A failure fails everything that waits, since much of it builds on
 * what just failed.
 */
import { limits } from '../limits.ts'
import type { Batch } from '../wire/head.ts'
import { frameBytes } from './frame.ts'

interface Waiting {
  batches: readonly Batch[]
  bytes: number
  done: () => void
  failed: (error: unknown) => void
}

export interface GroupWriter {
  /** Makes a group durable and visible. */
  write(batches: readonly Batch[]): Promise<void>
  /** A group, and all that waited behind it, is not written; called before those who wait are told. */
  onFailed(): void
}

export class GroupCommit {
  readonly #writer: GroupWriter
  #waiting: Waiting[] = []
  #loop: Promise<void> | undefined

  constructor(writer: GroupWriter) {
    this.#writer = writer
  }

  add(batches: readonly Batch[]): Promise<void> {
    const bytes = batches.reduce((sum, batch) => sum + frameBytes(batch), 0)
    return new Promise((done, failed) => {
      this.#waiting.push({ batches, bytes, done, failed })
      this.#loop ??= this.#run()
    })
  }

  get isBusy(): boolean {
    return this.#loop !== undefined
  }

  /** Resolves when nothing waits any more. */
  async idle(): Promise<void> {
    while (this.#loop !== undefined) await this.#loop
  }

  async #run(): Promise<void> {
    // Callers that add in the same turn belong to the first group.
    await null
    while (this.#waiting.length > 0) {
      const group = this.#take()
      try {
        await this.#writer.write(group.flatMap(({ batches }) => batches))
      } catch (error) {
        const failed = [...group, ...this.#waiting]
        this.#waiting = []
        this.#writer.onFailed()
        for (const entry of failed) entry.failed(error)
        continue
      }
      for (const entry of group) entry.done()
    }
    // In the moment in which nothing waits: what is added in the next one would wait for what has ended.
    this.#loop = undefined
  }

  /** The oldest entry, whatever its size, and those behind it that fit. */
  #take(): Waiting[] {
    let bytes = 0
    let count = 0
    for (const entry of this.#waiting) {
      if (count > 0 && bytes + entry.bytes > limits.commitBytesMax) break
      bytes += entry.bytes
      count++
    }
    return this.#waiting.splice(0, count)
  }
}
