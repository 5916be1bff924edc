/**
 * Which records of a queue somebody has who borrowed them, as everybody hears it: whoever takes the lender's slots over leaves them to the borrower until its
 * time is over. The lender itself is no exception, since it may be a later run of it, which knows of its loans what it reads here.
 */
import { limits } from '../limits.ts'
import type { Clock } from '../ports.ts'
import type { FeedId, PeerId } from '../types.ts'
import type { Notice, SumNotice } from './notice.ts'

export type Lend = Extract<Notice, { type: 'lend' }>
export type Returned = Extract<Notice, { type: 'return' }>

export type Lent = NonNullable<SumNotice['lent']>

export interface LoansOptions {
  clock: Clock
  /** Whether it is for this member to lend records of the slot under this term. */
  mayLend(peer: PeerId, slot: number, term: number): boolean
  /** What is not handed out since somebody has it may be from then on. */
  onRetimed(feed: FeedId, index: number, at: number): void
}

/** A record that somebody has who borrowed it; or has refused (`by` undefined), and it waits. */
interface Held {
  slot: number
  feed: FeedId
  index: number
  by: PeerId | undefined
  until: number
}

export class Loans {
  readonly #options: LoansOptions
  readonly #lent = new Map<string, Held>()

  constructor(options: LoansOptions) {
    this.#options = options
  }

  /** Somebody lent something to somebody. Returns those of the records that it may lend. */
  onLend(from: PeerId, { to, visibilityMs, records }: Lend): Lend['records'] {
    const { clock, mayLend } = this.#options
    const lent = records.filter(([slot, , , , , , term]) => mayLend(from, slot, term))
    const until = clock.now() + visibilityMs
    for (const [slot, feed, , index] of lent) this.#keepOff({ slot, feed, index, by: to, until })
    return lent
  }

  /** Until when its borrower has it; undefined: nobody has borrowed it. */
  heldUntil(feed: FeedId, index: number): number | undefined {
    const until = this.#lent.get(`${feed}/${index}`)?.until
    return until !== undefined && until > this.#options.clock.now() ? until : undefined
  }

  /** A borrower gave somebody something back, or needs longer. */
  onReturn(by: PeerId, { nacks, extensions }: Returned): void {
    for (const returned of nacks) this.#onReturned(by, returned, undefined)
    for (const returned of extensions) this.#onReturned(by, returned, by)
  }

  /** What somebody has or waits for, and is not done, in the form in which it is told. */
  state(isDone: (slot: number, feed: FeedId, index: number) => boolean): Lent {
    const now = this.#options.clock.now()
    return [...this.#lent.values()].flatMap(
      ({ slot, feed, index, by, until }): Lent =>
        until <= now || isDone(slot, feed, index) ? [] : [[slot, feed, index, by ?? null, until - now]],
    )
  }

  /** What somebody else knows of it: of what was heard of here it is known already. */
  merge(lent: Lent): void {
    const now = this.#options.clock.now()
    for (const [slot, feed, index, by, ms] of lent) {
      if (this.#lent.has(`${feed}/${index}`)) continue
      this.#keepOff({ slot, feed, index, by: by ?? undefined, until: now + ms })
    }
  }

  /** A borrower that fell silent for a lease has nothing any more, as its lender sees it too. */
  look(isDead: (peer: PeerId) => boolean): void {
    const { clock, onRetimed } = this.#options
    const now = clock.now()
    for (const [id, { feed, index, by, until }] of this.#lent) {
      const isOver = until <= now
      if (!isOver && (by === undefined || !isDead(by))) continue
      this.#lent.delete(id)
      if (!isOver) onRetimed(feed, index, now)
    }
  }

  #onReturned(from: PeerId, [feed, index, , , ms]: Returned['nacks'][number], by: PeerId | undefined): void {
    const held = this.#lent.get(`${feed}/${index}`)
    if (held?.by !== from) return
    const until = this.#options.clock.now() + ms
    this.#keepOff({ slot: held.slot, feed, index, by, until })
    this.#options.onRetimed(feed, index, until)
  }

  #keepOff(held: Held): void {
    const id = `${held.feed}/${held.index}`
    this.#lent.delete(id)
    this.#lent.set(id, held)
    if (this.#lent.size <= limits.groupAttemptsMax) return
    for (const [oldest] of this.#lent) {
      this.#lent.delete(oldest)
      break
    }
  }
}
