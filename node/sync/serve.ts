/**
 * Serving one friend's wants from our logs: in the order they came, a want that has used up its budget waits for more
 * while others go on, and nothing is read before the friend has taken what was read before.
 */
import type { FrameBytes, Link } from '../host/link.ts'
import { limits } from '../limits.ts'
import type { TopicLog } from '../store/topic-log.ts'
import type { TopicName } from '../types.ts'
import { type EndReason, encodeFrame, encodePiece, type FrameOf } from '../wire/frame.ts'
import type { Batch } from '../wire/head.ts'

interface Serving {
  want: FrameOf<'want'>
  next: number
  /** Body bytes that may still be sent. */
  budget: number
}

export class WantServer {
  readonly #link: Link
  readonly #logOf: (topic: TopicName) => TopicLog | undefined
  #wants: Serving[] = []
  #busy = false

  constructor(link: Link, logOf: (topic: TopicName) => TopicLog | undefined) {
    this.#link = link
    this.#logOf = logOf
  }

  /** False where the friend has more wants waiting than it may. */
  onWant(want: FrameOf<'want'>): boolean {
    if (this.#wants.length >= limits.wantsPerFriendMax) return false
    this.#wants.push({ want, next: want.from, budget: Math.min(want.budget, limits.wantBytes) })
    this.#wake()
    return true
  }

  onMore(more: FrameOf<'more'>): void {
    const serving = this.#wants.find((each) => each.want.id === more.id)
    if (serving === undefined) return
    serving.budget = Math.min(serving.budget + more.budget, limits.wantBytes)
    this.#wake()
  }

  onCancel(id: number): void {
    this.#wants = this.#wants.filter((each) => each.want.id !== id)
  }

  #wake(): void {
    if (this.#busy) return
    this.#busy = true
    void this.#run().catch(() => this.#link.close('serving failed'))
  }

  async #run(): Promise<void> {
    try {
      for (let serving = this.#pick(); serving !== undefined && this.#link.open; serving = this.#pick()) {
        await this.#serve(serving)
      }
    } finally {
      // In the moment in which nothing is left: a want that comes in the next one finds nobody at work.
      this.#busy = false
    }
  }

  /** The first want that may send; a later range of a feed waits for the earlier one. */
  #pick(): Serving | undefined {
    return this.#wants.find(
      (each, at) => each.budget > 0 && !this.#wants.slice(0, at).some((before) => before.want.feed === each.want.feed),
    )
  }

  /** Sends batches of one want until its budget, its range or one sending's worth is used up. */
  async #serve(serving: Serving): Promise<void> {
    const { want } = serving
    const log = this.#logOf(want.topic)
    const frames: FrameBytes[] = []
    let bytes = 0
    while (serving.next <= want.to && serving.budget > 0 && bytes < limits.chunkBytes) {
      const batch = await log?.read(want.feed, serving.next)
      if (batch === undefined) {
        this.#end(serving, log, frames)
        break
      }
      const size = batch.head.bytes.length + batch.body.length
      serving.budget -= size
      bytes += size
      serving.next++
      if (batch.body.length > limits.chunkBytes) await this.#sendLarge(want.id, batch, frames)
      else frames.push(encodePiece({ type: 'batch', id: want.id, head: batch.head.bytes, body: batch.body }))
    }
    if (serving.next > want.to) this.#finish(serving, 'done', 0, frames)
    await this.#flush(frames)
  }

  async #sendLarge(id: number, batch: Batch, frames: FrameBytes[]): Promise<void> {
    const { body } = batch
    frames.push(encodePiece({ type: 'batch', id, head: batch.head.bytes, body: body.subarray(0, limits.chunkBytes) }))
    await this.#flush(frames)
    for (let at = limits.chunkBytes; at < body.length; at += limits.chunkBytes) {
      frames.push(encodePiece({ type: 'chunk', id, body: body.subarray(at, at + limits.chunkBytes) }))
      await this.#flush(frames)
    }
  }

  async #flush(frames: FrameBytes[]): Promise<void> {
    if (frames.length === 0 || !this.#link.open) return
    const more = this.#link.sendMany(frames.splice(0))
    if (!more) await this.#link.writable()
  }

  /** Not here: retention removed it, or it is (or was found) missing. */
  #end(serving: Serving, log: TopicLog | undefined, frames: FrameBytes[]): void {
    const range = log?.feeds.get(serving.want.feed)
    if (range !== undefined && serving.next < range.base) this.#finish(serving, 'gone', range.base, frames)
    else this.#finish(serving, 'unknown', 0, frames)
  }

  #finish(serving: Serving, reason: EndReason, base: number, frames: FrameBytes[]): void {
    this.#wants = this.#wants.filter((each) => each !== serving)
    frames.push(encodeFrame({ type: 'end', id: serving.want.id, reason, base }))
  }
}
