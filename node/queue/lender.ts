/**
 * Stands by for as long as the queue is open here: unlike a consumer it keeps its slots while nobody asks, since other members may borrow from it.
 * An ask is given what is in our own slots, or else what another member has to spare; it ends with the first records that there are, or
 * when its time is over.
 */

import { GrapevineError } from '../errors.ts'
import type { Delivery } from '../group/backlog.ts'
import { receiptOf, Settlement } from '../group/consumer.ts'
import type { Desk, Loaded, Settler } from '../group/desk.ts'
import type { Member } from '../group/member.ts'
import type { Seat } from '../group/seats.ts'
import { limits } from '../limits.ts'
import type { Clock, Timer } from '../ports.ts'

/** How often an ask whose time is over looks again, while something is on its way to it. */
const comingMs = 5

/** A record, and where it is settled. */
export interface Lent {
  loaded: Loaded
  settler: Settler
}

interface Ask {
  max: number
  got: Lent[]
  /** Gives it what it got; later calls do nothing. */
  end(error?: unknown): void
  ending: boolean
}

export class Lender implements Seat {
  readonly #member: Member
  readonly #clock: Clock
  readonly #asks = new Set<Ask>()
  /** Handed to us: with an asker, or here because its asker is gone. */
  readonly #lent = new Set<Delivery>()
  /** Of a record that was received: where and how it is settled. Beyond `limits.queueReceiptsMax` the oldest is forgotten. */
  readonly #receipts = new Map<string, { settler: Settler; delivery: Delivery }>()
  #ready: Loaded[] = []
  readonly #borrowed: Loaded[] = []
  #borrowing = false
  #idleSince: number | undefined
  #joined: Promise<Desk | undefined> | undefined
  #desk: Desk | undefined
  #failure: unknown
  #ended = false

  constructor(member: Member, clock: Clock) {
    this.#member = member
    this.#clock = clock
  }

  remember({ loaded: { delivery }, settler }: Lent): void {
    this.#receipts.set(receiptOf(delivery), { settler, delivery })
    if (this.#receipts.size <= limits.queueReceiptsMax) return
    for (const [oldest] of this.#receipts) {
      this.#receipts.delete(oldest)
      break
    }
  }

  /** Undefined where it was not received here, or long ago. */
  byReceipt(receipt: string): Settlement | undefined {
    const known = this.#receipts.get(receipt)
    return known && new Settlement(known.settler, known.delivery)
  }

  get hasEnded(): boolean {
    return this.#ended
  }

  get concurrency(): number {
    let wanted = 0
    for (const { max, got } of this.#asks) wanted += max - got.length
    return this.#lent.size + Math.max(0, wanted)
  }

  /** The desk that lends, once this peer takes part. Rejects as `Member.join`. */
  async desk(): Promise<Desk> {
    if (this.#failure !== undefined) throw this.#failure
    this.#joined ??= this.#member.join(this)
    const desk = await this.#joined
    await this.#member.settled()
    if (this.#failure !== undefined) throw this.#failure
    if (desk === undefined || this.#ended) throw new GrapevineError('PeerClosed', 'the queue is closed here', {})
    this.#desk = desk
    return desk
  }

  /** Records that are here now or come within `waitMs`, at most `max`; none where there were none. Rejects as `desk`, and with the signal's reason. */
  async ask(max: number, waitMs: number, signal?: AbortSignal): Promise<Lent[]> {
    const desk = await this.desk()
    signal?.throwIfAborted()
    return new Promise((resolve, reject) => {
      let timer: Timer | undefined
      const onAbort = () => ask.end()
      const ask: Ask = {
        max,
        got: [],
        ending: false,
        end: (error) => {
          if (!this.#asks.delete(ask)) return
          timer?.cancel()
          signal?.removeEventListener('abort', onAbort)
          if (error !== undefined) reject(error)
          else if (signal?.aborted && ask.got.length === 0) reject(signal.reason)
          else resolve(ask.got)
        },
      }
      signal?.addEventListener('abort', onAbort)
      this.#asks.add(ask)
      this.#idleSince = undefined
      this.#hand()
      if (!this.#asks.has(ask)) return
      const onTime = () => {
        if (this.#isComing(desk)) timer = this.#clock.after(comingMs, onTime)
        else ask.end()
      }
      timer = this.#clock.after(waitMs, onTime)
      this.#member.wake(this)
      desk.serve()
      // Once it shows whether we have something ourselves.
      queueMicrotask(() => this.onOffer())
    })
  }

  /** Somebody may have what our own slots have not. */
  onOffer(): void {
    const desk = this.#desk
    if (desk === undefined || this.#borrowing || desk.givenTo(this) > this.#lent.size) return
    let wanted = 0
    for (const { max, got } of this.#asks) if (got.length === 0) wanted += max
    const borrowed = wanted > 0 ? this.#member.borrow(Math.min(wanted, limits.groupConcurrencyMax)) : undefined
    if (borrowed === undefined) return
    this.#borrowing = true
    void borrowed.then((loaded) => {
      this.#borrowing = false
      this.#borrowed.push(...loaded)
      this.#hand()
      const settler = this.#member.borrowed
      for (const { delivery } of this.#borrowed.splice(0)) settler?.giveBack(delivery)
      this.onOffer()
    })
  }

  push(loaded: Loaded, now: number): void {
    this.#lent.add(loaded.delivery)
    this.#ready.push(loaded)
    this.#hand()
    if (this.#ready.length > 0) this.#idleSince ??= now
  }

  isStalled(since: number): boolean {
    return this.#idleSince !== undefined && this.#idleSince <= since
  }

  takeBack(): Loaded[] {
    this.#idleSince = undefined
    return this.#ready.splice(0)
  }

  onGone(delivery: Delivery): void {
    if (!this.#lent.delete(delivery)) return
    this.#ready = this.#ready.filter((loaded) => loaded.delivery !== delivery)
  }

  fail(error: unknown): void {
    this.#failure = error
    this.end()
  }

  end(): void {
    if (this.#ended) return
    this.#ended = true
    const error = this.#failure ?? new GrapevineError('PeerClosed', 'the queue is closed here', {})
    for (const ask of [...this.#asks]) ask.end(error)
    this.#desk?.leave(this, this.takeBack())
    this.#member.leave(this)
  }

  /** What is read or told to the others right now is here in a moment. */
  #isComing(desk: Desk): boolean {
    return this.#borrowing || this.#member.isReading || desk.givenTo(this) > this.#lent.size
  }

  #hand(): void {
    for (const ask of this.#asks) {
      while (ask.got.length < ask.max) {
        const lent = this.#next()
        if (lent === undefined) break
        ask.got.push(lent)
      }
      if (ask.got.length === 0 || ask.ending) continue
      ask.ending = true
      // What else the desk has for it comes in the same turn.
      queueMicrotask(() => ask.end())
    }
    if (this.#ready.length === 0) this.#idleSince = undefined
  }

  #next(): Lent | undefined {
    for (let loaded = this.#ready.shift(); loaded !== undefined; loaded = this.#ready.shift())
      if (this.#desk?.handOut(loaded.delivery)) return { loaded, settler: this.#desk }
    const settler = this.#member.borrowed
    const loaded = settler && this.#borrowed.shift()
    return loaded && { loaded, settler }
  }
}
