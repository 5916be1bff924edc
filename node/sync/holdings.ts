/** The topics we take part in, with their logs, and the print of each: what friends compare first. */
import type { TopicLog } from '../store/topic-log.ts'
import type { TopicName } from '../types.ts'
import { printOf } from './frontier.ts'

/** `own`: our feeds are offered and nobody else's fetched. */
export type HoldMode = 'carry' | 'own'

interface Held {
  readonly log: TopicLog
  readonly mode: HoldMode
  /** Of the log as it is; undefined when it has changed since. */
  print: Uint8Array | undefined
  off: () => void
}

export class Holdings {
  readonly #held = new Map<TopicName, Held>()

  /** False where that is so already. */
  hold(log: TopicLog, mode: HoldMode): boolean {
    const known = this.#held.get(log.topic)
    if (known?.mode === mode) return false
    known?.off()
    const held: Held = { log, mode, print: undefined, off: () => {} }
    held.off = log.onChange(() => {
      held.print = undefined
    })
    this.#held.set(log.topic, held)
    return true
  }

  release(topic: TopicName): void {
    this.#held.get(topic)?.off()
    this.#held.delete(topic)
  }

  get(topic: TopicName): Readonly<Held> | undefined {
    return this.#held.get(topic)
  }

  topics(): TopicName[] {
    return [...this.#held.keys()]
  }

  logs(): TopicLog[] {
    return [...this.#held.values()].map(({ log }) => log)
  }

  print(topic: TopicName): Uint8Array | undefined {
    const held = this.#held.get(topic)
    if (held === undefined) return undefined
    held.print ??= printOf(held.log.feeds)
    return held.print
  }

  close(): void {
    for (const held of this.#held.values()) held.off()
  }
}
