/** What a consumer takes part in: a group, or a queue, of which it may also receive. */
import assert from 'node:assert/strict'
import { type GroupEvent, type GroupRecord, isError, type Queue } from '../../node/index.ts'
import type { Standing } from '../group-history.ts'
import type { ConsumerPlan, GroupPlan } from '../plan.ts'
import type { StagePeer } from './stage.ts'

export interface Share {
  consume(how: ConsumerPlan): AsyncIterable<GroupRecord<Uint8Array>>
  /** What each `receive` gave, until it is drained. */
  receive(how: { max: number; waitMs: number }): AsyncIterable<readonly GroupRecord<Uint8Array>[]>
  status(): Promise<Standing>
  events(): AsyncIterable<GroupEvent>
  drain(): Promise<void>
}

export function shareOf({ peer }: StagePeer, plan: GroupPlan): Share {
  if (plan.visibilityMs !== undefined) return new QueueShare(queueOf(peer, plan))
  const { topic, name, type, leaseMs, maxReceives, quorum, from } = plan
  const bytes = peer.topic<Uint8Array>(topic, { codec: 'bytes' })
  const group = bytes.group(name, { type, leaseMs, maxReceives, quorum, from })
  return {
    consume: ({ concurrency }) => group.consume({ concurrency }),
    receive: () => assert.fail('nothing is received of a group'),
    status: () => group.status(),
    events: () => group.events(),
    drain: () => group.drain(),
  }
}

/** Senders and receivers open it alike. */
export function queueOf(peer: StagePeer['peer'], plan: GroupPlan): Queue<Uint8Array> {
  const { topic, type, visibilityMs = plan.leaseMs, maxReceives, quorum } = plan
  return peer.queue(topic, { codec: 'bytes', fifo: type === 'key-shared', visibilityMs, maxReceives, quorum })
}

class QueueShare implements Share {
  readonly #queue: Queue<Uint8Array>
  #drained = false

  constructor(queue: Queue<Uint8Array>) {
    this.#queue = queue
  }

  consume({ concurrency }: ConsumerPlan): AsyncIterable<GroupRecord<Uint8Array>> {
    return this.#queue.consume({ concurrency })
  }

  async *receive(how: { max: number; waitMs: number }): AsyncGenerator<readonly GroupRecord<Uint8Array>[]> {
    for (;;) {
      try {
        yield await this.#queue.receive(how)
      } catch (error) {
        if (this.#drained && isError(error, 'PeerClosed')) return
        throw error
      }
    }
  }

  async status(): Promise<Standing> {
    const { records: lag, ready, inFlight, delayed } = await this.#queue.stats()
    return { lag, deliveredTwice: [], counts: { ready, inFlight, delayed } }
  }

  events(): AsyncIterable<GroupEvent> {
    return this.#queue.events()
  }

  drain(): Promise<void> {
    this.#drained = true
    return this.#queue.drain()
  }
}
