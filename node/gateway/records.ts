/**
 * Records for somebody to look at, and one published by hand. Reading is a subscription for as long as it takes, so a topic that is not held here
 * is carried meanwhile, as it is for `grapevine sub`.
 */
import { isUtf8 } from 'node:buffer'
import { z } from 'zod'
import { limits } from '../limits.ts'
import type { Message, Peer, StartPosition } from '../types.ts'
import { fieldsOf } from './frame.ts'
import { base64Of } from './respond.ts'
import { type Route, route } from './route.ts'

const whole = z.coerce.number().int().min(0)
const looking = z.strictObject({
  topic: z.string(),
  /** From this position, or from this time (ms); default: the earliest. */
  offset: whole.optional(),
  time: whole.optional(),
  /** Only records with this key. */
  key: z.string().optional(),
  max: whole.min(1).max(limits.apiRecordsMax).default(50),
})
const publishing = z.strictObject({
  topic: z.string(),
  value: z.string(),
  encoding: z.enum(['text', 'base64']).default('text'),
  key: z.string().optional(),
  headers: z.record(z.string(), z.string()).optional(),
  confirm: z.union([z.literal('auto'), z.int().min(0)]).optional(),
  timeoutMs: z.number().positive().max(limits.apiPollMs).optional(),
})

/** As it is shown: at most `limits.apiShownBytes` of its value, as text where it is that. */
export interface ShownRecord extends Omit<Message<string>, 'ack' | 'topic'> {
  encoding: 'text' | 'base64'
  /** Of the value, all of it. */
  bytes: number
}

export interface ShownRecords {
  records: ShownRecord[]
  /** Where to go on; undefined at the end. */
  next?: number
  /** Of the first record that is here, and of the next to come. */
  startOffset: number
  endOffset: number
}

export function recordRoutes(peer: Peer): Route[] {
  return [
    route({
      method: 'GET',
      path: '/v1/records',
      about: 'Shows records of a topic, in the order in which they came to this peer.',
      answers: '{ records, next, startOffset, endOffset }',
      query: looking,
      act: ({ query }) => look(peer, query),
    }),
    route({
      method: 'POST',
      path: '/v1/records',
      about: 'Publishes one record.',
      answers: 'Receipt',
      body: publishing,
      act: ({ body: { topic, value, encoding, ...options } }) =>
        peer
          .topic<Uint8Array>(topic, { codec: 'bytes' })
          .publish(Buffer.from(value, encoding === 'text' ? 'utf8' : 'base64'), definedOf(options)),
    }),
  ]
}

async function look(
  peer: Peer,
  { topic: name, offset, time, key, max }: z.infer<typeof looking>,
): Promise<ShownRecords> {
  const topic = peer.topic<Uint8Array>(name, { codec: 'bytes' })
  // Looking for one that nobody has would make it.
  if (!(await peer.topics()).some((each) => each.name === topic.name))
    return { records: [], startOffset: 0, endOffset: 0 }
  const from: StartPosition = offset ?? (time === undefined ? 'earliest' : new Date(time))
  const stop = new AbortController()
  const subscription = topic.subscribe({ from, signal: stop.signal })
  const records: ShownRecord[] = []
  let next = 0
  let idle: NodeJS.Timeout | undefined
  try {
    await subscription.ready
    const { startOffset = 0, endOffset = 0 } = (await peer.topics()).find((each) => each.name === topic.name) ?? {}
    // Of a time behind the last record nothing comes, and for a damaged place somebody else waits.
    idle = setTimeout(() => stop.abort(), limits.apiIdleMs)
    let looked = 0
    if ((offset ?? 0) < endOffset) {
      for await (const message of inTurn(subscription.batches())) {
        idle.refresh()
        next = message.offset + 1
        looked++
        if (key === undefined || message.key === key) records.push(shown(message))
        if (records.length >= max || looked >= limits.apiLookedMax || next >= endOffset) break
      }
    }
    return { records, ...(next > 0 && next < endOffset ? { next } : {}), startOffset, endOffset }
  } finally {
    clearTimeout(idle)
    await subscription.close()
  }
}

async function* inTurn(batches: AsyncIterable<Message<Uint8Array>[]>): AsyncGenerator<Message<Uint8Array>> {
  for await (const batch of batches) yield* batch
}

function shown(message: Message<Uint8Array>): ShownRecord {
  const { value, id } = message
  const part = value.subarray(0, limits.apiShownBytes)
  const encoding = isUtf8(value) ? 'text' : 'base64'
  const text = encoding === 'text' ? new TextDecoder().decode(part, { stream: true }) : base64Of(part)
  return { value: text, encoding, bytes: value.length, id, ...fieldsOf(message) }
}

/** Without what was not given. */
function definedOf<T extends object>(options: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as never
}
