/** Who consumes at this member, and who of them has stopped asking. */
import type { Desk, Loaded, Taker } from './desk.ts'

/** Somebody who consumes here. */
export interface Seat extends Taker {
  fail(error: unknown): void
  end(): void
  /** Whether records have waited since then for it to ask. */
  isStalled(since: number): boolean
  takeBack(): Loaded[]
  /** Once a beat. */
  onBeat?(): void
  /** Others have records to spare. */
  onOffer?(): void
}

export class Seats {
  readonly #all = new Set<Seat>()
  /** They do not ask for what waits for them: it went back, and they get nothing more before they ask. */
  readonly #stalled = new Set<Seat>()

  get size(): number {
    return this.#all.size
  }

  /** How many ask. */
  get active(): number {
    return this.#all.size - this.#stalled.size
  }

  /** Whether anybody does. */
  get isActive(): boolean {
    return this.active > 0
  }

  has(seat: Seat): boolean {
    return this.#all.has(seat)
  }

  add(seat: Seat): void {
    this.#all.add(seat)
  }

  /** False where it was not there. */
  delete(seat: Seat): boolean {
    this.#stalled.delete(seat)
    return this.#all.delete(seat)
  }

  /** Takes back what has waited since then. */
  stall(since: number, desk: Desk | undefined): void {
    for (const seat of this.#all) {
      seat.onBeat?.()
      if (this.#stalled.has(seat) || !seat.isStalled(since)) continue
      this.#stalled.add(seat)
      desk?.leave(seat, seat.takeBack())
    }
  }

  /** It asks. True where it had stopped to. */
  wake(seat: Seat): boolean {
    return this.#stalled.delete(seat)
  }

  offer(): void {
    for (const seat of this.#all) seat.onOffer?.()
  }

  /** Each of them leaves by itself. */
  fail(error: unknown): void {
    for (const seat of [...this.#all]) seat.fail(error)
  }

  end(): void {
    for (const seat of [...this.#all]) seat.end()
  }
}
