/**
 * What a finished segment holds, in a file beside it, so that a log is opened without reading it through.
 *
 * index = 'GRVIDX' | version u16 | crc32 u32 | segmentBytes u32 | rows u32 | row … | head …     (little endian)
 * row   = position u32 | length u32 | headBytes u16 | count u16 | feed u32 | seq f64 | firstOffset f64 | time f64
 * head  = row u32 | length u32 | bytes
 *
 * The crc covers everything after itself. Feeds are numbered in the order of their first heads here. A head stands where a
 * feed begins or ends in this segment, or does not go on with the next number: all others are only counted.
 *
 * An index is a copy, which is not synced. It is dropped before anything it tells of changes on disk; one that is missing, torn or of
 * another size of segment costs the reading of that segment, and is made anew. Only a segment full of frames from its header to its end has one.
 */
import { crc32 } from 'node:zlib'
import type { Disk } from '../ports.ts'
import type { FeedId } from '../types.ts'
import type { SignedHead } from '../wire/head.ts'
import type { Arrival, Entry, Segment } from './arrival.ts'
import type { OpenFiles } from './files.ts'
import { indexPathOf } from './folder.ts'
import { fileHeaderBytes, frameHeaderBytes, headIn } from './frame.ts'
import type { Row } from './rows.ts'

const magic = Uint8Array.of(0x47, 0x52, 0x56, 0x49, 0x44, 0x58) // 'GRVIDX'
const version = 1
const headerBytes = 20
const crcAt = 8
const rowBytes = 40
const headRowBytes = 8
/** Frames whose heads are read from the segment at a time. */
const headsAtOnce = 16

export interface IndexParts {
  disk: Disk
  files: OpenFiles
}

/** The index beside a segment of this size, to be gone through from its beginning; undefined where there is none that can be believed. */
export async function readIndex(
  disk: Disk,
  path: string,
  segmentBytes: number,
): Promise<(() => Iterable<Entry>) | undefined> {
  const file = await disk.open(path)
  try {
    const bytes = new Uint8Array(await file.size())
    const read = await file.read(bytes, 0)
    return decode(bytes.subarray(0, read), segmentBytes)
  } finally {
    await file.close()
  }
}

/** Writes the index of a finished segment, if it can have one; resolves with whether it has. Never rejects: without it all goes on as well. */
export async function writeIndex({ disk, files }: IndexParts, arrival: Arrival, segment: Segment): Promise<boolean> {
  const path = indexPathOf(segment.path)
  try {
    const rows = rowsOf(arrival, segment)
    if (rows === undefined) return false
    const heads = await headsOf(files, segment, rows)
    if (heads === undefined) return false
    const file = await disk.open(path)
    try {
      await file.truncate(0)
      await file.write([encode(segment.bytes, rows, heads)], 0)
    } finally {
      await file.close()
    }
    return true
  } catch {
    await disk.remove(path).catch(() => {})
    return false
  }
}

/** To be done before the segment changes. What is left behind by a power cut must not count either. */
export async function dropIndex(disk: Disk, segment: Segment): Promise<void> {
  const path = indexPathOf(segment.path)
  const file = await disk.open(path)
  try {
    await file.truncate(0)
    await file.sync()
  } finally {
    await file.close()
  }
  await disk.remove(path)
}

interface Numbered extends Row {
  /** 0: it has none in its feed any more. */
  seq: number
}

/** The segment's rows; undefined unless they fill it and are all of one piece. */
function rowsOf(arrival: Arrival, segment: Segment): Numbered[] | undefined {
  const { rows } = arrival
  const begin = rows.find(segment.firstOffset)
  const found: Numbered[] = []
  let [position, offset] = [fileHeaderBytes, segment.firstOffset]
  for (let at = begin; at < rows.end && rows.segment(at) === segment.id; at++) {
    const row = rows.get(at)
    if (row.position !== position || row.firstOffset !== offset) return undefined
    found.push({ ...row, seq: 0 })
    position += row.length
    offset += row.count
  }
  if (found.length === 0 || position !== segment.bytes) return undefined
  for (const feed of arrival.feeds.values()) {
    feed.eachIn(begin, begin + found.length, (row, seq) => {
      ;(found[row - begin] as Numbered).seq = seq
    })
  }
  return found
}

/** The heads that have to stand in the index, by row; undefined when one is not what it should be. */
async function headsOf(
  files: OpenFiles,
  segment: Segment,
  rows: readonly Numbered[],
): Promise<Map<number, SignedHead> | undefined> {
  const wanted = [...headRows(rows)].sort((a, b) => a - b)
  const heads = new Map<number, SignedHead>()
  for (let i = 0; i < wanted.length; i += headsAtOnce) {
    const some = wanted.slice(i, i + headsAtOnce)
    const read = await files.use(segment.path, (file) =>
      Promise.all(
        some.map(async (at) => {
          const { position, headBytes } = rows[at] as Numbered
          const bytes = new Uint8Array(headBytes)
          await file.read(bytes, position + frameHeaderBytes)
          return bytes
        }),
      ),
    )
    for (const [j, bytes] of read.entries()) {
      const at = some[j] as number
      const row = rows[at] as Numbered
      const signed = headIn(bytes)
      if (signed === undefined || (row.seq !== 0 && row.seq !== signed.head.seq)) return undefined
      row.seq = signed.head.seq
      heads.set(at, signed)
    }
  }
  return heads
}

function headRows(rows: readonly Numbered[]): Set<number> {
  const wanted = new Set<number>()
  const newest = new Map<number, { at: number; seq: number }>()
  for (const [at, { feed, seq }] of rows.entries()) {
    const before = newest.get(feed)
    if (before === undefined || seq === 0 || seq !== before.seq + 1) {
      wanted.add(at)
      if (before !== undefined) wanted.add(before.at)
    }
    newest.set(feed, { at, seq })
  }
  for (const { at } of newest.values()) wanted.add(at)
  return wanted
}

function encode(segmentBytes: number, rows: readonly Numbered[], heads: ReadonlyMap<number, SignedHead>): Uint8Array {
  let size = headerBytes + rows.length * rowBytes
  for (const { bytes } of heads.values()) size += headRowBytes + bytes.length
  const into = new Uint8Array(size)
  const view = new DataView(into.buffer)
  into.set(magic)
  view.setUint16(6, version, true)
  view.setUint32(12, segmentBytes, true)
  view.setUint32(16, rows.length, true)
  const feeds = new Map<number, number>()
  for (const [i, row] of rows.entries()) {
    const at = headerBytes + i * rowBytes
    if (!feeds.has(row.feed)) feeds.set(row.feed, feeds.size)
    view.setUint32(at, row.position, true)
    view.setUint32(at + 4, row.length, true)
    view.setUint16(at + 8, row.headBytes, true)
    view.setUint16(at + 10, row.count, true)
    view.setUint32(at + 12, feeds.get(row.feed) as number, true)
    view.setFloat64(at + 16, row.seq, true)
    view.setFloat64(at + 24, row.firstOffset, true)
    view.setFloat64(at + 32, row.time, true)
  }
  let at = headerBytes + rows.length * rowBytes
  for (const [row, { bytes }] of heads) {
    view.setUint32(at, row, true)
    view.setUint32(at + 4, bytes.length, true)
    into.set(bytes, at + headRowBytes)
    at += headRowBytes + bytes.length
  }
  view.setUint32(crcAt, crc32(into.subarray(crcAt + 4)), true)
  return into
}

function decode(bytes: Uint8Array, segmentBytes: number): (() => Iterable<Entry>) | undefined {
  if (bytes.length < headerBytes || magic.some((byte, i) => bytes[i] !== byte)) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  if (view.getUint16(6, true) !== version || view.getUint32(12, true) !== segmentBytes) return undefined
  if (view.getUint32(crcAt, true) !== crc32(bytes.subarray(crcAt + 4))) return undefined
  return () => entries(bytes, view)
}

function* entries(bytes: Uint8Array, view: DataView): Generator<Entry> {
  const rows = view.getUint32(16, true)
  let headAt = headerBytes + rows * rowBytes
  let next = headAt < bytes.length ? view.getUint32(headAt, true) : -1
  const feeds: FeedId[] = []
  for (let i = 0; i < rows; i++) {
    const at = headerBytes + i * rowBytes
    let head: SignedHead | undefined
    if (next === i) {
      const end = headAt + headRowBytes + view.getUint32(headAt + 4, true)
      head = headIn(bytes.subarray(headAt + headRowBytes, end))
      headAt = end
      next = end < bytes.length ? view.getUint32(end, true) : -1
    }
    const number = view.getUint32(at + 12, true)
    if (head !== undefined) feeds[number] = head.feed
    yield {
      position: view.getUint32(at, true),
      length: view.getUint32(at + 4, true),
      headBytes: view.getUint16(at + 8, true),
      count: view.getUint16(at + 10, true),
      feed: feeds[number] as FeedId,
      seq: view.getFloat64(at + 16, true),
      offset: view.getFloat64(at + 24, true),
      time: view.getFloat64(at + 32, true),
      head,
    }
  }
}
