/**
 * Lets old notices of a group go, on whoever holds its control topic, member or not: of more than `limits.groupNoticeBytes` those that a sum takes in
 * which stays. What nobody has summed up stays, up to `limits.groupNoticeBytesMax`.
 */
import { limits } from '../limits.ts'
import type { Clock } from '../ports.ts'
import type { TopicLog } from '../store/topic-log.ts'
import { recordsOf } from '../topic/message.ts'
import { Gathering, type WholeSum } from './coverage.ts'
import { decodeNotice, isSum } from './notice.ts'

export class Sweep {
  readonly #log: TopicLog
  readonly #clock: Clock
  readonly #maxBytes: number
  readonly #gathering = new Gathering()
  #offset = 0
  /** The sum that lets most go. */
  #best: WholeSum | undefined
  #isBusy = false

  constructor(log: TopicLog, clock: Clock, maxBytes: number = limits.groupNoticeBytes) {
    this.#log = log
    this.#clock = clock
    this.#maxBytes = maxBytes
  }

  /** Rejects as the log does. */
  async run(): Promise<void> {
    if (this.#isBusy || this.#log.bytes <= this.#maxBytes) return
    this.#isBusy = true
    try {
      await this.#look()
      const now = this.#clock.now()
      if (this.#best !== undefined)
        await this.#log.retain({ maxBytes: this.#maxBytes, keepFrom: this.#keepFrom(this.#best) }, now)
      await this.#log.retain({ maxBytes: limits.groupNoticeBytesMax }, now)
    } finally {
      this.#isBusy = false
    }
  }

  /** Finds the sums that came since the last time. */
  async #look(): Promise<void> {
    for (;;) {
      const pause = this.#clock.breathe()
      if (pause !== undefined) await pause
      const at = await this.#log.at(this.#offset)
      if (at === undefined) return
      if ('damaged' in at) {
        this.#offset = at.nextOffset
        continue
      }
      const { head } = at.batch
      this.#offset = at.offset + head.head.count
      const records = recordsOf(at.batch)
      for (let i = 0; i < (records?.count ?? 0); i++) {
        const bytes = records?.value(i)
        const notice = bytes !== undefined && isSum(bytes) ? decodeNotice(bytes) : undefined
        if (typeof notice !== 'object' || notice.type !== 'sum') continue
        const sum = this.#gathering.take(head.feed, at.offset, notice)
        if (sum !== undefined && (this.#best === undefined || this.#keepFrom(sum) > this.#keepFrom(this.#best)))
          this.#best = sum
      }
    }
  }

  /** The offset of the first notice that this sum does not take in; of its own at the most. 0 where it has gone itself. */
  #keepFrom({ offset, covers }: WholeSum): number {
    if (offset < this.#log.startOffset) return 0
    let from = offset
    for (const [feed, { base, last }] of this.#log.feeds) {
      let seq = Math.max(base, (covers[feed] ?? 0) + 1)
      // What is damaged cannot be kept.
      while (seq <= last && this.#log.offsetOf(feed, seq) === undefined) seq++
      from = Math.min(from, this.#log.offsetOf(feed, seq) ?? from)
    }
    return from
  }
}
