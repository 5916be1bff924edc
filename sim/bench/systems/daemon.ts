/** Servers of others as child processes: finding, starting and ending them. */
import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { delimiter, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** Where Debian puts servers is not on everybody's path. */
const besides = ['/usr/sbin', '/usr/local/sbin', '/usr/local/bin', '/opt/homebrew/sbin', '/opt/homebrew/bin']
/** Long, since others may have the machine. */
const readyMsMax = 180_000
const endMsMax = 10_000

/** The path of a program; undefined where it is not installed. `first` is looked at before the others. */
export function programOf(name: string, first?: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...besides]
  return [...(first === undefined ? [] : [first]), ...folders.map((folder) => join(folder, name))].find(existsSync)
}

/** The first number like 1.2.3 in what a program writes. */
export function versionIn(program: string, args: readonly string[]): string | undefined {
  const { stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' })
  return /\d+\.\d+\.\d+/.exec(`${stdout}${stderr}`)?.[0]
}

/** Free now on loopback. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('there is no free port')
  return address.port
}

/** A server with all that it starts, which ends with this process at the latest. */
export class Daemon {
  readonly #child: ChildProcess
  readonly #name: string
  readonly #kill = () => this.#signal('SIGKILL')
  #output = ''

  constructor(program: string, args: readonly string[], options: SpawnOptions) {
    this.#name = program
    // In a process group of its own, so that what it starts is ended with it.
    this.#child = spawn(program, args, { ...options, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
    const keep = (text: string) => {
      this.#output = (this.#output + text).slice(-4_000)
    }
    this.#child.stdout?.setEncoding('utf8').on('data', keep)
    this.#child.stderr?.setEncoding('utf8').on('data', keep)
    process.once('exit', this.#kill)
  }

  /** Resolves when `attempt` does. Rejects when the server has ended or takes too long, and then it is stopped. */
  async ready(attempt: () => Promise<unknown>): Promise<void> {
    for (const end = performance.now() + readyMsMax; ; await sleep(100)) {
      try {
        await attempt()
        return
      } catch (cause) {
        if (!this.#hasEnded && performance.now() < end) continue
        const what = this.#hasEnded ? 'ended before it was ready' : 'is not ready'
        await this.stop()
        throw new Error(`${this.#name} ${what}:\n${this.#output}`, { cause })
      }
    }
  }

  async stop(): Promise<void> {
    process.off('exit', this.#kill)
    if (this.#hasEnded) return
    const ended = once(this.#child, 'exit')
    this.#signal('SIGTERM')
    if ((await Promise.race([ended, sleep(endMsMax, 'late', { ref: false })])) === 'late') this.#kill()
    await ended
    // What is left of its group.
    this.#kill()
  }

  get #hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  #signal(signal: NodeJS.Signals): void {
    if (this.#child.pid === undefined) return
    try {
      process.kill(-this.#child.pid, signal)
    } catch {
      // All of them have ended.
    }
  }
}
