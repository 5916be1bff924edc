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

/** Whether nobody wants any of a batch, by its place alone. */
export function isPast({ skip }: Start, feed: FeedId, seq: number): boolean {
  return seq <= (skip[feed] ?? 0)
}

/** Of a feed that was there when the group came to stand here, the exact place is known; the time is for the others. */
export function isWanted(start: Start, { feed, seq, time }: Placed): boolean {
  return !isPast(start, feed, seq) && (start.since === 0 || start.skip[feed] !== undefined || time >= start.since)
}
