/**
 * The applications of a run: those that publish, those that read, those that share in groups and queues, those that ask and
 * answer, each living and dying with the process of its peer. Whatever they do is
 * noted in the history before and after; when they do it follows from the plan and a stream of randomness each.
 */
import { PayloadCheck } from '../payload.ts'
import type { Plan } from '../plan.ts'
import { Asker } from './asker.ts'
import { Consumer } from './consumer.ts'
import { readDead } from './dead.ts'
import { Publisher } from './publisher.ts'
import { Reader, type ReadFrom } from './reader.ts'
import { Responder } from './responder.ts'
import type { Stage, StagePeer } from './stage.ts'
import { Store } from './store.ts'

export class Workload {
  readonly #stage: Stage
  readonly #plan: Plan
  readonly #publishers: Publisher[]
  readonly #readers: Reader[]
  readonly #consumers: Consumer[]
  readonly #responders: Responder[]
  readonly #askers: Asker[]
  /** One for all readers: most read the same. */
  readonly #check: PayloadCheck

  constructor(stage: Stage, plan: Plan) {
    this.#stage = stage
    this.#plan = plan
    this.#publishers = plan.workload.publishers.map(
      (each, at) => new Publisher(stage, each, `${plan.seed}/publisher/${at}`, plan),
    )
    this.#check = new PayloadCheck(plan.seed)
    this.#readers = plan.workload.readers.map(
      (each, at) => new Reader(stage, each, `${plan.seed}/reader/${at}`, this.#check),
    )
    this.#consumers = (plan.workload.groups ?? []).flatMap((group, at) => {
      const store = new Store()
      const common = { group, store, check: this.#check, calmMs: plan.safetyMs }
      return group.consumers.map(
        (each, i) => new Consumer(stage, { ...common, plan: each, stream: `${plan.seed}/group/${at}/${i}` }),
      )
    })
    const { requests = [] } = plan.workload
    this.#responders = requests.flatMap(({ topic, responders }) =>
      responders.map((each, i) => {
        const stream = `${plan.seed}/responder/${topic}/${i}`
        return new Responder(stage, { topic, plan: each, stream, calmMs: plan.safetyMs })
      }),
    )
    this.#askers = requests.flatMap(({ topic, askers }) =>
      askers.map((each, i) => new Asker(stage, { topic, plan: each, stream: `${plan.seed}/asker/${topic}/${i}` })),
    )
    stage.onUp((peer) => this.#onUp(peer))
  }

  #onUp(peer: StagePeer): void {
    for (const publisher of this.#publishers) if (publisher.plan.peer === peer.name) void publisher.run(peer)
    for (const reader of this.#readers) if (reader.plan.peer === peer.name) void reader.run(peer)
    for (const consumer of this.#consumers) if (consumer.options.plan.peer === peer.name) void consumer.run(peer)
    for (const each of [...this.#responders, ...this.#askers])
      if (each.options.plan.peer === peer.name) void each.run(peer)
  }

  /** After healing: a fresh reader of the topic on this peer, from the earliest record on. */
  readAll(peer: string, topic: string): void {
    this.#read({ peer, topic, from: 'earliest', startMs: 0 }, 'fresh')
  }

  /** After healing: a fresh reader that begins at an offset of this peer. */
  readFrom(peer: string, topic: string, offset: number): void {
    this.#read({ peer, topic, from: offset, startMs: 0 }, 'offset')
  }

  /** After healing: what became a dead letter of the topic's groups, read on this peer. */
  readDead(peer: string, topic: string): void {
    const simPeer = this.#stage.get(peer)
    simPeer.within(() => void readDead(this.#stage, simPeer, topic))
  }

  #read(plan: ReadFrom, stream: string): void {
    const { peer, topic } = plan
    const simPeer = this.#stage.get(peer)
    const reader = new Reader(this.#stage, plan, `${this.#plan.seed}/${stream}/${peer}/${topic}`, this.#check, true)
    simPeer.within(() => void reader.run(simPeer))
  }
}
