/** Fans out what happens to whoever listens; a listener that does not read loses the oldest. What happened while the peer started goes to the first. */
import { limits } from './limits.ts'
import type { PeerEvent } from './types.ts'

export class EventStream {
  readonly #listeners = new Set<Listener>()
  #early: PeerEvent[] = []

  emit(event: PeerEvent): void {
    if (this.#listeners.size === 0 && this.#early.length < limits.eventsMax) this.#early.push(event)
    for (const listener of this.#listeners) listener.push(event)
  }

  /** Everything from this call on. */
  listen(): AsyncIterable<PeerEvent> & AsyncIterator<PeerEvent> {
    const listener = new Listener(() => this.#listeners.delete(listener))
    for (const event of this.#early.splice(0)) listener.push(event)
    this.#listeners.add(listener)
    return listener
  }

  /** Ends all iterations. */
  close(): void {
    for (const listener of this.#listeners) void listener.return()
  }
}

class Listener implements AsyncIterable<PeerEvent>, AsyncIterator<PeerEvent> {
  readonly #onEnd: () => void
  readonly #waiting: PeerEvent[] = []
  #wake: (() => void) | undefined
  #ended = false

  constructor(onEnd: () => void) {
    this.#onEnd = onEnd
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  push(event: PeerEvent): void {
    if (this.#waiting.length >= limits.eventsMax) this.#waiting.shift()
    this.#waiting.push(event)
    this.#wake?.()
  }

  async next(): Promise<IteratorResult<PeerEvent, undefined>> {
    while (!this.#ended) {
      const event = this.#waiting.shift()
      if (event !== undefined) return { done: false, value: event }
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    return { done: true, value: undefined }
  }

  async return(): Promise<IteratorResult<PeerEvent, undefined>> {
    this.#ended = true
    this.#onEnd()
    this.#wake?.()
    return { done: true, value: undefined }
  }
}
