/** What a process hands out, held from outside of it: each step is asked for, and fails when the process dies. */
import type { Group, Subscription } from '../../node/index.ts'

/** Runs inside the process; rejects when that dies first. */
export type Ask = <R>(act: () => Promise<R>) => Promise<R>

export function iterateWith<T>(ask: Ask, inside: AsyncIterable<T>): AsyncIterable<T> {
  return {
    [Symbol.asyncIterator]: () => {
      const iterator = inside[Symbol.asyncIterator]()
      return {
        next: () => ask(() => iterator.next()),
        return: async (value) =>
          iterator.return === undefined ? { done: true, value } : ask(async () => iterator.return?.(value) as never),
      }
    },
  }
}

export function subscriptionWith<T>(ask: Ask, inside: Subscription<T>): Subscription<T> {
  const ready = ask(() => inside.ready)
  ready.catch(() => undefined)
  const close = () => ask(() => inside.close())
  return {
    ready,
    batches: () => iterateWith(ask, inside.batches()),
    close,
    ...iterateWith(ask, inside),
    [Symbol.asyncDispose]: close,
  }
}

/** What is done with its records is done in the process. */
export function groupWith<T>(ask: Ask, inside: Group<T>): Group<T> {
  return {
    topic: inside.topic,
    name: inside.name,
    consume: (options) => iterateWith(ask, inside.consume(options)),
    status: () => ask(() => inside.status()),
    events: () => iterateWith(ask, inside.events()),
    drain: () => ask(() => inside.drain()),
  }
}
