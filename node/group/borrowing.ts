/**
 * Records that other members lent us: found in our own log, and settled for all to hear. An ask goes to one member, that said it has more than it
 * can hand out; where it does not answer in time, the next is asked.
 */
import { GrapevineError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { Clock } from '../ports.ts'
import type { TopicLog } from '../store/topic-log.ts'
import { recordsOf } from '../topic/message.ts'
import type { DeadReason, FeedId, PeerId } from '../types.ts'
import type { Batch } from '../wire/head.ts'
import type { Delivery } from './backlog.ts'
import { type Loaded, lostBecause, type Settler } from './desk.ts'
import type { Lend, Returned } from './loans.ts'
import type { Notice } from './notice.ts'
import type { ReaderOptions } from './reader.ts'
import type { Work } from './work.ts'

type LentRecord = Lend['records'][number]
type Return = Returned['nacks'][number]

export interface BorrowingOptions {
  me: PeerId
  group: string
  log: TopicLog
  clock: Clock
  work: Work
  tell(notice: Notice): Promise<unknown>
  /** Whether our own lease is fresh: without one, our lender counts us dead. */
  isEntitled(): boolean
  /** Whether somebody took, or claims, a slot that was had under this term, and need not know what is acknowledged now. */
  isOutranked(slot: number, term: number): boolean
  /** What its sender asked for. */
  sort: ReaderOptions['sort']
  bury(dead: Loaded, reason: DeadReason, attempts: number): Promise<void>
  /** Who borrowed something has room for more. */
  onSettled(): void
}

export class Borrowing implements Settler {
  readonly #options: BorrowingOptions
  /** What was borrowed and not settled: from whom, and until when. */
  readonly #has = new Map<Delivery, { from: PeerId; until: number }>()
  readonly #asks = new Map<number, (lend: { from: PeerId; notice: Lend }) => void>()
  #lastAsk = 0

  constructor(options: BorrowingOptions) {
    this.#options = options
  }

  /** Asks one member. Resolves with what it lent, as far as that is here in time; none where it has none or does not answer. */
  async ask(from: PeerId, max: number): Promise<Loaded[]> {
    const { clock, tell } = this.#options
    const id = ++this.#lastAsk
    const answered = new Promise<Lend | undefined>((resolve) => {
      const timer = clock.after(limits.groupLoanWaitMs, () => resolve(undefined))
      this.#asks.set(id, (lend) => {
        if (lend.from !== from) return
        timer.cancel()
        resolve(lend.notice)
      })
    })
    await tell({ type: 'ask', to: from, id, max }).catch(() => undefined)
    const lend = await answered
    this.#asks.delete(id)
    if (lend === undefined) return []
    const until = clock.now() + lend.visibilityMs
    const loaded = await Promise.all(lend.records.map((record) => this.#load(from, record, until)))
    return loaded.filter((one) => one !== undefined)
  }

  /** We were lent something. */
  onLend(from: PeerId, notice: Lend): void {
    const ask = this.#asks.get(notice.id)
    const nacks = notice.records.map(([, feed, , index, , attempt, term]): Return => [feed, index, attempt, term, 0])
    if (ask !== undefined) ask({ from, notice })
    // Too late.
    else if (nacks.length > 0) void this.#tell(from, { nacks, extensions: [] })
  }

  /** Whether it is with whoever borrowed it here. */
  has(delivery: Delivery): boolean {
    const has = this.#has.get(delivery)
    return has !== undefined && has.until > this.#options.clock.now()
  }

  async ack(delivery: Delivery, isSettled: boolean): Promise<void> {
    this.#refuseLost(delivery, isSettled)
    this.#has.delete(delivery)
    this.#options.onSettled()
    const { work, isOutranked } = this.#options
    const isKnown = await work.acknowledged(delivery).known
    if (!isKnown || isOutranked(delivery.slot, delivery.term)) throw this.#lost(delivery, 'unheard')
  }

  nack(delivery: Delivery, isSettled: boolean, delayMs: number): void {
    this.#refuseLost(delivery, isSettled)
    this.#giveBack(delivery, delayMs)
  }

  /** Nobody here wants it after all; where it is lost already nothing is left to give back. */
  giveBack(delivery: Delivery): void {
    if (this.#has.has(delivery)) this.#giveBack(delivery, 0)
  }

  extend(delivery: Delivery, isSettled: boolean, ms: number): void {
    this.#refuseLost(delivery, isSettled)
    const has = this.#has.get(delivery)
    if (has === undefined) return
    has.until = this.#options.clock.now() + ms
    void this.#tell(has.from, { nacks: [], extensions: [returned(delivery, ms)] })
  }

  async refuse(loaded: Loaded): Promise<void> {
    try {
      await this.#options.bury(loaded, 'undecodable', loaded.delivery.attempt)
      await this.ack(loaded.delivery, false)
    } catch {
      if (this.#has.has(loaded.delivery)) this.#giveBack(loaded.delivery, limits.groupRetryMs)
    }
  }

  /** Undefined where it did not come here in time: it goes back. */
  async #load(from: PeerId, record: LentRecord, until: number): Promise<Loaded | undefined> {
    const { log } = this.#options
    const [slot, feed, seq, index, start, attempt, term] = record
    const batch = await this.#arrival(feed, seq)
    const at = index - (batch?.head.head.firstIndex ?? 0)
    const records = batch && at >= 0 && at < batch.head.head.count ? recordsOf(batch) : undefined
    if (batch === undefined || records === undefined) {
      void this.#tell(from, { nacks: [[feed, index, attempt, term, 0]], extensions: [] })
      return undefined
    }
    const offset = (log.offsetOf(feed, seq) ?? 0) + at
    const time = batch.head.head.time + records.timeDelta(at)
    const place = { slot, feed, index, from: start, offset, lane: undefined, seq, time }
    const delivery: Delivery = { ...place, attempt, term, round: 0 }
    const { clock, sort, work } = this.#options
    const { expires = Number.POSITIVE_INFINITY } = sort?.(records, at) ?? {}
    // On its way to us: as where it waits for its turn, it is done.
    if (expires <= clock.now()) {
      work.acknowledged(delivery)
      return undefined
    }
    this.#has.set(delivery, { from, until })
    return { delivery, batch: { head: batch.head, records, offset: offset - at }, at }
  }

  /** Its holder has it, so it is on its way to us, if it is not here. */
  async #arrival(feed: FeedId, seq: number): Promise<Batch | undefined> {
    const { log, clock } = this.#options
    const end = clock.now() + limits.groupLoanWaitMs
    for (;;) {
      const batch = await log.read(feed, seq).catch(() => undefined)
      if (batch !== undefined || clock.now() >= end) return batch
      await new Promise<void>((resolve) => {
        const off = log.onChange(done)
        const timer = clock.after(end - clock.now(), done)
        function done(): void {
          off()
          timer.cancel()
          resolve()
        }
      })
    }
  }

  #giveBack(delivery: Delivery, ms: number): void {
    const has = this.#has.get(delivery)
    this.#has.delete(delivery)
    if (has !== undefined) void this.#tell(has.from, { nacks: [returned(delivery, ms)], extensions: [] })
    this.#options.onSettled()
  }

  async #tell(to: PeerId, what: { nacks: Return[]; extensions: Return[] }): Promise<void> {
    await this.#options.tell({ type: 'return', to, ...what }).catch(() => undefined)
  }

  #refuseLost(delivery: Delivery, isSettled: boolean): void {
    const has = this.#has.get(delivery)
    const { clock, isEntitled } = this.#options
    if (!isSettled && isEntitled() && has !== undefined && has.until > clock.now()) return
    this.#has.delete(delivery)
    throw this.#lost(delivery, isSettled ? 'settled' : 'expired', has?.from)
  }

  #lost(
    { feed, index }: Delivery,
    reason: 'settled' | 'expired' | 'unheard',
    holder?: PeerId,
  ): GrapevineError<'LeaseLost'> {
    const { group } = this.#options
    const record = `${feed}/${index}`
    return new GrapevineError('LeaseLost', `record ${record} of group ${group} ${lostBecause[reason]}`, {
      group,
      record,
      reason,
      holder,
    })
  }
}

function returned({ feed, index, attempt, term }: Delivery, ms: number): Return {
  return [feed, index, attempt, term, ms]
}
