/**
 * Requests through the local API: `POST /v1/request` asks, and whoever opens `/v1/respond` answers. What that client is asked comes as one
 * message each, values as base64, at most its concurrency at a time. When the connection ends, others get what it had.
 */
import type { WebSocket } from 'ws'
import { z } from 'zod'
import { GrapevineError } from '../errors.ts'
import type { Peer, RequestInfo, Responder } from '../types.ts'
import { Channel } from './channel.ts'
import { badRequest, failureOf, parseJson } from './frame.ts'
import { type Route, route } from './route.ts'

const asking = z.strictObject({
  topic: z.string(),
  value: z.base64(),
  timeoutMs: z.number().optional(),
  headers: z.record(z.string(), z.string()).optional(),
})
/** First message on `/v1/respond`. */
const opening = z.strictObject({ topic: z.string(), concurrency: z.number().optional() })
/** An answer, or why there is none; and the end, after which what was asked is still answered. */
const answer = z.union([
  z.strictObject({ id: z.int().min(0), value: z.base64() }),
  z.strictObject({ id: z.int().min(0), failure: z.string() }),
  z.strictObject({ type: z.literal('end') }),
])

export function requestRoute(peer: Peer): Route {
  return route({
    method: 'POST',
    path: '/v1/request',
    about: 'Asks whoever responds on a topic; values are base64.',
    answers: '{ value }',
    body: asking,
    async act({ body: { topic, value, timeoutMs, headers } }) {
      const given = await peer.request<Uint8Array>(topic, Buffer.from(value, 'base64'), {
        codec: 'bytes',
        ...(timeoutMs !== undefined && { timeoutMs }),
        ...(headers !== undefined && { headers }),
      })
      return { value: base64Of(given) }
    },
  })
}

export function serveRespond(socket: WebSocket, peer: Peer): void {
  const waiting = new Map<number, PromiseWithResolvers<Uint8Array>>()
  let responder: Responder | undefined
  let ids = 0
  const channel = new Channel(socket, {
    onText: (text) => {
      try {
        if (responder === undefined) begin(text)
        else onAnswer(parseJson(text, answer))
      } catch (error) {
        channel.send({ type: 'error', ...failureOf(error) })
        channel.close()
      }
    },
    onFrame: () => {
      throw badRequest('an answer is a text message')
    },
    onClose: () => {
      const gone = new GrapevineError('PeerClosed', 'the responder is gone', {})
      for (const { reject } of waiting.values()) reject(gone)
      responder?.close().catch(() => undefined)
    },
  })

  function begin(text: string): void {
    const { topic, concurrency } = parseJson(text, opening)
    const options = concurrency === undefined ? {} : { concurrency }
    responder = peer.topic<Uint8Array>(topic, { codec: 'bytes' }).respond(ask, options)
  }

  async function ask(value: Uint8Array, { headers, publisher, time, attempt }: RequestInfo): Promise<Uint8Array> {
    const id = ids++
    const answered = Promise.withResolvers<Uint8Array>()
    waiting.set(id, answered)
    channel.send({ type: 'request', id, value: base64Of(value), headers, publisher, time, attempt })
    try {
      return await answered.promise
    } finally {
      waiting.delete(id)
    }
  }

  function onAnswer(said: z.infer<typeof answer>): void {
    if ('type' in said) {
      void responder?.close().then(
        () => channel.close(),
        () => channel.close(),
      )
      return
    }
    const waits = waiting.get(said.id)
    if ('failure' in said) waits?.reject(new Error(said.failure))
    else waits?.resolve(Buffer.from(said.value, 'base64'))
  }
}

export function base64Of(value: Uint8Array): string {
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')
}
