/**
 * The records of the slots we hold that are not done: waiting, or on their way to a consumer. Pure.
 *
 *   waiting -> taken -> out -> done
 *      ^_________|_______|           given back, refused (perhaps for a while), or not acknowledged in time
 *
 * 1. Of one lane at most one record is taken or out, and always the oldest: that is what keeps a key in order. Where order is not
 *    promised, every record is a lane of its own.
 * 2. A record is here once. Its place in the log is kept, not its bytes.
 * 3. One that shall not be handed out yet waits for its time, and keeps what follows it in its lane waiting.
 * 4. What is done with a record that is out counts only under the delivery it belongs to: `attempt`, `term` and `round` are its proof.
 * 5. When the group is moved, what is out stays out, and keeps its lane; all else is forgotten and read again. What comes back then takes its place
 *    among what was read, or goes, where the group does not want it any more.
 */
import { limits } from '../limits.ts'
import type { FeedId } from '../types.ts'
import { Ready } from './ready.ts'

export interface Entry {
  readonly slot: number
  readonly feed: FeedId
  readonly index: number
  /** Where the record of this slot before ends: an acknowledgement covers [from, index]. */
  readonly from: number
  /** In the arrival log. */
  readonly offset: number
  readonly lane: string
  /** Number of its batch, and when it was published: what says whether it is wanted. */
  readonly seq: number
  readonly time: number
  /** Not to be handed out before. Default at once. */
  readonly notBefore?: number
  /** From 0 to `limits.queuePriorityMax`. Default `limits.queuePriority`. */
  readonly priority?: number
  /** Of records sent under one id, one is handed out. */
  readonly dedupId?: string
  /** Not to be handed out from then on. Default never. */
  readonly expires?: number
}

/** A record that is taken or out. */
export interface Delivery extends Entry {
  readonly attempt: number
  readonly term: number
  /** How often the group had been moved when it was taken. */
  readonly round: number
}

interface Waiting extends Entry {
  from: number
  state: 'waiting' | 'taken' | 'out'
  attempt: number
  term: number
  round: number
  /** It is out, and not to come again: the group was moved past it. */
  isPassed: boolean
  /** Nobody has had it, and its time has not come. */
  delayed: boolean
  /** Waiting: not to be handed out before. Out: to be acknowledged until. */
  at: number
}

export class Backlog {
  readonly #records = new Map<string, Waiting>()
  readonly #lanes = new Map<string, Waiting[]>()
  readonly #ready = new Ready()
  #newest = -1
  /** Records with a time: refused for a while, or out. */
  readonly #timed = new Set<Waiting>()
  readonly #busy = new Map<number, number>()
  #out = 0
  #delayed = 0
  #round = 0

  /** Records whose time has come. */
  get size(): number {
    return this.#records.size - this.#delayed
  }

  /** Lanes that wait to be handed out. */
  get ready(): number {
    return this.#ready.size
  }

  get delayed(): number {
    return this.#delayed
  }

  /** Records that an application has. */
  get out(): number {
    return this.#out
  }

  has(feed: FeedId, index: number): boolean {
    return this.#records.has(`${feed}/${index}`)
  }

  /** Whether an application has records of the slot. What only waits for it to ask goes with the slot. */
  isBusy(slot: number): boolean {
    return (this.#busy.get(slot) ?? 0) > 0
  }

  get isIdle(): boolean {
    return this.#busy.size === 0
  }

  add(entry: Entry): void {
    const id = idOf(entry)
    if (this.#records.has(id)) return
    const { notBefore: at = 0 } = entry
    const fresh = { attempt: 0, term: 0, round: 0, isPassed: false } as const
    const waiting: Waiting = { ...entry, ...fresh, state: 'waiting', delayed: at > 0, at }
    this.#records.set(id, waiting)
    if (at > 0) {
      this.#delayed++
      this.#timed.add(waiting)
    }
    const lane = this.#lanes.get(entry.lane)
    if (lane === undefined) {
      this.#lanes.set(entry.lane, [waiting])
      if (at === 0) this.#setReady(waiting, entry.offset < this.#newest)
    } else insert(lane, waiting)
    this.#newest = Math.max(this.#newest, entry.offset)
  }

  /** The next records to hand out, at most `most`; `termOf` says under which term a slot may be delivered, `attempts` how often a record was. */
  take(
    most: number,
    termOf: (slot: number) => number | undefined,
    attempts: (feed: FeedId, index: number) => number,
  ): Delivery[] {
    const taken: Delivery[] = []
    if (most < 1) return taken
    for (const lane of this.#ready.inOrder()) {
      const [oldest] = this.#lanes.get(lane) ?? []
      const term = oldest && termOf(oldest.slot)
      // A slot that is being handed over: its records go with it.
      if (oldest === undefined || term === undefined) continue
      this.#ready.take(lane)
      oldest.state = 'taken'
      oldest.attempt = attempts(oldest.feed, oldest.index) + 1
      oldest.term = term
      oldest.round = this.#round
      taken.push({ ...oldest })
      if (taken.length >= most) break
    }
    return taken
  }

  /** A taken record reaches its consumer, who has until then. False when it is not its any more. */
  handOut(delivery: Delivery, until: number): boolean {
    const waiting = this.#find(delivery, 'taken')
    if (waiting === undefined) return false
    waiting.state = 'out'
    waiting.at = until
    this.#busy.set(waiting.slot, (this.#busy.get(waiting.slot) ?? 0) + 1)
    this.#out++
    this.#timed.add(waiting)
    return true
  }

  isOut(delivery: Delivery): boolean {
    return this.#find(delivery, 'out') !== undefined
  }

  /** Whether it was taken before the group was moved: what it knew of the records before it counts no more. */
  isOfBefore({ round }: Delivery): boolean {
    return round !== this.#round
  }

  /** The group was moved. */
  renew(isWanted: (entry: Entry) => boolean): void {
    this.#round++
    this.#newest = -1
    for (const waiting of [...this.#records.values()]) {
      if (waiting.state === 'out') {
        waiting.isPassed = !isWanted(waiting)
        // Where the record before it ends was said of what was done then.
        waiting.from = waiting.index
      } else this.done(waiting.feed, waiting.index)
    }
  }

  /** A consumer needs longer. False when the record is not its any more. */
  extend(delivery: Delivery, until: number): boolean {
    const waiting = this.#find(delivery, 'out')
    if (waiting !== undefined) waiting.at = until
    return waiting !== undefined
  }

  /** The record goes back and is handed out again, not before `at`. False when it is not the caller's any more. */
  giveBack(delivery: Delivery, at = 0): boolean {
    const waiting = this.#find(delivery, 'taken') ?? this.#find(delivery, 'out')
    if (waiting === undefined) return false
    this.#wait(waiting, at)
    return true
  }

  /** The record is done, here or elsewhere. */
  done(feed: FeedId, index: number): void {
    const waiting = this.#records.get(`${feed}/${index}`)
    if (waiting === undefined) return
    this.#remove(waiting)
    const lane = this.#lanes.get(waiting.lane)
    if (lane === undefined) return
    const at = lane.indexOf(waiting)
    lane.splice(at, 1)
    if (lane.length === 0) this.#forget(waiting.lane)
    if (lane[0] === undefined || at > 0) return
    this.#ready.delete(waiting.lane)
    if (lane[0].state === 'waiting' && lane[0].at === 0) this.#setReady(lane[0])
  }

  /** The slot is not ours any more. */
  drop(slot: number): void {
    for (const waiting of [...this.#records.values()]) {
      if (waiting.slot !== slot) continue
      this.#remove(waiting)
      this.#forget(waiting.lane)
    }
  }

  /** What falls due: refused records are ready again, what was not acknowledged in time goes back. Returns the latter. */
  expire(now: number): Delivery[] {
    const expired: Delivery[] = []
    for (const waiting of this.#timed) {
      if (waiting.at > now) continue
      if (waiting.state === 'out') expired.push({ ...waiting })
      this.#wait(waiting, 0)
    }
    return expired
  }

  /** When `expire` has something to do next. */
  nextAt(): number | undefined {
    let next: number | undefined
    for (const { at } of this.#timed) if (next === undefined || at < next) next = at
    return next
  }

  #find({ feed, index, attempt, term, round }: Delivery, state: Waiting['state']): Waiting | undefined {
    const waiting = this.#records.get(`${feed}/${index}`)
    const same = waiting?.attempt === attempt && waiting.term === term && waiting.round === round
    return same && waiting.state === state ? waiting : undefined
  }

  #wait(waiting: Waiting, at: number): void {
    if (waiting.isPassed) {
      this.done(waiting.feed, waiting.index)
      return
    }
    if (waiting.state === 'out') this.#free(waiting.slot)
    waiting.state = 'waiting'
    waiting.at = at
    if (waiting.delayed) this.#delayed--
    waiting.delayed = false
    if (at > 0) this.#timed.add(waiting)
    else this.#timed.delete(waiting)
    const lane = this.#lanes.get(waiting.lane) ?? []
    if (lane[0] !== waiting) return
    // What lies before it was read again while it was out.
    if (lane[1] !== undefined && lane[1].offset < waiting.offset) insert(lane, lane.shift() as Waiting)
    const [oldest] = lane
    if (oldest?.at === 0) this.#setReady(oldest)
  }

  #setReady({ lane, priority = limits.queuePriority }: Entry, overdue = false): void {
    this.#ready.add(lane, priority, overdue)
  }

  #remove(waiting: Waiting): void {
    this.#records.delete(idOf(waiting))
    this.#timed.delete(waiting)
    if (waiting.delayed) this.#delayed--
    if (waiting.state === 'out') this.#free(waiting.slot)
  }

  #forget(lane: string): void {
    this.#lanes.delete(lane)
    this.#ready.delete(lane)
  }

  #free(slot: number): void {
    this.#out--
    const left = (this.#busy.get(slot) ?? 0) - 1
    if (left > 0) this.#busy.set(slot, left)
    else this.#busy.delete(slot)
  }
}

/** In the order of the log, but behind the first: that may be on its way. */
function insert(lane: Waiting[], waiting: Waiting): void {
  let at = lane.length
  while (at > 1 && (lane[at - 1] as Waiting).offset > waiting.offset) at--
  lane.splice(at, 0, waiting)
}

function idOf({ feed, index }: Entry): string {
  return `${feed}/${index}`
}
