/**
 * Named subscriptions' cursors: kept in the state database, and shared with the other carriers as records on the
 * control topic `$cursors.<topic>`, so that a subscription goes on where it stopped on any peer. An acknowledgement
 * resolves when it would survive the loss of this process; what it says travels within `cursorShareMs`.
 *
 * Natural batching: acknowledgements that come while some are being written are written together next.
 */
import { GrapevineError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { Clock, StateDb, Timer } from '../ports.ts'
import type { TopicLog } from '../store/topic-log.ts'
import type { FeedId, TopicName } from '../types.ts'
import { expandBody } from '../wire/compress.ts'
import { WireError } from '../wire/error.ts'
import type { Batch } from '../wire/head.ts'
import { openRecords } from '../wire/record.ts'
import { Cursor, type CursorState, parseCursorState } from './cursor.ts'

export interface CursorKeeperOptions {
  topic: TopicName
  name: string
  db: StateDb
  clock: Clock
  /** Publishes to the control topic; resolves when others have it, or may not have it soon. */
  share(name: string, state: CursorState): Promise<void>
}

/** An acknowledgement for which the cursor has no room before older records are acknowledged. */
interface Early {
  feed: FeedId
  index: number
  resolve(saved: Promise<void>): void
  reject(error: unknown): void
}

/** Feeds told of in one record, so that it stays far below the largest size. */
const feedsPerRecord = 1_000

export class CursorKeeper {
  readonly cursor = new Cursor()
  readonly #options: CursorKeeperOptions
  readonly #unsaved = new Set<FeedId>()
  readonly #unshared = new Set<FeedId>()
  #lastSave = Promise.resolve()
  #nextSave: Promise<void> | undefined
  #shareTimer: Timer | undefined
  #control: { log: TopicLog; offset: number; off: () => void } | undefined
  #following = Promise.resolve()
  /** By index. */
  #early: Early[] = []

  constructor(options: CursorKeeperOptions) {
    this.#options = options
  }

  /** Loads what this peer knows; false when the subscription is new here. */
  async load(): Promise<boolean> {
    const { db } = this.#options
    const prefix = this.#prefix()
    let known = false
    for await (const [, value] of db.iterator({ gte: prefix, lt: `${prefix}\uffff` })) {
      const state = parseCursorState(Buffer.from(value).toString())
      if (state === undefined) continue
      known = true
      this.cursor.merge(state)
    }
    return known
  }

  /** Takes over what other peers told, now and from now on; true when there was something of this name. */
  async follow(log: TopicLog): Promise<boolean> {
    this.#control = { log, offset: log.startOffset, off: () => {} }
    const known = await this.#readControl()
    this.#control.off = log.onChange(() => {
      this.#following = this.#following.then(() => this.#readControl().then(() => undefined)).catch(() => undefined)
    })
    return known
  }

  /** The record is done; resolves when that is saved. Waits for older ones where too many gaps are open (`ackRangesMax`). */
  ack(feed: FeedId, index: number): Promise<void> {
    if (!this.cursor.done(feed, index, index + 1)) {
      return new Promise((resolve, reject) => {
        const at = this.#early.findIndex((other) => other.index > index)
        this.#early.splice(at < 0 ? this.#early.length : at, 0, { feed, index, resolve, reject })
      })
    }
    this.#unsaved.add(feed)
    this.#unshared.add(feed)
    this.#shareTimer ??= this.#options.clock.after(limits.cursorShareMs, () => void this.#share())
    const saved = this.save()
    this.#takeEarly(feed, saved)
    return saved
  }

  /** Lowest first: the low-water mark may have come up to it. */
  #takeEarly(feed: FeedId, saved: Promise<void>): void {
    for (const early of this.#early.filter((each) => each.feed === feed)) {
      if (!this.cursor.done(feed, early.index, early.index + 1)) return
      this.#early.splice(this.#early.indexOf(early), 1)
      early.resolve(saved)
    }
  }

  /** Saves what is not saved yet; those who ask while a save runs share the next one. */
  save(): Promise<void> {
    this.#nextSave ??= this.#lastSave
      .catch(() => undefined)
      .then(() => {
        this.#nextSave = undefined
        const feeds = [...this.#unsaved]
        this.#unsaved.clear()
        this.#lastSave = this.#write(feeds).catch((error) => {
          for (const feed of feeds) this.#unsaved.add(feed)
          throw error
        })
        return this.#lastSave
      })
    return this.#nextSave
  }

  async close(): Promise<void> {
    this.#control?.off()
    await this.#following
    if (this.#unsaved.size > 0) await this.save()
    if (this.#shareTimer !== undefined) await this.#share()
    const error = new GrapevineError(
      'PeerClosed',
      'the subscription was closed before the acknowledgement was saved',
      {},
    )
    for (const early of this.#early.splice(0)) early.reject(error)
  }

  /** The subscription is new: where it began is saved before anything is delivered, and told. */
  async begin(): Promise<void> {
    for (const feed of this.cursor.feeds()) {
      this.#unsaved.add(feed)
      this.#unshared.add(feed)
    }
    await this.save()
    void this.#share()
  }

  async #share(): Promise<void> {
    this.#shareTimer?.cancel()
    this.#shareTimer = undefined
    const feeds = [...this.#unshared]
    this.#unshared.clear()
    const told: Promise<void>[] = []
    for (let at = 0; at === 0 || at < feeds.length; at += feedsPerRecord)
      told.push(this.#options.share(this.#options.name, this.cursor.state(feeds.slice(at, at + feedsPerRecord))))
    await Promise.all(told)
  }

  async #write(feeds: FeedId[]): Promise<void> {
    const prefix = this.#prefix()
    const puts = feeds.map((feed) => ({
      type: 'put' as const,
      key: `${prefix}${feed}`,
      value: Buffer.from(JSON.stringify(this.cursor.state([feed], Number.POSITIVE_INFINITY))),
    }))
    puts.push({ type: 'put', key: prefix, value: Buffer.from(JSON.stringify(this.cursor.state([]))) })
    await this.#options.db.batch(puts)
  }

  async #readControl(): Promise<boolean> {
    const control = this.#control
    let known = false
    while (control !== undefined) {
      const at = await control.log.at(control.offset)
      if (at === undefined) break
      if ('damaged' in at) {
        control.offset = at.nextOffset
        continue
      }
      const { head, body } = at.batch
      control.offset = at.offset + head.head.count
      for (const state of statesIn({ head, body }, this.#options.name)) {
        known = true
        for (const feed of this.cursor.merge(state)) this.#unsaved.add(feed)
      }
    }
    if (this.#unsaved.size > 0) void this.save().catch(() => undefined)
    return known
  }

  #prefix(): string {
    return `cursor/${this.#options.topic}/${this.#options.name}/`
  }
}

/** What a control batch says of this name; nothing where it is not what it should be. */
function statesIn({ head, body }: Batch, name: string): CursorState[] {
  try {
    const records = openRecords(expandBody(head.head, body), head.head.count)
    const states: CursorState[] = []
    for (let i = 0; i < records.count; i++) {
      const state = records.key(i) === name ? parseCursorState(Buffer.from(records.value(i)).toString()) : undefined
      if (state !== undefined) states.push(state)
    }
    return states
  } catch (error) {
    if (error instanceof WireError) return []
    throw error
  }
}
