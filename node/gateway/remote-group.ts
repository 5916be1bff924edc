/** A consumer group through the local API. Its consumers are this connection's own: those of others on the same peer go on when it drains. */
import type { Codec } from '../topic/codec.ts'
import type {
  ConsumeOptions,
  Group,
  GroupEvent,
  GroupOptions,
  GroupPosition,
  GroupRecord,
  GroupStatus,
  TopicName,
} from '../types.ts'
import { wireOptions, wirePosition } from './frame.ts'
import { RemoteConsumer } from './remote-consumer.ts'
import { remoteEvents } from './remote-events.ts'
import { askJson } from './remote-socket.ts'
import type { RemoteOwner } from './remote-topic.ts'

export class RemoteGroup<T> implements Group<T> {
  readonly topic: TopicName
  readonly name: string
  readonly #owner: RemoteOwner
  readonly #codec: Codec
  readonly #options: GroupOptions
  readonly #consumers = new Set<RemoteConsumer<T>>()

  constructor(owner: RemoteOwner, place: { topic: TopicName; group: string }, codec: Codec, options: GroupOptions) {
    this.topic = place.topic
    this.name = place.group
    this.#owner = owner
    this.#codec = codec
    this.#options = options
  }

  consume(options: ConsumeOptions = {}): AsyncIterable<GroupRecord<T>> {
    this.#owner.assertOpen()
    const { topic, name: group } = this
    const parts = { place: this.#owner.place, codec: this.#codec, topic, group, options: this.#options }
    const consumer = this.#owner.adopt(new RemoteConsumer<T>(parts, options))
    this.#consumers.add(consumer)
    void consumer.ended.then(() => {
      this.#consumers.delete(consumer)
      this.#owner.release(consumer)
    })
    return consumer
  }

  async status(): Promise<GroupStatus> {
    this.#owner.assertOpen()
    return askJson(this.#owner.place, '/v1/group', this.#opening())
  }

  async seek(to: GroupPosition): Promise<void> {
    this.#owner.assertOpen()
    await askJson(this.#owner.place, '/v1/group/seek', { ...this.#opening(), to: wirePosition(to) })
  }

  events(): AsyncIterable<GroupEvent> {
    this.#owner.assertOpen()
    return remoteEvents(this.#owner, '/v1/group-events', this.#opening())
  }

  async drain(): Promise<void> {
    await Promise.all([...this.#consumers].map((consumer) => consumer.drain()))
  }

  #opening() {
    return { topic: this.topic, group: this.name, options: wireOptions(this.#options) }
  }
}
