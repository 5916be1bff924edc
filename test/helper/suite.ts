/**
 * uvu with what it lacks: a deadline for every test, teardown that runs whatever happened, and a count that
 * `test/run.ts` can check. uvu 0.5.6 exits 0 when a hook throws, when a file forgets `.run()` and when it ends early,
 * and waits for ever on a test that hangs; so there are no hooks here, and every file leaves a record of what it
 * declared, started and finished in the file named by GRAPEVINE_TEST_REPORT.
 */
import { appendFileSync, mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite as uvuSuite } from 'uvu'

export type Resource =
  | AsyncDisposable
  | Disposable
  | { close(): unknown }
  | { stop(): unknown }
  | (() => unknown | Promise<unknown>)

export interface TestTools {
  /** Registers something to be ended after the test, in reverse order of registration, and returns it. */
  use<T extends Resource>(resource: T): T
  /** A new temp folder, removed after everything that was registered later has ended. */
  dir(): string
  /** Aborted when the deadline passes and when the test ends. */
  signal: AbortSignal
}

export interface TestLimits {
  /** Default 20,000. */
  deadlineMs?: number
}

export interface Suite {
  (name: string, act: (tools: TestTools) => unknown | Promise<unknown>, limits?: TestLimits): void
  /** Leaves a test out, and says why. */
  skip(name: string, reason: string): void
  run(): void
}

/** What a test file leaves for the runner, a JSON line each. */
export type TestReport =
  | { type: 'declared' | 'started' | 'passed' | 'failed'; name: string }
  | { type: 'skipped'; name: string; reason: string }
  | { type: 'lingers'; name: string }

const deadlineMsDefault = 20_000
const teardownMs = 15_000
/** How long a file may live after its last test: what was left open is a leak that would hang a program too. */
const lingerMs = 5_000

let unfinished = 0

export function suite(room: string): Suite {
  const inner = uvuSuite(room)

  const test: Suite = (name, act, { deadlineMs = deadlineMsDefault } = {}) => {
    const full = `${room}: ${name}`
    report({ type: 'declared', name: full })
    unfinished++
    inner(name, async () => {
      report({ type: 'started', name: full })
      try {
        await runTest(act, deadlineMs)
        report({ type: 'passed', name: full })
      } catch (error) {
        report({ type: 'failed', name: full })
        throw error instanceof Error ? error : new Error(`the test threw ${String(error)}`)
      } finally {
        unfinished--
        watchForLeaks(full)
      }
    })
  }
  test.skip = (name, reason) => {
    report({ type: 'skipped', name: `${room}: ${name}`, reason })
    process.stdout.write(`skipped  ${room}: ${name} (${reason})\n`)
  }
  test.run = () => inner.run()
  return test
}

async function runTest(act: (tools: TestTools) => unknown, deadlineMs: number): Promise<void> {
  const ends: (() => unknown)[] = []
  const abort = new AbortController()
  const tools: TestTools = {
    use(resource) {
      ends.push(() => end(resource))
      return resource
    },
    dir() {
      const path = mkdtempSync(join(tmpdir(), 'grapevine-test-'))
      ends.push(() => rm(path, { recursive: true, force: true, maxRetries: 3 }))
      return path
    },
    signal: abort.signal,
  }

  const errors: unknown[] = []
  await within(deadlineMs, `not finished after its deadline of ${deadlineMs} ms`, () => act(tools)).catch((error) =>
    errors.push(error),
  )
  abort.abort(new Error('the test is over'))
  // A resource registered while others are torn down (by a test past its deadline) is torn down too.
  for (let act = ends.pop(); act; act = ends.pop()) {
    await within(teardownMs, `a resource did not end within ${teardownMs} ms`, act).catch((error) => errors.push(error))
  }
  if (errors.length === 1) throw errors[0]
  if (errors.length > 1) throw new AggregateError(errors, errors.map((error) => String(error)).join('\nand then: '))
}

async function within(ms: number, message: string, act: () => unknown): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(message)), ms)
  })
  try {
    await Promise.race([Promise.resolve().then(act), deadline])
  } finally {
    clearTimeout(timer)
  }
}

function end(resource: Resource): unknown {
  if (typeof resource === 'function') return resource()
  if (Symbol.asyncDispose in resource) return resource[Symbol.asyncDispose]()
  if (Symbol.dispose in resource) return resource[Symbol.dispose]()
  if ('close' in resource) return resource.close()
  return resource.stop()
}

/** After the last test nothing should keep the process alive; what does is named, and the file fails. */
function watchForLeaks(lastTest: string): void {
  if (unfinished > 0) return
  setTimeout(() => {
    if (unfinished > 0) return
    const held = [...new Set(process.getActiveResourcesInfo())].join(', ')
    process.stdout.write(`\nstill running ${lingerMs} ms after the last test: ${held}\n`)
    report({ type: 'lingers', name: lastTest })
    process.exit(1)
  }, lingerMs).unref()
}

function report(line: TestReport): void {
  const path = process.env.GRAPEVINE_TEST_REPORT
  if (path) appendFileSync(path, `${JSON.stringify(line)}\n`)
}
