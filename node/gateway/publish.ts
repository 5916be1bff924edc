/**
 * The serving end of `/v1/publish`. One connection publishes to one topic, in the order of its messages: either single
 * records, each answered with its receipt, or (`many`) one `publishMany` that all messages are parts of.
 * What is waiting here is bounded by not reading from the socket.
 */
import type { WebSocket } from 'ws'
import type { z } from 'zod'
import { limits } from '../limits.ts'
import type { Outgoing, Peer, Topic } from '../types.ts'
import { Channel } from './channel.ts'
import {
  badRequest,
  failureOf,
  openFrame,
  openOutgoing,
  parseJson,
  publisherWord,
  publishHead,
  publishOpening,
} from './frame.ts'
import { Inbox } from './inbox.ts'

type Opening = z.infer<typeof publishOpening>
interface Part {
  records: Outgoing<Uint8Array>[]
  bytes: number
}

export function servePublish(socket: WebSocket, peer: Peer): void {
  new Publishing(socket, peer)
}

class Publishing {
  readonly #channel: Channel
  readonly #peer: Peer
  readonly #parts = new Inbox<Part>()
  #topic: Topic<Uint8Array> | undefined
  #many = false
  /** Bytes read and not yet handed on (`many`) or not yet confirmed (single records). */
  #heldBytes = 0

  constructor(socket: WebSocket, peer: Peer) {
    this.#peer = peer
    this.#channel = new Channel(socket, {
      onText: (text) => this.#orFail(() => this.#onText(text)),
      onFrame: (bytes) => this.#orFail(() => this.#onFrame(bytes)),
      onClose: () => this.#parts.fail(badRequest('the connection ended before the last record')),
    })
  }

  #orFail(act: () => void): void {
    try {
      act()
    } catch (error) {
      this.#fail(error)
    }
  }

  #fail(error: unknown): void {
    this.#channel.send({ type: 'error', ...failureOf(error) })
    this.#channel.close()
    this.#parts.fail(error)
  }

  #onText(text: string): void {
    if (this.#topic) {
      parseJson(text, publisherWord)
      this.#parts.end()
      return
    }
    const opening = parseJson(text, publishOpening)
    this.#topic = this.#peer.topic<Uint8Array>(opening.topic, { codec: 'bytes' })
    this.#many = opening.many !== undefined
    if (opening.many) void this.#publishMany(this.#topic, opening.many)
  }

  #onFrame(bytes: Buffer): void {
    if (!this.#topic) throw badRequest('records came before the opening message')
    const { head, body } = openFrame(bytes, publishHead)
    const records = openOutgoing(body, head.count)
    this.#hold(bytes.length)
    if (this.#many) this.#parts.push({ records, bytes: bytes.length })
    else for (const record of records) void this.#publishOne(this.#topic, record, head, bytes.length / records.length)
  }

  async #publishOne(
    topic: Topic<Uint8Array>,
    record: Outgoing<Uint8Array>,
    head: z.infer<typeof publishHead>,
    bytes: number,
  ) {
    const { value, ...rest } = record
    const { id, confirm, timeoutMs } = head
    try {
      const options = {
        ...rest,
        ...(confirm === undefined ? {} : { confirm }),
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
      }
      this.#channel.send({ type: 'receipt', id, receipt: await topic.publish(value, options) })
    } catch (error) {
      this.#channel.send({ type: 'failed', id, failure: failureOf(error) })
    } finally {
      this.#hold(-bytes)
    }
  }

  async #publishMany(topic: Topic<Uint8Array>, { confirm, timeoutMs }: NonNullable<Opening['many']>) {
    try {
      const result = await topic.publishMany(this.#records(), {
        ...(confirm === undefined ? {} : { confirm }),
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
        onProgress: (progress) => this.#channel.send({ type: 'progress', result: progress }),
      })
      this.#channel.send({ type: 'done', result })
      this.#channel.close()
    } catch (error) {
      this.#fail(error)
    }
  }

  async *#records(): AsyncGenerator<Outgoing<Uint8Array>> {
    for (let part = await this.#parts.take(); part; part = await this.#parts.take()) {
      yield* part.records
      this.#hold(-part.bytes)
    }
  }

  #hold(bytes: number): void {
    const before = this.#heldBytes
    this.#heldBytes += bytes
    if (before <= limits.apiWindowBytes && this.#heldBytes > limits.apiWindowBytes) this.#channel.pause()
    if (before > limits.apiWindowBytes && this.#heldBytes <= limits.apiWindowBytes) this.#channel.resume()
  }
}
