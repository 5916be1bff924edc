/** An application that answers requests with their number, or refuses them: see `ResponderPlan`. While there are faults it takes its time. */
import type { Responder as Responding } from '../../node/index.ts'
import type { ResponderPlan } from '../plan.ts'
import { Rng } from '../world/random.ts'
import type { Stage, StagePeer } from './stage.ts'

export interface ResponderOptions {
  topic: string
  plan: ResponderPlan
  stream: string
  /** From here on it has no faults. */
  calmMs: number
}

export interface Question {
  number: number
}

export interface Answer extends Question {
  by: string
}

export class Responder {
  readonly options: ResponderOptions
  readonly #stage: Stage
  readonly #random: Rng

  constructor(stage: Stage, options: ResponderOptions) {
    this.#stage = stage
    this.options = options
    this.#random = new Rng(options.stream)
  }

  /** Within the peer's process, which takes it along when it dies. */
  async run(peer: StagePeer): Promise<void> {
    const { world, history } = this.#stage
    const { topic, plan } = this.options
    if (plan.startMs > this.#now) await world.sleep(plan.startMs - this.#now)
    for (;;) {
      const shift = history.requests.respond({ topic, peer: peer.name })
      const responder = this.#respond(peer)
      const until = plan.closes.find((time) => time > this.#now)
      if (until === undefined) return
      await world.sleep(until - this.#now)
      shift.endedAt = this.#now
      await responder.close()
      await world.sleep(plan.awayMs)
    }
  }

  get #now(): number {
    return this.#stage.world.time.elapsed()
  }

  #respond(peer: StagePeer): Responding {
    const { topic, plan } = this.options
    const { history, world } = this.#stage
    return peer.peer.topic<Question>(topic).respond(
      async ({ number }, { attempt }): Promise<Answer> => {
        const handling = history.requests.handle({ number, topic, peer: peer.name, attempt })
        const isCalm = this.#now >= this.options.calmMs
        const fails = this.#random.chance(plan.fails)
        await world.sleep(isCalm ? 0 : plan.workMs * (0.5 + this.#random.float()))
        handling.doneAt = this.#now
        world.trace.mix(number)
        if (fails) throw new Error(failureOf(number))
        return { number, by: peer.name }
      },
      { concurrency: plan.concurrency },
    )
  }
}

/** What a handler throws that refuses this request. */
export function failureOf(number: number): string {
  return `no answer to ${number}`
}
