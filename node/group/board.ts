/** The control topic of one group: tells notices, and reads all there are, in the order in which they came here. */
import { isError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { Clock } from '../ports.ts'
import type { StoredBatch, TopicLog } from '../store/topic-log.ts'
import type { Sync } from '../sync/sync.ts'
import type { Wish } from '../topic/confirm.ts'
import { recordsOf } from '../topic/message.ts'
import type { Topics } from '../topic/topics.ts'
import type { FeedId, PeerId, TopicName } from '../types.ts'
import { Coverage, type Covers, Gathering, takesIn } from './coverage.ts'
import { decodeNotice, encodeNotice, isOwnWork, type Notice } from './notice.ts'

export interface BoardOptions {
  control: TopicName
  topics: Topics
  sync: Sync
  clock: Clock
  /** `time` is when its author made it, by its clock. */
  onNotice(notice: Notice, by: PeerId, time: number): void
  /** A record that is no notice: nobody but its author can have made it. */
  onBad(by: PeerId): void
}

export class Board {
  readonly #options: BoardOptions
  #log: TopicLog | undefined
  #offset = 0
  /** Damaged places that were passed, as [from, to) in the log: what friends put back there is read then. */
  readonly #holes = new Map<number, number>()
  #off: (() => void) | undefined
  #reading: Promise<void> = Promise.resolve()
  #live = false
  /** From there on in our own feed is what was told through this board. */
  #own: { feed: FeedId; seq: number } | undefined
  readonly #coverage = new Coverage()
  readonly #gathering = new Gathering()
  /** Read since somebody summed up who knew what was known here at the time before. */
  #bytesSinceSum = 0
  #summedAt: number
  #summed: Covers = {}
  /** When it was first seen that something lies behind what is not known. */
  #gapsAt: number | undefined

  constructor(options: BoardOptions) {
    this.#options = options
    this.#summedAt = options.clock.now()
  }

  /** Reads what there is, and from then on what comes. */
  async open(log: TopicLog): Promise<void> {
    this.#log = log
    this.#offset = log.startOffset
    await this.#read()
    this.#live = true
    this.#off = log.onChange(() => {
      this.#reading = this.#reading.then(() => this.#read()).catch(() => undefined)
    })
    await this.#read()
  }

  /** Notices that are here and wait to be read. */
  get unread(): number {
    return this.#log === undefined ? 0 : this.#log.endOffset - Math.max(this.#offset, this.#log.startOffset)
  }

  /** There are notices, here or at friends, behind others that are not known; what takes these in was not waited for too long yet. */
  hasGaps(): boolean {
    const { sync, control, clock } = this.#options
    if (this.#coverage.gaps === 0 && !sync.hasGap(control)) this.#gapsAt = undefined
    else this.#gapsAt ??= clock.now()
    return this.#gapsAt !== undefined && clock.now() - this.#gapsAt < limits.groupGapMs
  }

  get bytesSinceSum(): number {
    return this.#bytesSinceSum
  }

  get summedAt(): number {
    return this.#summedAt
  }

  /** Which notices that are held somewhere are known here. */
  covers(): Covers {
    return this.#log === undefined ? {} : this.#coverage.of(this.#log.feeds)
  }

  /** Up to where the newest notices of these are known here. */
  tailsOf(peers: readonly PeerId[]): Covers {
    const tails: Covers = {}
    if (peers.length === 0) return tails
    for (const [feed, { author }] of this.#log?.feeds ?? []) {
      const upTo = peers.includes(author) ? this.#coverage.upTo(feed) : 0
      if (upTo > 0) tails[feed] = upTo
    }
    return tails
  }

  knows(tails: Covers): boolean {
    return Object.entries(tails).every(([feed, upTo]) => this.#coverage.upTo(feed as FeedId) >= upTo)
  }

  /** All that is known here was summed up just now. */
  summed(): void {
    this.#bytesSinceSum = 0
    this.#summedAt = this.#options.clock.now()
    this.#summed = this.covers()
  }

  /** Resolves when the notice is on our disk; rejects when it could not be written. */
  note(notice: Notice): Promise<void> {
    return this.#append(notice, { confirm: 0, timeoutMs: limits.groupConfirmMs })
  }

  /** Resolves when the notice is on our disk and, where a friend is linked that holds the topic, on another's, or that took too long. */
  async tell(notice: Notice): Promise<true> {
    const confirm = this.#options.sync.holders(this.#options.control).length > 0 ? 1 : 0
    await this.#append(notice, { confirm, timeoutMs: limits.groupConfirmMs }).catch((error) => {
      if (!isError(error, 'ConfirmTimeout')) throw error
    })
    return true
  }

  /** Resolves when the notice is on so many disks of these peers; rejects with `ConfirmTimeout` when that takes too long. */
  tellMost(notice: Notice, wish: Wish): Promise<void> {
    return this.#append(notice, wish)
  }

  #append(notice: Notice, wish: Wish): Promise<void> {
    const { control, topics, clock } = this.#options
    return new Promise((resolve, reject) => {
      const record = { value: encodeNotice(notice), time: clock.now() }
      const onFailed = (_count: number, _bytes: number, error: unknown) => reject(error)
      const onDone = ({ feed, seq }: { feed: FeedId; seq: number }) => {
        if (this.#own?.feed !== feed) this.#own = { feed, seq }
        resolve()
      }
      topics.append(control, record, { ...wish, onDone, onFailed })
    })
  }

  async close(): Promise<void> {
    this.#off?.()
    this.#log = undefined
    await this.#reading
  }

  async #read(): Promise<void> {
    for (const [from, to] of [...this.#holes]) await this.#readHole(from, to)
    for (;;) {
      const pause = this.#options.clock.breathe()
      if (pause !== undefined) await pause
      const at = await this.#log?.at(this.#offset)
      if (at === undefined || this.#log === undefined) return
      if ('damaged' in at) {
        this.#holes.set(this.#offset, at.nextOffset)
        this.#offset = at.nextOffset
        continue
      }
      // Another turn of reading may have passed it meanwhile.
      if (at.offset < this.#offset) continue
      this.#offset = this.#takeBatch(at)
    }
  }

  /** What was said there is said late, and as good as in time: who has heard the same knows the same. */
  async #readHole(from: number, to: number): Promise<void> {
    for (let offset = from; offset < to; ) {
      const at = await this.#log?.at(offset)
      if (at === undefined || 'damaged' in at) return
      // Given up: what comes now lies behind it.
      if (at.offset >= to) break
      offset = this.#takeBatch(at)
    }
    this.#holes.delete(from)
  }

  /** Returns the offset behind it. */
  #takeBatch({ batch, offset }: StoredBatch): number {
    const { head, body } = batch
    const { feed, author } = head
    const { seq, time, count } = head.head
    this.#bytesSinceSum += body.length + head.bytes.length
    const records = recordsOf(batch)
    if (records === undefined) this.#onBad(author)
    const isOwn = feed === this.#own?.feed && seq >= this.#own.seq
    for (let i = 0; i < (records?.count ?? 0); i++) {
      const notice = this.#take(records?.value(i), author, time, isOwn)
      const sum = notice?.type === 'sum' ? this.#gathering.take(feed, offset, notice) : undefined
      if (sum !== undefined) this.#onSum(sum.covers)
    }
    this.#coverage.read(feed, seq)
    return offset + count
  }

  #take(bytes: Uint8Array | undefined, by: PeerId, time: number, isOwn: boolean): Notice | undefined {
    // Whoever tells of work has it in its progress already.
    if (isOwn && bytes !== undefined && isOwnWork(bytes)) return undefined
    const notice = bytes && decodeNotice(bytes)
    if (notice === undefined) this.#onBad(by)
    if (notice === undefined || notice === 'unknown') return undefined
    this.#options.onNotice(notice, by, time)
    return notice
  }

  #onSum(covers: Covers): void {
    this.#coverage.take(covers)
    // Of somebody who has yet to hear what was known here long ago it lets nothing go.
    if (takesIn(covers, this.#summed)) this.summed()
  }

  /** What was said before we came has been judged before. */
  #onBad(by: PeerId): void {
    if (this.#live) this.#options.onBad(by)
  }
}
