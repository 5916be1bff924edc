import type { Clock } from '../ports.ts'

/** An AbortSignal that fires after `ms` of the clock we were given (`AbortSignal.timeout` knows only the real one). */
function deadline(clock: Clock, ms: number): { signal: AbortSignal; clear(): void } {
  const controller = new AbortController()
  const timer = clock.after(ms, () => controller.abort(new DOMException(`not done within ${ms} ms`, 'TimeoutError')))
  return { signal: controller.signal, clear: () => timer.cancel() }
}

/** Runs `act` with such a signal and always stops its timer. */
export async function within<T>(clock: Clock, ms: number, act: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const limit = deadline(clock, ms)
  try {
    return await act(limit.signal)
  } finally {
    limit.clear()
  }
}
