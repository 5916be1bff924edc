/**
 * This peer's part in one group: follows the control topic, beats while it takes part, and puts roster, reader and desk together. What one of
 * them says is relayed to the others here; nothing is decided.
 *
 *   control topic -> board -> roster (who holds what), progress (what is done)
 *   topic's log -> reader -> backlog -> desk -> consumers -> work -> board -> control topic
 */
import { GrapevineError } from '../errors.ts'
import { EventStream } from '../events.ts'
import { limits } from '../limits.ts'
import type { Clock, Random } from '../ports.ts'
import type { StoredBatch, TopicLog } from '../store/topic-log.ts'
import type { Sync } from '../sync/sync.ts'
import type { Carrier } from '../topic/carrier.ts'
import type { Topics } from '../topic/topics.ts'
import type { FeedId, GroupEvent, GroupPosition, GroupStatus, PeerId, RecordStanding, TopicName } from '../types.ts'
import type { RecordBatch } from '../wire/record.ts'
import { Backlog } from './backlog.ts'
import { Board } from './board.ts'
import type { Borrowing } from './borrowing.ts'
import { bury } from './bury.ts'
import { Desk, type DeskOptions, type Loaded } from './desk.ts'
import { Duplicates } from './duplicates.ts'
import { type Counts, Exchange } from './exchange.ts'
import { Ledger, type Opened, type Sought } from './ledger.ts'
import { Majority } from './majority.ts'
import type { HadNotice, Notice } from './notice.ts'
import { isWanted, startAt } from './position.ts'
import { Pulse } from './pulse.ts'
import { Reader, type ReaderOptions } from './reader.ts'
import { beatMsOf, Roster, type RosterEffect } from './roster.ts'
import { type Seat, Seats } from './seats.ts'
import { type CheckedGroupOptions, checkPosition, conflictOf } from './settings.ts'
import { Slots } from './slots.ts'
import { Summing } from './summing.ts'
import { Work } from './work.ts'

/** How often it is looked whether all slots have a holder yet. */
const settleMs = 50

export interface MemberParts {
  me: PeerId
  topics: Topics
  carrier: Carrier
  sync: Sync
  clock: Clock
  random: Random
  onMisbehaved(peer: PeerId, reason: string): void
}

/** A record, and where it is in its batch. */
export interface RecordPlace {
  feed: FeedId
  index: number
  records: RecordBatch
  at: number
}

export interface MemberOptions extends CheckedGroupOptions {
  topic: TopicName
  group: string
  control: TopicName
  /** Of a queue, what each record's sender asked for. */
  sort: ReaderOptions['sort']
  /** It exists with other settings: this member is of no use any more. */
  onFailed(): void
}

export class Member {
  readonly options: MemberOptions
  readonly events = new EventStream<GroupEvent>()
  readonly #parts: MemberParts
  readonly #roster: Roster
  readonly #ledger: Ledger
  readonly #pulse: Pulse
  readonly #backlog = new Backlog()
  readonly #board: Board
  readonly #majority: Majority | undefined
  readonly #seats = new Seats()
  readonly #exchange: Exchange
  readonly #summing: Summing
  readonly #carried: TopicName[] = []
  /** What consumers here had in hands while somebody else had it as well: to be told. */
  readonly #had: HadNotice['records'] = []
  #openedAt = 0
  /** The time of the last seek that was asked for here. */
  #soughtAt = 0
  #opening: Promise<void> | undefined
  #reader: Reader | undefined
  #desk: Desk | undefined
  #log: TopicLog | undefined
  #work: Work | undefined
  #leaveBy = Number.POSITIVE_INFINITY
  /** Beats in a moment, since it has nothing in hands any more and nobody here asks. */
  #idle = false
  /** Why it is of no use any more. */
  #failure: unknown
  #closed = false

  constructor(parts: MemberParts, options: MemberOptions) {
    const { me, topics, sync, clock } = parts
    const { settings, control } = options
    this.#parts = parts
    this.options = options
    this.#roster = new Roster({ me, run: clock.now(), settings, knows: (tails) => this.#board.knows(tails) })
    this.#pulse = new Pulse(clock, beatMsOf(settings), () => this.#beat())
    this.#ledger = new Ledger({
      me,
      onDone: (slot, feed, indexes) => {
        const here = this.#desk?.onDone(slot, feed, indexes) ?? []
        for (const index of here) this.#had.push([slot, feed, index])
        return here
      },
      onTwice: (id, peers) => this.events.emit({ type: 'delivered-twice', id, peers, time: clock.now() }),
    })
    this.#board = new Board({
      control,
      topics,
      sync,
      clock,
      onNotice: (notice, by, time) => this.#onNotice(notice, by, time),
      onBad: (by) => parts.onMisbehaved(by, 'told a group what is no notice'),
    })
    this.#exchange = new Exchange({
      me,
      clock,
      random: parts.random,
      backlog: this.#backlog,
      isQueue: options.sort !== undefined,
      tell: (notice) => this.#board.note(notice),
      onOffer: () => this.#seats.offer(),
      mayLend: (peer, slot, term) => this.#mayLend(peer, slot, term),
    })
    const [board, ledger, roster, exchange] = [this.#board, this.#ledger, this.#roster, this.#exchange]
    this.#summing = new Summing({ me, clock, board, ledger, roster, exchange })
    const { leaseMs, quorum } = settings
    if (quorum) this.#majority = new Majority({ me, leaseMs, roster: this.#roster, board: this.#board, clock })
  }

  /** Whether it follows the group already. */
  get isOpen(): boolean {
    return this.#openedAt > 0
  }

  /** Follows the group. Rejects with `GroupConflict`, and what carrying a topic rejects with. */
  open(): Promise<void> {
    this.#opening ??= this.#open().catch((error) => {
      // What a closing peer fails with is nobody's concern.
      if (!this.#closed) this.#giveUp(error)
      throw error
    })
    return this.#opening
  }

  /** Takes part from now on, for this consumer. Rejects as `open`; undefined where the peer was closed meanwhile. */
  async join(seat: Seat): Promise<Desk | undefined> {
    if (this.#closed) throw this.#failure ?? new GrapevineError('PeerClosed', 'the peer is closed', {})
    this.#seats.add(seat)
    await this.open().catch((error) => {
      if (this.#failure !== undefined) throw error
    })
    const desk = this.#desk
    if (desk === undefined || this.#closed || !this.#seats.has(seat)) return undefined
    desk.join(seat)
    this.#takePart()
    return desk
  }

  /** It asks for a record. */
  wake(seat: Seat): void {
    if (!this.#seats.wake(seat)) return
    this.#desk?.join(seat)
    this.#takePart()
  }

  /** A consumer has ended; with the last one our slots are handed over. */
  leave(seat: Seat): void {
    if (!this.#seats.delete(seat) || this.#seats.isActive || !this.#pulse.isRunning) return
    this.#roster.leave()
    this.#beat()
  }

  /** Ends all consumers; resolves when what is on its way is settled or has run out, and the slots are handed over. */
  async drain(): Promise<void> {
    this.#seats.end()
    await this.#pulse.stopped()
  }

  async status(): Promise<GroupStatus> {
    await this.open()
    const now = this.#parts.clock.now()
    const { topic, group, settings } = this.options
    const lags = (await this.#reader?.lag()) ?? []
    const slots = this.#roster.terms().map((term, slot) => {
      return { slot, holder: this.#roster.holderOf(slot), term, lag: lags[slot] ?? 0 }
    })
    const members = this.#roster.active(now).map((peer) => {
      const held = slots.filter(({ holder }) => holder === peer).length
      return { peer, slots: held, silentMs: this.#roster.silentFor(peer, now) }
    })
    const lag = lags.reduce((sum, each) => sum + each, 0)
    return { topic, name: group, settings, members, slots, lag, deliveredTwice: this.#ledger.deliveredTwice }
  }

  /** How the group stands with a record, as far as is known here. */
  standing({ feed, index, records, at }: RecordPlace): RecordStanding {
    const { group, sort, settings } = this.options
    const slot = new Slots(settings.type).of(feed, index, records.key(at), sort?.(records, at).dedupId)
    const holder = this.#roster.holderOf(slot)
    const { progress } = this.#ledger
    const done = progress.isDone(slot, feed, index)
    return { group, slot, ...(holder && { holder }), attempts: progress.attempts(slot, feed, index), done }
  }

  /** Of all members, as of their last beats. */
  counts(): Counts {
    return this.#exchange.sum(this.#roster.active(this.#parts.clock.now()))
  }

  /** Everything that is here now counts as done, for all members. Resolves when that is told, with how many records it were. */
  async purge(): Promise<number> {
    const { lag } = await this.status()
    const feeds = this.#reader?.endAll() ?? []
    for (const sum of this.#ledger.sums(this.#roster, feeds)) await this.#board.tell(sum)
    return lag
  }

  /** Moves the group for all members. Resolves as `Board.tell`. Rejects as `open`, with `InvalidOption`, and as writing does. */
  async seek(position: GroupPosition): Promise<void> {
    const { topics, clock, me } = this.#parts
    const to = checkPosition(position)
    // Before anything is awaited: what is published here from now on lies behind `latest`.
    const latest = topics.latest(this.options.topic)
    await this.open()
    const log = this.#log
    if (log === undefined) throw this.#failure ?? new GrapevineError('PeerClosed', 'the peer is closed', {})
    // Those that are asked for at one time here count in that order.
    const time = Math.max(clock.now(), 1 + Math.max(this.#soughtAt, this.#ledger.sought?.time ?? 0))
    this.#soughtAt = time
    const start = await startAt(to, (cursor) => latest(log, cursor))
    await this.#board.tell({ type: 'seek', start, time })
    this.#onSeek({ start, time, by: me })
  }

  /** As of `Exchange`, from any live member; of a plain group none. */
  borrow(max: number): Promise<Loaded[]> | undefined {
    if (this.options.sort === undefined) return undefined
    return this.#exchange.borrow(max, this.#roster.active(this.#parts.clock.now()))
  }

  get borrowed(): Borrowing | undefined {
    return this.#exchange.borrowed
  }

  /** Whether anybody takes part, as far as is known. */
  get isAttended(): boolean {
    return this.#roster.active(this.#parts.clock.now()).length > 0
  }

  get isReading(): boolean {
    return this.#reader?.isReading === true
  }

  /** Batches with records that are not done, and which of their records these are. Rejects as `open`. */
  async *openRecords(): AsyncGenerator<{ at: StoredBatch; open: number[] }> {
    await this.open()
    if (this.#reader !== undefined) yield* this.#reader.open()
  }

  /** Resolves when every slot has a holder, or has had none for two leases. */
  async settled(): Promise<void> {
    const { clock } = this.#parts
    const end = clock.now() + 2 * this.options.settings.leaseMs
    const isHeld = () => this.#roster.terms().every((_, slot) => this.#roster.holderOf(slot) !== undefined)
    while (!this.#closed && !isHeld() && clock.now() < end) {
      await new Promise<void>((resolve) => {
        clock.after(settleMs, resolve)
      })
    }
  }

  /** At once: what is not settled is handed out by others. */
  async close(): Promise<void> {
    this.#closed = true
    this.#seats.end()
    this.#pulse.stop()
    this.#reader?.close()
    this.#desk?.close()
    this.#exchange.close()
    this.#majority?.close()
    this.events.close()
    await this.#board.close()
    for (const topic of this.#carried.splice(0)) this.#parts.carrier.drop(topic, 'subscribed')
  }

  /** It holds the slot under this term; or we did, in an earlier run, and nobody has had it since. */
  #mayLend(peer: PeerId, slot: number, term: number): boolean {
    const holder = this.#roster.holderOf(slot)
    const isOurs = peer === this.#parts.me && holder === undefined
    return (holder === peer || isOurs) && this.#roster.terms()[slot] === term
  }

  #takePart(): void {
    this.#roster.enter(this.#parts.clock.now(), this.#parts.sync.holders(this.options.control).length > 0)
    this.#leaveBy = Number.POSITIVE_INFINITY
    if (!this.#pulse.isRunning) this.#pulse.start()
  }

  /**
   * A consumer that hangs shall keep nobody waiting. What it has not asked for goes back; when no other asks and nothing is worked
   * on under a lease any more, our slots go to others. Whoever works on one record for long, and extends its lease, keeps them.
   */
  #stall(now: number): void {
    this.#seats.stall(now - 2 * this.options.settings.leaseMs, this.#desk)
    if (!this.#seats.isActive && this.#backlog.isIdle) this.#roster.leave()
  }

  async #open(): Promise<void> {
    const { topics, carrier, clock } = this.#parts
    const { topic, control, from, settings } = this.options
    // Before anything is awaited: what is published here from now on belongs to a group that begins now.
    const latest = topics.latest(topic)
    const log = await carrier.carry(topic, 'subscribed')
    const notices = await carrier.carry(control, 'subscribed')
    this.#carried.push(topic, control)
    await topics.meet(control, 'level')
    await this.#board.open(notices)
    if (this.#ledger.opened === undefined) {
      const start = await startAt(from, (cursor) => latest(log, cursor))
      const opening = { settings, start, created: clock.now() }
      this.#onOpening({ ...opening, by: this.#parts.me })
      if (!this.#closed) await this.#board.tell({ type: 'open', ...opening })
    }
    if (this.#failure !== undefined) throw this.#failure
    this.#log = log
    if (!this.#closed) this.#begin(log)
  }

  #begin(log: TopicLog): void {
    const { clock, me, topics } = this.#parts
    const { topic, group, settings } = this.options
    const { type, visibilityMs, maxReceives, deadLetter } = settings
    const roster = this.#roster
    const backlog = this.#backlog
    const { progress } = this.#ledger
    const duplicates = new Duplicates()
    const work = new Work({
      progress,
      clock,
      tell: (notice) => {
        for (const [feed, , acks] of notice.feeds)
          for (const [slot, , indexes] of acks) this.#ledger.had(slot, feed, indexes, me)
        const { era } = this.#ledger
        const ready = this.#exchange.stock()
        const told = { ...notice, ...(era && { era }), ...(ready !== undefined && { ready }) }
        return this.#majority === undefined ? this.#board.tell(told) : this.#majority.tell(told)
      },
    })
    const buryIt: DeskOptions['bury'] = async (dead, reason, attempts) => {
      const { feed, index } = dead.delivery
      await bury(dead, { topics, to: deadLetter, group, topic, reason, attempts, now: clock.now() })
      this.events.emit({ type: 'dead-letter', id: `${feed}/${index}`, reason, time: clock.now() })
    }
    const isOutranked = (slot: number, term: number) => roster.isOutranked(slot, term)
    this.#work = work
    this.#openedAt = clock.now()
    this.#desk = new Desk({
      group,
      log,
      clock,
      backlog,
      progress,
      duplicates,
      work,
      visibilityMs,
      maxReceives,
      quorum: settings.quorum,
      termOf: (slot, now = clock.now()) => roster.termOf(slot, now),
      ackTermOf: (slot, now = clock.now()) => roster.ackTermOf(slot, now),
      holderOf: (slot) => roster.holderOf(slot),
      isOutranked,
      bury: buryIt,
      onRoom: () => this.#reader?.onRoom(),
      onIdle: () => this.#onIdle(),
      onServed: () => this.#exchange.onServed(),
    })
    const isEntitled = () => roster.isEntitled(clock.now())
    const { sort } = this.options
    this.#exchange.begin({
      desk: this.#desk,
      visibilityMs,
      group,
      log,
      work,
      sort,
      isEntitled,
      isOutranked,
      bury: buryIt,
    })
    this.#reader = new Reader({
      log,
      clock,
      slots: new Slots(type),
      progress,
      duplicates,
      backlog,
      byKey: type === 'key-shared',
      start: () => this.#ledger.start,
      isOurs: (slot) => roster.isHeld(slot),
      sort,
      heldUntil: (feed, index) => this.#exchange.heldUntil(feed, index),
      onAdded: () => this.#desk?.onAdded(),
    })
  }

  #onNotice(notice: Notice, by: PeerId, time: number): void {
    const now = this.#parts.clock.now()
    const isOld = time < now - limits.clockAheadMsMax - this.options.settings.leaseMs
    switch (notice.type) {
      case 'open':
        this.#onOpening({ ...notice, by })
        break
      case 'beat': {
        this.#apply(this.#roster.onBeat(by, notice, now, isOld, this.#isBehind))
        this.#majority?.look()
        if (!isOld) this.#exchange.onBeat(by, notice)
        this.#pulse.by(this.#roster.soonAt(now))
        if (this.options.settings.type === 'exclusive' && !isOld) this.#refuseSecond(by)
        break
      }
      case 'seek':
        this.#onSeek({ ...notice, by })
        break
      case 'work':
        this.#ledger.onWork(notice, by)
        if (notice.ready !== undefined && by !== this.#parts.me)
          this.#exchange.onWord(by, { type: 'stock', ready: notice.ready }, isOld)
        break
      case 'had':
        this.#ledger.onHad(notice, by)
        break
      case 'stock':
      case 'ask':
      case 'lend':
      case 'return':
        this.#exchange.onWord(by, notice, isOld)
        break
      case 'sum':
        this.#onOpening(notice.opened)
        this.#apply(this.#roster.onSum(notice))
        if (notice.sought !== undefined) this.#onSeek(notice.sought)
        // What we had in this run is known. Of an earlier one, only what we summed up ourselves may tell, where nobody else heard of it.
        this.#ledger.onSum(by === this.#parts.me && this.#desk !== undefined ? { ...notice, had: [] } : notice)
        if (notice.lent !== undefined && !isOld) this.#exchange.onLent(notice.lent)
        break
      default:
        notice satisfies never
    }
  }

  #onOpening(opened: Opened): void {
    const isFirst = this.#ledger.opened === undefined
    if (!this.#ledger.onOpening(opened)) return
    const { topic, group, settings } = this.options
    const conflict = conflictOf({ topic, group }, settings, opened.settings)
    if (conflict !== undefined) this.#giveUp(conflict)
    else if (!isFirst) this.#reader?.restart()
  }

  #onSeek(sought: Sought): void {
    if (!this.#ledger.onSeek(sought)) return
    const { start } = sought
    this.#work?.renew()
    this.#desk?.renew((entry) => isWanted(start, entry))
    this.#reader?.rewind()
  }

  /** This member is of no use any more; whoever asks for the group again gets another. */
  #giveUp(error: unknown): void {
    if (this.#failure !== undefined) return
    this.#failure = error
    this.#seats.fail(error)
    this.options.onFailed()
    void this.close()
  }

  #refuseSecond(by: PeerId): void {
    // Of what was said before we came, nobody knows whether it still holds.
    if (this.#desk === undefined || this.#seats.size === 0) return
    if (by === this.#parts.me || this.#roster.claimantOf(0) !== by) return
    const { topic, group } = this.options
    const sentence = `group ${group} on ${topic} is exclusive and ${by} is its member: wait until it has left, or open the group as failover`
    this.#seats.fail(new GrapevineError('GroupInUse', sentence, { topic, group, holder: by }))
  }

  /** What others said waits to be read, and is more than comes in a moment; or has gone, and what takes it in has yet to come. */
  get #isBehind(): boolean {
    return this.#board.unread > limits.groupUnreadMax || this.#board.hasGaps()
  }

  #beat(): void {
    if (this.#closed) return
    const now = this.#parts.clock.now()
    this.#stall(now)
    const strangers = this.#parts.topics.strangers(this.options.control)
    // Those of a queue come and go with each `receive`, and borrow what they lack.
    if (this.options.sort === undefined) this.#roster.setConsumers(this.#seats.active)
    const { beat, effects } = this.#roster.tick(now, (slot) => this.#backlog.isBusy(slot), strangers, this.#isBehind)
    this.#apply(effects)
    void this.#work?.again()
    this.#tellHad()
    // A beat that cannot be written renews nothing: the lease runs out.
    const tails = beat.known && this.#board.tailsOf((beat.silent ?? []).map(([peer]) => peer))
    this.#board.note({ type: 'beat', ...beat, ...(tails && { tails }), ...this.#exchange.own() }).then(
      () => this.#onBeatWritten(beat.n),
      () => undefined,
    )
    this.#exchange.look((peer) => this.#roster.isDead(peer, now))
    if (now - this.#openedAt > 2 * this.options.settings.leaseMs) void this.#fold().catch(() => undefined)
    this.#majority?.look()
    this.#summing.look(this.#isBehind)
    this.#pulse.extraAt(this.#roster.nextAt(now))
    if (this.#seats.isActive) return
    const { held, claims } = beat
    if (held.length + claims.length === 0) this.#leaveBy = Math.min(this.#leaveBy, now + this.options.settings.leaseMs)
    if (this.#roster.hasLeft(now) || now >= this.#leaveBy) this.#pulse.stop()
  }

  #tellHad(): void {
    const { era } = this.#ledger
    while (this.#had.length > 0) {
      const records = this.#had.splice(0, limits.groupWorkMax)
      this.#board.note({ type: 'had', records, ...(era && { era }) }).catch(() => undefined)
    }
  }

  /** Of a queue, what all slots are done with goes from the disk as well. */
  async #fold(): Promise<void> {
    const low = await this.#reader?.fold()
    if (this.options.sort === undefined || low === undefined) return
    await this.#log?.retain({ beforeOffset: low }, this.#parts.clock.now())
  }

  #onBeatWritten(n: number): void {
    this.#roster.onWritten(n)
    // What waited for the lease to be renewed goes on.
    this.#desk?.serve()
  }

  #apply(effects: readonly RosterEffect[]): void {
    const time = this.#parts.clock.now()
    let granted = false
    for (const effect of effects) {
      if (effect.type === 'granted') {
        granted = true
        this.events.emit({ type: 'slot-taken', slot: effect.slot, term: effect.term, time })
      } else if (effect.type === 'lost') {
        const out = this.#desk?.drop(effect.slot) ?? []
        // Where our lease ran out, another may well have it: it has waited for that.
        if (effect.to !== undefined && this.#roster.isEntitled(time))
          for (const { slot, feed, index } of out) this.#had.push([slot, feed, index])
        this.events.emit({ type: 'slot-lost', slot: effect.slot, term: effect.term, to: effect.to, time })
      } else this.events.emit({ type: effect.type, peer: effect.peer, time })
    }
    if (granted) this.#reader?.restart()
  }

  /** Nothing is on its way any more: whoever leaves need not wait for the next beat. Once for all slots that go with it. */
  #onIdle(): void {
    if (this.#idle || !this.#pulse.isRunning || this.#seats.isActive) return
    this.#idle = true
    queueMicrotask(() => {
      this.#idle = false
      if (this.#pulse.isRunning && !this.#seats.isActive) this.#beat()
    })
  }
}
