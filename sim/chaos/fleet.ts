/** The peers of a chaos run: processes that are started, killed, stopped and started again; the history notes each. */

import { extname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { PeerEvent } from '../../node/index.ts'
import type { History } from '../history.ts'
import type { PeerPlan } from '../plan.ts'
import type { Stage } from '../workload/stage.ts'
import { FillableDisk } from './disk.ts'
import { Life, sleep } from './life.ts'
import type { Neighbourhood, PeerProcess } from './neighbourhood.ts'
import { type Route, routeVariable } from './route.ts'
import type { Wires } from './wires.ts'

const route = pathToFileURL(join(import.meta.dirname, `route${extname(import.meta.url)}`)).href
const restartMs = 1_000

interface Running {
  process: PeerProcess
  life: Life
  /** Of its events, how many have been taken into the history. */
  told: number
}

export interface FleetOptions {
  here: Neighbourhood
  wires: Wires
  history: History
  plans: readonly PeerPlan[]
  /** Peers whose disks will be full at times. */
  fillable: ReadonlySet<string>
  /** Milliseconds since the run began. */
  elapsed(): number
  /** A process ended that nobody killed. */
  onCrash(text: string): void
}

export class RealFleet implements Stage {
  readonly history: History
  readonly world: Stage['world']
  readonly disks = new Map<string, FillableDisk>()
  readonly #options: FleetOptions
  /** The newest start of each: resolves when it runs, or when it was killed because it should not. */
  readonly #starting = new Map<string, Promise<void>>()
  readonly #running = new Map<string, Running>()
  /** Of a peer that should run: which attempt counts. */
  readonly #attempts = new Map<string, number>()
  readonly #onUp: ((peer: Life) => void)[] = []
  #closed = false

  constructor(options: FleetOptions) {
    this.#options = options
    this.history = options.history
    this.world = { time: { elapsed: () => options.elapsed() }, sleep, trace: { text: () => {}, mix: () => {} } }
    for (const name of options.fillable) this.disks.set(name, new FillableDisk(this.folderOf(name)))
  }

  onUp(act: (peer: Life) => void): void {
    this.#onUp.push(act)
  }

  get(name: string): Life {
    const running = this.#running.get(name)
    if (running === undefined) throw new Error(`${name} is not running`)
    return running.life
  }

  processes(): PeerProcess[] {
    return [...this.#running.values()].map(({ process }) => process)
  }

  folderOf(name: string): string {
    return this.#options.here.folderOf(name)
  }

  /** Starts it if it should not be running already, and again until it runs. */
  async up(name: string): Promise<void> {
    const attempt = this.#next(name)
    while (this.#attempts.get(name) === attempt && !this.#closed) {
      try {
        const starting = this.#start(name, attempt)
        this.#starting.set(name, starting)
        await starting
        return
      } catch (error) {
        if (this.#attempts.get(name) !== attempt) return
        this.history.note(name, 'start-failed', error instanceof Error ? error.message : String(error))
        await sleep(restartMs)
      }
    }
  }

  /** SIGKILL; resolves when nothing of it runs, not even one that was just starting: its files may be harmed then. */
  async down(name: string): Promise<void> {
    this.#next(name)
    const running = this.#running.get(name)
    if (running === undefined) {
      await this.#starting.get(name)?.catch(() => undefined)
      return
    }
    this.#end(name, running)
    this.history.note(name, 'killed')
    await running.process.kill()
    // What it said last is read only now.
    this.#collect(name, running)
  }

  signal(name: string, signal: 'SIGSTOP' | 'SIGCONT'): void {
    const running = this.#running.get(name)
    if (running !== undefined) process.kill(running.process.pid, signal)
  }

  /** Takes what the peers have told into the history. */
  collect(): void {
    for (const [name, running] of this.#running) this.#collect(name, running)
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#running.keys()].map((name) => this.down(name)))
    for (const disk of this.disks.values()) disk.close()
  }

  #next(name: string): number {
    const attempt = (this.#attempts.get(name) ?? 0) + 1
    this.#attempts.set(name, attempt)
    return attempt
  }

  async #start(name: string, attempt: number): Promise<void> {
    const { here, wires, plans, onCrash } = this.#options
    const fullFile = this.disks.get(name)?.fullFile
    const told: Route = { name, port: wires.port, ...(fullFile === undefined ? {} : { fullFile }) }
    const role = plans.find((plan) => plan.name === name)
    const args = role?.ephemeral ? ['--ephemeral'] : []
    const process = await here.up(name, args, {
      node: ['--no-warnings', '--import', route],
      env: { [routeVariable]: JSON.stringify(told) },
    })
    const running: Running = { process, life: new Life(name, process.client), told: 0 }
    if (this.#attempts.get(name) !== attempt || this.#closed) {
      running.life.over = true
      await process.kill()
      this.#collect(name, running)
      this.history.note(name, 'start-failed', 'it was ended while it started')
      return
    }
    for (const address of process.addresses) {
      const [, port] = /\/tcp\/(\d+)/.exec(address) ?? []
      if (port !== undefined) wires.name(Number(port), name)
    }
    this.#running.set(name, running)
    this.history.note(name, 'started')
    this.history.names.set(running.life.peer.id, name)
    for (const act of this.#onUp) running.life.within(() => act(running.life))
    void process.ended.then(({ code }) => {
      if (running.life.over || this.#closed) return
      this.#end(name, running)
      this.history.note(name, 'killed', `ended by itself with ${code}`)
      onCrash(`the process of ${name} ended by itself with ${code}: ${process.errors().slice(-2_000)}`)
      void this.up(name)
    })
  }

  #end(name: string, running: Running): void {
    this.#collect(name, running)
    running.life.over = true
    this.#running.delete(name)
    this.history.processEnded(name)
  }

  #collect(peer: string, running: Running): void {
    const { events } = running.process
    for (; running.told < events.length; running.told++) {
      const { event, ...rest } = events[running.told] as { event: string }
      if (event !== 'ready')
        this.history.told.push({ peer, at: this.#options.elapsed(), event: { type: event, ...rest } as PeerEvent })
    }
  }
}
