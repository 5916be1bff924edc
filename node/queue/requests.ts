/**
 * Request and reply: a question goes to one of those who respond on a topic, whoever is free, and its answer comes back.
 *
 * Questions are records on `$requests.<topic>`, shared among the responders as a group shares records: one that dies in the middle is replaced
 * by another. Answers are records on `$replies.<topic>`, of which each asker picks its own. Both topics are passing: old segments go. Whoever asks
 * follows the responders' group, so it knows at once when there are none. A question is not asked any more once its asker has given up.
 */

import { z } from 'zod'
import { GrapevineError, isError } from '../errors.ts'
import { Consumer } from '../group/consumer.ts'
import type { Groups } from '../group/groups.ts'
import type { Member } from '../group/member.ts'
import { checkOptions, says } from '../group/settings.ts'
import { limits } from '../limits.ts'
import type { Clock, Random } from '../ports.ts'
import { type PassingKind, passingTopicOf } from '../store/topic-log.ts'
import { type Codec, codecOf } from '../topic/codec.ts'
import type { Topics } from '../topic/topics.ts'
import type {
  GroupSettings,
  Headers,
  PeerId,
  QueueRecord,
  RequestHandler,
  RequestOptions,
  Responder,
  RespondOptions,
  Subscription,
  Topic,
  TopicName,
} from '../types.ts'
import { parseTopic } from '../wire/topic.ts'
import { headersOf, sortingOf } from './headers.ts'

const replyTo = 'grapevine-reply-to'
const request = 'grapevine-request'
const failed = 'grapevine-failed'

const timeText = 'takes milliseconds above 0'
const requestShape = z.strictObject({
  timeoutMs: z.number(says(timeText)).positive(says(timeText)).default(limits.requestMs),
  headers: z.record(z.string(), z.string(), says('takes an object of texts')).optional(),
  codec: z.enum(['json', 'text', 'bytes'], says('takes one of json, text, bytes')).default('json'),
})

/** Throws `InvalidOption`. */
export function checkRequestOptions(options: RequestOptions) {
  return checkOptions(requestShape, options)
}

/** Nobody ends up as a dead letter: what nobody answers in time is over. */
const settings: GroupSettings = {
  type: 'shared',
  leaseMs: limits.groupLeaseMs,
  visibilityMs: limits.groupLeaseMs,
  maxReceives: 1_000,
  deadLetter: 'requests.dead',
  quorum: false,
}

/** No group of an application is called that. */
const groupName = '_respond'
const bytes = codecOf('bytes')

export interface RequestsOptions {
  me: PeerId
  groups: Groups
  topics: Topics
  clock: Clock
  random: Random
}

interface Answer {
  value: Uint8Array
  headers: Headers
  publisher: PeerId
}

interface Asking {
  subscription: Subscription<Uint8Array>
  waiting: Map<string, (answer: Answer) => void>
}

export class Requests {
  readonly #options: RequestsOptions
  readonly #asking = new Map<TopicName, Asking>()

  constructor(options: RequestsOptions) {
    this.#options = options
  }

  /** Throws `InvalidTopic`, `InvalidOption`; rejects with `NoResponders`, `RequestTimeout`, `RequestFailed`, and as `publish`. */
  async request(name: string, value: unknown, options: RequestOptions = {}): Promise<unknown> {
    const topic = parseTopic(name)
    const { timeoutMs, headers, codec: codecName } = checkRequestOptions(options)
    const codec = codecOf(codecName)
    const body = codec.encode(value)
    const { clock, me, random } = this.#options
    const end = clock.now() + timeoutMs
    const over = Promise.withResolvers<never>()
    over.promise.catch(() => undefined)
    // One timer for all of it: the clock on the wall may jump meanwhile.
    const timer = clock.after(timeoutMs, () => over.reject(timedOut(topic, timeoutMs)))
    const id = Buffer.from(random.bytes(8)).toString('hex')
    let waiting: Asking['waiting'] | undefined
    try {
      waiting = (await this.#ask(topic, over.promise)).waiting
      if (waiting.size >= limits.requestsMax) {
        const sentence = `${waiting.size} requests on ${topic} wait for an answer: wait for some of them`
        throw new GrapevineError('TooManyRequests', sentence, { topic, limit: limits.requestsMax })
      }
      const answered = Promise.withResolvers<Answer>()
      waiting.set(id, answered.resolve)
      const expiresMs = Math.min(timeoutMs, end - clock.now())
      const about = { ...headers, ...headersOf({ expiresMs }, clock.now()), [replyTo]: me, [request]: id }
      const told = this.#topic(topic, '$requests.').publish(body, { headers: about, confirm: 0 })
      // Its time may be over before it is on disk.
      const answer = await Promise.race([over.promise, answered.promise, told.then(() => answered.promise)])
      const why = answer.headers[failed]
      if (why === undefined) return codec.decode(answer.value)
      throw new GrapevineError('RequestFailed', `${topic}: ${why}`, { topic, by: answer.publisher, reason: why })
    } finally {
      timer.cancel()
      waiting?.delete(id)
    }
  }

  /** Answers from now on. Throws `InvalidOption`. */
  respond(topic: TopicName, codec: Codec, handler: RequestHandler, options: RespondOptions = {}): Responder {
    const { concurrency = respondConcurrency } = options
    const stop = new AbortController()
    const consumer = new Consumer<Uint8Array>(this.#member(topic), bytes, { concurrency, signal: stop.signal })
    const working = new Set<Promise<void>>()
    const taking = (async () => {
      for await (const record of consumer) {
        const work = this.#answer(topic, codec, handler, record).finally(() => working.delete(work))
        working.add(work)
      }
    })()
    // Told to whoever closes.
    taking.catch(() => undefined)
    const close = async () => {
      stop.abort()
      await taking
      await Promise.all(working)
    }
    return { close, [Symbol.asyncDispose]: close }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#asking.values()].map(({ subscription }) => subscription.close()))
  }

  async #answer(
    topic: TopicName,
    codec: Codec,
    handler: RequestHandler,
    record: QueueRecord<Uint8Array>,
  ): Promise<void> {
    const { clock } = this.#options
    const { headers, publisher, time, attempt } = record
    const renewal = clock.every(settings.visibilityMs / 2, () => {
      record.extend(settings.visibilityMs).catch(() => renewal.cancel())
    })
    const about: Headers = { [replyTo]: headers[replyTo] ?? '', [request]: headers[request] ?? '' }
    const replies = this.#topic(topic, '$replies.')
    try {
      const given = await handler(codec.decode(record.value) as never, { headers, publisher, time, attempt })
      await replies.publish(codec.encode(given ?? null), { headers: about, confirm: 0 })
    } catch (error) {
      // Whoever was to answer is gone, and another may.
      if (isError(error, 'PeerClosed')) return await record.release().catch(() => undefined)
      const why = (error instanceof Error ? error.message : String(error)).slice(0, reasonMax)
      await replies
        .publish(new Uint8Array(0), { headers: { ...about, [failed]: why }, confirm: 0 })
        .catch(() => undefined)
    } finally {
      renewal.cancel()
    }
    // Where it is not ours any more, another answers too: the first answer counts.
    await record.ack().catch(() => undefined)
  }

  /** Follows the answers and the responders. Rejects with `NoResponders`, or as `over` does. */
  async #ask(topic: TopicName, over: Promise<never>): Promise<Asking> {
    const member = this.#member(topic)
    const asking = this.#asking.get(topic) ?? this.#follow(topic)
    await Promise.race([Promise.all([member.open(), asking.subscription.ready]), over])
    if (member.isAttended) return asking
    throw new GrapevineError('NoResponders', `nobody responds on ${topic}: start a peer that does, and try again`, {
      topic,
    })
  }

  #follow(topic: TopicName): Asking {
    const subscription = this.#topic(topic, '$replies.').subscribe({ from: 'latest' })
    const asking: Asking = { subscription, waiting: new Map() }
    this.#asking.set(topic, asking)
    const reading = (async () => {
      for await (const { value, headers, publisher } of subscription) {
        if (headers[replyTo] === this.#options.me)
          asking.waiting.get(headers[request] ?? '')?.({ value, headers, publisher })
      }
    })()
    reading.catch(() => undefined).finally(() => this.#asking.delete(topic))
    return asking
  }

  #member(topic: TopicName): Member {
    const requests = passingTopicOf('$requests.', topic)
    return this.#options.groups.member(requests, groupName, { settings, from: 'latest' }, sortingOf)
  }

  #topic(topic: TopicName, kind: PassingKind): Topic<Uint8Array> {
    return this.#options.topics.own<Uint8Array>(passingTopicOf(kind, topic), bytes)
  }
}

const respondConcurrency = 16
const reasonMax = 1_000

function timedOut(topic: TopicName, timeoutMs: number): GrapevineError<'RequestTimeout'> {
  const sentence = `no answer on ${topic} within ${timeoutMs} ms; whether somebody has worked on it is not known`
  return new GrapevineError('RequestTimeout', sentence, { topic, timeoutMs })
}
