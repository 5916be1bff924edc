/** The world as a user's test sees it: its peers, its time, and what lies between them. All times are virtual milliseconds. */
import type { LinkQuality } from '../world/network.ts'
import type { World } from '../world/world.ts'
import { type Around, SimulatedPeer } from './peer.ts'
import type { SimulatedPeerOptions } from './simulate.ts'

type Tuple<N extends number, T extends unknown[] = []> = T['length'] extends N ? T : Tuple<N, [...T, SimulatedPeer]>
/** As many as were asked for, where their number is known to the compiler. */
export type Peers<N extends number> = number extends N ? SimulatedPeer[] : Tuple<N>

/** Friends that a peer of a mesh wants; in a smaller one, all others. */
const friendsWanted = 3

export class SimulatedWorld<N extends number = number> {
  /** Those of `simulate`, started and connected, in order; later ones are what `addPeer` returns. */
  readonly peers: Peers<N>
  readonly #world: World
  readonly #around: Around
  readonly #all: SimulatedPeer[] = []
  /** By name: the side of a partition that a peer is on. */
  #sides = new Map<string, number>()
  readonly #cuts = new Set<string>()
  readonly #links = new Map<string, Partial<LinkQuality>>()

  /** Made by `simulate`. */
  constructor(world: World, around: Around) {
    this.#world = world
    this.#around = around
    this.peers = this.#all as Peers<N>
    world.network.setQuality((from, to) => this.#links.get(linkOf(from, to)) ?? {})
  }

  get seed(): number | string {
    return this.#world.seed
  }

  /** Since the simulation began. */
  get now(): number {
    return this.#world.time.elapsed()
  }

  /** Uniform in [0, 1), from the seed. `Math.random` and `crypto.getRandomValues` are, too. */
  random(): number {
    return this.#world.random.float()
  }

  peer(name: string): SimulatedPeer {
    const peer = this.#all.find((one) => one.name === name)
    if (peer === undefined)
      throw new Error(`there is no peer ${name}, but ${this.#all.map((one) => one.name).join(', ')}`)
    return peer
  }

  /** Starts one more peer, which is told of three others. Resolves when it listens. */
  async addPeer(options: SimulatedPeerOptions = {}): Promise<SimulatedPeer> {
    const host = this.#world.addPeer({ ...options, join: this.#world.peers.slice(-3) })
    const peer = new SimulatedPeer(host, this.#around)
    this.#all.push(peer)
    await peer.restart()
    return peer
  }

  sleep(ms: number): Promise<void> {
    return this.#world.sleep(ms)
  }

  /** Resolves when `condition` holds, looked at every 50 ms; rejects after `withinMs` (default 60,000) with `what` did not happen. */
  async until(
    condition: () => unknown,
    { withinMs = 60_000, what = String(condition) }: { withinMs?: number; what?: string } = {},
  ): Promise<void> {
    if (await this.#world.until(async () => Boolean(await condition()), withinMs)) return
    throw new Error(`not so after ${withinMs} virtual ms: ${what}`)
  }

  /**
   * Cuts the network between groups; inside a group all goes on. Peers that are in no group are one more group together:
   * `partition([a])` cuts a off, `partition([a], [b])` both from each other and from the rest. Replaces the partition before.
   */
  async partition(...groups: readonly (readonly SimulatedPeer[])[]): Promise<void> {
    this.#sides = new Map(groups.flatMap((group, side) => group.map((peer) => [peer.name, side])))
    this.#recut()
  }

  /** Cuts one link, in both directions or only from `from` to `to`. */
  async cut(from: SimulatedPeer, to: SimulatedPeer, { oneWay = false } = {}): Promise<void> {
    this.#cuts.add(linkOf(from.name, to.name))
    if (!oneWay) this.#cuts.add(linkOf(to.name, from.name))
    this.#recut()
  }

  /** Changes a link in both directions: `{ delayMs, jitterMs, bytesPerSecond }`. */
  async link(a: SimulatedPeer, b: SimulatedPeer, quality: Partial<LinkQuality>): Promise<void> {
    this.#links.set(linkOf(a.name, b.name), quality)
    this.#links.set(linkOf(b.name, a.name), quality)
  }

  /** Ends the partition and all cuts, and makes all links usual again. What was lost in between peers find out by themselves. */
  async heal(): Promise<void> {
    this.#sides = new Map()
    this.#cuts.clear()
    this.#links.clear()
    this.#recut()
  }

  /** Resolves when every running peer has friends; rejects after `withinMs` (default 60,000). */
  async connected({ withinMs = 60_000 } = {}): Promise<void> {
    const enough = Math.min(friendsWanted, this.#running().length - 1)
    const condition = async () => {
      for (const peer of this.#running()) if ((await peer.friends()).length < enough) return false
      return true
    }
    await this.until(condition, { withinMs, what: `every peer has ${enough} friends` })
  }

  /**
   * Resolves when all running peers that carry a topic hold equally many records of it, for every topic, two seconds long;
   * rejects after `withinMs` (default 60,000), saying who holds what.
   */
  async converged({ withinMs = 60_000 } = {}): Promise<void> {
    const end = this.now + withinMs
    let told = ''
    for (let since = this.now, before = ''; ; await this.sleep(100)) {
      const { equal, text } = await this.#held()
      if (!equal || text !== before) since = this.now
      before = text
      told = text
      if (equal && this.now - since >= 2_000) return
      if (this.now >= end) break
    }
    throw new Error(`not converged after ${withinMs} virtual ms: ${told || 'nobody carries anything'}`)
  }

  async #held(): Promise<{ equal: boolean; text: string }> {
    const topics = new Map<string, { who: string[]; counts: Set<number> }>()
    for (const peer of this.#running()) {
      for (const { name, held, records } of await peer.topics()) {
        if (held !== 'carry') continue
        const topic = topics.get(name) ?? { who: [], counts: new Set() }
        topics.set(name, topic)
        topic.who.push(`${peer.name} has ${records}`)
        topic.counts.add(records)
      }
    }
    const text = [...topics].map(([name, { who }]) => `${name}: ${who.join(', ')}`).join('; ')
    return { equal: [...topics.values()].every(({ counts }) => counts.size === 1), text }
  }

  #running(): SimulatedPeer[] {
    return this.#all.filter((peer) => peer.running)
  }

  #recut(): void {
    const side = (name: string) => this.#sides.get(name) ?? -1
    this.#world.network.setCut((from, to) => side(from) !== side(to) || this.#cuts.has(linkOf(from, to)))
  }
}

function linkOf(from: string, to: string): string {
  return `${from} ${to}`
}
