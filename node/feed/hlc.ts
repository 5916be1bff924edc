/**
 * The hybrid logical clock of a peer (Kulkarni et al., "Logical Physical Clocks", 2014): stamps never repeat or go back, follow
 * the wall clock, and come after every stamp that was observed, so that an answer is later than its question on any peer.
 *
 * It departs in one point: a stamp from further ahead than `limits.clockAheadMsMax` is not followed, or one broken clock would drag the
 * time of the whole mesh with it. Its author is still believed in everything else.
 */
import assert from 'node:assert/strict'
import { limits } from '../limits.ts'

/** `time` in ms since 1970; `tick` orders stamps of one time. */
export interface Stamp {
  readonly time: number
  readonly tick: number
}

/** Ticks of one millisecond, as many as a head can carry; then the clock goes on in the next one. */
const tickMax = 0xffff_ffff

export class HybridClock {
  readonly #now: () => number
  #time = 0
  #tick = 0

  constructor(now: () => number) {
    this.#now = now
  }

  /** A stamp later than all before. */
  stamp(): Stamp {
    const now = Math.floor(this.#now())
    if (now > this.#time) {
      this.#time = now
      this.#tick = 0
    } else if (this.#tick < tickMax) {
      this.#tick++
    } else {
      this.#time++
      this.#tick = 0
    }
    assert(this.#time <= limits.timeMsMax, 'the clock is beyond any date')
    return { time: this.#time, tick: this.#tick }
  }

  /** Makes all later stamps come after this one, unless it is too far ahead. */
  observe(stamp: Stamp): void {
    if (stamp.time > this.#now() + limits.clockAheadMsMax) return
    if (stamp.time < this.#time || (stamp.time === this.#time && stamp.tick <= this.#tick)) return
    this.#time = stamp.time
    this.#tick = stamp.tick
  }
}
