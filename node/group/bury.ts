/** Dead letters: the record as it was, with headers that say where it came from and why it is here. */
import { isError } from '../errors.ts'
import type { Topics } from '../topic/topics.ts'
import type { DeadReason, Headers, TopicName } from '../types.ts'
import type { RecordInput } from '../wire/record.ts'
import { parseTopic } from '../wire/topic.ts'
import type { Loaded } from './desk.ts'

export interface Burial {
  topics: Topics
  /** The dead-letter topic. */
  to: string
  topic: TopicName
  group: string
  reason: DeadReason
  /** How often the record was handed out. */
  attempts: number
  now: number
}

export const deadHeaders = {
  reason: 'grapevine-dead-reason',
  group: 'grapevine-dead-group',
  topic: 'grapevine-dead-topic',
  feed: 'grapevine-dead-feed',
  index: 'grapevine-dead-index',
  publisher: 'grapevine-dead-publisher',
  time: 'grapevine-dead-time',
  attempts: 'grapevine-dead-attempts',
} as const

/** The headers of a dead letter as they were before it became one. */
export function livingHeaders(headers: Headers): Headers {
  const ours = new Set<string>(Object.values(deadHeaders))
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !ours.has(name)))
}

/** Resolves when the dead letter is on disk, and on another peer's where there is one. Rejects as `publish` does. */
export async function bury({ batch: { head, records }, at, delivery }: Loaded, burial: Burial): Promise<void> {
  const about = {
    [deadHeaders.reason]: burial.reason,
    [deadHeaders.group]: burial.group,
    [deadHeaders.topic]: burial.topic,
    [deadHeaders.feed]: delivery.feed,
    [deadHeaders.index]: String(delivery.index),
    [deadHeaders.publisher]: head.author,
    [deadHeaders.time]: String(head.head.time + records.timeDelta(at)),
    [deadHeaders.attempts]: String(burial.attempts),
  }
  const record: RecordInput = { value: records.value(at), time: burial.now, key: records.key(at) }
  try {
    await publish(burial, { ...record, headers: { ...records.headers(at), ...about } })
  } catch (error) {
    // With our headers it is larger than a record may be. Its place says where the rest is.
    if (!isError(error, 'RecordTooLarge')) throw error
    await publish(burial, { ...record, value: new Uint8Array(0), headers: about })
  }
}

function publish({ topics, to }: Burial, record: RecordInput): Promise<void> {
  return new Promise((resolve, reject) => {
    topics.append(parseTopic(to), record, {
      confirm: 'auto',
      timeoutMs: 5_000,
      onDone: () => resolve(),
      // On our disk and on its way all the same.
      onFailed: (_count, _bytes, error) => (isError(error, 'ConfirmTimeout') ? resolve() : reject(error)),
    })
  })
}
