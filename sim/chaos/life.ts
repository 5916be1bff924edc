/**
 * One run of a peer's process, as its applications see it. They live in this process and end with that one: what they had asked of
 * it is never answered, and what they would have done later is not done, exactly as if they had been inside.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { setTimeout as wait } from 'node:timers/promises'
import type { Peer, Topic, TopicOptions } from '../../node/index.ts'
import { groupWith, queueWith, subscriptionWith } from '../story/outside.ts'
import type { StagePeer } from '../workload/stage.ts'

/** A connection may be seen to break before the process is known to have ended. */
const graceMs = 500

const current = new AsyncLocalStorage<Life>()

export class Life implements StagePeer {
  readonly name: string
  readonly peer: StagePeer['peer']
  over = false

  constructor(name: string, client: Peer) {
    this.name = name
    // One of each: every one has a connection of its own.
    const topics = new Map<string, Topic<unknown>>()
    this.peer = {
      id: client.id,
      topic: <T>(topic: string, options?: TopicOptions): Topic<T> => {
        const key = `${topic} ${options?.codec}`
        const known = topics.get(key) ?? this.#held(client.topic(topic, options))
        topics.set(key, known)
        return known as Topic<T>
      },
      queue: (queue, options) => queueWith((act) => this.#ask(act), client.queue(queue, options)),
      request: (topic, value, options) => this.#ask(() => client.request(topic, value, options)),
    }
  }

  within<T>(act: () => T): T {
    return current.run(this, act)
  }

  #held(inside: Topic<unknown>): Topic<unknown> {
    const ask = <R>(act: () => Promise<R>) => this.#ask(act)
    return {
      name: inside.name,
      publish: (value, settings) => ask(() => inside.publish(value, settings)),
      publishMany: (values, settings) => ask(() => inside.publishMany(values, settings)),
      subscribe: (settings) => subscriptionWith(ask, inside.subscribe(settings)),
      group: (name, settings) => groupWith(ask, inside.group(name, settings)),
      respond: (handler, settings) => inside.respond(handler, settings),
    }
  }

  #ask<R>(act: () => Promise<R>): Promise<R> {
    return new Promise((resolve, reject) => {
      act().then(
        (value) => {
          if (!this.over) resolve(value)
        },
        async (error) => {
          await wait(graceMs)
          if (!this.over) reject(error)
        },
      )
    })
  }
}

/** Of a process that has ended meanwhile, never resolves. */
export function sleep(ms: number): Promise<void> {
  const life = current.getStore()
  return new Promise((resolve) => {
    setTimeout(() => {
      if (!life?.over) resolve()
    }, ms)
  })
}
