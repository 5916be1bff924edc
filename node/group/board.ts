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
  /** Read since somebody summed up. */
  bytesSinceSum = 0

  constructor(options: BoardOptions) {
    this.#options = options
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
    this.bytesSinceSum += body.length + head.bytes.length
    const records = recordsOf(batch)
    if (records === undefined) this.#onBad(head.author)
    const isOwn = head.feed === this.#own?.feed && head.head.seq >= this.#own.seq
    for (let i = 0; i < (records?.count ?? 0); i++) this.#take(records?.value(i), head.author, head.head.time, isOwn)
    return offset + head.head.count
  }

  #take(bytes: Uint8Array | undefined, by: PeerId, time: number, isOwn: boolean): void {
    // Whoever tells of work has it in its progress already.
    if (isOwn && bytes !== undefined && isOwnWork(bytes)) return
    const notice = bytes && decodeNotice(bytes)
    if (notice === undefined) this.#onBad(by)
    if (notice === undefined || notice === 'unknown') return
    if (notice.type === 'sum') this.bytesSinceSum = 0
    this.#options.onNotice(notice, by, time)
  }

  /** What was said before we came has been judged before. */
  #onBad(by: PeerId): void {
    if (this.#live) this.#options.onBad(by)
  }
}
