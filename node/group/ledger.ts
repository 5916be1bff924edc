/** What a group knows beyond who is there: how it is set up, where it begins, what is done, and what two members had at once. */
import { limits } from '../limits.ts'
import { Cursor } from '../topic/cursor.ts'
import type { FeedId, PeerId } from '../types.ts'
import type { Notice, Opening, Start } from './notice.ts'
import { Progress } from './progress.ts'
import type { Roster } from './roster.ts'
import { Twice } from './twice.ts'

export type Opened = Opening & { by: PeerId }

export interface LedgerOptions {
  me: PeerId
  /** Somebody else has done it. True where a consumer here has it as well. */
  onDone(feed: FeedId, index: number): boolean
  onTwice(id: string, peers: [PeerId, PeerId]): void
}

export class Ledger {
  readonly progress = new Progress()
  readonly #options: LedgerOptions
  readonly #twice = new Twice()
  #opened: Opened | undefined

  constructor(options: LedgerOptions) {
    this.#options = options
  }

  get opened(): Opened | undefined {
    return this.#opened
  }

  get start(): Start {
    return this.#opened?.start ?? { since: 0, skip: {} }
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

  onWork({ attempts, acks }: Extract<Notice, { type: 'work' }>, by: PeerId): void {
    for (const attempt of attempts) this.progress.attempted(attempt)
    for (const [slot, feed, from, to] of acks) {
      this.progress.done(slot, feed, from, to)
      this.had(feed, to - 1, by)
      if (this.#options.onDone(feed, to - 1)) this.had(feed, to - 1, this.#options.me)
    }
  }

  /** Somebody has, or had, the record under a lease of its own. */
  had(feed: FeedId, index: number, by: PeerId): void {
    const other = this.#twice.had(feed, index, by)
    if (other !== undefined) this.#options.onTwice(`${feed}/${index}`, [other, by])
  }

  /** All that is known of these feeds (default of all), in as many notices as it takes: what came before them may go. */
  *sums(roster: Roster, feeds: readonly FeedId[] = this.progress.feeds()): Iterable<Notice> {
    if (this.#opened === undefined) return
    for (let at = 0; at === 0 || at < feeds.length; at += limits.groupSumFeeds) {
      const progress = this.progress.state(feeds.slice(at, at + limits.groupSumFeeds))
      yield { type: 'sum', opened: this.#opened, terms: roster.terms(), progress, voters: roster.voters }
    }
  }
}

/** The beginning as a new subscription would have it: what `latest` leaves out, by its place or by its time. */
export async function startOf(latest: (cursor: Cursor) => Promise<void>): Promise<Start> {
  const cursor = new Cursor()
  await latest(cursor)
  const { since, feeds } = cursor.state()
  return { since, skip: Object.fromEntries(Object.entries(feeds).map(([feed, { skip }]) => [feed as FeedId, skip])) }
}
