/**
 * Opening a log: what a finished segment holds its index tells, every other segment is read through, and what does not hold is judged.
 * (Whether what an index tells of still holds is looked at later: `scrub.ts`.)
 *
 * - Zeros that end a segment are room that was taken ahead, cut off.
 * - What ends the last segment is a write that was under way: a torn end, cut off.
 * - Frames of a failed write that could not be cut then (the next segment goes on with their offsets) are cut now.
 * - Anything else is a damaged place. Its bytes are kept in `damaged/`, and it waits for its batches, unless none that
 *   we know to be missing can have been there: then it is voided at once.
 *
 * A disk that cannot be read rejects; it never counts as damage, so nothing is cut or voided on its word.
 */
import { limits } from '../limits.ts'
import type { Disk, DiskFile } from '../ports.ts'
import type { FeedId, TopicName } from '../types.ts'
import { headSigned } from '../wire/head.ts'
import type { Arrival, Entry, Region, Segment } from './arrival.ts'
import { keepAside, runsAt, writeVoid } from './damage.ts'
import type { OpenFiles } from './files.ts'
import { indexPathOf, segmentPath, segmentsOf } from './folder.ts'
import { fileHeader, fileHeaderBytes, frameHeaderBytes, headIn } from './frame.ts'
import type { HeldFeed } from './held.ts'
import type { FeedMark } from './marks.ts'
import { type Accept, scanSegment } from './scan.ts'
import { dropIndex, readIndex } from './segment-index.ts'
import type { DamageFound } from './topic-log.ts'

/** Numbers of one feed that are further apart than this in an index are not taken from it: whether there may be so many between is for its frames to say. */
const jumpMax = 2 ** 20
/** Segments that are opened at a time: that takes longer than going through what an index tells. */
const segmentsAtOnce = 8

export interface Recovery {
  topic: TopicName
  folder: string
  disk: Disk
  files: OpenFiles
  arrival: Arrival
  marks: ReadonlyMap<FeedId, FeedMark>
  now: number
}

/** A segment before it is gone through. */
interface Opened extends Recovery {
  segment: Segment
  size: number
  /** First offset of the next segment. */
  bound: number | undefined
  /** What its index tells, if there is one that can be believed. */
  entries: (() => Iterable<Entry>) | undefined
}

interface Reading extends Opened {
  file: DiskFile
}

interface BadPlace {
  position: number
  length: number
  offset: number
  /** Offset of what follows; undefined where nothing does. */
  nextOffset: number | undefined
}

/** Fills the arrival log from disk; resolves with the damage found. Rejects with the disk's own errors. */
export async function recover(recovery: Recovery): Promise<DamageFound[]> {
  const { arrival, disk, folder, marks } = recovery
  const found: DamageFound[] = []
  const segments = (await segmentsOf(disk, folder)).map(({ firstOffset, hasIndex: indexed }, id): Segment => {
    return { id, path: segmentPath(folder, firstOffset), firstOffset, bytes: 0, newest: 0, indexed }
  })
  for (let id = 0; id < segments.length; id += segmentsAtOnce) {
    const some = segments.slice(id, id + segmentsAtOnce)
    const opened = some.map((segment, i) => open(recovery, segment, segments[id + i + 1]?.firstOffset))
    for (const segment of await Promise.all(opened)) found.push(...(await take(segment)))
  }
  for (const [id, mark] of marks) applyMark(arrival, id, mark)
  for (const region of arrival.regions) {
    if (region.saved && runsAt(arrival, region, limits.holesMax).length === 0) await voidNow(recovery, region)
  }
  return found
}

async function open(recovery: Recovery, segment: Segment, bound: number | undefined): Promise<Opened> {
  const { disk, files } = recovery
  const size = await files.use(segment.path, (file) => file.size())
  const finished = segment.indexed && bound !== undefined
  const entries = finished ? await readIndex(disk, indexPathOf(segment.path), size) : undefined
  return { ...recovery, segment, size, bound, entries }
}

/** Goes through one segment, by its index if that fits. */
async function take(opened: Opened): Promise<DamageFound[]> {
  const { arrival, disk, files, segment, size, bound } = opened
  arrival.segments.push(segment)
  arrival.endOffset = Math.max(arrival.endOffset, segment.firstOffset)
  segment.bytes = size
  if (takeIndexed(opened)) return []
  if (segment.indexed) await dropIndex(disk, segment)
  segment.indexed = false
  return files.use(segment.path, async (file) => {
    const reading = { ...opened, file }
    const found: DamageFound[] = []
    for (const place of await readThrough(reading)) found.push(await judge(reading, place))
    // Whoever wrote the end may have been killed before it was synced: it counts as held from now on.
    if (bound === undefined && size > 0) await file.sync()
    return found
  })
}

async function readThrough(reading: Reading): Promise<BadPlace[]> {
  const { arrival, segment, file, size, marks } = reading
  const bad: BadPlace[] = []
  let open: BadPlace | undefined
  for await (const place of scanSegment(file, size, acceptFor(reading))) {
    if (place.kind === 'padding') continue
    if (place.kind === 'room') {
      await file.truncate(place.position)
      segment.bytes = place.position
      continue
    }
    if (place.kind === 'bad') {
      open = { position: place.position, length: place.length, offset: arrival.endOffset, nextOffset: undefined }
      bad.push(open)
      continue
    }
    if (open !== undefined) open.nextOffset = Math.max(open.offset, place.offset)
    open = undefined
    if (place.kind === 'batch') arrival.add({ ...place, segment }, marks.get(place.head.feed)?.floor)
    else arrival.endOffset = Math.max(arrival.endOffset, place.offset + place.records)
  }
  const { bound } = reading
  if (open !== undefined) open.nextOffset = bound
  else if (bound !== undefined && arrival.endOffset < bound)
    // Cut where a frame ended, perhaps by us: nothing that is there is bad, but what was there belongs there.
    bad.push({ position: segment.bytes, length: 0, offset: arrival.endOffset, nextOffset: bound })
  return bad
}

/** Takes what the segment's index tells, if it fits. */
function takeIndexed(opened: Opened): boolean {
  const { segment, entries, arrival, marks } = opened
  if (entries === undefined || !fit(opened, entries())) return false
  for (const entry of entries()) {
    const { head, position, length, offset } = entry
    if (head === undefined) arrival.follow(arrival.feeds.get(entry.feed) as HeldFeed, segment, entry)
    else arrival.add({ segment, position, length, offset, head }, marks.get(entry.feed)?.floor)
  }
  return true
}

/** Whether all of an index is what the frames themselves would be taken for: what was before them may be gone, or here in another place. */
function fit({ arrival, topic, bound = 0, marks }: Opened, entries: Iterable<Entry>): boolean {
  const newest = new Map<FeedId, number>()
  let end = arrival.endOffset
  for (const { head, feed, seq, offset, count } of entries) {
    const held = arrival.feeds.get(feed)
    const last = newest.get(feed) ?? held?.last
    if (offset < end || offset + count > bound) return false
    if (head === undefined && last !== seq - 1) return false
    if (head !== undefined && (head.head.topic !== topic || !canTake(held, seq, marks.get(feed)))) return false
    if (last !== undefined && Math.abs(seq - last) > jumpMax) return false
    newest.set(feed, Math.max(seq, last ?? 0))
    end = offset + count
  }
  return true
}

/** Whether a frame that holds belongs into this log, here. */
function acceptFor({ arrival, topic, bound, size, marks }: Opened): Accept {
  // After damage an offset may have jumped, by the records that fit the file at most.
  const offsetsMax = Math.ceil(size / frameHeaderBytes) * limits.batchRecordsMax
  return (header, frame, resumed) => {
    const signed = headIn(frame.subarray(frameHeaderBytes, frameHeaderBytes + header.headBytes))
    if (signed === undefined || signed.head.topic !== topic || signed.head.bodyBytes !== header.bodyBytes)
      return undefined
    const end = header.firstOffset + signed.head.count
    if (header.firstOffset < arrival.endOffset || end > (bound ?? Number.MAX_SAFE_INTEGER)) return undefined
    if (resumed && (header.firstOffset - arrival.endOffset > offsetsMax || !headSigned(signed))) return undefined
    const { feed, head } = signed
    return canTake(arrival.feeds.get(feed), head.seq, marks.get(feed)) ? signed : undefined
  }
}

function canTake(feed: HeldFeed | undefined, seq: number, mark: FeedMark | undefined): boolean {
  if (feed === undefined) return true
  return (mark?.floor === seq || feed.reaches(seq)) && feed.row(seq) === undefined
}

async function judge(reading: Reading, bad: BadPlace): Promise<DamageFound> {
  const { topic, segment, file, arrival, now, disk, folder } = reading
  const found = (kind: DamageFound['kind']): DamageFound => {
    return { topic, file: segment.path, position: bad.position, bytes: bad.length, kind }
  }
  const tail = bad.position + bad.length === segment.bytes
  const nothingLost = bad.nextOffset === bad.offset
  const torn = tail && (bad.nextOffset === undefined || nothingLost)
  // A torn end is what never was confirmed; a whole file of it, or what a later segment overtook, may be more.
  const nothingKept = bad.length === 0 || (torn && !nothingLost && bad.position > 0)
  const saved = nothingKept || (await keepAside(disk, folder, { segment, ...bad }, file))
  if (torn && saved) {
    await file.truncate(bad.position)
    segment.bytes = bad.position
  }
  const newHeader = bad.position === 0 && saved && (bad.length >= fileHeaderBytes || tail)
  const begin = newHeader ? fileHeaderBytes : bad.position || Math.min(bad.length, fileHeaderBytes)
  if (newHeader) {
    await file.write([fileHeader()], 0)
    segment.bytes = Math.max(segment.bytes, fileHeaderBytes)
  }
  await file.sync()
  if (torn) return found('torn-end')
  const length = Math.max(0, bad.position + bad.length - begin)
  const { offset, nextOffset = offset } = bad
  const region: Region = { segment, position: begin, length, offset, nextOffset, tail, since: now, saved }
  // Of an emptied segment nothing is left to be kept, but what was in it belongs there.
  if ((length > 0 || tail) && !nothingLost) arrival.addRegion(region)
  else if (length > 0 && saved) await writeVoid(file, region)
  return found('damaged')
}

async function voidNow({ arrival, files }: Recovery, region: Region): Promise<void> {
  await files.use(region.segment.path, (file) => writeVoid(file, region))
  arrival.removeRegion(region)
}

/** A feed whose batches retention dropped, all of them, is still known: else it would be fetched again. */
function applyMark(arrival: Arrival, id: FeedId, mark: FeedMark): void {
  if (arrival.feeds.has(id) || mark.hash === '') return
  const { floor, nextIndex, author, started } = mark
  const hash = new Uint8Array(Buffer.from(mark.hash, 'hex'))
  arrival.begin({ id, floor, last: floor - 1, hash, nextIndex, author, started })
}
