/** An application that publishes, or sends to a queue. A restart of its peer starts it anew; what it had in hand is then for the system to have kept or not. */
import { isError } from '../../node/index.ts'
import type { Asked, Outcome } from '../history.ts'
import { payloadBytesMin, payloadOf } from '../payload.ts'
import type { AsksPlan, GroupPlan, Plan, PublisherPlan } from '../plan.ts'
import { Rng } from '../world/random.ts'
import { queueOf } from './share.ts'
import type { Stage, StagePeer } from './stage.ts'

export class Publisher {
  readonly plan: PublisherPlan
  readonly #stage: Stage
  readonly #random: Rng
  readonly #seed: number
  /** Which it sends to. */
  readonly #queue: GroupPlan | undefined
  #published = 0

  constructor(stage: Stage, plan: PublisherPlan, stream: string, { seed, workload: { groups = [] } }: Plan) {
    this.#stage = stage
    this.plan = plan
    this.#random = new Rng(stream)
    this.#seed = seed
    if (plan.asks !== undefined) this.#queue = groups.find(({ topic }) => topic === plan.topic)
  }

  /** Within the peer's process, which takes it along when it dies. */
  async run(peer: StagePeer): Promise<void> {
    const { world } = this.#stage
    const { fromMs, untilMs, everyMs, burst, count = Number.POSITIVE_INFINITY } = this.plan
    const start = fromMs - world.time.elapsed()
    if (start > 0) await world.sleep(start)
    while (world.time.elapsed() < untilMs && this.#published < count) {
      for (let i = 0; i < burst && this.#published < count; i++) void this.#publish(peer)
      await world.sleep(everyMs * burst * (0.5 + this.#random.float()))
    }
  }

  async #publish(peer: StagePeer): Promise<void> {
    const { topic, confirm, asks } = this.plan
    const { history, world } = this.#stage
    this.#published++
    const key = this.#key()
    const bytes = this.#size()
    const asked = asks && this.#ask(asks)
    const about = { topic, peer: peer.name, publisher: peer.peer.id, key, bytes, ...(asked && { asked }) }
    const publication = history.publish(about)
    const value = payloadOf(this.#seed, publication.id, bytes)
    try {
      const queue = this.#queue && queueOf(peer.peer, this.#queue)
      const receipt = await (queue === undefined
        ? peer.peer
            .topic<Uint8Array>(topic, { codec: 'bytes' })
            .publish(value, { confirm, ...(key === undefined ? {} : { key }) })
        : queue.send(value, { confirm, ...(key === undefined ? {} : { groupId: key }), ...asked }))
      history.ended(publication, { type: 'confirmed', at: world.time.elapsed(), ...receipt })
    } catch (error) {
      history.ended(publication, outcomeOf(error, world.time.elapsed()))
    }
    world.trace.text(`${publication.id} ${publication.outcome?.type}`)
  }

  #key(): string | undefined {
    const { keys } = this.plan
    if (keys !== undefined) return `k${this.#random.int(0, keys - 1)}`
    return this.#random.chance(0.3) ? `k${this.#random.int(0, 9)}` : undefined
  }

  #ask({ delayed, delayMsMax, expiring, expiresMsMax, prioritised, repeated, repeatedWithin }: AsksPlan): Asked {
    const random = this.#random
    const sent = this.#stage.history.publications.length
    return {
      ...(random.chance(delayed) && { delayMs: random.int(1, delayMsMax) }),
      ...(random.chance(expiring) && { expiresMs: random.int(1, expiresMsMax) }),
      ...(random.chance(prioritised) && { priority: random.int(0, 9) }),
      ...(random.chance(repeated) && { dedupId: `d${Math.floor(sent / repeatedWithin)}` }),
    }
  }

  /** Small ones more often: uniform in the logarithm. */
  #size(): number {
    const { bytesMin, bytesMax } = this.plan
    const low = Math.max(payloadBytesMin, bytesMin)
    return Math.floor(low * (Math.max(low, bytesMax) / low) ** this.#random.float())
  }
}

function outcomeOf(error: unknown, at: number): Outcome {
  if (isError(error, 'ConfirmTimeout')) {
    const { feed, seq, copies } = error.data
    return { type: 'stored', at, feed: feed as never, seq, copies }
  }
  const text = error instanceof Error ? error.message : String(error)
  return { type: 'failed', at, code: isError(error) ? error.code : 'other', text }
}
