/** The clients of one system, each a process of its own (`client.ts`), and the folder and server that they share. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Answer, Ask } from './client.ts'
import { loadSystem, type SystemName } from './systems/all.ts'
import type { Server, Use } from './systems/system.ts'

const script = join(import.meta.dirname, 'client.ts')
/** What the README asks of a program with a busy peer; clients of every system have it alike. */
export const heapFlags = ['--heap-growing-percent=300', '--max-semi-space-size=8']
/** What a client that is told to end may take, to write a profile say. */
const endMsMax = 10_000

export class Crew implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'grapevine-bench-'))
  readonly #clients: ClientProcess[] = []
  #server: Server | undefined

  /** Starts the system and so many clients of it. Rejects with what one of them fails with; nothing is left of it then. */
  static async start(system: SystemName, size: number, use: Use): Promise<Crew> {
    const crew = new Crew()
    try {
      crew.#server = await (await loadSystem(system)).start(crew.folder)
      const { place } = crew.#server
      for (let number = 0; number < size; number++) crew.#clients.push(new ClientProcess())
      await crew.askAll((number) => ({ type: 'open', system, place, number, of: size, use }))
      return crew
    } catch (error) {
      await crew[Symbol.asyncDispose]()
      throw error
    }
  }

  /** One thing at a time of each. Rejects with what it fails with. */
  async ask<T>(number: number, ask: Ask): Promise<T> {
    const client = this.#clients[number]
    if (client === undefined) throw new Error(`there is no client ${number}`)
    return (await client.ask(ask)) as T
  }

  askAll<T>(askOf: (number: number) => Ask): Promise<T[]> {
    return Promise.all(this.#clients.map((_, number) => this.ask<T>(number, askOf(number))))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.end()))
    await this.#server?.stop()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

class ClientProcess {
  readonly #child: ChildProcess = fork(script, {
    serialization: 'advanced',
    execArgv: [...process.execArgv, ...heapFlags],
  })
  readonly #ended = once(this.#child, 'exit').then((): [Answer] => [{ ok: false, text: 'a client ended too early' }])

  async ask(ask: Ask): Promise<unknown> {
    const heard = once(this.#child, 'message') as Promise<[Answer]>
    if (this.#child.connected) this.#child.send(ask)
    const [answer] = await Promise.race([heard, this.#ended])
    if (answer.ok) return answer.value
    throw new Error(answer.text)
  }

  /** It ends by itself when its parent lets go of it. */
  async end(): Promise<void> {
    if (this.#child.connected) this.#child.disconnect()
    const late = sleep(endMsMax, 'late' as const, { ref: false })
    if ((await Promise.race([this.#ended, late])) === 'late') this.#child.kill('SIGKILL')
    await this.#ended
  }
}
