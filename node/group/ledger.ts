/**
 * What a group knows beyond who is there: how it is set up, where it begins, what is done, and what two members had at once.
 *
 * A seek moves the beginning for all members, and begins an era in which nothing is done yet. Of several the latest counts, by its time and then by
 * who made it; whoever makes one gives it a later time than that of the one it knows. What is done is told with its era: of an earlier one it
 * counts no more, of one whose seek has not come here yet it is kept until that comes. So here too all who have heard the same know the
 * same, in whatever order it came.
 */
import { limits } from '../limits.ts'
import type { FeedId, PeerId } from '../types.ts'
import { Indexes } from './indexes.ts'
import type { Era, HadNotice, Opening, Seek, Start, SumNotice, WorkNotice } from './notice.ts'
import { Progress, type ProgressState } from './progress.ts'
import type { Roster } from './roster.ts'
import { type Dealt, Twice } from './twice.ts'

export type Opened = Opening & { by: PeerId }
export type Sought = Seek & { by: PeerId }

export interface LedgerOptions {
  me: PeerId
  /** Somebody has done these records of a slot. Returns which of them a consumer here has as well. */
  onDone(slot: number, feed: FeedId, indexes: Indexes): readonly number[]
  onTwice(id: string, peers: [PeerId, PeerId]): void
}

export class Ledger {
  readonly progress = new Progress()
  readonly #options: LedgerOptions
  readonly #twice = new Twice()
  #opened: Opened | undefined
  #sought: Sought | undefined
  /** What was done in eras that have not begun here, the earliest first. */
  #ahead: { era: Era; progress: Progress }[] = []

  constructor(options: LedgerOptions) {
    this.#options = options
  }

  get opened(): Opened | undefined {
    return this.#opened
  }

  get start(): Start {
    return (this.#sought ?? this.#opened)?.start ?? { since: 0, skip: {} }
  }

  /** Where it was moved to last. */
  get sought(): Sought | undefined {
    return this.#sought
  }

  get era(): Era | undefined {
    return eraOf(this.#sought)
  }

  /** Something was done in an era that has not begun here. */
  get isBehind(): boolean {
    return this.#ahead.length > 0
  }

  get deliveredTwice(): string[] {
    return this.#twice.found
  }

  /** Of those that opened the group without knowing of each other, the earliest counts. True where this one does now. */
  onOpening({ settings, start, created, by }: Opened): boolean {
    const known = this.#opened
    if (known !== undefined && (created > known.created || (created === known.created && by >= known.by))) return false
    this.#opened = { settings, start, created, by }
    return true
  }

  /** True where the group was moved by that: nothing is done any more, but what was told ahead of it. */
  onSeek({ start, time, by }: Sought): boolean {
    if (!isLater([time, by], this.era)) return false
    this.#sought = { start, time, by }
    this.#twice.forget()
    this.progress.clear()
    for (const { era, progress } of this.#ahead) if (!isLater(era, this.era)) this.#merge(progress.state(), era)
    this.#ahead = this.#ahead.filter(({ era }) => isLater(era, this.era))
    return true
  }

  /** What somebody else knows to be done, and by whom. */
  onSum({ progress, sought, had = [] }: Pick<SumNotice, 'progress' | 'sought' | 'had'>): void {
    const era = eraOf(sought)
    this.#merge(progress, era)
    if (this.#progressOf(era) !== this.progress) return
    for (const [by, feed, some] of had) for (const [slot, indexes] of some) this.had(slot, feed, indexes, by)
  }

  onWork({ feeds, era }: WorkNotice, by: PeerId): void {
    const progress = this.#progressOf(era)
    if (progress === undefined) return
    for (const [feed, attempts, acks] of feeds) {
      for (const [slot, count, indexes] of attempts) progress.attempted(slot, feed, indexes, count)
      for (const [slot, from, indexes] of acks) {
        progress.done(slot, feed, from, indexes.last + 1)
        if (progress === this.progress) this.#onDone(slot, feed, indexes, by)
      }
    }
  }

  /** What somebody had in hands as it heard that another has it as well. */
  onHad({ records, era }: HadNotice, by: PeerId): void {
    if (this.#progressOf(era) !== this.progress) return
    for (const [slot, feed, index] of records) this.had(slot, feed, new Indexes(index), by)
  }

  /** Somebody has, or had, these records of a slot under a lease of its own. */
  had(slot: number, feed: FeedId, indexes: Indexes, by: PeerId): void {
    for (const [index, other] of this.#twice.had(slot, feed, indexes, by))
      this.#options.onTwice(`${feed}/${index}`, [other, by])
  }

  /** Who had what of late, as a sum tells it. */
  dealt(): Dealt {
    return this.#twice.state()
  }

  /** All that is known of these feeds (default of all), in as many notices as it takes: what came before them may go. */
  *sums(roster: Roster, feeds: readonly FeedId[] = this.progress.feeds()): Iterable<SumNotice> {
    if (this.#opened === undefined) return
    for (let at = 0; at === 0 || at < feeds.length; at += limits.groupSumFeeds) {
      const progress = this.progress.state(feeds.slice(at, at + limits.groupSumFeeds))
      const [opened, sought] = [this.#opened, this.#sought]
      yield {
        type: 'sum',
        opened,
        ...(sought && { sought }),
        terms: roster.allTerms(),
        voters: roster.voters,
        progress,
      }
    }
  }

  #onDone(slot: number, feed: FeedId, indexes: Indexes, by: PeerId): void {
    this.had(slot, feed, indexes, by)
    const here = this.#options.onDone(slot, feed, indexes)
    for (const some of Indexes.of(here)) this.had(slot, feed, some, this.#options.me)
  }

  #merge(state: ProgressState, era: Era | undefined): void {
    this.#progressOf(era)?.merge(state)
  }

  /** Undefined where that counts no more. */
  #progressOf(era: Era | undefined): Progress | undefined {
    if (isLater(this.era, era)) return undefined
    if (era === undefined || !isLater(era, this.era)) return this.progress
    const known = this.#ahead.find((ahead) => !isLater(ahead.era, era) && !isLater(era, ahead.era))
    if (known !== undefined) return known.progress
    const progress = new Progress()
    this.#ahead.push({ era, progress })
    this.#ahead.sort((a, b) => (isLater(a.era, b.era) ? 1 : -1))
    if (this.#ahead.length > limits.groupErasAheadMax) this.#ahead.shift()
    return progress
  }
}

function eraOf(sought: Sought | undefined): Era | undefined {
  return sought && [sought.time, sought.by]
}

function isLater(one: Era | undefined, other: Era | undefined): boolean {
  if (one === undefined || other === undefined) return one !== undefined
  return one[0] > other[0] || (one[0] === other[0] && one[1] > other[1])
}
