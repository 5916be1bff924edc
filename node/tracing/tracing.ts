/**
 * OpenTelemetry, for whoever asks for it (`tracing`): the context of a trace travels in a record's headers (W3C `traceparent`), and there are
 * spans for
 *
 * - `send TOPIC`: a publish, until it is confirmed; of `publishMany` one for all, whose context all its records carry.
 * - `hop TOPIC`: from when a record was sealed until a peer on its way had it on disk, by their two clocks. A batch is signed by its author, so nobody
 *   on the way can put itself in: all hops are children of the send.
 * - `process TOPIC`: from when a record was handed to the application until it was settled or, in a subscription, the next was asked for.
 *
 * The spans go to whatever SDK the program has registered, to nowhere without one. A peer is wrapped where it is handed to the application, so
 * that one without tracing pays nothing.
 */
import {
  type Attributes,
  type Context,
  context,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api'
import { limits } from '../limits.ts'
import type { Tracer } from '../ports.ts'
import { OpenedRecord, recordsOf } from '../topic/message.ts'
import type {
  Group,
  GroupRecord,
  Headers,
  Message,
  Outgoing,
  Peer,
  PeerId,
  Queue,
  QueueOptions,
  QueueRecord,
  RequestHandler,
  Subscription,
  Topic,
  TopicOptions,
} from '../types.ts'
import type { Batch } from '../wire/head.ts'

const tracer = trace.getTracer('grapevine')

/** The hops of records that are traced. */
export const hops: Tracer = {
  arrived(batch: Batch, from: PeerId, now: number): void {
    const records = recordsOf(batch)
    if (records === undefined) return
    const { head } = batch
    const count = Math.min(head.head.count, limits.tracedPerBatchMax)
    for (let at = 0; at < count; at++) {
      const record = new OpenedRecord({ head, records, offset: 0 }, at)
      const parent = contextIn(record.headers)
      if (trace.getSpanContext(parent) === undefined) continue
      const attributes = { ...about(record), 'grapevine.from': from }
      const startTime = Math.min(record.time, now)
      tracer.startSpan(`hop ${record.topic}`, { attributes, startTime }, parent).end(now)
    }
  },
}

/** The same peer, with spans for what is published and handled by way of it. */
export function traced(peer: Peer): Peer {
  return changed(peer, {
    topic: <T>(name: string, options?: TopicOptions) => tracedTopic(peer.topic<T>(name, options)),
    queue: <T>(name: string, options?: QueueOptions) => tracedQueue(peer.queue<T>(name, options)),
    request: <T>(topic: string, value: unknown, options = {}) =>
      sending(topic, SpanKind.CLIENT, options, (sent) => peer.request<T>(topic, value, sent)),
  })
}

function tracedTopic<T>(topic: Topic<T>): Topic<T> {
  const { name } = topic
  return changed(topic, {
    publish: (value, options = {}) =>
      sending(name, SpanKind.PRODUCER, options, (sent) => topic.publish(value, sent), idOf),
    publishMany: (values, options) =>
      sending(name, SpanKind.PRODUCER, {}, ({ headers }) => topic.publishMany(withHeaders(values, headers), options)),
    subscribe: (options) => tracedSubscription(topic.subscribe(options)),
    group: (...asked) => tracedGroup(topic.group(...asked)),
    respond: (handler, options) => topic.respond(tracedHandler(name, handler), options),
  })
}

function tracedQueue<T>(queue: Queue<T>): Queue<T> {
  return changed(queue, {
    send: (value, options = {}) =>
      sending(queue.name, SpanKind.PRODUCER, options, (sent) => queue.send(value, sent), idOf),
    receive: async (options) => (await queue.receive(options)).map((record) => settling(record)),
    consume: (options) => each(queue.consume(options), (record) => settling(record)),
  })
}

function tracedGroup<T>(group: Group<T>): Group<T> {
  return changed(group, { consume: (options) => each(group.consume(options), (record) => settling(record)) })
}

function tracedSubscription<T>(subscription: Subscription<T>): Subscription<T> {
  return changed(subscription, {
    [Symbol.asyncIterator]: async function* () {
      for await (const message of subscription) {
        const span = processing(message)
        try {
          yield message
        } finally {
          span.end()
        }
      }
    },
  })
}

function tracedHandler<T>(name: string, handler: RequestHandler<T>): RequestHandler<T> {
  return async (value, request) => {
    const parent = contextIn(request.headers)
    const span = tracer.startSpan(`process ${name}`, { kind: SpanKind.SERVER, attributes: place(name) }, parent)
    return until(span, () => context.with(trace.setSpan(parent, span), async () => handler(value, request)))
  }
}

/** Its span lasts until it is settled. */
function settling<R extends GroupRecord<unknown> | QueueRecord<unknown>>(record: R): R {
  const span = processing(record)
  span.setAttribute('grapevine.attempt', record.attempt)
  const ends =
    <A extends unknown[]>(how: string, act: (...given: A) => Promise<void>) =>
    (...given: A) => {
      span.setAttribute('grapevine.settled', how)
      return until(span, () => act.apply(record, given))
    }
  // Its methods belong to its class; these are its own.
  const own: Partial<QueueRecord<unknown>> = { ack: ends('ack', record.ack), nack: ends('nack', record.nack) }
  if ('release' in record) own.release = ends('release', record.release)
  return Object.assign(record, own)
}

function processing(message: Omit<Message<unknown>, 'ack'>): Span {
  const options = { kind: SpanKind.CONSUMER, attributes: about(message) }
  return tracer.startSpan(`process ${message.topic}`, options, contextIn(message.headers))
}

/** Runs `act` with headers that carry the context of a span, which lasts until it resolves. The parent is what is active, or what the headers carry. */
function sending<O extends { headers?: Headers }, R>(
  topic: string,
  kind: SpanKind,
  options: O,
  act: (options: O & { headers: Headers }) => Promise<R>,
  learn?: (result: R) => Attributes,
): Promise<R> {
  const parent = trace.getSpan(context.active()) === undefined ? contextIn(options.headers ?? {}) : context.active()
  const span = tracer.startSpan(`send ${topic}`, { kind, attributes: place(topic) }, parent)
  const headers = { ...options.headers }
  propagation.inject(trace.setSpan(parent, span), headers)
  return until(span, async () => {
    const result = await act({ ...options, headers })
    if (learn !== undefined) span.setAttributes(learn(result))
    return result
  })
}

/** Ends the span when that has; with what it failed with, where it did. */
async function until<R>(span: Span, act: () => Promise<R>): Promise<R> {
  try {
    return await act()
  } catch (error) {
    span.recordException(error instanceof Error ? error : String(error))
    span.setStatus({ code: SpanStatusCode.ERROR })
    throw error
  } finally {
    span.end()
  }
}

/** No generator: whoever ends the iteration while it waits for the next is heard at once. */
function each<T>(records: AsyncIterable<T>, act: (record: T) => T): AsyncIterable<T> {
  return {
    [Symbol.asyncIterator]() {
      const inner = records[Symbol.asyncIterator]()
      return {
        async next() {
          const result = await inner.next()
          return result.done ? result : { done: false, value: act(result.value) }
        },
        return: async () => (await inner.return?.()) ?? { done: true, value: undefined },
      }
    },
  }
}

async function* withHeaders<T>(
  values: Iterable<Outgoing<T>> | AsyncIterable<Outgoing<T>>,
  headers: Headers,
): AsyncGenerator<Outgoing<T>> {
  for await (const value of values) yield { ...value, headers: { ...value.headers, ...headers } }
}

function contextIn(headers: Headers): Context {
  return propagation.extract(ROOT_CONTEXT, headers)
}

/** As OpenTelemetry names them for messaging. */
function place(topic: string): Attributes {
  return { 'messaging.system': 'grapevine', 'messaging.destination.name': topic }
}

function about({ topic, id }: { topic: string; id: string }): Attributes {
  return { ...place(topic), 'messaging.message.id': id }
}

function idOf({ feed, index, copies }: { feed: string; index: number; copies: number }): Attributes {
  return { 'messaging.message.id': `${feed}/${index}`, 'grapevine.copies': copies }
}

/** The same thing but for these. */
function changed<T extends object>(thing: T, changes: Partial<T>): T {
  return new Proxy(thing, {
    get(inner, name) {
      if (name in changes) return changes[name as keyof T]
      const value = inner[name as keyof T]
      return typeof value === 'function' ? value.bind(inner) : value
    },
  })
}
