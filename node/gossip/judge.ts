/**
 * What to do with a head heard by gossip: pure. `reject` is for what cannot be right whatever we know, and counts against
 * the friend that passed it on; `ignore` is for what we cannot judge or do not want; both are not passed on.
 */
import type { FeedRange } from '../store/topic-log.ts'
import { headSigned, type SignedHead } from '../wire/head.ts'

export type HeadVerdict =
  /** We have it: pass it on. */
  | 'held'
  /** The body is here and it is next in its feed, after what is being stored: store it if it verifies, then pass it on. */
  | 'store'
  /** Fetch up to it from the friend we heard it from, then pass it on. */
  | 'fetch'
  /** Fetch it, but do not hold the message back for it: there is too much to fetch before it. */
  | 'later'
  | 'ignore'
  | 'reject'

export interface HeadInput {
  head: SignedHead
  topic: string
  hasBody: boolean
  range: FeedRange | undefined
  /** Newest batch of the feed that has come and is being stored; 0 where none is. */
  arriving: number
  carried: boolean
  /** It came from its author, on a connection that proves it, and is passed on to nobody. */
  isAuthors: boolean
  /** Messages held back already. */
  pending: number
}

/**
 * Batches behind a head up to which it is held back until they are here, and behind our tip up to which it is still news;
 * gossipsub forgets it after some seconds anyway.
 */
export const nearBatches = 200

export function judgeHead(
  { head, topic, hasBody, range, arriving, carried, isAuthors, pending }: HeadInput,
  pendingMax: number,
): HeadVerdict {
  const { seq } = head.head
  const last = range?.last ?? 0
  const isNext = hasBody && seq === Math.max(last, arriving) + 1
  if (head.head.topic !== topic) return 'reject'
  // What an author sends while its last batch is being stored is stored together, and then the last signature speaks for all of it.
  if (!(isAuthors && isNext) && !headSigned(head)) return 'reject'
  if (!carried || range?.forked) return 'ignore'
  // One from long ago is a replay: passed on once more by everybody, it would cost the whole mesh what it costs its sender.
  if (last - seq > nearBatches) return 'ignore'
  if (seq < last) return 'held'
  // Another head at our own tip is a fork: not passed on, but kept as proof by the room that stores.
  if (seq === last) return Buffer.compare(range?.hash ?? head.hash, head.hash) === 0 ? 'held' : 'store'
  if (pending >= pendingMax || seq - last > nearBatches) return 'later'
  return isNext ? 'store' : 'fetch'
}
