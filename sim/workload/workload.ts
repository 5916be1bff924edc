/**
 * The applications of a run: those that publish, those that read, each living and dying with the process of its peer. Whatever they do is
 * noted in the history before and after; when they do it follows from the plan and a stream of randomness each.
 */
import { PayloadCheck } from '../payload.ts'
import type { Plan } from '../plan.ts'
import { Publisher } from './publisher.ts'
import { Reader } from './reader.ts'
import type { Stage, StagePeer } from './stage.ts'

export class Workload {
  readonly #stage: Stage
  readonly #plan: Plan
  readonly #publishers: Publisher[]
  readonly #readers: Reader[]
  /** One for all readers: most read the same. */
  readonly #check: PayloadCheck

  constructor(stage: Stage, plan: Plan) {
    this.#stage = stage
    this.#plan = plan
    this.#publishers = plan.workload.publishers.map(
      (each, at) => new Publisher(stage, each, `${plan.seed}/publisher/${at}`, plan.seed),
    )
    this.#check = new PayloadCheck(plan.seed)
    this.#readers = plan.workload.readers.map(
      (each, at) => new Reader(stage, each, `${plan.seed}/reader/${at}`, this.#check),
    )
    stage.onUp((peer) => this.#onUp(peer))
  }

  #onUp(peer: StagePeer): void {
    for (const publisher of this.#publishers) if (publisher.plan.peer === peer.name) void publisher.run(peer)
    for (const reader of this.#readers) if (reader.plan.peer === peer.name) void reader.run(peer)
  }

  /** After healing: a fresh reader of the topic on this peer, from the earliest record on. */
  readAll(peer: string, topic: string): void {
    const simPeer = this.#stage.get(peer)
    const plan = { peer, topic, from: 'earliest' as const, startMs: 0 }
    const reader = new Reader(this.#stage, plan, `${this.#plan.seed}/fresh/${peer}/${topic}`, this.#check, true)
    simPeer.within(() => void reader.run(simPeer))
  }
}
