/** One simulated peer: a disk, an identity and, while it runs, a real peer on them. */
import type { ComponentLogger, Logger } from '@libp2p/interface'
import { plaintext } from '@libp2p/plaintext'
import { MemoryLevel } from 'memory-level'
import { pino } from 'pino'
import { createPeerOn } from '../../node/create.ts'
import type { Peer, PeerEvent, PeerOptions } from '../../node/index.ts'
import type { Clock, Ports, StateDb } from '../../node/ports.ts'
import { SimDisk } from './disk.ts'
import { Rng } from './random.ts'
import { type Actor, epoch } from './time.ts'
import type { World } from './world.ts'

export interface SimPeerOptions extends Omit<PeerOptions, 'data' | 'listen' | 'join'> {
  name?: string
  /** Memory only. */
  ephemeral?: boolean
  /** Whom it is told of at the start; the others it finds by itself. */
  join?: readonly { address: string }[]
  /** Its clock is ahead by so many ms, and gains so many of each 1,000. */
  skewMs?: number
  driftPerMille?: number
  /** No entropy, and a clock that begins anew at each start and tells whole `amnesicTickMs` only: each start is like the first. */
  amnesic?: boolean
}

const amnesicTickMs = 10_000

/** The library makes a logger for each connection and stream; its usual one looks each time whether it writes to a terminal. */
const silent: ComponentLogger = {
  forComponent: () => quiet,
}
const quiet: Logger = Object.assign(() => {}, {
  error: () => {},
  trace: () => {},
  enabled: false,
  newScope: () => quiet,
})
/** One for all peers: each made holds the real standard output, and is flushed to it when the process ends. */
const log = pino({ level: 'silent' })

/** One run of the process. */
interface Run extends Actor {
  random: Rng
  startedAt: number
  /** When long work is interrupted, and for how long. */
  pauses: Rng
}

export interface DiskCopy {
  files: ReadonlyMap<string, Uint8Array>
  state: readonly [string, Uint8Array][]
}

/** How a process ends without being asked: `killed` (the kernel lives on) or by a `power` cut. */
export type CrashKind = 'killed' | 'power'

export class SimPeer {
  readonly name: string
  readonly world: World
  readonly options: SimPeerOptions
  readonly disk: SimDisk
  /** What `events()` has told, over all runs. */
  readonly events: PeerEvent[] = []
  onEvent: ((event: PeerEvent) => void) | undefined
  /** Of its wall clock against virtual time, ms; may be changed while it runs, as when somebody sets the clock. */
  skewMs: number
  #state: MemoryLevel<string, Uint8Array> | undefined
  #run: Run | undefined
  #peer: Peer | undefined
  #runs = 0

  constructor(world: World, name: string, options: SimPeerOptions) {
    this.world = world
    this.name = name
    this.options = options
    this.skewMs = options.skewMs ?? 0
    this.disk = new SimDisk(world.time, new Rng(`${world.seed}/${name}/disk`))
  }

  get address(): string {
    return `/memory/${this.name}`
  }

  get running(): boolean {
    return this.#peer !== undefined
  }

  /** Running, or about to. */
  get alive(): boolean {
    return this.#run !== undefined
  }

  /** The peer that runs now. Throws where none does. */
  get peer(): Peer {
    if (this.#peer === undefined) throw new Error(`${this.name} is not running`)
    return this.#peer
  }

  /** Timers it has set, of those of all (`time.pending()`). */
  timersIn(pending: ReadonlyMap<Actor, number>): number {
    return (this.#run && pending.get(this.#run)) ?? 0
  }

  /** Runs code as this peer's process: its timers are held when the peer is paused, and gone when it crashes. */
  within<T>(act: () => T): T {
    if (this.#run === undefined) throw new Error(`${this.name} is not running`)
    return this.world.time.as(this.#run, act)
  }

  async start(): Promise<Peer> {
    if (this.#run !== undefined) throw new Error(`${this.name} is running already`)
    const run: Run = {
      name: this.name,
      paused: false,
      dead: false,
      random: new Rng(`${this.world.seed}/${this.name}/${this.#runs++}`),
      startedAt: this.world.time.now(),
      pauses: new Rng(`${this.world.seed}/${this.name}/${this.#runs}/pauses`),
    }
    this.#run = run
    const {
      name: _,
      ephemeral = false,
      join = [],
      skewMs: __,
      driftPerMille: ___,
      amnesic: ____,
      ...rest
    } = this.options
    const peer = await this.world.time.as(run, () =>
      createPeerOn(this.#ports(run), {
        ...rest,
        data: ephemeral ? null : this.name,
        listen: [this.address],
        join: join.map((other) => other.address),
        discover: false,
      }),
    )
    if (run.dead) return peer
    this.#peer = peer
    this.world.time.as(run, () => void this.#record(peer))
    return peer
  }

  crash(how: CrashKind): void {
    if (this.#run === undefined) return
    this.world.network.crash(this.#run, how)
    this.disk.crash(how)
    this.#run = undefined
    this.#peer = undefined
  }

  /** An orderly end. */
  async stop(): Promise<void> {
    const [run, peer] = [this.#run, this.#peer]
    if (run === undefined || peer === undefined) return
    await this.world.time.as(run, async () => {
      await peer.drain()
      await peer.close()
    })
    if (this.#run === run) this.crash('killed')
  }

  pause(): void {
    if (this.#run !== undefined) this.#run.paused = true
  }

  resume(): void {
    if (this.#run?.paused) this.world.time.resume(this.#run)
  }

  get paused(): boolean {
    return this.#run?.paused ?? false
  }

  /** A new, empty disk; only while it does not run. */
  wipe(): void {
    this.disk.wipe()
    this.#state = undefined
  }

  /** A copy of the disk, files and state, as it is now. */
  async copy(): Promise<DiskCopy> {
    const files = this.disk.snapshot()
    const state: [string, Uint8Array][] = []
    if (this.#state?.status === 'open') for await (const entry of this.#state.iterator()) state.push(entry)
    return { files, state }
  }

  /** Puts a copy in the place of all there is; only while it does not run. */
  async restore({ files, state }: DiskCopy): Promise<void> {
    this.disk.restore(files)
    const db = new MemoryLevel<string, Uint8Array>({ valueEncoding: 'view' })
    await db.open()
    for (const [key, value] of state) await db.put(key, value)
    this.#state = db
  }

  #ports(run: Run): Ports {
    return {
      clock: this.#clock(run),
      random: { float: () => run.random.float(), bytes: (count) => this.#bytes(run, count) },
      disk: this.options.ephemeral ? new SimDisk(this.world.time, run.random) : this.disk,
      openState: () => this.#openState(),
      network: () => ({
        transports: [this.world.network.transport(run) as never],
        connectionEncrypters: [plaintext()],
        ...(process.env.DEBUG === undefined ? { logger: silent } : {}),
      }),
      log,
    }
  }

  #bytes(run: Run, count: number): Uint8Array {
    return (this.options.amnesic ? new Rng(`${this.world.seed}/${this.name}/amnesic`) : run.random).bytes(count)
  }

  #clock(run: Run): Clock {
    const { time } = this.world
    const { driftPerMille = 0, amnesic = false } = this.options
    const rate = 1 + driftPerMille / 1000
    return {
      now: () => {
        if (amnesic) return epoch + Math.floor((time.now() - run.startedAt) / amnesicTickMs) * amnesicTickMs
        return Math.floor(time.now() + this.skewMs + time.elapsed() * (rate - 1))
      },
      after: (ms, act) => {
        const timer = time.set(act, ms / rate, undefined, run)
        return { cancel: () => time.clear(timer) }
      },
      every: (ms, act) => {
        const timer = time.set(act, ms / rate, ms / rate, run)
        return { cancel: () => time.clear(timer) }
      },
      breathe: () => this.#breathe(run),
    }
  }

  /** No time passes while something is computed, but where the run is one under strain. */
  #breathe(run: Run): Promise<void> | undefined {
    const { strain, time } = this.world
    if (strain.pauses === undefined || !run.pauses.chance(strain.pauses.share)) return undefined
    const ms = run.pauses.int(1, strain.pauses.maxMs)
    return new Promise((resolve) => {
      time.set(resolve, ms, undefined, run)
    })
  }

  /** LevelDB survives a crash with what it had; what a power cut may take of it can be rebuilt and is left alone here. */
  async #openState(): Promise<StateDb> {
    const fresh = new MemoryLevel<string, Uint8Array>({ valueEncoding: 'view' })
    await fresh.open()
    const before = this.options.ephemeral ? undefined : this.#state
    if (before !== undefined) {
      if (before.status !== 'open') await before.open()
      for await (const [key, value] of before.iterator()) await fresh.put(key, value)
    }
    this.#state = fresh
    return fresh as unknown as StateDb
  }

  async #record(peer: Peer): Promise<void> {
    for await (const event of peer.events()) {
      this.events.push(event)
      this.onEvent?.(event)
      this.world.trace.text(`${this.name} ${event.type}`)
    }
  }
}
