import type { Clock, Random, Timer } from '../../node/ports.ts'

/** A clock that stands still until told to go on, running what is due in order. */
export class MadeClock implements Clock {
  #now = 1_700_000_000_000
  #timers: { at: number; act: () => void }[] = []

  now(): number {
    return this.#now
  }

  after(ms: number, act: () => void): Timer {
    const timer = { at: this.#now + ms, act }
    this.#timers.push(timer)
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((one) => one !== timer)
      },
    }
  }

  every(ms: number, act: () => void): Timer {
    let timer: Timer
    const again = () => {
      timer = this.after(ms, again)
      act()
    }
    timer = this.after(ms, again)
    return { cancel: () => timer.cancel() }
  }

  pass(ms: number): void {
    const end = this.#now + ms
    for (;;) {
      const due = this.#timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
      if (due === undefined) break
      this.#timers = this.#timers.filter((one) => one !== due)
      this.#now = Math.max(this.#now, due.at)
      due.act()
    }
    this.#now = end
  }
}

/** Always the same answers. */
export const evenRandom: Random = {
  float: () => 0.5,
  bytes: (count) => new Uint8Array(count).fill(7),
}
