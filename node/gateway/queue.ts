/**
 * Queues through the local API: one POST for each thing that is done, values as base64. A record that was received is held by its receipt, so
 * whoever shows that may settle it, over whatever connection: a client that is gone has it until its time is over.
 */
import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import { limits } from '../limits.ts'
import type { Message, Peer, Queue, QueueOptions, QueueRecord } from '../types.ts'
import { fieldsOf, type GroupOpening } from './frame.ts'
import { base64Of } from './respond.ts'
import { type Route, route } from './route.ts'

/** Judged by the queue itself. */
const options = z.record(z.string(), z.unknown()).transform((given) => given as Omit<QueueOptions, 'codec'>)
const place = z.strictObject({ queue: z.string(), options })
const receiving = place.extend({ max: z.number(), waitMs: z.number().max(limits.apiPollMs) })
const settling = place.extend({
  receipt: z.string(),
  act: z.enum(['ack', 'nack', 'extend', 'release']),
  ms: z.number().optional(),
})
const some = place.extend({ max: z.number().optional() })

/** A record as it is told. */
export type QueueRecordJson = Omit<Message<string>, 'ack' | 'topic' | 'id'> & {
  receipt?: string
  attempt?: number
  fencingToken?: number
}

export function queueRoutes(peer: Peer): Route[] {
  const queueOf = ({ queue, options }: z.infer<typeof place>): Queue<Uint8Array> =>
    peer.queue<Uint8Array>(queue, { ...options, codec: 'bytes' })
  return [
    route({
      method: 'GET',
      path: '/v1/queues',
      about: 'The queues that are known, as they look from outside.',
      answers: 'QueueSummary[]',
      act: () => peer.queues(),
    }),
    route({
      method: 'POST',
      path: '/v1/queue/receive',
      about: 'Receives up to `max` records; waits up to `waitMs` where there is none.',
      answers: '{ records }, each with its value as base64 and its receipt',
      body: receiving,
      async act({ body, request }) {
        const { max, waitMs } = body
        const gone = goneOf(request)
        const records = await queueOf(body).receive({ max, waitMs, signal: gone })
        // Nobody is there to have them.
        if (gone.aborted) await Promise.all(records.map((record) => record.release().catch(() => undefined)))
        return { records: await fitting(records) }
      },
    }),
    route({
      method: 'POST',
      path: '/v1/queue/settle',
      about: 'Acknowledges, refuses, extends or gives back what was received under a receipt.',
      answers: '{}',
      body: settling,
      async act({ body }) {
        const { receipt, act, ms } = body
        const record = queueOf(body).byReceipt(receipt)
        if (act === 'nack') await record.nack(ms === undefined ? {} : { delayMs: ms })
        else if (act === 'extend') await record.extend(ms ?? Number.NaN)
        else await record[act]()
        return {}
      },
    }),
    route({
      method: 'POST',
      path: '/v1/queue/browse',
      about: 'Shows what is in a queue without receiving it.',
      answers: '{ records }, each with its value as base64',
      body: some,
      async act({ body }) {
        const messages = await queueOf(body).browse(maxOf(body))
        return { records: messages.slice(0, countOf(messages)).map(jsonOf) }
      },
    }),
    route({
      method: 'POST',
      path: '/v1/queue/redrive',
      about: 'Sends the dead letters of a queue to it once more.',
      answers: '{ count }',
      body: some,
      act: async ({ body }) => ({ count: await queueOf(body).redrive(maxOf(body)) }),
    }),
    route({
      method: 'POST',
      path: '/v1/queue/purge',
      about: 'Takes everything out of a queue that is in it now.',
      answers: '{ count }',
      body: place,
      act: async ({ body }) => ({ count: await queueOf(body).purge() }),
    }),
    route({
      method: 'POST',
      path: '/v1/queue/stats',
      about: 'Counts what is ready, in flight, delayed and dead.',
      answers: 'QueueStats',
      body: place,
      act: ({ body }) => queueOf(body).stats(),
    }),
  ]
}

function maxOf({ max }: { max?: number | undefined }): { max?: number } {
  return max === undefined ? {} : { max }
}

/** Aborted when the client hangs up. */
function goneOf(request: FastifyRequest): AbortSignal {
  const gone = new AbortController()
  request.raw.socket.once('close', () => gone.abort(new Error('the client is gone')))
  return gone.signal
}

/** What is too much for one answer is handed out again. */
async function fitting(records: readonly QueueRecord<Uint8Array>[]): Promise<QueueRecordJson[]> {
  const count = countOf(records)
  await Promise.all(records.slice(count).map((record) => record.release().catch(() => undefined)))
  return records.slice(0, count).map((record) => {
    const { receipt, attempt, fencingToken } = record
    return { ...jsonOf(record), receipt, attempt, fencingToken }
  })
}

/** How many fit into one answer; the first always does. */
function countOf(messages: readonly Message<Uint8Array>[]): number {
  let bytes = 0
  const end = messages.findIndex(({ value }, i) => {
    bytes += value.byteLength
    return i > 0 && bytes > limits.apiAnswerBytes
  })
  return end < 0 ? messages.length : end
}

function jsonOf(message: Message<Uint8Array>): QueueRecordJson {
  return { value: base64Of(message.value), ...fieldsOf(message) }
}

/** What a group and a queue have in common. */
export function groupOf(peer: Peer, { topic, group, options: asked, queue }: GroupOpening) {
  if (queue) return peer.queue<Uint8Array>(topic, { ...asked, codec: 'bytes' })
  return peer.topic<Uint8Array>(topic, { codec: 'bytes' }).group(group, asked)
}
