/**
 * Opening a log: every segment is read through, what holds is indexed, and what does not is judged.
 *
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
import { headSigned, openHead, type SignedHead } from '../wire/head.ts'
import type { Arrival, Region, Segment } from './arrival.ts'
import { keepAside, runsAt, writeVoid } from './damage.ts'
import type { OpenFiles } from './files.ts'
import { segmentPath, segmentsOf } from './folder.ts'
import { type FrameHeader, fileHeader, fileHeaderBytes, frameHeaderBytes } from './frame.ts'
import type { FeedMark } from './marks.ts'
import { type Accept, scanSegment } from './scan.ts'
import type { DamageFound } from './topic-log.ts'

export interface Recovery {
  topic: TopicName
  folder: string
  disk: Disk
  files: OpenFiles
  arrival: Arrival
  marks: ReadonlyMap<FeedId, FeedMark>
  now: number
}

interface Reading extends Recovery {
  segment: Segment
  file: DiskFile
  size: number
  /** First offset of the next segment. */
  bound: number | undefined
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
  const { arrival, disk, folder, files, marks } = recovery
  const found: DamageFound[] = []
  const names = await segmentsOf(disk, folder)
  for (const [id, firstOffset] of names.entries()) {
    const segment: Segment = { id, path: segmentPath(folder, firstOffset), firstOffset, bytes: 0, newest: 0 }
    arrival.segments.push(segment)
    arrival.endOffset = Math.max(arrival.endOffset, firstOffset)
    await files.use(segment.path, async (file) => {
      const reading = { ...recovery, segment, file, size: await file.size(), bound: names[id + 1] }
      for (const place of await readSegment(reading)) found.push(await judge(reading, place))
      // Whoever wrote the end may have been killed before it was synced: it counts as held from now on.
      if (reading.bound === undefined && reading.size > 0) await file.sync()
    })
  }
  for (const [id, mark] of marks) applyMark(arrival, id, mark)
  for (const region of arrival.regions) {
    if (region.saved && runsAt(arrival, region, limits.holesMax).length === 0) await voidNow(recovery, region)
  }
  return found
}

async function readSegment(reading: Reading): Promise<BadPlace[]> {
  const { arrival, segment, file, size, marks } = reading
  const bad: BadPlace[] = []
  let open: BadPlace | undefined
  for await (const place of scanSegment(file, size, acceptFor(reading))) {
    if (place.kind === 'padding') continue
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
  if (open !== undefined) open.nextOffset = reading.bound
  segment.bytes = size
  return bad
}

/** Whether a frame that holds belongs into this log, here. */
function acceptFor({ arrival, topic, bound, size, marks }: Reading): Accept {
  // After damage an offset may have jumped, by the records that fit the file at most.
  const jumpMax = Math.ceil(size / frameHeaderBytes) * limits.batchRecordsMax
  return (header, frame, resumed) => {
    const signed = readHead(header, frame)
    if (signed === undefined || signed.head.topic !== topic || signed.head.bodyBytes !== header.bodyBytes)
      return undefined
    const end = header.firstOffset + signed.head.count
    if (header.firstOffset < arrival.endOffset || end > (bound ?? Number.MAX_SAFE_INTEGER)) return undefined
    if (resumed && (header.firstOffset - arrival.endOffset > jumpMax || !headSigned(signed))) return undefined
    const feed = arrival.feeds.get(signed.feed)
    const { seq } = signed.head
    const beginsAgain = marks.get(signed.feed)?.floor === seq
    if (feed !== undefined && (!(beginsAgain || feed.reaches(seq)) || feed.row(seq) !== undefined)) return undefined
    return signed
  }
}

function readHead({ headBytes }: FrameHeader, frame: Uint8Array): SignedHead | undefined {
  try {
    return openHead(frame.subarray(frameHeaderBytes, frameHeaderBytes + headBytes))
  } catch {
    return undefined
  }
}

async function judge(reading: Reading, bad: BadPlace): Promise<DamageFound> {
  const { topic, segment, file, size, arrival, now, disk, folder } = reading
  const found = (kind: DamageFound['kind']): DamageFound => {
    return { topic, file: segment.path, position: bad.position, bytes: bad.length, kind }
  }
  const tail = bad.position + bad.length === size
  const nothingLost = bad.nextOffset === bad.offset
  const torn = tail && (bad.nextOffset === undefined || nothingLost)
  // A torn end is what never was confirmed; a whole file of it, or what a later segment overtook, may be more.
  const saved =
    torn && !nothingLost && bad.position > 0 ? true : await keepAside(disk, folder, { segment, ...bad }, file)
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
  if (region.tail) region.segment.bytes = region.position
  arrival.removeRegion(region)
}

/** A feed whose batches retention dropped, all of them, is still known: else it would be fetched again. */
function applyMark(arrival: Arrival, id: FeedId, mark: FeedMark): void {
  if (arrival.feeds.has(id) || mark.hash === '') return
  const { floor, nextIndex, author, started } = mark
  const hash = new Uint8Array(Buffer.from(mark.hash, 'hex'))
  arrival.begin({ id, floor, last: floor - 1, hash, nextIndex, author, started })
}
