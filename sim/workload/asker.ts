/** An application that asks, to the end of the run. */
import { isError } from '../../node/index.ts'
import type { AskerPlan } from '../plan.ts'
import type { AskOutcome } from '../request-history.ts'
import { Rng } from '../world/random.ts'
import type { Answer } from './responder.ts'
import type { Stage, StagePeer } from './stage.ts'

export interface AskerOptions {
  topic: string
  plan: AskerPlan
  stream: string
}

export class Asker {
  readonly options: AskerOptions
  readonly #stage: Stage
  readonly #random: Rng

  constructor(stage: Stage, options: AskerOptions) {
    this.#stage = stage
    this.options = options
    this.#random = new Rng(options.stream)
  }

  /** Within the peer's process, which takes it along when it dies. */
  async run(peer: StagePeer): Promise<void> {
    const { world } = this.#stage
    const { startMs, everyMs } = this.options.plan
    const wait = startMs - world.time.elapsed()
    if (wait > 0) await world.sleep(wait)
    for (;;) {
      void this.#ask(peer)
      await world.sleep(everyMs * (0.5 + this.#random.float()))
    }
  }

  async #ask({ name, peer }: StagePeer): Promise<void> {
    const { history, world } = this.#stage
    const { topic, plan } = this.options
    const { timeoutMs } = plan
    const asking = history.requests.ask({ topic, peer: name, timeoutMs })
    const { number } = asking
    const outcome = await peer.request<Answer>(topic, { number }, { timeoutMs }).then(
      (answer): AskOutcome => ({ at: world.time.elapsed(), type: 'answered', ...answer }),
      (error: unknown): AskOutcome => {
        const text = error instanceof Error ? error.message : String(error)
        return { at: world.time.elapsed(), type: 'failed', code: isError(error) ? error.code : 'other', text }
      },
    )
    asking.outcome = outcome
    world.trace.text(`${number} ${outcome.type}`)
  }
}
