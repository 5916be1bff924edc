/** Dead letters: the record as it was, with headers that say where it came from and why it is here. */
import { isError } from '../errors.ts'
import type { OutgoingBytes } from '../topic/publisher.ts'
import type { Topics } from '../topic/topics.ts'
import type { DeadReason, TopicName } from '../types.ts'
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

/** Resolves when the dead letter is on disk, and on another peer's where there is one. Rejects as `publish` does. */
export async function bury({ head, records, at, delivery }: Loaded, burial: Burial): Promise<void> {
  const key = records.key(at)
  const about = {
    'grapevine-dead-reason': burial.reason,
    'grapevine-dead-group': burial.group,
    'grapevine-dead-topic': burial.topic,
    'grapevine-dead-feed': delivery.feed,
    'grapevine-dead-index': String(delivery.index),
    'grapevine-dead-publisher': head.author,
    'grapevine-dead-time': String(head.head.time + records.timeDelta(at)),
    'grapevine-dead-attempts': String(burial.attempts),
  }
  const record: OutgoingBytes = { value: records.value(at), time: burial.now, ...(key !== undefined && { key }) }
  try {
    await publish(burial, { ...record, headers: { ...records.headers(at), ...about } })
  } catch (error) {
    // With our headers it is larger than a record may be. Its place says where the rest is.
    if (!isError(error, 'RecordTooLarge')) throw error
    await publish(burial, { ...record, value: new Uint8Array(0), headers: about })
  }
}

function publish({ topics, to }: Burial, record: OutgoingBytes): Promise<void> {
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
