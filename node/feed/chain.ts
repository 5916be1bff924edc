/**
 * What makes batches a feed: each is the next in number, goes on with the indices, names the hash of the one before and has
 * the body its head describes; the newest is signed, and vouches for the others through the hashes (G6). Pure functions.
 *
 * A feed that holds two different heads under one number is forked: its author broke the rule, since a range that does not
 * connect can be any friend's doing but two signed heads can not. Both are kept as the proof.
 */
import type { FeedId } from '../types.ts'
import { sameBytes, sha256 } from '../wire/bytes.ts'
import { type Batch, type Head, headSigned, type SignedHead } from '../wire/head.ts'

/** The newest batch held of a feed. */
export interface Tip {
  readonly seq: number
  readonly hash: Uint8Array
  /** Index of the first record to come. */
  readonly nextIndex: number
}

/**
 * `feed`: from another feed than the first; `order`: not the next in number; `index`: records left out or counted twice; `chain`: does not
 * name the head before; `signature`: not signed by the author; `body`: not the body the head describes.
 */
export type RangeFault = 'feed' | 'order' | 'index' | 'chain' | 'signature' | 'body'
/** `at` is the position in the range. */
export type RangeVerdict = { ok: true } | { ok: false; reason: RangeFault; at: number }

export interface ForkProof {
  readonly feed: FeedId
  readonly seq: number
  /** In the order of their hashes, so that everyone has the same proof. */
  readonly a: SignedHead
  readonly b: SignedHead
}

const beginning: Tip = { seq: 0, hash: new Uint8Array(32), nextIndex: 0 }

/**
 * Judges consecutive batches of one feed that are to follow `tip`. Without a tip they may begin anywhere, since retention may have
 * removed what came before; then nothing vouches for what the first says of its predecessor. Cheap checks first: bodies are hashed
 * only when the heads connect and the last one is signed. That signature speaks for all heads before it and for their signatures,
 * since `prev` hashes both: only the author can have put an unsigned head into the chain.
 */
export function checkRange(tip: Tip | undefined, batches: readonly Batch[]): RangeVerdict {
  const first = batches[0]
  if (first === undefined) return { ok: true }
  let before = tip ?? startOf(first.head.head)
  for (const [at, { head }] of batches.entries()) {
    const reason = head.feed === first.head.feed ? linkFault(before, head.head) : 'feed'
    if (reason !== undefined) return { ok: false, reason, at }
    before = tipOf(head)
  }
  const last = batches.length - 1
  if (!headSigned((batches[last] as Batch).head)) return { ok: false, reason: 'signature', at: last }
  const at = batches.findIndex((batch) => !bodyMatches(batch))
  return at < 0 ? { ok: true } : { ok: false, reason: 'body', at }
}

/** The tip of a feed that ends with this head. */
export function tipOf({ head, hash }: SignedHead): Tip {
  return { seq: head.seq, hash, nextIndex: head.firstIndex + head.count }
}

/** The proof that a feed is forked, if these two heads are one. */
export function forkOf(a: SignedHead, b: SignedHead): ForkProof | undefined {
  if (a.feed !== b.feed || a.head.seq !== b.head.seq) return undefined
  const order = Buffer.compare(a.hash, b.hash)
  if (order === 0 || !headSigned(a) || !headSigned(b)) return undefined
  return { feed: a.feed, seq: a.head.seq, a: order < 0 ? a : b, b: order < 0 ? b : a }
}

/** What a first batch must follow when nothing is held: the beginning of the feed, or whatever it says itself. */
function startOf(head: Head): Tip {
  return head.seq === 1 ? beginning : { seq: head.seq - 1, hash: head.prev, nextIndex: head.firstIndex }
}

function linkFault(before: Tip, head: Head): RangeFault | undefined {
  if (head.seq !== before.seq + 1) return 'order'
  if (!sameBytes(head.prev, before.hash)) return 'chain'
  if (head.firstIndex !== before.nextIndex) return 'index'
  return undefined
}

/** Whether this is the body that the head describes. */
export function bodyMatches({ head, body }: Batch): boolean {
  return body.length === head.head.bodyBytes && sameBytes(sha256(body), head.head.bodyHash)
}
