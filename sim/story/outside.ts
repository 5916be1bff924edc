/** What a process hands out, held from outside of it: each step is asked for, and fails when the process dies. */
import type { Group, Queue, Subscription } from '../../node/index.ts'

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
    seek: (to) => ask(() => inside.seek(to)),
    events: () => iterateWith(ask, inside.events()),
    drain: () => ask(() => inside.drain()),
  }
}

export function queueWith<T>(ask: Ask, inside: Queue<T>): Queue<T> {
  return {
    name: inside.name,
    send: (value, options) => ask(() => inside.send(value, options)),
    receive: (options) => ask(() => inside.receive(options)),
    byReceipt: (receipt) => inside.byReceipt(receipt),
    consume: (options) => iterateWith(ask, inside.consume(options)),
    browse: (options) => ask(() => inside.browse(options)),
    purge: () => ask(() => inside.purge()),
    redrive: (options) => ask(() => inside.redrive(options)),
    stats: () => ask(() => inside.stats()),
    events: () => iterateWith(ask, inside.events()),
    drain: () => ask(() => inside.drain()),
  }
}
