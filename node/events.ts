/** Fans out what happens to whoever listens; a listener that does not read loses the oldest. What happened while the peer started goes to the first. */
import { limits } from './limits.ts'

export class EventStream<E> {
  readonly #listeners = new Set<Listener<E>>()
  #early: E[] = []

  emit(event: E): void {
    if (this.#listeners.size === 0 && this.#early.length < limits.eventsMax) this.#early.push(event)
    for (const listener of this.#listeners) listener.push(event)
  }

  /** Everything from this call on. */
  listen(): AsyncIterable<E> & AsyncIterator<E> {
    const listener = new Listener<E>(() => this.#listeners.delete(listener))
    for (const event of this.#early.splice(0)) listener.push(event)
    this.#listeners.add(listener)
    return listener
  }

  /** Ends all iterations. */
  close(): void {
    for (const listener of this.#listeners) void listener.return()
  }
}

class Listener<E> implements AsyncIterable<E>, AsyncIterator<E> {
  readonly #onEnd: () => void
  readonly #waiting: E[] = []
  #wake: (() => void) | undefined
  #ended = false

  constructor(onEnd: () => void) {
    this.#onEnd = onEnd
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  push(event: E): void {
    if (this.#waiting.length >= limits.eventsMax) this.#waiting.shift()
    this.#waiting.push(event)
    this.#wake?.()
  }

  async next(): Promise<IteratorResult<E, undefined>> {
    while (!this.#ended) {
      const event = this.#waiting.shift()
      if (event !== undefined) return { done: false, value: event }
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    return { done: true, value: undefined }
  }

  async return(): Promise<IteratorResult<E, undefined>> {
    this.#ended = true
    this.#onEnd()
    this.#wake?.()
    return { done: true, value: undefined }
  }
}
