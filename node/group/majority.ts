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
  resolve(isHeard: boolean): void
}

export class Majority {
  readonly #options: MajorityOptions
  readonly #waiting = new Set<Waiting>()
  #among: { voters: readonly PeerId[]; others: PeerId[] } = { voters: [], others: [] }

  constructor(options: MajorityOptions) {
    this.#options = options
  }

  /**
   * True when a majority has the notice while our lease lasts. False when that took longer: others may have taken over without knowing of it.
   * Rejects when it could not be written.
   */
  async tell(notice: Notice): Promise<boolean> {
    const { leaseMs, board, roster, me, clock } = this.#options
    const among = this.#others()
    // We are one of them, if we vote.
    const voters = roster.voters?.peers ?? []
    const confirm = Math.floor(voters.length / 2) + (voters.includes(me) ? 0 : 1)
    const heard = this.#heard()
    board.tellMost(notice, { confirm, timeoutMs: leaseMs, among }).then(
      () => heard.resolve(true),
      (error) => {
        if (!isError(error, 'ConfirmTimeout')) heard.reject(error)
      },
    )
    return (await heard.promise) && roster.isEntitled(clock.now())
  }

  /** Somebody beat, or time has passed. */
  look(): void {
    const { roster, clock } = this.#options
    const heard = roster.heardUpTo()
    for (const waiting of this.#waiting) {
      const isHeard = heard >= waiting.beat
      if (!isHeard && clock.now() < waiting.until) continue
      waiting.resolve(isHeard)
      this.#waiting.delete(waiting)
    }
  }

  close(): void {
    for (const { resolve } of this.#waiting) resolve(false)
    this.#waiting.clear()
  }

  #heard(): PromiseWithResolvers<boolean> {
    const { roster, clock, leaseMs } = this.#options
    const heard = Promise.withResolvers<boolean>()
    this.#waiting.add({ beat: roster.nextBeat, until: clock.now() + leaseMs, resolve: heard.resolve })
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
