/**
 * With a quorum, what a member hands out and acknowledges counts when a majority of the voters has it on disk: whoever takes a slot over
 * is heard by a majority too, so one of them knows both. Linked voters say so at once; of the others it shows in their beats.
 */
import { isError } from '../errors.ts'
import type { Clock } from '../ports.ts'
import type { PeerId } from '../types.ts'
import type { Board } from './board.ts'
import type { Notice } from './notice.ts'
import type { Roster } from './roster.ts'

export interface MajorityOptions {
  me: PeerId
  leaseMs: number
  roster: Roster
  board: Board
  clock: Clock
}

interface Waiting {
  /** Whoever has heard this beat of ours has the notice, too. */
  beat: number
  until: number
  resolve(): void
  reject(error: unknown): void
}

export class Majority {
  readonly #options: MajorityOptions
  readonly #waiting = new Set<Waiting>()
  #among: { voters: readonly PeerId[]; others: PeerId[] } = { voters: [], others: [] }

  constructor(options: MajorityOptions) {
    this.#options = options
  }

  /** Rejects with `ConfirmTimeout` when no majority has the notice within a lease: by then, others may have taken over. */
  async tell(notice: Notice): Promise<void> {
    const { leaseMs, board, roster, me } = this.#options
    const among = this.#others()
    // We are one of them, if we vote.
    const voters = roster.voters?.peers ?? []
    const confirm = Math.floor(voters.length / 2) + (voters.includes(me) ? 0 : 1)
    const heard = this.#heard()
    const told = board.tellMost(notice, { confirm, timeoutMs: leaseMs, among })
    // A disk that is full is told as it is.
    told.catch((error) => {
      if (!isError(error, 'ConfirmTimeout')) heard.reject(error)
    })
    try {
      await Promise.any([told, heard.promise])
    } catch (error) {
      throw (error as AggregateError).errors[0]
    }
  }

  /** Somebody beat, or time has passed. */
  look(): void {
    const { roster, clock } = this.#options
    const heard = roster.heardUpTo()
    for (const waiting of this.#waiting) {
      if (heard >= waiting.beat) waiting.resolve()
      else if (clock.now() >= waiting.until) waiting.reject(undefined)
      else continue
      this.#waiting.delete(waiting)
    }
  }

  close(): void {
    for (const { reject } of this.#waiting) reject(undefined)
    this.#waiting.clear()
  }

  #heard(): PromiseWithResolvers<void> {
    const { roster, clock, leaseMs } = this.#options
    const heard = Promise.withResolvers<void>()
    heard.promise.catch(() => undefined)
    const { resolve, reject } = heard
    this.#waiting.add({ beat: roster.nextBeat, until: clock.now() + leaseMs, resolve, reject })
    return heard
  }

  /** The same list for as long as the voters are the same: what waits for the same waits together. */
  #others(): PeerId[] {
    const voters = this.#options.roster.voters?.peers ?? []
    if (this.#among.voters !== voters)
      this.#among = { voters, others: voters.filter((peer) => peer !== this.#options.me) }
    return this.#among.others
  }
}
