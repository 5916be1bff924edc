/** What the store promises the rooms above: a topic's arrival log, and how damage in it is told. */
import { createHash } from 'node:crypto'
import type { ForkProof } from '../feed/chain.ts'
import { limits } from '../limits.ts'
import type { FeedId, PeerId, TopicName } from '../types.ts'
import type { Batch, SignedHead } from '../wire/head.ts'
import { parseTopic } from '../wire/topic.ts'

/** What is held of a feed. A live view: it changes with the log, but only once that is durable. */
export interface FeedRange {
  /** Lowest number that retention has left, held or lost to damage; `last + 1` when it has dropped them all. */
  readonly base: number
  readonly last: number
  /** Of head `last`. */
  readonly hash: Uint8Array
  /** Index of the first record to come. */
  readonly nextIndex: number
  readonly author: PeerId
  readonly forked: boolean
  readonly started: number
}

export interface StoredBatch {
  /** Number in the arrival order now; rises and falls as damage before it is repaired or found. */
  row: number
  /** Of its first record. */
  offset: number
  batch: Batch
}

/** A damaged place that awaits its repair. Readers wait for a change, or go on at `nextOffset`. */
export interface Damage {
  damaged: true
  nextOffset: number
}

/** `torn-end`: an unfinished write at the end of a log, cut off. `file` is relative to the data folder. */
export interface DamageFound {
  topic: TopicName
  file: string
  position: number
  bytes: number
  kind: 'torn-end' | 'damaged'
}

export type DamageEvent =
  | ({ type: 'damage-found' } & DamageFound)
  | { type: 'damage-repaired'; topic: TopicName; feed: FeedId; seq: number }
  | { type: 'damage-lost'; topic: TopicName; file: string; bytes: number }

/** What is told on these topics is soon over: their segments are small, so that old ones can go. Control topics of groups, questions, answers. */
const passing = ['$groups.', '$requests.', '$replies.'] as const
export type PassingKind = (typeof passing)[number]

export function passingKindOf(topic: TopicName): PassingKind | undefined {
  return passing.find((prefix) => topic.startsWith(prefix))
}

/** A topic of this kind, one for each `name`. */
export function passingTopicOf(kind: PassingKind, name: string): TopicName {
  // A topic of our own has a topic of its own too: only the first character of a name may be a $.
  const full = `${kind}${name.replace('$', '-')}`
  const short = full.length <= limits.topicBytesMax ? full : `${kind}${createHash('sha256').update(name).digest('hex')}`
  return parseTopic(short, { own: true })
}

export interface RetentionRule {
  /** Segments whose newest batch is older go. */
  maxAgeMs?: number
  /** Oldest segments go while the log is larger. */
  maxBytes?: number
  /** Segments that end there or before go. */
  beforeOffset?: number
  /** Whatever else the rule says, what lies there or behind it stays. */
  keepFrom?: number
}

export interface TopicLog {
  readonly topic: TopicName
  readonly feeds: ReadonlyMap<FeedId, FeedRange>
  readonly startOffset: number
  /** Offset the next record gets. */
  readonly endOffset: number
  readonly batches: number
  readonly records: number
  /** On disk. */
  readonly bytes: number
  /** How often it has changed: what `onChange` tells of. */
  readonly changes: number
  /** Whether batches are on their way to the disk, and not visible yet. */
  readonly isWriting: boolean
  /**
   * Stores batches, each later than those before it in its feed (asserted). A feed may begin anywhere, and may go on after a
   * gap: what lies between counts as removed by retention and is not asked for any more, nor is what came before. Resolves when
   * they are durable; everything that waits shares one sync. Rejects with `StorageFull` or `StorageFailed`, and then
   * nothing of the failed group, nor of what was waiting behind it, is or becomes visible.
   */
  append(batches: readonly Batch[]): Promise<void>
  /** Rejects with `StorageFailed` when the disk cannot be read; a damaged batch is not there. */
  read(feed: FeedId, seq: number): Promise<Batch | undefined>
  head(feed: FeedId, seq: number): Promise<SignedHead | undefined>
  /** Offset of the batch's first record, where it is here. */
  offsetOf(feed: FeedId, seq: number): number | undefined
  /** The batch that holds this offset, or the next one where retention or lost damage left a gap; undefined at the end. */
  at(offset: number): Promise<StoredBatch | Damage | undefined>
  /** Offset of the first batch whose newest record may be at or after `time` (ms). */
  offsetAt(time: number): number
  /** Batches lost to damage, to be fetched again; at most `limits.holesMax`. */
  holes(): { feed: FeedId; seq: number }[]
  /**
   * Takes a verified batch for one of the holes. It goes back to its old place and offset when all batches of that place are
   * at hand; where that is not possible any more it is appended. False when there is no such hole.
   */
  repair(batch: Batch): Promise<boolean>
  /** Voids damage older than `limits.repairWaitMs`, so that readers go on; resolves with the number of places. */
  giveUp(now: number): Promise<number>
  /** Stops a feed for good; survives restarts, like its proof. */
  markForked(proof: ForkProof): Promise<void>
  /** The proof that this feed is forked, where that is known. */
  fork(feed: FeedId): Promise<ForkProof | undefined>
  /** Drops whole segments from the oldest, never the one being written; resolves with the number of batches dropped. */
  retain(rule: RetentionRule, now: number): Promise<number>
  /** Calls `act` after every durable append, repair, give-up and discovery of damage; returns how to stop that. */
  onChange(act: () => void): () => void
  /** Finishes what is being written. */
  close(): Promise<void>
}
