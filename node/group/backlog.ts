/**
 * The records of the slots we hold that are not done: waiting, or on their way to a consumer. Pure.
 *
 *   waiting -> taken -> out -> done
 *      ^_________|_______|           given back, refused (perhaps for a while), or not acknowledged in time
 *
 * 1. Of one lane at most one record is taken or out, and always the oldest: that is what keeps a key in order. Where order is not
 *    promised, a record is its own lane.
 * 2. A record is here once. Its place in the log is kept, not its bytes.
 * 3. One that shall not be handed out yet waits for its time, and keeps what follows it in its lane waiting.
 * 4. What is done with a record that is out counts only under the delivery it was taken with. One that goes back before anybody had it was not tried.
 * 5. Where there are more than are kept, those further back in the log give way, and are read again.
 * 6. When the group is moved, what is out stays out, and keeps its lane; all else is forgotten and read again. What comes back then takes its place
 *    among what was read, or goes, where the group does not want it any more.
 */
import { limits } from '../limits.ts'
import type { FeedId } from '../types.ts'
import { type Place, type Placed, Ready } from './ready.ts'

export interface Entry {
  readonly slot: number
  readonly feed: FeedId
  readonly index: number
  /** Where the record of this slot before ends: an acknowledgement covers [from, index]. */
  readonly from: number
  /** In the arrival log. */
  readonly offset: number
  /** Default a lane of its own. */
  readonly lane: string | undefined
  /** Number of its batch, and when it was published: what says whether it is wanted. */
  readonly seq: number
  readonly time: number
  /** Somebody had it before it was read here. Default false. */
  readonly isTried?: boolean
  /** Not to be handed out before. Default at once. */
  readonly notBefore?: number
  /** From 0 to `limits.queuePriorityMax`. Default `limits.queuePriority`. */
  readonly priority?: number
  /** Of records sent under one id, one is handed out. */
  readonly dedupId?: string | undefined
  /** Not to be handed out from then on. Default never. */
  readonly expires?: number | undefined
}

/** A record that is taken or out. */
export interface Delivery extends Pick<Entry, 'slot' | 'feed' | 'index' | 'from' | 'offset' | 'expires' | 'dedupId'> {
  readonly attempt: number
  readonly term: number
  /** How often the group had been moved when it was taken. */
  readonly round: number
  /** To whom it is given: for whoever hands it out. */
  given?: unknown
  /** Who has it of those it is given to: for these. */
  with?: 'consumer' | 'application' | undefined
}

/** Knows its place here, so that nothing is looked up for it. */
class Taken implements Delivery {
  readonly slot: number
  readonly feed: FeedId
  readonly index: number
  readonly from: number
  readonly offset: number
  readonly expires: number | undefined
  readonly dedupId: string | undefined
  readonly attempt: number
  readonly term: number
  readonly round: number
  readonly waiting: Waiting
  given: unknown = undefined
  with: 'consumer' | 'application' | undefined = undefined

  constructor(waiting: Waiting, attempt: number, term: number, round: number) {
    const { slot, feed, index, from, offset, expires, dedupId } = waiting.entry
    this.slot = slot
    this.feed = feed
    this.index = index
    this.from = from
    this.offset = offset
    this.expires = expires
    this.dedupId = dedupId
    this.attempt = attempt
    this.term = term
    this.round = round
    this.waiting = waiting
  }
}

class Waiting implements Placed {
  entry: Entry
  /** Undefined: it is its own. */
  readonly lane: Lane | undefined
  level: Placed['level'] = undefined
  state: 'waiting' | 'taken' | 'out' = 'waiting'
  /** Under which it is taken or out. */
  delivery: Delivery | undefined = undefined
  /** The attempt under which it was taken and went back before anybody had it: it is that attempt still. */
  unused: number | undefined = undefined
  /** Where it waits. What its consumer did not want goes behind what nobody has had yet. */
  place: Place
  /** It is out, and not to come again: the group was moved past it. */
  isPassed = false
  /** Nobody has had it, and its time has not come. */
  delayed: boolean
  /** Waiting: not to be handed out before. Out: to be acknowledged until. */
  at: number

  constructor(entry: Entry, lane: Lane | undefined, place: Place, at: number) {
    this.entry = entry
    this.lane = lane
    this.place = place
    this.delayed = at > 0
    this.at = at
  }
}

/** Records that go one after the other: of one key, or sent under one id. */
class Lane implements Placed {
  readonly key: string
  level: Placed['level'] = undefined
  /** In the order of the log. */
  readonly records: Waiting[] = []

  constructor(key: string) {
    this.key = key
  }
}

export class Backlog {
  readonly #records = new Map<FeedId, Map<number, Waiting>>()
  #count = 0
  readonly #lanes = new Map<string, Lane>()
  readonly #ready = new Ready<Lane | Waiting>()
  #newest = -1
  /** By slot, records that are here, and those that an application has; and all of the latter. */
  readonly #inSlot: number[] = []
  readonly #busy: number[] = []
  #out = 0
  #delayed = 0
  #round = 0

  /** Records whose time has come. */
  get size(): number {
    return this.#count - this.#delayed
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

  /** Whether any record of the slot is here. */
  hasAny(slot: number): boolean {
    return (this.#inSlot[slot] ?? 0) > 0
  }

  has(feed: FeedId, index: number): boolean {
    return this.#get(feed, index) !== undefined
  }

  /** Under which the record is taken or out. */
  deliveryOf(feed: FeedId, index: number): Delivery | undefined {
    return this.#get(feed, index)?.delivery
  }

  /** Whether an application has records of the slot. What only waits for it to ask goes with the slot. */
  isBusy(slot: number): boolean {
    return (this.#busy[slot] ?? 0) > 0
  }

  get isIdle(): boolean {
    return this.#out === 0
  }

  add(entry: Entry): void {
    const { feed, index, offset, isTried, notBefore: at = 0 } = entry
    if (this.has(feed, index)) return
    const place = isTried ? 'again' : at > 0 || offset < this.#newest ? 'overdue' : 'new'
    const lane = entry.lane === undefined ? undefined : this.#laneOf(entry.lane)
    const waiting = new Waiting(entry, lane, place, at)
    this.#put(waiting)
    if (at > 0) this.#delayed++
    if (lane !== undefined) insert(lane.records, waiting)
    if (at === 0 && (lane === undefined || lane.records.length === 1)) this.#setReady(waiting)
    this.#newest = Math.max(this.#newest, offset)
  }

  /** The next records to hand out, at most `most`; `termOf` says under which term a slot may be delivered, `attempts` how often a record was. */
  take(
    most: number,
    termOf: (slot: number) => number | undefined,
    attempts: (slot: number, feed: FeedId, index: number) => number,
  ): Delivery[] {
    const taken: Delivery[] = []
    if (most < 1 || this.#ready.size === 0) return taken
    for (const lane of this.#ready.inOrder()) {
      const oldest = lane instanceof Waiting ? lane : lane.records[0]
      const term = oldest && termOf(oldest.entry.slot)
      // A slot that is being handed over: its records go with it.
      if (oldest === undefined || term === undefined) continue
      this.#ready.take(lane)
      const { entry } = oldest
      const attempt = oldest.unused ?? attempts(entry.slot, entry.feed, entry.index) + 1
      const delivery = new Taken(oldest, attempt, term, this.#round)
      oldest.state = 'taken'
      oldest.delivery = delivery
      taken.push(delivery)
      if (taken.length >= most) break
    }
    return taken
  }

  /** A taken record reaches its consumer, who has until then. False when it is not its any more. */
  handOut(delivery: Delivery, until: number): boolean {
    const waiting = this.#find(delivery, 'taken')
    if (waiting === undefined) return false
    const { slot } = waiting.entry
    waiting.state = 'out'
    waiting.unused = undefined
    waiting.at = until
    this.#busy[slot] = (this.#busy[slot] ?? 0) + 1
    this.#out++
    return true
  }

  isOut(delivery: Delivery): boolean {
    return this.#find(delivery, 'out') !== undefined
  }

  /** Whether it is out, and its consumer has it still: what is out longer goes back in a moment. */
  isInTime(delivery: Delivery, now: number): boolean {
    const waiting = this.#find(delivery, 'out')
    return waiting !== undefined && waiting.at > now
  }

  /** Whether it was taken before the group was moved: what it knew of the records before it counts no more. */
  isOfBefore({ round }: Delivery): boolean {
    return round !== this.#round
  }

  /** The group was moved. */
  renew(isWanted: (entry: Entry) => boolean): void {
    this.#round++
    this.#newest = -1
    for (const waiting of this.#all()) {
      const { entry } = waiting
      if (waiting.state === 'out') {
        waiting.isPassed = !isWanted(entry)
        // Where the record before it ends was said of what was done then.
        waiting.entry = { ...entry, from: entry.index }
      } else this.done(entry.feed, entry.index)
    }
  }

  /** A consumer needs longer. False when the record is not its any more. */
  extend(delivery: Delivery, until: number): boolean {
    const waiting = this.#find(delivery, 'out')
    if (waiting !== undefined) waiting.at = until
    return waiting !== undefined
  }

  /** The record goes back and is handed out again, not before `at`. False when it is not the caller's any more. */
  giveBack(delivery: Delivery, at = 0, isRefused = false): boolean {
    const waiting = this.#find(delivery, 'taken') ?? this.#find(delivery, 'out')
    if (waiting === undefined) return false
    waiting.place = isRefused ? 'new' : 'again'
    if (waiting.state === 'taken') waiting.unused = delivery.attempt
    this.#wait(waiting, at)
    return true
  }

  /** What waits for its time waits until then instead. False where it does not. */
  retime(feed: FeedId, index: number, at: number): boolean {
    const waiting = this.#get(feed, index)
    if (waiting?.state !== 'waiting' || waiting.at === 0) return false
    waiting.at = at
    return true
  }

  /** The record is done, here or elsewhere. */
  done(feed: FeedId, index: number): void {
    const waiting = this.#get(feed, index)
    if (waiting !== undefined) this.#end(waiting)
  }

  /** As `done`, by whoever has it. */
  finish(delivery: Delivery): void {
    const { waiting } = delivery as Taken
    if (waiting.delivery === delivery) this.#end(waiting)
    else this.done(delivery.feed, delivery.index)
  }

  /** What of a slot (default all) is taken or out. */
  taken(slot?: number): Delivery[] {
    return this.#all().flatMap(({ delivery }) =>
      delivery === undefined || (slot !== undefined && delivery.slot !== slot) ? [] : [delivery],
    )
  }

  #end(waiting: Waiting): void {
    this.#remove(waiting)
    const { lane } = waiting
    if (lane === undefined) return
    const at = lane.records.indexOf(waiting)
    lane.records.splice(at, 1)
    const [oldest] = lane.records
    if (oldest === undefined) this.#forget(lane)
    if (oldest === undefined || at > 0) return
    this.#ready.delete(lane)
    if (oldest.state !== 'waiting' || oldest.at > 0) return
    // Its lane had a turn just now.
    this.#setReady(oldest, oldest.place === 'again' ? 'again' : 'new')
  }

  /** The slot is not ours any more. */
  drop(slot: number): void {
    for (const waiting of this.#all()) {
      if (waiting.entry.slot !== slot) continue
      this.#remove(waiting)
      if (waiting.lane !== undefined) this.#forget(waiting.lane)
    }
  }

  /**
   * Forgets what lies furthest back in the log and only waits for its turn, until at most so many are left: it is to be read again. Of a lane
   * nothing is forgotten without all that follows it.
   */
  shrink(most: number): void {
    const all = this.#all().sort((one, other) => other.entry.offset - one.entry.offset)
    for (const waiting of all) {
      if (this.size <= most) break
      const { state, at, place, lane } = waiting
      if (state !== 'waiting' || at > 0 || place === 'again') continue
      if (lane !== undefined && lane.records.at(-1) !== waiting) continue
      this.#remove(waiting)
      lane?.records.pop()
      if (lane?.records.length === 0) this.#forget(lane)
      this.#newest = Math.min(this.#newest, waiting.entry.offset - 1)
    }
  }

  /** What falls due: refused records are ready again, what was not acknowledged in time goes back. Returns the latter. */
  expire(now: number): Delivery[] {
    const expired: Delivery[] = []
    for (const known of this.#records.values())
      for (const waiting of known.values()) {
        if (waiting.at === 0 || waiting.at > now) continue
        if (waiting.state === 'out' && waiting.delivery !== undefined) {
          waiting.place = 'again'
          expired.push(waiting.delivery)
        }
        this.#wait(waiting, 0)
      }
    return expired
  }

  /** When `expire` has something to do next. */
  nextAt(): number | undefined {
    let next: number | undefined
    for (const known of this.#records.values())
      for (const { at } of known.values()) if (at > 0 && (next === undefined || at < next)) next = at
    return next
  }

  #get(feed: FeedId, index: number): Waiting | undefined {
    return this.#records.get(feed)?.get(index)
  }

  #put(waiting: Waiting): void {
    const { feed, index, slot } = waiting.entry
    this.#inSlot[slot] = (this.#inSlot[slot] ?? 0) + 1
    const known = this.#records.get(feed)
    if (known === undefined) this.#records.set(feed, new Map([[index, waiting]]))
    else known.set(index, waiting)
    this.#count++
  }

  /** As they are now, whatever happens to them meanwhile. */
  #all(): Waiting[] {
    return [...this.#records.values()].flatMap((known) => [...known.values()])
  }

  #find(delivery: Delivery, state: Waiting['state']): Waiting | undefined {
    const { waiting } = delivery as Taken
    return waiting.delivery === delivery && waiting.state === state ? waiting : undefined
  }

  #wait(waiting: Waiting, at: number): void {
    const { entry, lane } = waiting
    if (waiting.isPassed) {
      this.done(entry.feed, entry.index)
      return
    }
    if (waiting.state === 'out') this.#free(entry.slot)
    waiting.state = 'waiting'
    waiting.delivery = undefined
    waiting.at = at
    if (waiting.delayed) this.#delayed--
    waiting.delayed = false
    if (lane === undefined) {
      if (at === 0) this.#setReady(waiting)
      return
    }
    const { records } = lane
    if (records[0] !== waiting) return
    // What lies before it was read again while it was out.
    if (records[1] !== undefined && records[1].entry.offset < entry.offset) insert(records, records.shift() as Waiting)
    const [oldest] = records
    if (oldest?.at === 0) this.#setReady(oldest)
  }

  #setReady(waiting: Waiting, place = waiting.place): void {
    this.#ready.add(waiting.lane ?? waiting, waiting.entry.priority ?? limits.queuePriority, place)
  }

  #remove(waiting: Waiting): void {
    const { feed, index, slot } = waiting.entry
    const known = this.#records.get(feed)
    known?.delete(index)
    if (known?.size === 0) this.#records.delete(feed)
    this.#inSlot[slot] = (this.#inSlot[slot] ?? 1) - 1
    this.#count--
    this.#ready.delete(waiting)
    if (waiting.delayed) this.#delayed--
    if (waiting.state === 'out') this.#free(slot)
    waiting.delivery = undefined
  }

  #laneOf(key: string): Lane {
    const known = this.#lanes.get(key)
    if (known !== undefined) return known
    const lane = new Lane(key)
    this.#lanes.set(key, lane)
    return lane
  }

  #forget(lane: Lane): void {
    this.#lanes.delete(lane.key)
    this.#ready.delete(lane)
  }

  #free(slot: number): void {
    this.#out--
    this.#busy[slot] = (this.#busy[slot] ?? 1) - 1
  }
}

/** In the order of the log, but behind the first: that may be on its way. */
function insert(lane: Waiting[], waiting: Waiting): void {
  let at = lane.length
  while (at > 1 && (lane[at - 1] as Waiting).entry.offset > waiting.entry.offset) at--
  lane.splice(at, 0, waiting)
}
