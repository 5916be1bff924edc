/** When a member beats: every so often while it takes part, and in between at the moment when something falls due. */
import type { Clock, Timer } from '../ports.ts'

export class Pulse {
  readonly #clock: Clock
  readonly #everyMs: number
  readonly #beat: () => void
  #every: Timer | undefined
  #extra: Timer | undefined
  #extraAt: number | undefined
  #waiters: (() => void)[] = []

  constructor(clock: Clock, everyMs: number, beat: () => void) {
    this.#clock = clock
    this.#everyMs = everyMs
    this.#beat = beat
  }

  get isRunning(): boolean {
    return this.#every !== undefined
  }

  /** Beats at once, and from then on. */
  start(): void {
    this.#every = this.#clock.every(this.#everyMs, this.#beat)
    this.#beat()
  }

  /** One more beat then; undefined: none but the usual. */
  extraAt(at: number | undefined): void {
    this.#extra?.cancel()
    this.#extraAt = at
    this.#extra = at === undefined ? undefined : this.#clock.after(Math.max(0, at - this.#clock.now()), this.#beat)
  }

  /** The same, unless one is due before that. */
  by(at: number | undefined): void {
    if (this.isRunning && at !== undefined && at < (this.#extraAt ?? Number.POSITIVE_INFINITY)) this.extraAt(at)
  }

  stop(): void {
    this.#every?.cancel()
    this.#extra?.cancel()
    this.#every = undefined
    for (const wake of this.#waiters.splice(0)) wake()
  }

  /** Resolves when it does not beat any more. */
  async stopped(): Promise<void> {
    if (this.isRunning) await new Promise<void>((resolve) => this.#waiters.push(resolve))
  }
}
