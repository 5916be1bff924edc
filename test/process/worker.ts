/** A process that works off a queue: `node worker.ts FOLDER JOIN OPTIONS`. Prints a line of JSON for each step, at once. */
import { writeSync } from 'node:fs'
import { enableCompileCache } from 'node:module'
import { setTimeout as sleep } from 'node:timers/promises'
import type { QueueOptions } from '../../node/index.ts'

// As the command line does: one is begun every few seconds.
enableCompileCache()
const { createPeer, isError } = await import('../../node/index.ts')

export interface WorkerOptions {
  queue: QueueOptions
  concurrency: number
  /** How long a job takes. */
  workMs: number
}

/** `ns`: of a clock that all processes of the machine share. */
export type WorkerLine = { ns: string } & (
  | { type: 'ready' }
  | { type: 'got' | 'done' | 'acked' | 'lost'; value: number; attempt: number; token: number }
)

/** Into a file, which never makes it wait. */
function say(line: Record<string, unknown>): void {
  writeSync(1, `${JSON.stringify({ ns: String(process.hrtime.bigint()), ...line })}\n`)
}

const [folder, join, text] = process.argv.slice(2) as [string, string, string]
const { queue, concurrency, workMs } = JSON.parse(text) as WorkerOptions
const peer = await createPeer({ data: folder, join: [join], discover: false })
const working = new Set<Promise<void>>()
process.once('SIGTERM', async () => {
  await peer.drain()
  await peer.close()
})
const records = peer.queue<number>('jobs', queue).consume({ concurrency })
say({ type: 'ready' })
for await (const record of records) {
  const { value, attempt, fencingToken: token } = record
  say({ type: 'got', value, attempt, token })
  const work = (async () => {
    await sleep(workMs)
    say({ type: 'done', value, attempt, token })
    await record.ack().then(
      () => say({ type: 'acked', value, attempt, token }),
      (error) => {
        if (!isError(error, 'LeaseLost') && !isError(error, 'PeerClosed')) throw error
        say({ type: 'lost', value, attempt, token })
      },
    )
  })()
  working.add(work)
  void work.finally(() => working.delete(work))
}
await Promise.all(working)
