import type { Clock } from '../../node/ports.ts'

export interface HandClock extends Clock {
  /** Moves on, calling what falls due in its order. */
  pass(ms: number): void
  /** Moves on and calls nothing yet, as while a long computation runs. */
  stand(ms: number): void
  readonly timers: number
}

/** A clock that moves when it is told to. */
export function handClock(start = 1_700_000_000_000): HandClock {
  let now = start
  const waiting = new Set<{ at: number; every: number | undefined; act: () => void }>()
  const add = (ms: number, every: number | undefined, act: () => void) => {
    const timer = { at: now + ms, every, act }
    waiting.add(timer)
    return { cancel: () => void waiting.delete(timer) }
  }
  return {
    now: () => now,
    after: (ms, act) => add(ms, undefined, act),
    every: (ms, act) => add(ms, ms, act),
    breathe: () => undefined,
    pass(ms) {
      const end = now + ms
      for (;;) {
        const [next] = [...waiting].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)
        if (next === undefined) break
        now = Math.max(now, next.at)
        if (next.every === undefined) waiting.delete(next)
        else next.at += next.every
        next.act()
      }
      now = end
    },
    stand(ms) {
      now += ms
    },
    get timers() {
      return waiting.size
    },
  }
}
