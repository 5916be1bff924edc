/** The topics we take part in, with their logs, and the print of each: what friends compare first. */
import type { TopicLog } from '../store/topic-log.ts'
import type { TopicName } from '../types.ts'
import { printOf } from './frontier.ts'

/** `own`: our feeds are offered and nobody else's fetched. */
export type HoldMode = 'carry' | 'own'

interface Held {
  readonly log: TopicLog
  readonly mode: HoldMode
  print: Uint8Array | undefined
  /** The log's count of changes when the print was made. */
  printedAt: number
}

export class Holdings {
  readonly #held = new Map<TopicName, Held>()

  /** False where that is so already. */
  hold(log: TopicLog, mode: HoldMode): boolean {
    const known = this.#held.get(log.topic)
    if (known?.mode === mode) return false
    this.#held.set(log.topic, { log, mode, print: undefined, printedAt: 0 })
    return true
  }

  release(topic: TopicName): void {
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
    const { log } = held
    if (held.print === undefined || held.printedAt !== log.changes) {
      held.print = printOf(log.feeds)
      held.printedAt = log.changes
    }
    return held.print
  }
}
