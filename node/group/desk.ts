/**
 * Hands records out to this member's consumers and takes them back: the plumbing around the backlog.
 *
 * A record's way: the backlog gives it out -> how often it was handed out is told to the others, before the consumer has it (a record that kills
 * its consumer is counted) -> the consumer settles it in time, or it goes back. One that was handed out too often, or that nobody can
 * decode, goes to the dead letters instead.
 */
import { GrapevineError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { Clock, Timer } from '../ports.ts'
import type { TopicLog } from '../store/topic-log.ts'
import { type Opened, recordsOf } from '../topic/message.ts'
import type { DeadReason, FeedId, PeerId } from '../types.ts'
import type { Backlog, Delivery, Entry } from './backlog.ts'
import type { Duplicates } from './duplicates.ts'
import { Indexes } from './indexes.ts'
import type { Progress } from './progress.ts'
import type { Work } from './work.ts'

/** A delivery with what is to be delivered. */
export interface Loaded {
  delivery: Delivery
  batch: Opened
  /** Which of the batch's records it is. */
  at: number
}

/** Who gets records here. */
export interface Taker {
  /** Records it may have at once. */
  readonly concurrency: number
  /** Another member, whose consumer has what this one is given; undefined for a consumer here. */
  readonly to?: PeerId
  push(loaded: Loaded, now: number): void
  /** A record it was given is not its any more. */
  onGone(delivery: Delivery): void
}

/** With how many records a taker has. */
interface Given {
  readonly taker: Taker
  count: number
}

/** Where a consumer settles what it was given. Each throws, or rejects, with `LeaseLost`. */
export interface Settler {
  ack(delivery: Delivery, isSettled: boolean): Promise<void>
  nack(delivery: Delivery, isSettled: boolean, delayMs: number): void
  extend(delivery: Delivery, isSettled: boolean, ms: number): void
  /** It cannot be decoded: a dead letter. */
  refuse(loaded: Loaded): Promise<void>
}

export interface DeskOptions {
  group: string
  log: TopicLog
  clock: Clock
  backlog: Backlog
  progress: Progress
  duplicates: Duplicates
  work: Work
  /** How long a consumer has for a record. */
  visibilityMs: number
  maxReceives: number
  /** Whether an acknowledgement counts only when a majority has heard of it. */
  quorum: boolean
  termOf(slot: number, now?: number): number | undefined
  ackTermOf(slot: number, now?: number): number | undefined
  holderOf(slot: number): PeerId | undefined
  /** Whether somebody took, or claims, a slot that was had under this term, and need not know what is acknowledged now. */
  isOutranked(slot: number, term: number): boolean
  bury(dead: Loaded, reason: DeadReason, attempts: number): Promise<void>
  /** The backlog has room again. */
  onRoom(): void
  onIdle(): void
  /** Everybody here got what there is for it. */
  onServed(): void
}

export class Desk implements Settler {
  readonly #options: DeskOptions
  readonly #takers = new Map<Taker, Given>()
  /** Those that left: their applications may have records still. */
  readonly #gone = new WeakMap<Taker, Given>()
  /** Until what each was given last has reached it, or went back. */
  readonly #giving = new WeakMap<Taker, Promise<void>>()
  /** The batch last opened, and where it begins in the log: those that are handed out are mostly neighbours, and opening may mean decompressing. */
  #opened: Opened | undefined
  /** One for all takings: the compiler takes another function for another program. */
  readonly #attempts = (slot: number, feed: FeedId, index: number) => this.#options.progress.attempts(slot, feed, index)
  #timer: { at: number; timer: Timer } | undefined
  /** Nobody is given anything before: what was to be could not be told, and is to come first. */
  #pausedUntil = 0
  #pauses = 0
  #serving = false
  #changed = false
  #closed = false

  constructor(options: DeskOptions) {
    this.#options = options
  }

  join(taker: Taker): void {
    this.#takers.set(taker, this.#gone.get(taker) ?? { taker, count: 0 })
    this.serve()
  }

  /** What it has not handed on yet goes back; what its application has it may still settle. */
  leave(taker: Taker, unused: readonly Loaded[]): void {
    const given = this.#takers.get(taker)
    if (given !== undefined) this.#gone.set(taker, given)
    this.#takers.delete(taker)
    for (const { delivery } of unused) this.#goBack(delivery)
    this.serve()
  }

  /** Records that are on their way to it or with it. */
  givenTo(taker: Taker): number {
    return this.#takers.get(taker)?.count ?? 0
  }

  close(): void {
    this.#closed = true
    this.#timer?.timer.cancel()
  }

  /** Records were read: some at once, some for later. */
  onAdded(): void {
    const { backlog } = this.#options
    const next = backlog.delayed > 0 ? backlog.nextAt() : undefined
    if (next !== undefined) this.#wakeAt(next)
    this.serve()
  }

  /** Gives takers what they have room for. */
  serve(): void {
    if (this.#serving || this.#closed) return
    this.#serving = true
    queueMicrotask(() => {
      this.#serving = false
      this.#serve()
    })
  }

  /** The application gets it now: its time begins, with `graceMs` more. False when it is not its to have any more. */
  handOut(delivery: Delivery, graceMs = 0): boolean {
    const now = this.#options.clock.now()
    const until = now + this.#options.visibilityMs + graceMs
    const isOurs = this.#options.termOf(delivery.slot, now) === delivery.term
    // It may have expired while that it is handed out was told, or while nobody asked for it.
    if (isOurs && this.#isOver(delivery)) {
      void this.#finish(delivery).catch(() => undefined)
      return false
    }
    if (!isOurs || !this.#options.backlog.handOut(delivery, until)) {
      this.#goBack(delivery)
      return false
    }
    this.#wakeAt(until)
    return true
  }

  ack(delivery: Delivery, isSettled: boolean): Promise<void> {
    this.#refuseLost(delivery, isSettled)
    return this.#finish(delivery)
  }

  nack(delivery: Delivery, isSettled: boolean, delayMs: number): void {
    this.#refuseLost(delivery, isSettled)
    this.#goBack(delivery, delayMs, true)
  }

  /** As `nack`, where it is still given to somebody. `isRefused`: by an application, and not because that is gone. */
  giveBack(delivery: Delivery, delayMs: number, isRefused: boolean): void {
    this.#goBack(delivery, delayMs, isRefused)
  }

  extend(delivery: Delivery, isSettled: boolean, ms: number): void {
    this.#refuseLost(delivery, isSettled)
    this.lengthen(delivery, ms)
  }

  /** As `extend`, where it is still given to somebody. */
  lengthen(delivery: Delivery, ms: number): void {
    const until = this.#options.clock.now() + ms
    if (this.#options.backlog.extend(delivery, until)) this.#wakeAt(until)
  }

  /** What is not handed out yet, since somebody has it who borrowed it, is to be handed out from then on. */
  retime(feed: FeedId, index: number, at: number): void {
    if (!this.#options.backlog.retime(feed, index, at)) return
    this.#wakeAt(at)
  }

  /** The slot went to somebody else. Returns what consumers had in hands of it. */
  drop(slot: number): Delivery[] {
    const { backlog } = this.#options
    const given = backlog.taken(slot)
    const out = given.filter((delivery) => backlog.isOut(delivery) && this.#isHere(delivery))
    backlog.drop(slot)
    for (const delivery of given) this.#release(delivery)
    this.#onChange()
    return out
  }

  /** The group was moved: what applications have they keep, all else is read again. */
  renew(isWanted: (entry: Entry) => boolean): void {
    const { backlog } = this.#options
    const given = backlog.taken()
    backlog.renew(isWanted)
    for (const delivery of given) if (!backlog.isOut(delivery)) this.#release(delivery)
    this.#onChange()
  }

  /** Somebody has done these records of a slot. Returns which of them a consumer here has as well. */
  onDone(slot: number, feed: FeedId, indexes: Indexes): readonly number[] {
    const { backlog, ackTermOf } = this.#options
    if (!backlog.hasAny(slot)) return []
    const known = [...indexes].filter((index) => backlog.has(feed, index))
    if (known.length === 0) return known
    // Where our lease ran out while we were paused, we have it no more, though we have not come to see that yet.
    const term = ackTermOf(slot)
    const out = known.filter((index) => {
      const delivery = backlog.deliveryOf(feed, index)
      const isOut = delivery !== undefined && delivery.term === term && backlog.isOut(delivery)
      const isTwice = isOut && this.#isHere(delivery)
      backlog.done(feed, index)
      if (delivery !== undefined) this.#release(delivery)
      return isTwice
    })
    this.#onChange()
    return out
  }

  /** It cannot be decoded: it is told apart at the moment it would be handed out. */
  async refuse(loaded: Loaded): Promise<void> {
    await this.#bury(loaded, 'undecodable', loaded.delivery.attempt)
  }

  /** Resolves when all that is given is to be told. */
  #serve(): Promise<unknown> | undefined {
    if (this.#closed) return undefined
    const asked: Promise<void>[] = []
    const { backlog, clock } = this.#options
    const now = clock.now()
    if (now < this.#pausedUntil) return undefined
    const termOf = (slot: number) => this.#options.termOf(slot, now)
    const roomOf = ({ taker, count }: Given) => taker.concurrency - count
    const hungry = [...this.#takers.values()].filter((given) => roomOf(given) > 0)
    // Where there is not enough for all, each has as much as the others, or all that it has room for.
    hungry.sort((a, b) => roomOf(a) - roomOf(b))
    for (const [i, given] of hungry.entries()) {
      const { taker } = given
      const share = Math.ceil(backlog.ready / (hungry.length - i))
      const taken = backlog.take(Math.min(roomOf(given), share), termOf, this.#attempts)
      if (taken.length === 0) continue
      // Next time the others come first.
      this.#takers.delete(taker)
      this.#takers.set(taker, given)
      for (const delivery of taken) delivery.given = given
      given.count += taken.length
      asked.push(
        new Promise((onAsked) => {
          this.#giving.set(taker, this.#give(taker, taken, this.#giving.get(taker), onAsked))
        }),
      )
    }
    this.#options.onServed()
    return asked.length === 0 ? undefined : Promise.all(asked)
  }

  /**
   * `before`: it waits for what was taken for it earlier, so that it gets all in that order; what could not be told goes back, and so does what was
   * on its way behind it.
   */
  async #give(
    taker: Taker,
    taken: readonly Delivery[],
    before: Promise<void> | undefined,
    onAsked: () => void,
  ): Promise<void> {
    const pauses = this.#pauses
    const loaded: Loaded[] = []
    for (const delivery of taken) {
      const one = this.#inOpened(delivery) ?? (await this.#load(delivery).catch(() => undefined))
      const { slot, feed, index } = delivery
      if (!this.#isGiven(delivery)) continue
      // Heard of while it waited here.
      if (this.#options.progress.isDone(slot, feed, index)) this.onDone(slot, feed, new Indexes(index))
      else if (one === 'gone' || this.#isOver(delivery)) void this.#finish(delivery).catch(() => undefined)
      else if (one === undefined) this.#goBack(delivery, limits.groupRetryMs)
      else if (delivery.attempt > this.#options.maxReceives) void this.#bury(one, 'max-receives', delivery.attempt - 1)
      else loaded.push(one)
    }
    const turn = loaded.length > 0 && this.#options.work.handedOut(loaded.map(({ delivery }) => delivery))
    onAsked()
    if (!turn) return before
    const isTold = await turn.known.catch(() => false)
    await before
    const now = this.#options.clock.now()
    const isNext = isTold && this.#pauses === pauses
    for (const one of loaded) {
      if (!isNext || !this.#takers.has(taker)) this.#goBack(one.delivery)
      else if (this.#isGiven(one.delivery)) taker.push(one, now)
    }
    if (!isTold) this.#pause(now)
  }

  #pause(now: number): void {
    this.#pauses++
    this.#pausedUntil = now + limits.groupRetryMs
    this.#wakeAt(this.#pausedUntil)
  }

  /** Too late, or once more. */
  #isOver({ slot, feed, index, expires, dedupId }: Delivery): boolean {
    if (expires !== undefined && expires <= this.#options.clock.now()) return true
    if (dedupId === undefined) return false
    const { progress, duplicates } = this.#options
    return duplicates.isDuplicate(dedupId, feed, index, (other, at) => progress.isDone(slot, other, at))
  }

  /** `gone`: retention has removed it. Undefined where it is damaged now. */
  async #load(delivery: Delivery): Promise<Loaded | 'gone' | undefined> {
    const at = await this.#options.log.at(delivery.offset)
    if (at !== undefined && 'damaged' in at) return undefined
    const records = at && recordsOf(at.batch)
    this.#opened = records && { head: at.batch.head, records, offset: at.offset }
    return this.#inOpened(delivery) ?? 'gone'
  }

  /** Undefined where it is in another batch. */
  #inOpened(delivery: Delivery): Loaded | undefined {
    const batch = this.#opened
    if (batch === undefined) return undefined
    const { feed, head } = batch.head
    const at = delivery.offset - batch.offset
    const isHere = at >= 0 && at < head.count && delivery.feed === feed && delivery.index === head.firstIndex + at
    return isHere ? { delivery, batch, at } : undefined
  }

  async #bury(loaded: Loaded, reason: DeadReason, attempts: number): Promise<void> {
    try {
      await this.#options.bury(loaded, reason, attempts)
      const { delivery } = loaded
      if (this.#isGiven(delivery) && this.#options.ackTermOf(delivery.slot) === delivery.term)
        await this.#finish(delivery)
    } catch {
      this.#goBack(loaded.delivery, limits.groupRetryMs)
    }
  }

  #finish(delivery: Delivery): Promise<void> {
    const { backlog, work, quorum, isOutranked } = this.#options
    backlog.finish(delivery)
    this.#release(delivery)
    const turn = work.acknowledged(backlog.isOfBefore(delivery) ? { ...delivery, from: delivery.index } : delivery)
    this.#onChange()
    if (!quorum) return turn.told
    return turn.known.then((isKnown) => {
      if (!isKnown || isOutranked(delivery.slot, delivery.term)) throw this.#lost(delivery, 'unheard')
    })
  }

  #refuseLost(delivery: Delivery, isSettled: boolean): void {
    const { backlog, ackTermOf, clock } = this.#options
    const now = clock.now()
    const isOurs = ackTermOf(delivery.slot, now) === delivery.term
    if (!isSettled && isOurs && backlog.isInTime(delivery, now)) return
    throw this.#lost(delivery, isSettled ? 'settled' : isOurs ? 'expired' : 'taken')
  }

  #lost(delivery: Delivery, reason: keyof typeof lostBecause): GrapevineError<'LeaseLost'> {
    const { holderOf, group } = this.#options
    const record = `${delivery.feed}/${delivery.index}`
    const sentence = `record ${record} of group ${group} ${lostBecause[reason]}`
    return new GrapevineError('LeaseLost', sentence, { group, record, reason, holder: holderOf(delivery.slot) })
  }

  #goBack(delivery: Delivery, delayMs = 0, isRefused = false): void {
    const at = delayMs > 0 ? this.#options.clock.now() + delayMs : 0
    if (!this.#options.backlog.giveBack(delivery, at, isRefused)) return
    this.#release(delivery)
    if (at > 0) this.#wakeAt(at)
    this.#onChange()
  }

  /** Whether a consumer of this member has it. */
  #isHere(delivery: Delivery): boolean {
    return (delivery.given as Given | undefined)?.taker.to === undefined
  }

  #isGiven(delivery: Delivery): boolean {
    return delivery.given !== undefined
  }

  #release(delivery: Delivery): void {
    const given = delivery.given as Given | undefined
    if (given === undefined) return
    delivery.given = undefined
    given.count--
    given.taker.onGone(delivery)
  }

  /** Somebody settled something, or lost it: what they get instead is told along with that. */
  #onChange(): void {
    if (this.#changed) return
    this.#changed = true
    this.#options.work.beforeNext(() => {
      this.#changed = false
      this.#options.onRoom()
      if (this.#options.backlog.isIdle) this.#options.onIdle()
      return this.#serve()
    })
  }

  #wakeAt(at: number): void {
    if (this.#closed || (this.#timer !== undefined && this.#timer.at <= at)) return
    this.#timer?.timer.cancel()
    const ms = Math.max(limits.groupWakeMs, at - this.#options.clock.now())
    this.#timer = { at, timer: this.#options.clock.after(ms, () => this.#onTime()) }
  }

  #onTime(): void {
    this.#timer = undefined
    const { backlog, clock } = this.#options
    for (const delivery of backlog.expire(clock.now())) this.#release(delivery)
    const next = backlog.nextAt()
    if (next !== undefined) this.#wakeAt(next)
    if (this.#pausedUntil > clock.now()) this.#wakeAt(this.#pausedUntil)
    this.#onChange()
  }
}

/** Why a delivery is worth nothing any more. */
export const lostBecause = {
  settled: 'was settled before: each delivery is acknowledged or refused once',
  expired:
    'was not acknowledged in time and is handed out again: extend it in time, or open it with a longer `leaseMs` (of a queue `visibilityMs`)',
  unheard:
    'was acknowledged, but no majority of the members has heard of that within a lease: it may be handed out again',
  taken: 'belongs to a slot that this member does not hold any more: whoever holds it hands the record out again',
} as const
