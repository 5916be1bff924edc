/**
 * The applications of a run: those that publish, those that read, each living and dying with the process of its peer. Whatever they do is
 * noted in the history before and after; when they do it follows from the plan and a stream of randomness each.
 */
import type { Fleet } from '../fleet.ts'
import type { Plan } from '../plan.ts'
import type { SimPeer } from '../world/peer.ts'
import { Publisher } from './publisher.ts'
import { Reader } from './reader.ts'

export class Workload {
  readonly #fleet: Fleet
  readonly #plan: Plan
  readonly #publishers: Publisher[]
  readonly #readers: Reader[]

  constructor(fleet: Fleet, plan: Plan) {
    this.#fleet = fleet
    this.#plan = plan
    this.#publishers = plan.workload.publishers.map(
      (each, at) => new Publisher(fleet, each, `${plan.seed}/publisher/${at}`, plan.seed),
    )
    this.#readers = plan.workload.readers.map(
      (each, at) => new Reader(fleet, each, `${plan.seed}/reader/${at}`, plan.seed),
    )
    fleet.onUp((peer) => this.#onUp(peer))
  }

  #onUp(peer: SimPeer): void {
    for (const publisher of this.#publishers) if (publisher.plan.peer === peer.name) void publisher.run(peer)
    for (const reader of this.#readers) if (reader.plan.peer === peer.name) void reader.run(peer)
  }

  /** After healing: a fresh reader of the topic on this peer, from the earliest record on. */
  readAll(peer: string, topic: string): void {
    const simPeer = this.#fleet.get(peer)
    const plan = { peer, topic, from: 'earliest' as const, startMs: 0 }
    const reader = new Reader(this.#fleet, plan, `${this.#plan.seed}/fresh/${peer}/${topic}`, this.#plan.seed, true)
    simPeer.within(() => void reader.run(simPeer))
  }
}
