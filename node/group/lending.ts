/**
 * Lends records of our slots to members that asked for some, across the control topic: they may have none of their own while others have more than
 * they can work off. A borrower has a record as a consumer of ours would, under our lease, and for a little longer than it is told: so its time
 * is over there before it is here. It acknowledges by itself, for all to hear; what it gives back comes to us, and what it has when it dies.
 */
import { limits } from '../limits.ts'
import type { FeedId, PeerId } from '../types.ts'
import type { Delivery } from './backlog.ts'
import type { Desk, Loaded, Taker } from './desk.ts'
import type { Lend, Returned } from './loans.ts'
import type { Notice } from './notice.ts'

export interface LendingOptions {
  desk: Desk
  visibilityMs: number
  tell(notice: Notice): Promise<unknown>
}

export class Lending {
  readonly #options: LendingOptions
  readonly #loans = new Set<Loan>()
  /** Who has which record, by its id. */
  readonly #lent = new Map<string, { loan: Loan; delivery: Delivery }>()

  constructor(options: LendingOptions) {
    this.#options = options
  }

  /** Somebody asks for at most `max` records: it gets those that nobody else waits for, at once; perhaps none. */
  onAsk(to: PeerId, id: number, max: number): void {
    // Whoever asks again has given up on what it asked for before.
    if (this.#loans.size >= limits.groupLoansMax) return
    const { desk } = this.#options
    const loan = new Loan(to, max, {
      handOut: (loaded) => desk.handOut(loaded.delivery, limits.groupLoanGraceMs),
      onFull: (lent) => this.#tell(loan, id, lent),
      onGone: (delivery) => {
        this.#lent.delete(idOf(delivery))
        if (desk.givenTo(loan) === 0) this.#end(loan)
      },
    })
    this.#loans.add(loan)
    desk.join(loan)
    queueMicrotask(() => {
      if (desk.givenTo(loan) > 0) return
      this.#end(loan)
      void this.#options
        .tell({ type: 'lend', to, id, visibilityMs: this.#options.visibilityMs, records: [] })
        .catch(() => undefined)
    })
  }

  /** A borrower that fell silent for a lease has no record longer than a holder of slots would. */
  look(isDead: (peer: PeerId) => boolean): void {
    for (const { loan, delivery } of this.#lent.values())
      if (isDead(loan.to)) this.#options.desk.giveBack(delivery, 0, false)
  }

  onReturn(by: PeerId, { nacks, extensions }: Returned): void {
    const { desk } = this.#options
    for (const [feed, index, attempt, term, ms] of nacks) {
      const lent = this.#find(by, feed, index, attempt, term)
      if (lent !== undefined) desk.giveBack(lent, ms, true)
    }
    for (const [feed, index, attempt, term, ms] of extensions) {
      const lent = this.#find(by, feed, index, attempt, term)
      if (lent !== undefined) desk.lengthen(lent, ms + limits.groupLoanGraceMs)
    }
  }

  #find(by: PeerId, feed: FeedId, index: number, attempt: number, term: number): Delivery | undefined {
    const lent = this.#lent.get(`${feed}/${index}`)
    const same = lent?.loan.to === by && lent.delivery.attempt === attempt && lent.delivery.term === term
    return same ? lent.delivery : undefined
  }

  #tell(loan: Loan, id: number, lent: readonly Loaded[]): void {
    const { tell, desk, visibilityMs } = this.#options
    for (const { delivery } of lent) this.#lent.set(idOf(delivery), { loan, delivery })
    const records = lent.map(({ delivery, batch: { head } }): Lend['records'][number] => {
      const { slot, feed, index, from, attempt, term } = delivery
      return [slot, feed, head.head.seq, index, from, attempt, term]
    })
    tell({ type: 'lend', to: loan.to, id, visibilityMs, records }).catch(() => {
      for (const { delivery } of lent) desk.giveBack(delivery, 0, false)
    })
  }

  #end(loan: Loan): void {
    if (this.#loans.delete(loan)) this.#options.desk.leave(loan, [])
  }
}

interface LoanParts {
  handOut(loaded: Loaded): boolean
  /** Once, with all it got. */
  onFull(lent: readonly Loaded[]): void
  onGone(delivery: Delivery): void
}

class Loan implements Taker {
  readonly to: PeerId
  concurrency: number
  readonly #parts: LoanParts
  #lent: Loaded[] | undefined

  constructor(to: PeerId, max: number, parts: LoanParts) {
    this.to = to
    this.concurrency = max
    this.#parts = parts
  }

  push(loaded: Loaded): void {
    if (!this.#parts.handOut(loaded)) return
    if (this.#lent === undefined) {
      // It gets nothing more: what comes later is for whoever asks then.
      this.concurrency = 0
      this.#lent = []
      queueMicrotask(() => this.#parts.onFull(this.#lent ?? []))
    }
    this.#lent.push(loaded)
  }

  onGone(delivery: Delivery): void {
    this.#parts.onGone(delivery)
  }
}

function idOf({ feed, index }: Delivery): string {
  return `${feed}/${index}`
}
