/** An application that reads, checks every byte it gets, and, where it is durable, acknowledges. */
import type { Message } from '../../node/index.ts'
import type { Reading } from '../history.ts'
import { type PayloadCheck, payloadId } from '../payload.ts'
import type { ReaderPlan } from '../plan.ts'
import { Rng } from '../world/random.ts'
import type { Stage, StagePeer } from './stage.ts'

/** A plan knows no offsets, since these are each peer's own. */
export type ReadFrom = Omit<ReaderPlan, 'from'> & { from: ReaderPlan['from'] | number }

export class Reader {
  readonly plan: ReadFrom
  readonly #stage: Stage
  readonly #random: Rng
  readonly #check: PayloadCheck
  readonly #fresh: boolean

  constructor(stage: Stage, plan: ReadFrom, stream: string, check: PayloadCheck, fresh = false) {
    this.#stage = stage
    this.plan = plan
    this.#random = new Rng(stream)
    this.#check = check
    this.#fresh = fresh
  }

  /** Within the peer's process, which takes it along when it dies. */
  async run(peer: StagePeer): Promise<void> {
    const { world, history } = this.#stage
    const { topic, name, from, startMs, endMs } = this.plan
    const wait = startMs - world.time.elapsed()
    if (wait > 0) await world.sleep(wait)
    if (endMs !== undefined && world.time.elapsed() >= endMs) return
    const subscription = peer.peer
      .topic<Uint8Array>(topic, { codec: 'bytes' })
      .subscribe({ from, ...(name === undefined ? {} : { name }) })
    const reading = history.open({ peer: peer.name, topic, name, from, fresh: this.#fresh })
    subscription.ready.then(
      () => {
        reading.readyAt = world.time.elapsed()
      },
      () => undefined,
    )
    if (endMs !== undefined)
      void world.sleep(endMs - world.time.elapsed()).then(() => {
        // What comes while it closes is nobody's any more.
        reading.endedAt ??= world.time.elapsed()
        return subscription.close().catch(() => undefined)
      })
    try {
      for await (const batch of subscription.batches()) {
        for (const message of batch) this.#take(reading, message)
        if (this.plan.slowMs !== undefined) await world.sleep(this.plan.slowMs)
      }
    } catch (error) {
      reading.failure = error instanceof Error ? error.message : String(error)
      reading.endedAt ??= world.time.elapsed()
    }
  }

  #take(reading: Reading, message: Message<Uint8Array>): void {
    const { history, world } = this.#stage
    if (reading.endedAt !== undefined) return
    const { value, feed, index, offset, publisher } = message
    const id = payloadId(value)
    history.deliver(reading, { id, feed, index, offset, publisher, wrong: this.#wrong(message, id) })
    world.trace.mix(reading.number)
    world.trace.mix(id ?? -1)
    const { name, acks = 1 } = this.plan
    if (name === undefined || !this.#random.chance(acks)) return
    const ack = history.ack(reading, { feed, index, id })
    message.ack().then(
      () => {
        ack.savedAt = world.time.elapsed()
      },
      () => undefined,
    )
  }

  /** What is wrong with a record by itself; who may have published it the judges know. */
  #wrong({ value, key, publisher, topic }: Message<Uint8Array>, id: number | undefined): string | undefined {
    const publication = id === undefined ? undefined : this.#stage.history.publications[id]
    if (publication === undefined) return 'a payload that nobody published'
    if (!this.#check.holds(value)) return 'other bytes than were published'
    if (publication.topic !== topic) return `published to ${publication.topic}`
    if (publication.key !== key) return `key ${key} instead of ${publication.key}`
    if (publication.publisher !== publisher) return `said to be from ${publisher} instead of ${publication.publisher}`
    return undefined
  }
}
