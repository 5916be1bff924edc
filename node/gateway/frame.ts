/**
 * What crosses a gateway's WebSocket. Text messages are JSON and steer; binary ones carry records:
 *
 *     u32 BE length of the JSON | JSON | body of a record batch (wire/record.ts)
 *
 * so values stay the bytes they are and there is one record codec. What each side of a record shares with its
 * neighbours (feed, batch, consecutive index and offset) is written once a run, in the JSON part.
 */
import { z } from 'zod'
import { type ErrorCode, type ErrorData, GrapevineError, isError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { FeedId, GroupOptions, GroupPosition, Message, Outgoing, PeerId, QueueOptions } from '../types.ts'
import { encodeRecords, openRecords, type RecordInput } from '../wire/record.ts'

const confirm = z.union([z.literal('auto'), z.int().min(0)]).optional()
const timeoutMs = z
  .number()
  .positive()
  .max(2 ** 31 - 1)
  .optional()
const whole = z.int().min(0)

/** First message on `/v1/publish`. With `many`, every binary message that follows is a part of one `publishMany`. */
export const publishOpening = z.strictObject({
  topic: z.string(),
  many: z.strictObject({ confirm, timeoutMs }).optional(),
})
/** The JSON part of a binary message on `/v1/publish`. */
export const publishHead = z.strictObject({ count: z.int().min(1), id: whole.optional(), confirm, timeoutMs })
/** First message on `/v1/subscribe`. */
export const subscribeOpening = z.strictObject({
  topic: z.string(),
  name: z.string().optional(),
  from: z
    .union([z.literal(['earliest', 'latest']), z.strictObject({ time: z.number() }), z.strictObject({ offset: whole })])
    .optional(),
})
/** What a reader says: bytes of messages it has dealt with, records it acknowledges (numbered as delivered), the end. */
export const readerWord = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('taken'), bytes: whole }),
  z.strictObject({
    type: z.literal('ack'),
    id: whole,
    ranges: z.array(z.tuple([whole, whole])).max(limits.unackedMax),
  }),
  z.strictObject({ type: z.literal('close') }),
])
export const publisherWord = z.strictObject({ type: z.literal('end') })

/** JSON has no NaN: what was no number stays none, and is refused by whoever judges it. */
const given = z
  .number()
  .nullable()
  .transform((number) => number ?? Number.NaN)
/** JSON has no dates either. What is none of these is judged as it is. */
const position = z.union([z.strictObject({ time: given }).transform(({ time }) => new Date(time)), z.unknown()])
/** Which group, or which queue's. First message on `/v1/group-events`, and the body of a POST to `/v1/group`; its options are the group's to judge. */
export const groupOpening = z.strictObject({
  topic: z.string(),
  group: z.string(),
  options: z.looseObject({ from: position.optional() }).transform((options) => options as GroupOptions & QueueOptions),
  queue: z.boolean().optional(),
})
/** The body of a POST to `/v1/group/seek`. */
export const groupSeek = groupOpening.extend({ to: position.transform((to) => to as GroupPosition) })
/** Of a GET of `/v1/groups`. */
export const groupsQuery = z.strictObject({ topic: z.string().optional() })
/** Of a GET of `/v1/mesh`. */
export const meshQuery = z.strictObject({ timeoutMs: z.coerce.number().positive().max(limits.apiPollMs).optional() })
/** Of a GET of `/v1/why`. */
export const whyQuery = meshQuery.extend({ id: z.string() })
export type GroupOpening = z.infer<typeof groupOpening>
/** First message on `/v1/consume`. */
export const consumeOpening = groupOpening.extend({ concurrency: given.optional() })
/**
 * What a consumer says: its application has these records now (numbered as delivered), and asks again after it hung; what it does with one, to be
 * answered by `id`; the end.
 */
export const consumerWord = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('taken'), numbers: z.array(whole).max(limits.groupConcurrencyMax) }),
  z.strictObject({ type: z.literal('ask') }),
  z.strictObject({ type: z.literal('ack'), id: whole, number: whole }),
  z.strictObject({ type: z.literal('nack'), id: whole, number: whole, delayMs: given.optional() }),
  z.strictObject({ type: z.literal('extend'), id: whole, number: whole, ms: given }),
  z.strictObject({ type: z.literal('end') }),
])
export type ConsumerWord = z.infer<typeof consumerWord>

/** Consecutive records of one batch. */
const run = z.object({
  publisher: z.string().transform((text) => text as PeerId),
  feed: z.string().transform((text) => text as FeedId),
  seq: whole,
  index: whole,
  offset: whole,
  count: z.int().min(1),
})
type Run = z.infer<typeof run>
/** The JSON part of a binary message to a reader: the number of its first record, the earliest time, the runs. */
export const deliveryHead = z.object({ first: whole, time: z.number(), runs: z.array(run) })
export type DeliveryHead = z.infer<typeof deliveryHead>
/** The JSON part of a binary message to a consumer, which has one record. */
export const handedHead = deliveryHead.extend({ attempt: whole, fencingToken: whole })
export type HandedHead = z.infer<typeof handedHead>

/** The error's form on the wire. */
export interface Failure {
  code: string
  message: string
  data: unknown
}
const failureShape = z.object({ code: z.string(), message: z.string(), data: z.unknown() })

/** As it crosses the wire. */
export function wirePosition(position: GroupPosition): unknown {
  return position instanceof Date ? { time: position.getTime() } : position
}

export function wireOptions({ from, ...options }: GroupOptions & QueueOptions): object {
  return from === undefined ? options : { ...options, from: wirePosition(from) }
}

function packFrame(head: object, body: Uint8Array): Uint8Array {
  const json = Buffer.from(JSON.stringify(head))
  const bytes = Buffer.allocUnsafe(4 + json.length + body.byteLength)
  bytes.writeUInt32BE(json.length, 0)
  json.copy(bytes, 4)
  bytes.set(body, 4 + json.length)
  return bytes
}

/** Throws `ApiFailed` with status 400 for anything that is not a frame with such a head. */
export function openFrame<T>(bytes: Buffer, head: z.ZodType<T>): { head: T; body: Uint8Array } {
  const length = bytes.length >= 4 ? bytes.readUInt32BE(0) : bytes.length
  if (4 + length > bytes.length) throw badRequest('a binary message is shorter than it says')
  return {
    head: parseJson(bytes.toString('utf8', 4, 4 + length), head),
    body: new Uint8Array(bytes.buffer, bytes.byteOffset + 4 + length, bytes.length - 4 - length),
  }
}

/** Throws `ApiFailed` with status 400. */
export function parseJson<T>(text: string, shape: z.ZodType<T>): T {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw badRequest('a message is not JSON')
  }
  return checkShape(value, shape)
}

/** Throws `ApiFailed` with status 400. */
export function checkShape<T>(value: unknown, shape: z.ZodType<T>): T {
  const parsed = shape.safeParse(value)
  if (parsed.success) return parsed.data
  throw badRequest(`a message has the wrong shape: ${z.prettifyError(parsed.error)}`)
}

export function badRequest(message: string): GrapevineError<'ApiFailed'> {
  return new GrapevineError('ApiFailed', message, { status: 400 })
}

export function packOutgoing(head: Omit<z.infer<typeof publishHead>, 'count'>, records: RecordInput[]): Uint8Array {
  return packFrame({ ...head, count: records.length }, encodeRecords(records, 0))
}

/** The records of a binary message to `/v1/publish`. Throws `ApiFailed` when they are malformed. */
export function openOutgoing(body: Uint8Array, count: number): Outgoing<Uint8Array>[] {
  try {
    const batch = openRecords(body, count)
    return Array.from({ length: count }, (_, i) => {
      const key = batch.key(i)
      return { value: batch.value(i), headers: batch.headers(i), ...(key === undefined ? {} : { key }) }
    })
  } catch (error) {
    throw badRequest(`the records cannot be read: ${error instanceof Error ? error.message : error}`)
  }
}

type Delivered = Omit<Message<Uint8Array>, 'ack'>

/** `first` is the number of the first of `messages` among all that this reader was sent; `more` goes into the JSON part. */
export function packDelivery(messages: readonly Delivered[], first: number, more: object = {}): Uint8Array {
  const time = messages.reduce((least, message) => Math.min(least, message.time), Number.POSITIVE_INFINITY)
  return packFrame({ first, time, runs: runsOf(messages), ...more }, encodeRecords(messages, time))
}

/** What there is to tell of a record in JSON, but for its value. */
export function fieldsOf({ key, headers, time, publisher, feed, seq, index, offset }: Delivered) {
  return { key, headers, time, publisher, feed, seq, index, offset }
}

function runsOf(messages: readonly Delivered[]): Run[] {
  const runs: Run[] = []
  for (const { publisher, feed, seq, index, offset } of messages) {
    const last = runs.at(-1)
    if (
      last?.feed === feed &&
      last.seq === seq &&
      last.index + last.count === index &&
      last.offset + last.count === offset
    ) {
      last.count++
    } else {
      runs.push({ publisher, feed, seq, index, offset, count: 1 })
    }
  }
  return runs
}

export function failureOf(error: unknown): Failure {
  if (isError(error)) return { code: error.code, message: error.message, data: error.data }
  return { code: 'ApiFailed', message: error instanceof Error ? error.message : String(error), data: { status: 500 } }
}

/** The error that the other side threw, or one that says it was told in no form we know. */
export function errorOf(failure: unknown, status: number): GrapevineError {
  const parsed = failureShape.safeParse(failure)
  if (!parsed.success)
    return new GrapevineError('ApiFailed', `the local API answered with status ${status}`, { status })
  const { code, message, data } = parsed.data
  return new GrapevineError(code as ErrorCode, message, data as ErrorData[ErrorCode])
}
