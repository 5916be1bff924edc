/** Where a group stands in its topic: how that is found, and which records it leaves out. */
import { Cursor } from '../topic/cursor.ts'
import type { FeedId, GroupPosition } from '../types.ts'
import type { Start } from './notice.ts'

/** What the position of a record is judged by. */
export interface Placed {
  feed: FeedId
  /** Number of its batch. */
  seq: number
  /** When it was published. */
  time: number
}

/** `latest` is what a new subscription would leave out, by its place or by its time. */
export async function startAt(position: GroupPosition, latest: (cursor: Cursor) => Promise<void>): Promise<Start> {
  if (position === 'earliest') return { since: 0, skip: {} }
  if (position !== 'latest') return { since: Math.max(0, position.getTime()), skip: {} }
  const cursor = new Cursor()
  await latest(cursor)
  const { since, feeds } = cursor.state()
  return { since, skip: Object.fromEntries(Object.entries(feeds).map(([feed, { skip }]) => [feed as FeedId, skip])) }
}

/**
 * From when on a group wants records of this batch, which is all a single one is asked for then: `Infinity` for none of it. Of a feed that was there when
 * the group came to stand here, the exact place is known; the time is for the others.
 */
export function wantedSince({ since, skip }: Start, feed: FeedId, seq: number): number {
  const place = skip[feed]
  if (place === undefined) return since
  return seq <= place ? Number.POSITIVE_INFINITY : 0
}

export function isWanted(start: Start, { feed, seq, time }: Placed): boolean {
  return time >= wantedSince(start, feed, seq)
}
