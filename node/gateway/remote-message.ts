/** Records as they come through the local API. */
import type { Codec } from '../topic/codec.ts'
import type { FeedId, Headers, Message, PeerId, TopicName } from '../types.ts'
import { openRecords } from '../wire/record.ts'
import type { DeliveryHead } from './frame.ts'

export type Fields<T> = Omit<Message<T>, 'ack' | 'id'>

export class RemoteMessage<T> implements Message<T> {
  readonly topic: TopicName
  readonly value: T
  readonly key: string | undefined
  readonly headers: Headers
  readonly time: number
  readonly publisher: PeerId
  readonly feed: FeedId
  readonly seq: number
  readonly index: number
  readonly id: string
  readonly offset: number
  readonly #ack: () => Promise<void>

  constructor(fields: Fields<T>, ack: () => Promise<void>) {
    this.topic = fields.topic
    this.value = fields.value
    this.key = fields.key
    this.headers = fields.headers
    this.time = fields.time
    this.publisher = fields.publisher
    this.feed = fields.feed
    this.seq = fields.seq
    this.index = fields.index
    this.id = `${fields.feed}/${fields.index}`
    this.offset = fields.offset
    this.#ack = ack
  }

  ack(): Promise<void> {
    return this.#ack()
  }
}

/** What the records of a delivery say of themselves. Throws `CodecFailed`, and WireError for what is no record batch. */
export function fieldsOf<T>(head: DeliveryHead, body: Uint8Array, topic: TopicName, codec: Codec): Fields<T>[] {
  const count = head.runs.reduce((sum, run) => sum + run.count, 0)
  const records = openRecords(body, count)
  const all: Fields<T>[] = []
  for (const { publisher, feed, seq, index, offset, count } of head.runs) {
    for (let i = 0; i < count; i++) {
      const at = all.length
      all.push({
        topic,
        value: codec.decode(records.value(at)) as T,
        key: records.key(at),
        headers: records.headers(at),
        time: head.time + records.timeDelta(at),
        publisher,
        feed,
        seq,
        index: index + i,
        offset: offset + i,
      })
    }
  }
  return all
}
