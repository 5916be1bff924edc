/**
 * The asking side: turns the scheduler's wants into frames, puts bodies together from their pieces and hands whole batches on.
 * A friend can fill memory only with what was asked of it: a body is allocated when its head fits a want, and a want is
 * answered with no more than its budget and one largest body.
 */
import type { Link } from '../host/link.ts'
import { limits } from '../limits.ts'
import type { Clock } from '../ports.ts'
import type { FeedId, PeerId, TopicName } from '../types.ts'
import { WireError } from '../wire/error.ts'
import { encodeFrame, type FrameOf } from '../wire/frame.ts'
import { type Batch, openHead, type SignedHead } from '../wire/head.ts'
import { PartialBatch } from './partial.ts'
import { type FetchEffect, type FetchInput, FetchScheduler } from './scheduler.ts'

interface Request {
  id: number
  peer: PeerId
  topic: TopicName
  feed: FeedId
  from: number
  next: number
  to: number
  /** What comes before `from` its friend has removed. */
  gap: boolean
  /** Body bytes the friend may still send. */
  allowed: number
  /** Body bytes stored of it and not yet given back as budget. */
  stored: number
  partial: PartialBatch | undefined
}

export interface FetchOptions {
  clock: Clock
  linkOf(peer: PeerId): Link | undefined
  /** A head already parsed (and verified) from gossip, to be used instead of an equal one. */
  knownHead(topic: TopicName, feed: FeedId, seq: number): SignedHead | undefined
  onBatch(topic: TopicName, batch: Batch, source: PeerId, mayBegin: boolean): void
}

export class Fetch {
  readonly #options: FetchOptions
  readonly #scheduler = new FetchScheduler()
  readonly #requests = new Map<number, Request>()

  constructor(options: FetchOptions) {
    this.#options = options
  }

  /** How far each feed of a topic is known to go of which something is missing. */
  targets(topic: TopicName): Map<FeedId, number> {
    return this.#scheduler.targets(topic)
  }

  /** As of the scheduler. */
  hasGap(topic: TopicName): boolean {
    return this.#scheduler.hasGap(topic)
  }

  input(input: FetchInput): void {
    if (input.type === 'lost') {
      for (const request of this.#requests.values()) if (request.peer === input.peer) this.#requests.delete(request.id)
    }
    for (const effect of this.#scheduler.handle(input, this.#options.clock.now())) this.#carryOut(effect)
  }

  onBatchFrame(peer: PeerId, frame: FrameOf<'batch'>): void {
    const request = this.#requestOf(peer, frame.id)
    if (request === undefined) return
    const head = this.#headOf(request, frame.head)
    const { seq, bodyBytes } = head.head
    if (
      request.partial !== undefined ||
      head.feed !== request.feed ||
      head.head.topic !== request.topic ||
      seq !== request.next ||
      seq > request.to
    ) {
      throw new WireError('a batch that was not asked for')
    }
    if (bodyBytes > limits.bodyBytesMax || bodyBytes + head.bytes.length > request.allowed + limits.bodyBytesMax)
      throw new WireError('more than was asked for')
    request.allowed -= bodyBytes + head.bytes.length
    if (frame.body.length === bodyBytes) {
      this.#onWhole(request, { head, body: frame.body.subarray() })
      return
    }
    if (frame.body.length > bodyBytes) throw new WireError('a body longer than its head says')
    request.partial = new PartialBatch(head)
    request.partial.add(frame.body)
    this.input({ type: 'progress', id: request.id })
  }

  onChunkFrame(peer: PeerId, frame: FrameOf<'chunk'>): void {
    const request = this.#requestOf(peer, frame.id)
    if (request === undefined) return
    if (request.partial === undefined) throw new WireError('a piece of no body')
    request.partial.add(frame.body)
    const { whole } = request.partial
    if (whole === undefined) {
      this.input({ type: 'progress', id: request.id })
      return
    }
    request.partial = undefined
    this.#onWhole(request, whole)
  }

  onEndFrame(peer: PeerId, frame: FrameOf<'end'>): void {
    const request = this.#requestOf(peer, frame.id)
    if (request === undefined) return
    this.#requests.delete(frame.id)
    this.input({ type: 'ended', id: frame.id, reason: frame.reason, base: frame.base })
  }

  /** Batches of a feed were stored: the friend that is sending it may send as much again. */
  onStored(topic: TopicName, feed: FeedId, bytes: number, seq: number): void {
    this.input({ type: 'stored', topic, feed, seq })
    for (const request of this.#requests.values()) {
      if (request.feed !== feed || request.topic !== topic) continue
      request.stored += bytes
      if (request.stored >= limits.wantBytes / 2) {
        // All of it: of a body larger than the budget the friend has sent more than it was given.
        const budget = request.stored
        request.allowed += budget
        request.stored = 0
        this.#options.linkOf(request.peer)?.send(encodeFrame({ type: 'more', id: request.id, budget }))
      }
      return
    }
  }

  #requestOf(peer: PeerId, id: number): Request | undefined {
    const request = this.#requests.get(id)
    return request?.peer === peer ? request : undefined
  }

  #headOf(request: Request, bytes: Uint8Array): SignedHead {
    const known = this.#options.knownHead(request.topic, request.feed, request.next)
    return known !== undefined && Buffer.compare(known.bytes, bytes) === 0 ? known : openHead(bytes)
  }

  #onWhole(request: Request, batch: Batch): void {
    // Not because it is the first of a want: the want before it may have come to nothing, where its friend's disk is damaged.
    const mayBegin = request.gap && request.next === request.from
    request.next++
    this.#options.onBatch(request.topic, batch, request.peer, mayBegin)
    this.input({ type: 'progress', id: request.id, seq: batch.head.head.seq })
  }

  #carryOut(effect: FetchEffect): void {
    const link = this.#options.linkOf(effect.peer)
    switch (effect.type) {
      case 'want': {
        const { id, peer, topic, feed, from, to, gap = false } = effect
        if (link === undefined) {
          this.input({ type: 'lost', peer })
          return
        }
        const budget = limits.wantBytes
        this.#requests.set(id, {
          id,
          peer,
          topic,
          feed,
          from,
          next: from,
          to,
          gap,
          allowed: budget,
          stored: 0,
          partial: undefined,
        })
        link.send(encodeFrame({ type: 'want', id, topic, feed, from, to, budget }))
        break
      }
      case 'cancel':
        this.#requests.delete(effect.id)
        link?.send(encodeFrame({ type: 'cancel', id: effect.id }))
        break
      default:
        effect satisfies never
    }
  }
}
