/**
 * Peers for measurements: each a process of its own on loopback, with its data in a temp folder, meeting only one another.
 * Used from here through their local APIs, whose bytes do not count as sent.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { connectPeer, type Peer } from '../../node/index.ts'

const main = join(import.meta.dirname, '../../cli/main.ts')

export class Fleet implements AsyncDisposable {
  /** Where data can be put that goes with the fleet. */
  readonly folder = mkdtempSync(join(tmpdir(), 'grapevine-bench-'))
  readonly peers: Peer[] = []
  readonly #children: ChildProcess[] = []
  readonly #killAll = () => {
    for (const child of this.#children) child.kill('SIGKILL')
  }

  constructor() {
    process.once('exit', this.#killAll)
  }

  /** Starts so many peers; resolves when each has as many friends as there can be, up to `friendsMin`. */
  static async start(count: number, friendsMin = 4): Promise<Fleet> {
    const fleet = new Fleet()
    mkdirSync(join(fleet.folder, 'run'), { mode: 0o700 })
    for (let i = 0; i < count; i++) fleet.peers.push(await fleet.#up(join(fleet.folder, `peer-${i}`)))
    const wanted = Math.min(friendsMin, count - 1)
    for (const peer of fleet.peers) while ((await peer.status()).friends < wanted) await sleep(50)
    return fleet
  }

  async #up(data: string): Promise<Peer> {
    const child = spawn(process.execPath, [main, 'up', '--json', '--data', data], {
      env: { ...process.env, XDG_RUNTIME_DIR: join(this.folder, 'run'), GRAPEVINE_MESH: '', GRAPEVINE_TOKEN: '' },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    this.#children.push(child)
    const lines = createInterface({ input: child.stdout })
    const [line] = await Promise.race([once(lines, 'line'), once(child, 'exit').then(() => [])])
    if (line === undefined) throw new Error('a peer ended before it was ready')
    return connectPeer({ api: JSON.parse(line).api, token: readFileSync(join(data, 'token'), 'utf8') })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.off('exit', this.#killAll)
    for (const peer of this.peers) await peer.close().catch(() => undefined)
    const running = this.#children.filter((child) => child.exitCode === null && child.signalCode === null)
    const ended = running.map((child) => once(child, 'exit'))
    this.#killAll()
    await Promise.all(ended)
    rmSync(this.folder, { recursive: true, force: true })
  }
}
