/**
 * Single batches asked for by name: those that damage took out of our logs, and those that may prove a fork.
 * Few and rare, so one want each, verified by its own signature, tried at one friend after the other.
 */
import { checkRange, type ForkProof, forkOf } from '../feed/chain.ts'
import type { Link } from '../host/link.ts'
import { limits } from '../limits.ts'
import type { Clock } from '../ports.ts'
import type { TopicLog } from '../store/topic-log.ts'
import type { FeedId, PeerId, TopicName } from '../types.ts'
import { WireError } from '../wire/error.ts'
import { encodeFrame, type FrameOf } from '../wire/frame.ts'
import { type Batch, headSigned, openHead } from '../wire/head.ts'
import { PartialBatch } from './partial.ts'

interface Asked {
  log: TopicLog
  feed: FeedId
  seq: number
  peer: PeerId
  why: 'hole' | 'fork'
  since: number
  partial: PartialBatch | undefined
}

export interface RepairOptions {
  clock: Clock
  onFork(log: TopicLog, proof: ForkProof): void
  friendsOf(topic: TopicName): Link[]
}

/** Wants of this kind in flight: each may bring a largest body. */
const askedMax = 8
/** Their ids begin here, so that they are never those of the scheduler's wants. */
const firstId = 2 ** 31

export class Repair {
  readonly #options: RepairOptions
  readonly #asked = new Map<number, Asked>()
  /** Whom to ask next for a hole that the friends before did not have. */
  readonly #turn = new Map<string, number>()
  #lastId = firstId

  constructor(options: RepairOptions) {
    this.#options = options
  }

  /** Asks for what is missing, drops what stalled, and lets readers go on where nobody has it. */
  tend(log: TopicLog): void {
    const now = this.#options.clock.now()
    for (const [id, asked] of this.#asked) if (now - asked.since > limits.stallMs) this.#asked.delete(id)
    // Also where nothing is known to be missing: its batches may have come at the end of the log.
    void log.giveUp(now).catch(() => undefined)
    const holes = log.holes()
    if (holes.length === 0) return
    const friends = this.#options.friendsOf(log.topic)
    for (const { feed, seq } of holes) {
      if (friends.length === 0 || this.#asked.size >= askedMax) break
      if (this.#isAsked(log, feed, seq)) continue
      const key = `${feed}/${seq}`
      const turn = this.#turn.get(key) ?? 0
      this.#turn.set(key, turn + 1)
      const link = friends[turn % friends.length]
      if (link !== undefined) this.#ask(link, log, feed, seq, 'hole')
    }
  }

  /** A friend has another newest head than we have at the same number. */
  probe(link: Link, log: TopicLog, feed: FeedId, seq: number): void {
    if (this.#asked.size < askedMax && !this.#isAsked(log, feed, seq)) this.#ask(link, log, feed, seq, 'fork')
  }

  onLost(peer: PeerId): void {
    for (const [id, asked] of this.#asked) if (asked.peer === peer) this.#asked.delete(id)
  }

  /** These take the frames that answer our wants, and say whether it was one. */
  onBatchFrame(peer: PeerId, frame: FrameOf<'batch'>): boolean {
    if (frame.id < firstId) return false
    const asked = this.#asked.get(frame.id)
    if (asked?.peer !== peer) return true
    const head = openHead(frame.head)
    const { seq, bodyBytes, topic } = head.head
    if (
      head.feed !== asked.feed ||
      seq !== asked.seq ||
      topic !== asked.log.topic ||
      bodyBytes > limits.bodyBytesMax ||
      frame.body.length > bodyBytes
    ) {
      throw new WireError('a batch that was not asked for')
    }
    asked.partial = new PartialBatch(head)
    asked.partial.add(frame.body)
    asked.since = this.#options.clock.now()
    return true
  }

  onChunkFrame(peer: PeerId, frame: FrameOf<'chunk'>): boolean {
    if (frame.id < firstId) return false
    const asked = this.#asked.get(frame.id)
    if (asked?.peer !== peer) return true
    if (asked.partial === undefined) throw new WireError('a piece of no body')
    asked.partial.add(frame.body)
    asked.since = this.#options.clock.now()
    return true
  }

  onEndFrame(peer: PeerId, frame: FrameOf<'end'>): boolean {
    if (frame.id < firstId) return false
    const asked = this.#asked.get(frame.id)
    if (asked?.peer !== peer) return true
    this.#asked.delete(frame.id)
    const whole = asked.partial?.whole
    if (whole !== undefined) void this.#onWhole(asked, whole).catch(() => undefined)
    return true
  }

  async #onWhole(asked: Asked, batch: Batch): Promise<void> {
    const { log, feed, seq, why } = asked
    if (!headSigned(batch.head)) return
    if (why === 'fork') {
      const held = await log.head(feed, seq)
      const proof = held && forkOf(held, batch.head)
      if (proof !== undefined) this.#options.onFork(log, proof)
      return
    }
    if (!checkRange(undefined, [batch]).ok || !(await this.#fits(log, batch))) return
    if (await log.repair(batch)) this.#turn.delete(`${feed}/${seq}`)
  }

  /** It has to name the batch before it, and the one after it has to name it: of a fork somebody may hold another. Of a run of holes the first comes first. */
  async #fits(log: TopicLog, { head }: Batch): Promise<boolean> {
    const { feed } = head
    const { seq, prev } = head.head
    const [before, after] = [await log.head(feed, seq - 1), await log.head(feed, seq + 1)]
    if (before !== undefined && Buffer.compare(prev, before.hash) !== 0) return false
    if (after !== undefined) return Buffer.compare(after.head.prev, head.hash) === 0
    return before !== undefined || !log.holes().some((hole) => hole.feed === feed && hole.seq === seq - 1)
  }

  #isAsked(log: TopicLog, feed: FeedId, seq: number): boolean {
    for (const asked of this.#asked.values())
      if (asked.log === log && asked.feed === feed && asked.seq === seq) return true
    return false
  }

  #ask(link: Link, log: TopicLog, feed: FeedId, seq: number, why: Asked['why']): void {
    const id = ++this.#lastId
    this.#asked.set(id, { log, feed, seq, peer: link.peer, why, since: this.#options.clock.now(), partial: undefined })
    link.send(encodeFrame({ type: 'want', id, topic: log.topic, feed, from: seq, to: seq, budget: limits.wantBytes }))
  }
}
