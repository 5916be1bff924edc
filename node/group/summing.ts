/**
 * Tells from time to time all that is known, so that what was told before can go. The first of the members does it, and each other one where those
 * before it did not, or did not know what it knows. Whoever has yet to read what others said leaves it to them.
 */
import { limits } from '../limits.ts'
import type { Clock } from '../ports.ts'
import type { PeerId } from '../types.ts'
import type { Board } from './board.ts'
import type { Exchange } from './exchange.ts'
import type { Ledger } from './ledger.ts'
import { encodeNotice, type SumNotice } from './notice.ts'
import type { Roster } from './roster.ts'

export interface SummingOptions {
  me: PeerId
  clock: Clock
  board: Board
  ledger: Ledger
  roster: Roster
  exchange: Exchange
}

export class Summing {
  readonly #options: SummingOptions
  /** Of the last sum made here. */
  #bytes = 0

  constructor(options: SummingOptions) {
    this.#options = options
  }

  /** Once a beat. */
  look(isBehind: boolean): void {
    const { me, clock, board, ledger, roster } = this.#options
    const now = clock.now()
    const rank = roster.active(now).indexOf(me)
    // Of an era that has not begun here a sum would not say what was done.
    if (rank < 0 || isBehind || ledger.isBehind) return
    const bytes = Math.max(limits.groupSumBytes, this.#bytes * limits.groupSumTimes)
    if (board.bytesSinceSum < bytes * (1 + rank) || now - board.summedAt < limits.groupSumMs * (1 + rank)) return
    this.#sumUp(now)
  }

  #sumUp(now: number): void {
    const { board, ledger, roster, exchange } = this.#options
    const sums = [...ledger.sums(roster)]
    const heard = roster.lastBeats(now)
    const lent = exchange.lent((slot, feed, index) => ledger.progress.isDone(slot, feed, index))
    const last = {
      covers: board.covers(),
      had: ledger.dealt(),
      ...(heard && { heard }),
      ...(lent.length > 0 && { lent }),
    }
    this.#bytes = 0
    for (const [index, sum] of sums.entries()) {
      const part: SumNotice['part'] = [index, sums.length]
      const told: SumNotice = { ...sum, part, ...(index + 1 === sums.length && last) }
      this.#bytes += encodeNotice(told).length
      board.note(told).catch(() => undefined)
    }
    board.summed()
  }
}
