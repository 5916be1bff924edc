/**
 * What this member has handed out and what was acknowledged to it: into its own progress at once, and to the others in few notices. The first goes
 * at once; while one is on its way, what comes is collected for the next, and what consumers get instead of what they have done goes with that, so
 * that a busy member says much with little. An acknowledgement that could not be written is told with the next, or with the next beat; an
 * attempt that could not was none.
 */
import { limits } from '../limits.ts'
import type { Clock, Timer } from '../ports.ts'
import type { FeedId } from '../types.ts'
import type { Delivery } from './backlog.ts'
import { bySlot, Indexes } from './indexes.ts'
import type { FeedWork, WorkNotice } from './notice.ts'
import type { Progress } from './progress.ts'

export interface WorkOptions {
  progress: Progress
  clock: Clock
  /** True when others know as well as the group asks for. Rejects when it could not be written. */
  tell(notice: WorkNotice): Promise<boolean>
}

/** Adds something to the next notice, at once or when what it returns resolves. */
type Act = () => Promise<unknown> | undefined

/** What is told of with one notice, or several at once. */
export interface Turn {
  /** True when others know as well as the group asks for. Rejects when it could not be written. */
  known: Promise<boolean>
  /** The same for whoever does not ask; its failing may be passed over. */
  told: Promise<void>
}

interface Collecting extends Turn {
  resolve(known: boolean | PromiseLike<boolean>): void
}

export class Work {
  readonly #options: WorkOptions
  #attempts: Delivery[] = []
  #acks: Delivery[] = []
  #before: Act[] = []
  /** Of what is collected now. */
  #next: Collecting | undefined
  #timer: Timer | undefined
  /** Turns whose notices are on their way. */
  #onTheWay = 0
  /** The last of them told of many records. */
  #isBusy = false
  /** How often the group was moved. */
  #round = 0

  constructor(options: WorkOptions) {
    this.#options = options
  }

  /** Whether something waits for the next notice. */
  get isCollecting(): boolean {
    return this.#next !== undefined
  }

  /** Calls it when the next notice is made, or would be if there were something to tell: what it adds goes with that. */
  beforeNext(act: Act): void {
    this.#before.push(act)
    this.#soon()
  }

  handedOut(deliveries: readonly Delivery[]): Turn {
    for (const delivery of deliveries) this.#attempts.push(delivery)
    return this.#soon()
  }

  acknowledged(delivery: Delivery): Turn {
    this.#options.progress.acknowledged(delivery)
    this.#acks.push(delivery)
    return this.#soon()
  }

  /** Tells what could not be written before. */
  async again(): Promise<void> {
    if (this.#acks.length > 0) await this.#soon().told.catch(() => undefined)
  }

  /** The group was moved: what was not told yet counts no more. */
  renew(): void {
    this.#round++
    this.#attempts = []
    this.#acks = []
  }

  #soon(): Turn {
    if (this.#next === undefined) {
      const { promise: known, resolve } = Promise.withResolvers<boolean>()
      const told = known.then(() => undefined)
      // Whoever has something to tell hears of its failing.
      told.catch(() => undefined)
      this.#next = { known, told, resolve }
      if (this.#onTheWay > 0) this.#makeIn(limits.groupCollectMs)
      else if (this.#isBusy) this.#makeIn(limits.groupCollectSoonMs)
      else queueMicrotask(() => this.#make())
    }
    return this.#next
  }

  #makeIn(ms: number): void {
    this.#timer?.cancel()
    this.#timer = this.#options.clock.after(ms, () => this.#make())
  }

  /** What is to go along may take a moment to come. */
  #make(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    const coming = this.#before.splice(0).flatMap((act) => act() ?? [])
    if (coming.length === 0) {
      this.#turn()
      return
    }
    const own = this.#next
    const turn = () => {
      late.cancel()
      if (this.#next === own) this.#turn()
    }
    const late = this.#options.clock.after(limits.groupCollectMs, turn)
    void Promise.all(coming).then(turn, turn)
  }

  #turn(): void {
    const next = this.#next
    this.#next = undefined
    this.#onTheWay++
    this.#isBusy = this.#attempts.length + this.#acks.length >= limits.groupBusyRecords
    const flushed = this.#flush()
    next?.resolve(flushed)
    const over = () => {
      this.#onTheWay--
      if (this.#onTheWay > 0 || this.#timer === undefined) return
      // What was handed out with this notice is mostly done in the same moment, and goes with the next.
      if (this.#isBusy) this.#makeIn(limits.groupCollectSoonMs)
      else this.#make()
    }
    flushed.then(over, over)
    // Who asked while this one waited goes along with the next.
    if (this.#before.length > 0) this.#soon()
  }

  async #flush(): Promise<boolean> {
    const told: Promise<boolean>[] = []
    while (this.#attempts.length > 0 || this.#acks.length > 0) {
      const attempts = this.#attempts.splice(0, limits.groupWorkMax)
      const acks = this.#acks.splice(0, limits.groupWorkMax)
      told.push(this.#tell(feedsOf(attempts, acks), acks))
    }
    return (await Promise.all(told)).every((known) => known)
  }

  async #tell(feeds: FeedWork[], acks: readonly Delivery[]): Promise<boolean> {
    const round = this.#round
    try {
      const known = await this.#options.tell({ type: 'work', feeds })
      // Only now: what could not be written does not reach its consumer, and is no attempt.
      if (this.#round === round)
        for (const [feed, attempts] of feeds)
          for (const [slot, count, indexes] of attempts) this.#options.progress.attempted(slot, feed, indexes, count)
      return known
    } catch (error) {
      if (this.#round === round && this.#acks.length < limits.groupBacklogMax) this.#acks.push(...acks)
      throw error
    }
  }
}

/** Neighbours are told together. */
function feedsOf(attempts: readonly Delivery[], acks: readonly Delivery[]): FeedWork[] {
  const feeds = new Map<FeedId, FeedWork>()
  const of = (feed: FeedId) => {
    const known = feeds.get(feed) ?? [feed, [], []]
    feeds.set(feed, known)
    return known
  }
  for (const [feed, slots] of bySlot(attempts)) {
    const tried = of(feed)[1]
    for (const deliveries of slots)
      for (const { slot, attempt, index } of deliveries ?? []) {
        const run = tried.at(-1)
        if (run?.[0] !== slot || run[1] !== attempt || !run[2].grow(index))
          tried.push([slot, attempt, new Indexes(index)])
      }
  }
  for (const [feed, slots] of bySlot(acks)) {
    const acked = of(feed)[2]
    for (const deliveries of slots)
      for (const { slot, from, index } of deliveries ?? []) {
        const run = acked.at(-1)
        if (run?.[0] !== slot || run[2].last !== from - 1 || !run[2].grow(index))
          acked.push([slot, from, new Indexes(index)])
      }
  }
  return [...feeds.values()]
}
