/**
 * The serving end of `/v1/subscribe`: one subscription of the peer, sent on in messages of some 256 KiB. The reader says
 * what it has dealt with (`taken`) and no more than a window is ever beyond that, so a reader that stops costs one
 * window here and nothing elsewhere. Records of a named subscription are held until they are acknowledged; their
 * number is bounded by the subscription itself, which stops at `limits.unackedMax`.
 */
import type { WebSocket } from 'ws'
import type { z } from 'zod'
import { limits } from '../limits.ts'
import type { Message, Peer, StartPosition, Subscription } from '../types.ts'
import { Channel } from './channel.ts'
import { badRequest, failureOf, packDelivery, parseJson, readerWord, subscribeOpening } from './frame.ts'

type Opening = z.infer<typeof subscribeOpening>

export function serveSubscribe(socket: WebSocket, peer: Peer): void {
  new Serving(socket, peer)
}

class Serving {
  readonly #channel: Channel
  readonly #peer: Peer
  readonly #unacked = new Map<number, Message<Uint8Array>>()
  readonly #acking = new Set<Promise<void>>()
  #subscription: Subscription<Uint8Array> | undefined
  #named = false
  #sent = 0
  #untakenBytes = 0
  #onTaken: (() => void) | undefined
  #ending = false

  constructor(socket: WebSocket, peer: Peer) {
    this.#peer = peer
    this.#channel = new Channel(socket, {
      onText: (text) => this.#onText(text),
      onFrame: () => this.#fail(badRequest('a reader sends no records')),
      onClose: () => this.#end(),
    })
  }

  #onText(text: string): void {
    try {
      if (this.#subscription) this.#onWord(parseJson(text, readerWord))
      else this.#open(parseJson(text, subscribeOpening))
    } catch (error) {
      this.#fail(error)
    }
  }

  #open(opening: Opening): void {
    const topic = this.#peer.topic<Uint8Array>(opening.topic, { codec: 'bytes' })
    const from = startOf(opening.from)
    this.#named = opening.name !== undefined
    this.#subscription = topic.subscribe({
      ...(opening.name === undefined ? {} : { name: opening.name }),
      ...(from === undefined ? {} : { from }),
    })
    this.#subscription.ready.then(
      () => this.#channel.send({ type: 'ready' }),
      (error) => this.#fail(error),
    )
    void this.#deliver(this.#subscription)
  }

  async #deliver(subscription: Subscription<Uint8Array>): Promise<void> {
    try {
      for await (const messages of subscription.batches()) {
        for (const part of partsOf(messages)) await this.#send(part)
        if (this.#ending) break
      }
      await subscription.close()
      // The reader waits for what it acknowledged in its last words.
      await Promise.all(this.#acking)
      this.#channel.send({ type: 'end' })
      this.#channel.close()
    } catch (error) {
      this.#fail(error)
    }
  }

  async #send(messages: Message<Uint8Array>[]): Promise<void> {
    while (this.#untakenBytes > limits.apiWindowBytes && !this.#ending) {
      await new Promise<void>((resolve) => {
        this.#onTaken = resolve
      })
    }
    if (this.#ending) return
    const frame = packDelivery(messages, this.#sent)
    if (this.#named) for (const [i, message] of messages.entries()) this.#unacked.set(this.#sent + i, message)
    this.#sent += messages.length
    this.#untakenBytes += frame.length
    await this.#channel.sendFrame(frame)
  }

  #onWord(word: z.infer<typeof readerWord>): void {
    switch (word.type) {
      case 'taken':
        this.#untakenBytes = Math.max(0, this.#untakenBytes - word.bytes)
        this.#onTaken?.()
        return
      case 'ack': {
        const acking = this.#acknowledge(word.id, word.ranges)
        this.#acking.add(acking)
        void acking.then(() => this.#acking.delete(acking))
        return
      }
      case 'close':
        this.#end()
        return
      default:
        word satisfies never
    }
  }

  async #acknowledge(id: number, ranges: readonly (readonly [number, number])[]): Promise<void> {
    const messages: Message<Uint8Array>[] = []
    for (const [first, last] of ranges) {
      for (let number = first; number <= Math.min(last, this.#sent); number++) {
        const message = this.#unacked.get(number)
        this.#unacked.delete(number)
        if (message) messages.push(message)
      }
    }
    try {
      await Promise.all(messages.map((message) => message.ack()))
      this.#channel.send({ type: 'acked', id })
    } catch (error) {
      this.#channel.send({ type: 'unacked', id, failure: failureOf(error) })
    }
  }

  #fail(error: unknown): void {
    this.#channel.send({ type: 'error', ...failureOf(error) })
    this.#channel.close()
    this.#end()
  }

  /** Ends the subscription; a reader that is still there hears `end` once its acknowledgements are shared. */
  #end(): void {
    this.#ending = true
    this.#onTaken?.()
    this.#subscription?.close().catch((error) => this.#channel.send({ type: 'error', ...failureOf(error) }))
  }
}

function startOf(from: Opening['from']): StartPosition | undefined {
  if (typeof from !== 'object') return from
  return 'time' in from ? new Date(from.time) : from.offset
}

/** Cuts a delivery where a message becomes large; a single record may be larger. */
function* partsOf(messages: Message<Uint8Array>[]): Generator<Message<Uint8Array>[]> {
  let start = 0
  let bytes = 0
  for (const [at, message] of messages.entries()) {
    if (at > start && bytes + message.value.length > limits.apiFrameBytes) {
      yield messages.slice(start, at)
      start = at
      bytes = 0
    }
    bytes += message.value.length
  }
  if (start < messages.length) yield messages.slice(start)
}
