/**
 * How the members of a queue even out what they have: each says how much it has that nobody there asks for, along with its work where it can, and
 * lends it to whoever asks. Members of a plain group only count.
 */
import { limits } from '../limits.ts'
import type { Random, Timer } from '../ports.ts'
import type { FeedId, PeerId } from '../types.ts'
import type { Backlog } from './backlog.ts'
import { Borrowing, type BorrowingOptions } from './borrowing.ts'
import type { Desk, Loaded } from './desk.ts'
import { Lending, type LendingOptions } from './lending.ts'
import { type Lend, type Lent, Loans, type LoansOptions } from './loans.ts'
import type { Notice } from './notice.ts'
import type { Work } from './work.ts'

export interface Counts {
  /** Records that consumers have. */
  out: number
  /** Their time has not come. */
  delayed: number
  /** Nobody there has asked for them. */
  ready: number
}

export interface ExchangeOptions extends Pick<LoansOptions, 'clock' | 'mayLend'> {
  me: PeerId
  random: Random
  backlog: Backlog
  /** Members of a queue lend each other records. */
  isQueue: boolean
  tell(notice: Notice): Promise<unknown>
  /** Others have records to spare. */
  onOffer(): void
}

type Beat = Extract<Notice, { type: 'beat' }>
type Word = Extract<Notice, { type: 'stock' | 'ask' | 'lend' | 'return' }>

export class Exchange {
  readonly #options: ExchangeOptions
  /** What others last said of the records they hold. */
  readonly #counts = new Map<PeerId, Counts>()
  readonly #loans: Loans
  #desk: Desk | undefined
  #lending: Lending | undefined
  #borrowing: Borrowing | undefined
  #work: Work | undefined
  /** When what we have was told last, and whether all know since then that it is something: until somebody has borrowed of it. */
  #toldAt = Number.NEGATIVE_INFINITY
  #isKnown = false
  #soon: Timer | undefined

  constructor(options: ExchangeOptions) {
    this.#options = options
    const onRetimed = (feed: FeedId, index: number, at: number) => this.#desk?.retime(feed, index, at)
    this.#loans = new Loans({ ...options, onRetimed })
  }

  begin(parts: Omit<LendingOptions & BorrowingOptions, 'me' | 'clock' | 'tell' | 'onSettled'>): void {
    const { me, clock, tell, onOffer } = this.#options
    const onSettled = () => {
      parts.desk.serve()
      onOffer()
    }
    this.#desk = parts.desk
    this.#work = parts.work
    this.#lending = new Lending({ ...parts, tell })
    this.#borrowing = new Borrowing({ ...parts, me, clock, tell, onSettled })
  }

  /** What our next beat says. */
  own(): Required<Pick<Beat, 'counts' | 'ready'>> {
    const { out, delayed } = this.#options.backlog
    return { counts: [out, delayed], ready: this.#tellReady() }
  }

  onBeat(by: PeerId, { counts: [out, delayed] = [0, 0], ready = 0 }: Beat): void {
    this.#counts.set(by, { out, delayed, ready })
    if (ready > 0) this.#options.onOffer()
  }

  /** `isOld`: it was said long before it was heard. */
  onWord(by: PeerId, word: Word, isOld: boolean): void {
    const { me, onOffer } = this.#options
    switch (word.type) {
      case 'stock':
        this.#counts.set(by, { out: 0, delayed: 0, ...this.#counts.get(by), ready: word.ready })
        if (word.ready > 0) onOffer()
        break
      case 'ask':
        if (word.to !== me || by === me) break
        this.#isKnown = false
        this.#lending?.onAsk(by, word.id, word.max)
        break
      case 'lend':
        if (!isOld) this.#onLend(by, word)
        break
      case 'return':
        if (word.to === me) this.#lending?.onReturn(by, word)
        if (!isOld) this.#loans.onReturn(by, word)
        break
      default:
        word satisfies never
    }
  }

  /** What the dead have borrowed is handed out again. */
  look(isDead: (peer: PeerId) => boolean): void {
    this.#lending?.look(isDead)
    this.#loans.look(isDead)
  }

  /** What a notice of our work that is made now says besides; undefined in a plain group. */
  stock(): number | undefined {
    return this.#options.isQueue ? this.#tellReady() : undefined
  }

  /** Everybody here got what there is for it: whoever has nothing to do hears what is left. */
  onServed(): void {
    const { backlog, clock, isQueue } = this.#options
    if (!isQueue || this.#isKnown || backlog.ready === 0 || this.#soon !== undefined) return
    // Our work says so as well, and goes at once or will soon.
    const wait = this.#work?.isCollecting ? limits.groupStockMs : limits.groupStockSoonMs
    const at = Math.max(clock.now() + wait, this.#toldAt + limits.groupStockMs)
    this.#soon = clock.after(at - clock.now(), () => this.#tellStock(at))
  }

  /** Of these members, as of their last words. */
  sum(live: readonly PeerId[]): Counts {
    const { out, delayed, ready } = this.#options.backlog
    const sum = { out, delayed, ready }
    for (const [peer, theirs] of this.#counts) {
      if (!live.includes(peer)) this.#counts.delete(peer)
      else if (peer !== this.#options.me) {
        sum.out += theirs.out
        sum.delayed += theirs.delayed
        sum.ready += theirs.ready
      }
    }
    return sum
  }

  /** Borrows at most so many records from one of these members that has some to spare; undefined where none has. Settled at `borrowed`. */
  borrow(max: number, live: readonly PeerId[]): Promise<Loaded[]> | undefined {
    const { me, random } = this.#options
    const rich = [...this.#counts].filter(([peer, { ready }]) => ready > 0 && peer !== me && live.includes(peer))
    const [peer, counts] = rich[Math.floor(random.float() * rich.length)] ?? []
    if (peer === undefined || counts === undefined) return undefined
    // What we ask for is no more to be had; its next word says what is left.
    counts.ready = Math.max(0, counts.ready - max)
    return this.#borrowing?.ask(peer, max)
  }

  get borrowed(): Borrowing | undefined {
    return this.#borrowing
  }

  /** Until when somebody has the record who borrowed it from its slot's last holder. */
  heldUntil(feed: FeedId, index: number): number | undefined {
    return this.#loans.heldUntil(feed, index)
  }

  /** All loans that are open, as a sum tells them. */
  lent(isDone: (slot: number, feed: FeedId, index: number) => boolean): Lent {
    return this.#loans.state(isDone)
  }

  /** The same as somebody else knows them. */
  onLent(lent: Lent): void {
    this.#loans.merge(lent)
  }

  close(): void {
    this.#soon?.cancel()
  }

  #onLend(from: PeerId, lend: Lend): void {
    const records = this.#loans.onLend(from, lend)
    const { me } = this.#options
    if (lend.to === me && from !== me) this.#borrowing?.onLend(from, { ...lend, records })
  }

  #tellStock(at: number): void {
    const { backlog, tell } = this.#options
    this.#soon = undefined
    if (this.#isKnown || backlog.ready === 0) return
    if (this.#toldAt > at - limits.groupStockMs) this.onServed()
    else tell({ type: 'stock', ready: this.#tellReady() }).catch(() => undefined)
  }

  #tellReady(): number {
    const { backlog, clock } = this.#options
    this.#toldAt = clock.now()
    this.#isKnown = backlog.ready > 0
    return backlog.ready
  }
}
