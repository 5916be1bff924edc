/**
 * A world of simulated peers: the same peers as in production, on virtual time, seeded randomness, a network and disks
 * that can fail in every way we can think of. The same seed gives the same run, event for event.
 *
 *   time    virtual clock, one heap of timers, each with the peer that set it
 *   random  streams from the seed: one of the world, one for each peer's run
 *   network transport in memory with delays, bandwidth, cuts
 *   disk    caches, loses, tears, flips, fills up
 *   signatures verified once for all peers, as they share one process
 *   peer    one simulated peer: start, kill, lose power, pause, wipe, restore
 *
 * Promises: nothing here decides by real time or real randomness; a peer can only reach what its world gave it; after the run the
 * globals are what they were. Only one world runs at a time in a process, since the globals are shared.
 */
import { limits } from '../../node/index.ts'
import type { Strain } from '../plan.ts'
import { type LinkQuality, SimNetwork } from './network.ts'
import { SimPeer, type SimPeerOptions } from './peer.ts'
import { Rng } from './random.ts'
import { rememberVerdicts } from './signatures.ts'
import { nextTurn, VirtualTime } from './time.ts'
import { Trace } from './trace.ts'

export interface WorldOptions {
  seed: number | string
  quality?: Partial<LinkQuality>
  strain?: Strain
}

/** Turns that are asked for together: Node settles promises and ticks between any two of them, and looks for real input only after them all. */
const turnsInRound = 256

const usualQuality: LinkQuality = { delayMs: 5, jitterMs: 20, bytesPerSecond: 10e6 }

export class World {
  readonly time = new VirtualTime()
  readonly random: Rng
  readonly network: SimNetwork
  readonly peers: SimPeer[] = []
  readonly trace = new Trace()
  readonly seed: number | string
  readonly strain: Strain
  /** Steps taken: timers that were run. */
  steps = 0
  /** What a timer throws ends a real process; without this it ends the run. */
  onError: ((error: unknown) => void) | undefined

  constructor({ seed, quality = {}, strain = {} }: WorldOptions) {
    this.seed = seed
    this.strain = strain
    this.random = new Rng(`${seed}/world`)
    this.network = new SimNetwork({
      time: this.time,
      random: new Rng(`${seed}/network`),
      quality: { ...usualQuality, ...quality },
    })
  }

  /** Adds a peer that is not started yet. */
  addPeer(options: SimPeerOptions = {}): SimPeer {
    const peer = new SimPeer(this, options.name ?? `p${this.peers.length}`, options)
    this.peers.push(peer)
    return peer
  }

  /** Virtual milliseconds. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.time.set(resolve, ms)
    })
  }

  /** Resolves with true when `condition` holds, looked at every `everyMs`; with false after `timeoutMs`. */
  async until(condition: () => boolean | Promise<boolean>, timeoutMs: number, everyMs = 50): Promise<boolean> {
    const end = this.time.now() + timeoutMs
    while (!(await condition())) {
      if (this.time.now() >= end) return false
      await this.sleep(everyMs)
    }
    return true
  }

  /** Runs `story` in this world; rejects as it does, and when nothing is left that could ever happen. */
  async run<T>(story: (world: World) => Promise<T>): Promise<T> {
    const restore = this.#enter()
    try {
      let outcome: { ok: true; value: T } | { ok: false; error: unknown } | undefined
      story(this).then(
        (value) => {
          outcome = { ok: true, value }
        },
        (error: unknown) => {
          outcome = { ok: false, error }
        },
      )
      await this.#drive(() => outcome !== undefined)
      const ended = outcome as { ok: true; value: T } | { ok: false; error: unknown } | undefined
      for (const peer of this.peers) peer.crash('killed')
      if (ended === undefined) throw new Error('the story waits for something that can never happen')
      if (!ended.ok) throw ended.error
      return ended.value
    } finally {
      restore()
    }
  }

  /** Resolves when `done`, or when there is no timer left. */
  #drive(done: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      let over = false
      const end = (act: () => void) => {
        over = true
        act()
      }
      const turn = () => {
        if (over) return
        try {
          if (done() || !this.#step()) return end(resolve)
          this.steps++
          this.trace.mix(this.time.elapsed())
        } catch (error) {
          end(() => reject(error))
        }
      }
      const round = () => {
        if (over) return
        for (let i = 0; i < turnsInRound; i++) nextTurn(turn)
        nextTurn(round)
      }
      round()
    })
  }

  #step(): boolean {
    if (this.onError === undefined) return this.time.step()
    try {
      return this.time.step()
    } catch (error) {
      this.onError(error)
      return true
    }
  }

  /** Takes over the globals; returns how to give them back. */
  #enter(): () => void {
    const realRandom = Math.random
    const realFill = globalThis.crypto.getRandomValues
    const current = () => (this.time.current() as { random?: Rng } | undefined)?.random ?? this.random
    this.time.install(() => current().float())
    const forgetVerdicts = rememberVerdicts()
    const usual = { ...limits }
    Object.assign(limits, this.strain.bounds)
    globalThis.crypto.getRandomValues = <T extends ArrayBufferView | null>(view: T): T => {
      if (view !== null) current().fill(new Uint8Array(view.buffer, view.byteOffset, view.byteLength))
      return view
    }
    return () => {
      this.time.uninstall()
      forgetVerdicts()
      Object.assign(limits, usual)
      Math.random = realRandom
      globalThis.crypto.getRandomValues = realFill
    }
  }
}
