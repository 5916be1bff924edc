/** A topic through the local API: single publishes share one connection, every `publishMany` has its own. */
import { z } from 'zod'
import { GrapevineError } from '../errors.ts'
import { checkGroupOptions } from '../group/settings.ts'
import { limits } from '../limits.ts'
import type { Codec } from '../topic/codec.ts'
import type {
  GroupOptions,
  Outgoing,
  PublishManyOptions,
  PublishManyResult,
  PublishOptions,
  Receipt,
  RequestHandler,
  Responder,
  RespondOptions,
  SubscribeOptions,
  Topic,
  TopicName,
} from '../types.ts'
import { type RecordInput, recordSize } from '../wire/record.ts'
import type { Channel } from './channel.ts'
import { errorOf, packOutgoing, parseJson } from './frame.ts'
import { RemoteGroup } from './remote-group.ts'
import { RemoteResponder } from './remote-responder.ts'
import { type ApiPlace, lost, openChannel } from './remote-socket.ts'
import { RemoteSubscription } from './remote-subscription.ts'

const receiptShape = z.custom<Receipt>((value) => typeof value === 'object' && value !== null)
const resultShape = z.object({ published: z.number(), confirmed: z.number(), copies: z.number() })
const word = z.discriminatedUnion('type', [
  z.object({ type: z.literal('receipt'), id: z.number(), receipt: receiptShape }),
  z.object({ type: z.literal('failed'), id: z.number(), failure: z.unknown() }),
  z.object({ type: z.literal('progress'), result: resultShape }),
  z.object({ type: z.literal('done'), result: resultShape }),
  z.object({ type: z.literal('error'), code: z.string(), message: z.string(), data: z.unknown() }),
])

/** What a topic needs of the peer it belongs to. */
export interface RemoteOwner {
  readonly place: ApiPlace
  /** Throws `PeerClosed` once the peer is draining or closed. */
  assertOpen(): void
  /** `drain()` waits for it; `close()` calls `end`. */
  track<T>(work: Promise<T>, end?: () => void): Promise<T>
  adopt<S extends RemoteOpen>(open: S): S
  release(closed: RemoteOpen): void
}

/** Something with a connection of its own: the peer's `close()` closes it, `drain()` too once all publishes are through. */
export interface RemoteOpen {
  close(): unknown
  /** What `drain()` waits for first. */
  drain?(): Promise<void>
}

export class RemoteTopic<T> implements Topic<T> {
  readonly name: TopicName
  readonly #codec: Codec
  readonly #owner: RemoteOwner
  readonly #pending = new Map<number, PromiseWithResolvers<Receipt>>()
  #ids = 0
  #channel: Promise<Channel> | undefined

  constructor(owner: RemoteOwner, name: TopicName, codec: Codec) {
    this.#owner = owner
    this.name = name
    this.#codec = codec
  }

  async publish(value: T, options: PublishOptions = {}): Promise<Receipt> {
    this.#owner.assertOpen()
    const { key, headers, confirm, timeoutMs } = options
    const record = recordOf(this.#codec, {
      value,
      ...(key === undefined ? {} : { key }),
      ...(headers ? { headers } : {}),
    })
    const id = this.#ids++
    const answer = Promise.withResolvers<Receipt>()
    this.#pending.set(id, answer)
    // Whoever waits for the connection hears of its end from there.
    answer.promise.catch(() => undefined)
    const frame = packOutgoing(
      { id, ...(confirm === undefined ? {} : { confirm }), ...(timeoutMs === undefined ? {} : { timeoutMs }) },
      [record],
    )
    const send = async () => {
      const channel = await this.#open()
      if (!channel.open) throw lost('the connection to the local API was lost')
      void channel.sendFrame(frame)
      return answer.promise
    }
    return this.#owner.track(send().finally(() => this.#pending.delete(id)))
  }

  /** The connection of single publishes, opened with the first and again after it was lost. */
  #open(): Promise<Channel> {
    this.#channel ??= this.#connect().catch((error) => {
      this.#channel = undefined
      throw error
    })
    return this.#channel
  }

  async #connect(): Promise<Channel> {
    const end = (error: unknown) => {
      this.#channel = undefined
      for (const { reject } of this.#pending.values()) reject(error)
    }
    // It may be closed before it was ever open.
    let channel: Channel | undefined
    const opened = await openChannel(this.#owner.place, '/v1/publish', {
      onText: (text) => {
        const said = parseJson(text, word)
        if (said.type === 'receipt') this.#pending.get(said.id)?.resolve(said.receipt)
        if (said.type === 'failed') this.#pending.get(said.id)?.reject(errorOf(said.failure, 500))
        if (said.type === 'error') end(errorOf(said, 500))
      },
      onFrame: () => {},
      onClose: () => {
        if (channel !== undefined) this.#owner.release(channel)
        end(lost('the connection to the local API was lost'))
      },
    })
    channel = opened
    channel.send({ topic: this.name })
    return this.#owner.adopt(channel)
  }

  async publishMany(
    values: Iterable<Outgoing<T>> | AsyncIterable<Outgoing<T>>,
    options: PublishManyOptions = {},
  ): Promise<PublishManyResult> {
    this.#owner.assertOpen()
    const { confirm, timeoutMs, onProgress } = options
    const answer = Promise.withResolvers<PublishManyResult>()
    // It may be refused while the values are still being gathered; the sending loop looks at `refused`.
    let refused = false
    answer.promise.catch(() => {
      refused = true
    })
    const channel = await openChannel(this.#owner.place, '/v1/publish', {
      onText: (text) => {
        const said = parseJson(text, word)
        if (said.type === 'progress') onProgress?.(said.result)
        if (said.type === 'done') answer.resolve(said.result)
        if (said.type === 'error') answer.reject(errorOf(said, 500))
      },
      onFrame: () => {},
      onClose: () => answer.reject(lost('the connection to the local API was lost')),
    })
    channel.send({ topic: this.name, many: { confirm, timeoutMs } })
    // A refusal is told at once, even while the source of the values has nothing to say.
    const sent = this.#sendAll(channel, values, () => refused).then(() => answer.promise)
    const work = Promise.race([sent, answer.promise]).finally(() => channel.close())
    return this.#owner.track(work, () => channel.close())
  }

  /** Sends values as they come: at once when the source pauses, in full messages while it does not. */
  async #sendAll(
    channel: Channel,
    values: Iterable<Outgoing<T>> | AsyncIterable<Outgoing<T>>,
    refused: () => boolean,
  ): Promise<void> {
    let records: RecordInput[] = []
    let bytes = 0
    let flush: NodeJS.Immediate | undefined
    let room: Promise<void> = Promise.resolve()
    const send = () => {
      clearImmediate(flush)
      flush = undefined
      if (records.length > 0) room = channel.sendFrame(packOutgoing({}, records))
      records = []
      bytes = 0
    }
    try {
      for await (const outgoing of values) {
        if (refused()) return
        const record = recordOf(this.#codec, outgoing)
        records.push(record)
        bytes += recordSize(record)
        flush ??= setImmediate(send)
        if (bytes < limits.apiFrameBytes && records.length < limits.batchRecordsMax) continue
        send()
        await room
      }
    } finally {
      // What came before a failing value is published, as it is without the API in between.
      send()
    }
    channel.send({ type: 'end' })
  }

  group(name: string, options: GroupOptions = {}): RemoteGroup<T> {
    this.#owner.assertOpen()
    checkGroupOptions(this.name, name, options)
    return new RemoteGroup<T>(this.#owner, { topic: this.name, group: name }, this.#codec, options)
  }

  respond(handler: RequestHandler<T>, options: RespondOptions = {}): Responder {
    this.#owner.assertOpen()
    const parts = {
      place: this.#owner.place,
      topic: this.name,
      codec: this.#codec,
      handler: handler as RequestHandler,
    }
    const responder = new RemoteResponder(parts, options)
    const open = this.#owner.adopt({ close: () => responder.abandon(), drain: () => responder.close() })
    void responder.ended.then(() => this.#owner.release(open))
    return responder
  }

  subscribe(options: SubscribeOptions = {}): RemoteSubscription<T> {
    this.#owner.assertOpen()
    const subscription = new RemoteSubscription<T>(this.#owner.place, this.name, this.#codec, options)
    void subscription.ended.then(() => this.#owner.release(subscription))
    return this.#owner.adopt(subscription)
  }
}

/** Throws `CodecFailed`, or `RecordTooLarge` for what the API could not carry at all; finer limits are the peer's to judge. */
function recordOf(codec: Codec, { value, key, headers }: Outgoing<unknown>): RecordInput {
  const record = {
    value: codec.encode(value),
    time: 0,
    ...(key === undefined ? {} : { key }),
    ...(headers ? { headers } : {}),
  }
  const bytes = recordSize(record)
  if (record.value.length <= limits.recordBytesMax && bytes <= limits.bodyBytesMax) return record
  const limitBytes = limits.recordBytesMax
  throw new GrapevineError(
    'RecordTooLarge',
    `the record has ${bytes} bytes, the limit is ${limitBytes}: publish it in pieces`,
    {
      bytes,
      limitBytes,
    },
  )
}
