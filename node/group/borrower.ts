/** What one consumer of a queue borrows from other members. It takes its place among what that consumer may have at once, until it is settled. */
import type { Delivery } from './backlog.ts'
import type { Loaded } from './desk.ts'
import type { Member } from './member.ts'

export class Borrower {
  readonly #member: Member
  readonly #onLent: () => void
  readonly #has = new Set<Delivery>()
  /** Nobody has looked at these yet. */
  readonly #unread: Loaded[] = []
  /** So many are asked for right now. */
  #asked = 0
  #ended = false

  constructor(member: Member, onLent: () => void) {
    this.#member = member
    this.#onLent = onLent
  }

  /** Records that are with the consumer, or may be in a moment. */
  get size(): number {
    if (this.#has.size === 0) return this.#asked
    for (const delivery of this.#has) if (!this.#member.borrowed?.has(delivery)) this.#has.delete(delivery)
    return this.#has.size + this.#asked
  }

  /** Asks for at most so many, where somebody has some to spare, and was not asked already. */
  ask(max: number): void {
    const lent = this.#asked > 0 || this.#ended || max < 1 ? undefined : this.#member.borrow(max)
    if (lent === undefined) return
    this.#asked = max
    void lent.then((loaded) => {
      this.#asked = 0
      for (const { delivery } of loaded) this.#has.add(delivery)
      this.#unread.push(...loaded)
      if (this.#ended) this.end()
      this.#onLent()
    })
  }

  next(): Loaded | undefined {
    for (let loaded = this.#unread.shift(); loaded !== undefined; loaded = this.#unread.shift())
      if (this.#member.borrowed?.has(loaded.delivery)) return loaded
    return undefined
  }

  /** What nobody has looked at goes back; what the application has it may still settle. */
  end(): void {
    this.#ended = true
    const settler = this.#member.borrowed
    for (let loaded = this.next(); loaded !== undefined; loaded = this.next()) settler?.giveBack(loaded.delivery)
  }
}
