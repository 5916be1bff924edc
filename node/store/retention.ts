/** Dropping what is old: whole segments, so that nothing has to be rewritten. */
import { limits } from '../limits.ts'
import type { Disk } from '../ports.ts'
import type { FeedId } from '../types.ts'
import type { Arrival, Segment } from './arrival.ts'
import { dropAside } from './damage.ts'
import type { OpenFiles } from './files.ts'
import { indexPathOf } from './folder.ts'
import type { FeedMark, Marks } from './marks.ts'
import { storageError } from './tail.ts'
import type { RetentionRule } from './topic-log.ts'

export interface RetentionParts {
  folder: string
  disk: Disk
  files: OpenFiles
}

/** How many of the oldest segments the rule lets go; never the one being written. */
export function outlived(arrival: Arrival, rule: RetentionRule, now: number): number {
  const { maxAgeMs, maxBytes, beforeOffset, keepFrom = arrival.endOffset } = rule
  const { segments } = arrival
  let { bytes } = arrival
  let count = 0
  for (const [i, segment] of segments.slice(0, -1).entries()) {
    const old = maxAgeMs !== undefined && segment.newest < now - maxAgeMs
    const end = (segments[i + 1] as Segment).firstOffset
    if (end > keepFrom) break
    const past = beforeOffset !== undefined && end <= beforeOffset
    if (!old && !past && !(maxBytes !== undefined && bytes > maxBytes)) break
    bytes -= segment.bytes
    count++
  }
  return count
}

/**
 * Forgets the oldest `count` segments at once, then removes their files. What is dropped is marked first: if that fails, or
 * the process ends in between, the segments are simply back when the log is opened again.
 */
export async function dropSegments(
  { disk, files, folder }: RetentionParts,
  arrival: Arrival,
  marks: Marks,
  count: number,
): Promise<void> {
  const dropped = arrival.segments.slice(0, count)
  const touched = arrival.dropSegments(count)
  const forgotten = arrival.forgetEmptied(limits.emptiedFeedsMax)
  const floors = touched.map(({ id, floor, base, last, hash, nextIndex, author, started }): [FeedId, FeedMark] => {
    const tip = base > last ? Buffer.from(hash).toString('hex') : ''
    return [id, { floor, hash: tip, nextIndex, author, started }]
  })
  try {
    await marks.setFeeds(floors)
    await marks.dropFeeds(forgotten)
    for (const segment of dropped) {
      // Whoever still reads it had opened it; afterwards opening it would make a new, empty one.
      await files.close(segment.path)
      await disk.remove(indexPathOf(segment.path))
      await disk.remove(segment.path)
      await dropAside(disk, folder, segment)
    }
  } catch (error) {
    throw storageError(error, folder)
  }
}
