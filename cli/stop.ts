/** Stopping: the first Ctrl-C (or SIGTERM) asks for it, the second one takes it. */
import { paint, tell } from './output.ts'

/** Aborted by the first signal. From then on the next one ends the process with 130. */
export function stopAsked(): AbortSignal {
  const asked = new AbortController()
  const onSignal = () => {
    if (asked.signal.aborted) process.exit(130)
    asked.abort()
    if (process.stderr.isTTY) tell(paint('dim', '\nstopping; once more to stop at once'))
  }
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, onSignal)
  return asked.signal
}

/** Resolves when the signal is aborted. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
