/**
 * Queues through the local API: one POST for each thing that is done, values as base64. A record that was received is held by its receipt, so
 * whoever shows that may settle it, over whatever connection: a client that is gone has it until its time is over.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { limits } from '../limits.ts'
import type { Message, Peer, Queue, QueueOptions, QueueRecord } from '../types.ts'
import { checkShape, type GroupOpening } from './frame.ts'
import { base64Of } from './respond.ts'

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

export function queueRoutes(app: FastifyInstance, peer: Peer): void {
  const queueOf = ({ queue, options }: z.infer<typeof place>): Queue<Uint8Array> =>
    peer.queue<Uint8Array>(queue, { ...options, codec: 'bytes' })

  app.post('/v1/queue/receive', async (request) => {
    const asked = checkShape(request.body, receiving)
    const { max, waitMs } = asked
    const gone = goneOf(request)
    const records = await queueOf(asked).receive({ max, waitMs, signal: gone })
    // Nobody is there to have them.
    if (gone.aborted) await Promise.all(records.map((record) => record.release().catch(() => undefined)))
    return { records: await fitting(records) }
  })
  app.post('/v1/queue/settle', async (request) => {
    const asked = checkShape(request.body, settling)
    const { receipt, act, ms } = asked
    const record = queueOf(asked).byReceipt(receipt)
    if (act === 'nack') await record.nack(ms === undefined ? {} : { delayMs: ms })
    else if (act === 'extend') await record.extend(ms ?? Number.NaN)
    else await record[act]()
    return {}
  })
  app.post('/v1/queue/browse', async (request) => {
    const asked = checkShape(request.body, some)
    const messages = await queueOf(asked).browse(maxOf(asked))
    return { records: messages.slice(0, countOf(messages)).map(jsonOf) }
  })
  app.post('/v1/queue/redrive', async (request) => {
    const asked = checkShape(request.body, some)
    return { count: await queueOf(asked).redrive(maxOf(asked)) }
  })
  app.post('/v1/queue/purge', async (request) => ({ count: await queueOf(checkShape(request.body, place)).purge() }))
  app.post('/v1/queue/stats', async (request) => queueOf(checkShape(request.body, place)).stats())
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

function jsonOf({
  value,
  key,
  headers,
  time,
  publisher,
  feed,
  seq,
  index,
  offset,
}: Message<Uint8Array>): QueueRecordJson {
  return { value: base64Of(value), key, headers, time, publisher, feed, seq, index, offset }
}

/** What a group and a queue have in common. */
export function groupOf(peer: Peer, { topic, group, options: asked, queue }: GroupOpening) {
  if (queue) return peer.queue<Uint8Array>(topic, { ...asked, codec: 'bytes' })
  return peer.topic<Uint8Array>(topic, { codec: 'bytes' }).group(group, asked)
}
