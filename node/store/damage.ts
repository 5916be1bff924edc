/**
 * Damaged places: keeping their bytes aside, voiding them, and which of the batches at hand belong into one.
 *
 * A frame is a function of its batch and its offset. So a place is repaired when batches are at hand whose frames fill its
 * bytes and whose records fill its offsets exactly. They are taken from the runs of missing batches whose held
 * neighbours lie on either side of the place, each run from its beginning: whatever is chosen, feeds stay in order.
 */
import type { Disk, DiskFile } from '../ports.ts'
import type { FeedId } from '../types.ts'
import type { Batch } from '../wire/head.ts'
import type { Arrival, Region, Segment } from './arrival.ts'
import { frameBytes, frameHeaderBytes, voidOf } from './frame.ts'
import type { HeldFeed } from './held.ts'

const copyBytes = 1024 * 1024
/** Combinations tried for one place. More than some frames of some feeds in one place are left to `giveUp`. */
const triesMax = 10_000

export type Place = Pick<Region, 'segment' | 'position' | 'length'>

/** Copies a damaged place into the folder's `damaged/`; false when that fails. */
export async function keepAside(disk: Disk, folder: string, place: Place, file: DiskFile): Promise<boolean> {
  const copy = await disk.open(asidePath(folder, place.segment, place.position)).catch(() => undefined)
  if (copy === undefined) return false
  try {
    for (let done = 0; done < place.length; done += copyBytes) {
      const bytes = new Uint8Array(Math.min(copyBytes, place.length - done))
      const read = await file.read(bytes, place.position + done)
      await copy.write([bytes.subarray(0, read)], done)
    }
    await copy.truncate(place.length)
    await copy.sync()
    return true
  } catch {
    return false
  } finally {
    await copy.close().catch(() => {})
  }
}

/** Removes what was kept aside of a segment. */
export async function dropAside(disk: Disk, folder: string, { firstOffset }: Segment): Promise<void> {
  for (const name of await disk.list(`${folder}/damaged`)) {
    if (name.startsWith(`${firstOffset}-`)) await disk.remove(`${folder}/damaged/${name}`)
  }
}

function asidePath(folder: string, { firstOffset }: Segment, position: number): string {
  return `${folder}/damaged/${firstOffset}-${position}`
}

/** Makes later scans pass over the place; what ends a segment is cut. */
export async function writeVoid(file: DiskFile, region: Region): Promise<void> {
  const { segment, position, offset, nextOffset, tail } = region
  const length = tail ? frameHeaderBytes : region.length
  if (tail) await file.truncate(position)
  await file.write([voidOf(length, offset, nextOffset - offset)], position)
  if (tail) segment.bytes = position + length
}

/** Missing batches of one feed between two that are held. */
export interface Run {
  feed: FeedId
  first: number
  last: number
}

/** The runs that may have been in the place. */
export function runsAt(arrival: Arrival, region: Region, holesMax: number): Run[] {
  const runs: Run[] = []
  for (const [id, feed] of arrival.feeds) {
    for (const run of runsOf(feed, id, holesMax)) {
      const before = offsetOf(arrival, feed.row(run.first - 1)) ?? -1
      const after = offsetOf(arrival, feed.row(run.last + 1)) ?? Number.POSITIVE_INFINITY
      if (before < region.offset && region.offset < after) runs.push(run)
    }
  }
  return runs
}

function runsOf(feed: HeldFeed, id: FeedId, holesMax: number): Run[] {
  const runs: Run[] = []
  for (const seq of feed.holes(holesMax)) {
    const run = runs.at(-1)
    if (run?.last === seq - 1) run.last = seq
    else runs.push({ feed: id, first: seq, last: seq })
  }
  return runs
}

function offsetOf(arrival: Arrival, row: number | undefined): number | undefined {
  return row === undefined ? undefined : arrival.rows.firstOffset(row)
}

/** Whether a frame of this batch could be part of the place. */
export function fits(region: Region, batch: Batch): boolean {
  if (batch.head.head.count > region.nextOffset - region.offset) return false
  return region.tail || frameBytes(batch) <= region.length
}

/**
 * Batches that fill the place exactly, in order; undefined when these cannot. `ready` has, for each run, those
 * at hand without a gap from its beginning.
 */
export function fill(region: Region, ready: readonly (readonly Batch[])[]): Batch[] | undefined {
  let tries = 0
  const choose = (run: number, bytes: number, records: number): Batch[] | undefined => {
    if (records === 0) return bytes === 0 || (region.tail && bytes < 0) ? [] : undefined
    const batches = ready[run]
    if (batches === undefined || ++tries > triesMax) return undefined
    let [bytesLeft, recordsLeft] = [bytes, records]
    for (let count = 0; count <= batches.length; count++) {
      const rest = choose(run + 1, bytesLeft, recordsLeft)
      if (rest !== undefined) return [...batches.slice(0, count), ...rest]
      const next = batches[count]
      if (next === undefined) return undefined
      bytesLeft -= frameBytes(next)
      recordsLeft -= next.head.head.count
      if (recordsLeft < 0 || (bytesLeft < 0 && !region.tail)) return undefined
    }
    return undefined
  }
  return choose(0, region.length, region.nextOffset - region.offset)
}
