/**
 * Which of our batches are on how many other disks, and who waits for that. Only what a peer says of itself counts, on a
 * connection whose encryption proves who it is: a friend cannot confirm for others.
 */
import { GrapevineError } from '../errors.ts'
import type { Clock, Timer } from '../ports.ts'
import type { FeedId, PeerId } from '../types.ts'

/** How many other peers a publish asked for: a number, or what makes sense now. */
export type Confirm = number | 'auto'

/** What a publish asked for. */
export interface Wish {
  readonly confirm: Confirm
  readonly timeoutMs: number
  /** Whose copies count; undefined: everybody's. */
  readonly among?: readonly PeerId[] | undefined
}

interface Waiting extends Wish {
  feed: FeedId
  seq: number
  timer: Timer | undefined
  resolve(copies: number): void
  reject(error: GrapevineError): void
}

export class Confirmations {
  readonly #clock: Clock
  readonly #autoNeed: () => number
  /** By feed and peer: the newest of our batches that it has. */
  readonly #have = new Map<FeedId, Map<PeerId, number>>()
  readonly #waiting = new Set<Waiting>()
  #closed = false

  /** `autoNeed` says what `auto` means now. */
  constructor(clock: Clock, autoNeed: () => number) {
    this.#clock = clock
    this.#autoNeed = autoNeed
  }

  get waiting(): number {
    return this.#waiting.size
  }

  /** The most other peers that anybody waits for. */
  get wanted(): number {
    let wanted = 0
    for (const { confirm } of this.#waiting) wanted = Math.max(wanted, this.#need(confirm))
    return wanted
  }

  copies(feed: FeedId, seq: number, among?: readonly PeerId[]): number {
    let copies = 0
    for (const [peer, have] of this.#have.get(feed) ?? [])
      if (have >= seq && (among === undefined || among.includes(peer))) copies++
    return copies
  }

  /** Resolves with the copies there are as soon as they are enough; rejects with `ConfirmTimeout`. */
  wait(feed: FeedId, seq: number, wish: Wish): Promise<number> {
    const copies = this.copies(feed, seq, wish.among)
    if (copies >= this.#need(wish.confirm)) return Promise.resolve(copies)
    if (this.#closed) return Promise.reject(closedError())
    return new Promise((resolve, reject) => {
      const { confirm, timeoutMs, among } = wish
      const waiting: Waiting = { feed, seq, confirm, timeoutMs, among, timer: undefined, resolve, reject }
      waiting.timer = this.#clock.after(timeoutMs, () => this.#onTimeout(waiting))
      this.#waiting.add(waiting)
    })
  }

  onConfirmed(peer: PeerId, feed: FeedId, seq: number): void {
    const peers = this.#have.get(feed) ?? new Map<PeerId, number>()
    this.#have.set(feed, peers)
    if ((peers.get(peer) ?? 0) >= seq) return
    peers.set(peer, seq)
    this.recheck()
  }

  /** What `auto` means may have changed. */
  recheck(): void {
    for (const waiting of this.#waiting) {
      const copies = this.copies(waiting.feed, waiting.seq, waiting.among)
      if (copies < this.#need(waiting.confirm)) continue
      this.#end(waiting)
      waiting.resolve(copies)
    }
  }

  /** Ends all waits with `PeerClosed`, also those that a commit still under way begins later. */
  close(): void {
    this.#closed = true
    for (const waiting of this.#waiting) {
      this.#end(waiting)
      waiting.reject(closedError())
    }
  }

  #need(confirm: Confirm): number {
    return confirm === 'auto' ? this.#autoNeed() : confirm
  }

  #onTimeout(waiting: Waiting): void {
    const { feed, seq, timeoutMs, among } = waiting
    const wanted = this.#need(waiting.confirm)
    const copies = this.copies(feed, seq, among)
    this.#end(waiting)
    const message = `${copies} of ${wanted} other peers have the record on disk after ${timeoutMs} ms. It is stored here and stays on its way; \`status\` and \`topics\` show who carries the topic`
    waiting.reject(new GrapevineError('ConfirmTimeout', message, { wanted, copies, timeoutMs, feed, seq }))
  }

  #end(waiting: Waiting): void {
    waiting.timer?.cancel()
    this.#waiting.delete(waiting)
  }
}

function closedError(): GrapevineError {
  const message = 'the peer was closed before the record was confirmed; it is on this disk'
  return new GrapevineError('PeerClosed', message, {})
}
