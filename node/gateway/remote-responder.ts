/** Answers requests through the local API. A lost connection is opened by nobody again: `ended` says so. */
import { z } from 'zod'
import type { Codec } from '../topic/codec.ts'
import type { PeerId, RequestHandler, Responder, RespondOptions, TopicName } from '../types.ts'
import type { Channel } from './channel.ts'
import { badRequest, errorOf, parseJson } from './frame.ts'
import { type ApiPlace, openChannel } from './remote-socket.ts'
import { base64Of } from './respond.ts'

const word = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('request'),
    id: z.number(),
    value: z.string(),
    headers: z.record(z.string(), z.string()),
    publisher: z.string().transform((text) => text as PeerId),
    time: z.number(),
    attempt: z.number(),
  }),
  z.object({ type: z.literal('error'), code: z.string(), message: z.string(), data: z.unknown() }),
])
type Asked = Extract<z.infer<typeof word>, { type: 'request' }>

export interface ResponderParts {
  place: ApiPlace
  topic: TopicName
  codec: Codec
  handler: RequestHandler
}

export class RemoteResponder implements Responder {
  /** Resolves when the connection has ended. */
  readonly ended: Promise<void>
  readonly #parts: ResponderParts
  readonly #ended = Promise.withResolvers<void>()
  readonly #channel: Promise<Channel>
  #error: unknown

  constructor(parts: ResponderParts, { concurrency }: RespondOptions) {
    this.#parts = parts
    this.ended = this.#ended.promise
    this.#channel = openChannel(parts.place, '/v1/respond', {
      onText: (text) => this.#onText(text),
      onFrame: () => {
        throw badRequest('a request is a text message')
      },
      onClose: () => this.#ended.resolve(),
    })
    this.#channel.then(
      (channel) => channel.send({ topic: parts.topic, ...(concurrency !== undefined && { concurrency }) }),
      (error) => {
        this.#error = error
        this.#ended.resolve()
      },
    )
  }

  /** Rejects with what ended it, where that was an error. */
  async close(): Promise<void> {
    const channel = await this.#channel.catch(() => undefined)
    channel?.send({ type: 'end' })
    if (channel?.open) await this.ended
    if (this.#error !== undefined) throw this.#error
  }

  /** At once: others get what it had. */
  async abandon(): Promise<void> {
    const channel = await this.#channel.catch(() => undefined)
    channel?.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #onText(text: string): void {
    const said = parseJson(text, word)
    if (said.type === 'error') this.#error = errorOf(said, 500)
    else void this.#answer(said)
  }

  async #answer({ id, value, headers, publisher, time, attempt }: Asked): Promise<void> {
    const { codec, handler } = this.#parts
    const channel = await this.#channel
    try {
      const asked = codec.decode(Buffer.from(value, 'base64'))
      const given = await handler(asked, { headers, publisher, time, attempt })
      channel.send({ id, value: base64Of(codec.encode(given ?? null)) })
    } catch (error) {
      channel.send({ id, failure: error instanceof Error ? error.message : String(error) })
    }
  }
}
