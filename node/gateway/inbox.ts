/** A queue between a socket's events and one reader. It is as bounded as `onSize` makes its sender. */
export class Inbox<T> {
  #items: T[] = []
  #ended = false
  #error: unknown
  #wake: (() => void) | undefined

  get size(): number {
    return this.#items.length
  }

  push(item: T): void {
    if (!this.#ended) this.#items.push(item)
    this.#wake?.()
  }

  /** The oldest item goes, to make room. */
  dropOldest(): void {
    this.#items.shift()
  }

  /** Nothing comes any more; what is here is still taken. */
  end(): void {
    this.#ended = true
    this.#wake?.()
  }

  /** As `end`, after which the reader gets `error`. */
  fail(error: unknown): void {
    if (!this.#ended) this.#error = error
    this.end()
  }

  /** Forgets what is here, for a reader that wants no more. */
  clear(): void {
    this.#items = []
    this.end()
  }

  /** The next item; undefined after the end. */
  async take(): Promise<T | undefined> {
    while (this.#items.length === 0) {
      if (this.#error !== undefined) throw this.#error
      if (this.#ended) return undefined
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    return this.#items.shift()
  }
}
