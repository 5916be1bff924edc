/** Many runs, one at a time in each of a few processes: a world takes over its whole process, and one process uses one core. */
import { type ChildProcess, fork } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Answer, Task } from './child.ts'
import type { RunResult } from './run.ts'

export interface BatchOptions {
  /** Processes. Default one for each core. */
  jobs?: number
  /** A run that takes longer in real time is given up, ms for each 100 peers or part of them. Default 15 minutes. */
  realMsMax?: number
  /** Runs that are done, with the shares of those under way. */
  onProgress?(done: number): void
  onResult?(result: RunResult | RunFailure): void
  signal?: AbortSignal
}

/** A run that gave no result: the simulator itself failed, or it never ended. */
export interface RunFailure {
  seed: number
  ok: false
  failure: string
}

const realMsUsual = 15 * 60_000
/** Old heaps are slow heaps. */
const runsPerChild = 50

/** Resolves when all tasks are done; results come in any order. */
export async function runMany(tasks: readonly Task[], options: BatchOptions = {}): Promise<(RunResult | RunFailure)[]> {
  const results: (RunResult | RunFailure)[] = []
  const shares = new Map<number, number>()
  const queue = [...tasks]
  const tellProgress = () =>
    options.onProgress?.(results.length + [...shares.values()].reduce((sum, share) => sum + share, 0))
  const work = async (worker: number) => {
    let child: Child | undefined
    try {
      for (let task = queue.shift(); task !== undefined && !options.signal?.aborted; task = queue.shift()) {
        if (child === undefined || child.runs >= runsPerChild) {
          child?.end()
          child = new Child(options)
        }
        const result = await child.run(task, (share) => {
          shares.set(worker, share)
          tellProgress()
        })
        shares.delete(worker)
        results.push(result)
        options.onResult?.(result)
        tellProgress()
        if ('failure' in result) {
          child.end()
          child = undefined
        }
      }
    } finally {
      child?.end()
    }
  }
  const jobs = Math.min(options.jobs ?? availableParallelism(), tasks.length)
  await Promise.all(Array.from({ length: jobs }, (_, worker) => work(worker)))
  return results
}

class Child {
  runs = 0
  readonly #process: ChildProcess
  readonly #realMsMax: number
  readonly #signal: AbortSignal | undefined

  constructor({ realMsMax = realMsUsual, signal }: BatchOptions) {
    this.#realMsMax = realMsMax
    this.#signal = signal
    const script = fileURLToPath(new URL(`./child${extname(import.meta.url)}`, import.meta.url))
    this.#process = fork(script, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  }

  run(task: Task, onShare: (share: number) => void): Promise<RunResult | RunFailure> {
    this.runs++
    const seed = 'plan' in task ? task.plan.seed : task.seed
    const most = this.#realMsMax * ('plan' in task ? Math.ceil(task.plan.peers.length / 100) : 1)
    return new Promise((resolve) => {
      const done = (result: RunResult | RunFailure) => {
        clearTimeout(timer)
        this.#signal?.removeEventListener('abort', onAbort)
        this.#process.off('message', onMessage).off('exit', onExit)
        resolve(result)
      }
      const failed = (failure: string) => done({ seed, ok: false, failure })
      const onMessage = (answer: Answer) => {
        if (answer.type === 'progress') onShare(answer.share)
        else if (answer.type === 'result') done(answer.result)
        else failed(answer.text)
      }
      const onExit = (code: number | null, signal: string | null) => failed(`the process ended with ${code ?? signal}`)
      const onAbort = () => failed('stopped')
      const timer = setTimeout(() => failed(`no end after ${most} ms`), most)
      this.#signal?.addEventListener('abort', onAbort, { once: true })
      this.#process.on('message', onMessage).on('exit', onExit)
      this.#process.send(task)
    })
  }

  end(): void {
    this.#process.kill('SIGKILL')
  }
}
