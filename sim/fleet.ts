/** The peers of a run as processes: started, ended and started again until they run; the history notes each. */
import { type History, noDisk } from './history.ts'
import type { Plan } from './plan.ts'
import type { CrashKind, SimPeer } from './world/peer.ts'
import type { World } from './world/world.ts'

/** A peer that does not start (its disk is full, say) is started again after this, as by a supervisor. */
const restartMs = 1_000

export class Fleet {
  readonly world: World
  readonly history: History
  readonly #peers = new Map<string, SimPeer>()
  /** Called when a peer runs; what it starts belongs to that process. */
  readonly #onUp: ((peer: SimPeer) => void)[] = []
  /** Which attempt to start each peer counts: an older one that ends late is void. */
  readonly #attempts = new Map<string, number>()

  constructor(world: World, history: History, { peers, workload: { amnesic = [] } }: Pick<Plan, 'peers' | 'workload'>) {
    this.world = world
    this.history = history
    for (const { name, join, role, ephemeral, skewMs, driftPerMille } of peers) {
      const peer = world.addPeer({
        name,
        amnesic: amnesic.includes(name),
        join: join.map((other) => ({ address: `/memory/${other}` })),
        ...(role === undefined ? {} : { role }),
        ...(ephemeral === undefined ? {} : { ephemeral }),
        ...(skewMs === undefined ? {} : { skewMs }),
        ...(driftPerMille === undefined ? {} : { driftPerMille }),
      })
      peer.onEvent = (event) => history.told.push({ peer: name, at: world.time.elapsed(), event })
      this.#peers.set(name, peer)
    }
  }

  get peers(): SimPeer[] {
    return [...this.#peers.values()]
  }

  get(name: string): SimPeer {
    const peer = this.#peers.get(name)
    if (peer === undefined) throw new Error(`the plan has no peer ${name}`)
    return peer
  }

  onUp(act: (peer: SimPeer) => void): void {
    this.#onUp.push(act)
  }

  /** Starts it if it is not starting or running; tries again until it runs. */
  up(name: string): void {
    const peer = this.get(name)
    if (peer.alive) return
    const attempt = (this.#attempts.get(name) ?? 0) + 1
    this.#attempts.set(name, attempt)
    peer.start().then(
      () => {
        if (this.#attempts.get(name) !== attempt) return
        this.history.note(name, 'started')
        this.history.names.set(peer.peer.id, name)
        for (const act of this.#onUp) peer.within(() => act(peer))
      },
      (error: unknown) => {
        if (this.#attempts.get(name) !== attempt) return
        this.history.note(name, 'start-failed', error instanceof Error ? error.message : String(error))
        peer.crash('killed')
        void this.world.sleep(restartMs).then(() => {
          if (this.#attempts.get(name) === attempt) this.up(name)
        })
      },
    )
  }

  /** By a fault of its own, whoever sees it; a supervisor starts it again. */
  crash(name: string): void {
    this.world.time.apart(() => {
      this.down(name, 'killed')
      void this.world.sleep(restartMs).then(() => this.up(name))
    })
  }

  /** Ends the process, also one that is just starting. */
  down(name: string, how: CrashKind): void {
    const peer = this.get(name)
    this.#attempts.set(name, (this.#attempts.get(name) ?? 0) + 1)
    peer.crash(how)
    this.history.note(name, how)
    this.history.processEnded(name)
    if (peer.options.ephemeral) this.history.note(name, 'lost', noDisk)
  }
}
