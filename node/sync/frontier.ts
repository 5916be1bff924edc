/**
 * Comparing frontiers cheaply: pure. A feed's mark is the start of the hash of its newest head, so it says which feed, how far, and which
 * branch of a fork; a print is the xor of marks, over a topic or over the feeds of one of 256 buckets (first byte of the feed id).
 * Feeds known to be forked are in no print: each peer stopped somewhere else in them, and those who know it have nothing to tell each other.
 */
import type { FeedRange } from '../store/topic-log.ts'
import type { FeedId } from '../types.ts'
import { bucketCount, type FrontierEntry, markBytes } from '../wire/frame.ts'

type Feeds = ReadonlyMap<FeedId, FeedRange>

/** Shared by all topics that nothing has come to. */
const emptyPrint: Readonly<Uint8Array> = new Uint8Array(markBytes)

/** One 8-byte print over all feeds; not to be written to. */
export function printOf(feeds: Feeds): Uint8Array {
  if (feeds.size === 0) return emptyPrint
  const print = new Uint8Array(markBytes)
  for (const { forked, hash } of feeds.values()) if (!forked) mixIn(print, 0, hash)
  return print
}

/** 256 prints, one after the other. */
export function bucketPrints(feeds: Feeds): Uint8Array {
  const prints = new Uint8Array(bucketCount * markBytes)
  for (const [feed, { forked, hash }] of feeds) if (!forked) mixIn(prints, bucketOf(feed) * markBytes, hash)
  return prints
}

/** The buckets in which two lists of prints differ, as a set of 256 bits. */
export function differingBuckets(mine: Uint8Array, theirs: Uint8Array): Uint8Array {
  const set = new Uint8Array(bucketCount / 8)
  for (let bucket = 0; bucket < bucketCount; bucket++) {
    const at = bucket * markBytes
    if (Buffer.compare(mine.subarray(at, at + markBytes), theirs.subarray(at, at + markBytes)) !== 0) {
      set[bucket >> 3] = (set[bucket >> 3] ?? 0) | (1 << (bucket & 7))
    }
  }
  return set
}

/** Our frontier, of the given buckets or (empty set) of all. */
export function entriesOf(feeds: Feeds, buckets: Uint8Array): FrontierEntry[] {
  const entries: FrontierEntry[] = []
  for (const [feed, { base, last, hash }] of feeds) {
    if (inBuckets(feed, buckets)) entries.push({ feed, base, last, mark: hash.subarray(0, markBytes) })
  }
  return entries
}

/** Of our frontier, what a friend that told `theirs` does not have. */
export function entriesAhead(feeds: Feeds, buckets: Uint8Array, theirs: ReadonlyMap<FeedId, number>): FrontierEntry[] {
  return entriesOf(feeds, buckets).filter((entry) => entry.last > (theirs.get(entry.feed) ?? 0))
}

export function samePrint(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}

function inBuckets(feed: FeedId, buckets: Uint8Array): boolean {
  if (buckets.length === 0) return true
  const bucket = bucketOf(feed)
  return ((buckets[bucket >> 3] ?? 0) & (1 << (bucket & 7))) !== 0
}

function bucketOf(feed: FeedId): number {
  return Number.parseInt(feed.slice(0, 2), 16)
}

function mixIn(print: Uint8Array, at: number, hash: Uint8Array): void {
  for (let i = 0; i < markBytes; i++) print[at + i] = (print[at + i] ?? 0) ^ (hash[i] ?? 0)
}
