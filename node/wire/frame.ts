/**
 * The frames of `/grapevine/sync/1` and the announcement that travels by gossip, as protobuf.
 *
 *   message Frame { oneof {
 *     Digest digest = 1;  Frontier frontier = 2;  Buckets buckets = 3;  Want want = 4;
 *     Batch batch = 5;  Chunk chunk = 6;  End end = 7;  Stored stored = 8;  More more = 9;  Cancel cancel = 10;  Fork fork = 11; } }
 *   message Digest   { uint32 ask = 1; repeated Print prints = 2; uint32 answer = 3; } // one print a topic; ask: the number of a question, whose
 *                                                                         // answer comes after all that the one asked knows more; 0: none
 *   message Print    { string topic = 1; bool held = 2; bytes print = 3; } // 8 bytes, the xor over its feeds
 *   message Buckets  { string topic = 1; bytes prints = 2; }               // 256 x 8 bytes, by the first byte of the feed id
 *   message Frontier { string topic = 1; bool answer = 2; bytes buckets = 3; repeated Entry entries = 4; bool more = 5; }
 *   message Entry    { bytes feed = 1; uint64 base = 2; uint64 last = 3; bytes mark = 4; }
 *   message Want     { uint32 id = 1; string topic = 2; bytes feed = 3; uint64 from = 4; uint64 to = 5; uint32 budget = 6; }
 *   message Batch    { uint32 id = 1; bytes head = 2; bytes body = 3; }    // the first piece of the body
 *   message Chunk    { uint32 id = 1; bytes body = 2; }
 *   message End      { uint32 id = 1; string reason = 2; uint64 base = 3; }
 *   message Stored   { string topic = 1; bytes feed = 2; uint64 seq = 3; }
 *   message More     { uint32 id = 1; uint32 budget = 2; }
 *   message Cancel   { uint32 id = 1; }
 *   message Fork     { string topic = 1; bytes a = 2; bytes b = 3; }       // two signed heads of one feed with one number
 *   message Announcement { bytes head = 1; optional bytes body = 2; }
 *
 * Whatever does not parse is a `WireError`; unknown fields of frames are skipped so that later versions can add some.
 */
import { reader } from 'protons-runtime'
import { Uint8ArrayList } from 'uint8arraylist'
import type { FeedId, TopicName } from '../types.ts'
import { sameBytes } from './bytes.ts'
import { WireError } from './error.ts'
import { delimitedTag, MessageReader, MessageWriter, varintTag } from './protobuf.ts'
import { parseTopic } from './topic.ts'

export interface TopicPrint {
  topic: TopicName
  held: boolean
  print: Uint8Array
}

export interface FrontierEntry {
  feed: FeedId
  base: number
  last: number
  /** The first 8 bytes of the hash of head `last`. */
  mark: Uint8Array
}

export type EndReason = 'done' | 'gone' | 'unknown'

export type Frame =
  | { type: 'digest'; ask: number; prints: TopicPrint[]; answer: number }
  | {
      type: 'frontier'
      topic: TopicName
      answer: boolean
      buckets: Uint8Array
      entries: FrontierEntry[]
      more: boolean
    }
  | { type: 'buckets'; topic: TopicName; prints: Uint8Array }
  | { type: 'want'; id: number; topic: TopicName; feed: FeedId; from: number; to: number; budget: number }
  | { type: 'batch'; id: number; head: Uint8Array; body: Uint8Array | Uint8ArrayList }
  | { type: 'chunk'; id: number; body: Uint8Array | Uint8ArrayList }
  | { type: 'end'; id: number; reason: EndReason; base: number }
  | { type: 'stored'; topic: TopicName; feed: FeedId; seq: number }
  | { type: 'more'; id: number; budget: number }
  | { type: 'cancel'; id: number }
  | { type: 'fork'; topic: TopicName; a: Uint8Array; b: Uint8Array }

export type FrameOf<T extends Frame['type']> = Extract<Frame, { type: T }>

const kinds = {
  digest: 1,
  frontier: 2,
  buckets: 3,
  want: 4,
  batch: 5,
  chunk: 6,
  end: 7,
  stored: 8,
  more: 9,
  cancel: 10,
  fork: 11,
}

export const bucketCount = 256
export const markBytes = 8

/** A body, or a part of one. */
export type Piece = FrameOf<'batch' | 'chunk'>

export function encodeFrame(frame: Frame): Uint8Array {
  if (frame.type === 'batch' || frame.type === 'chunk') return encodePiece(frame).subarray()
  return new MessageWriter().bytes(kinds[frame.type], bodyOf(frame)).finish()
}

/** As `encodeFrame`, but a body is not copied for each friend that gets it. */
export function encodePiece(frame: Piece): Uint8ArrayList {
  const { body } = frame
  const out = new MessageWriter().int(1, frame.id)
  const before = (
    frame.type === 'batch' ? out.bytes(2, frame.head).ahead(3, body.length) : out.ahead(2, body.length)
  ).finish()
  const start = new MessageWriter().ahead(kinds[frame.type], before.length + body.length).finish()
  return new Uint8ArrayList(start, before, body)
}

function bodyOf(frame: Exclude<Frame, Piece>): Uint8Array {
  const out = new MessageWriter()
  switch (frame.type) {
    case 'digest':
      out.int(1, frame.ask)
      for (const { topic, held, print } of frame.prints)
        out.bytes(2, new MessageWriter().text(1, topic).bool(2, held).bytes(3, print).finish())
      out.int(3, frame.answer)
      break
    case 'frontier':
      out.text(1, frame.topic).bool(2, frame.answer).bytes(3, frame.buckets).bool(5, frame.more)
      for (const { feed, base, last, mark } of frame.entries) {
        out.bytes(4, new MessageWriter().bytes(1, feedBytes(feed)).int(2, base).int(3, last).bytes(4, mark).finish())
      }
      break
    case 'buckets':
      out.text(1, frame.topic).bytes(2, frame.prints)
      break
    case 'want':
      out.int(1, frame.id).text(2, frame.topic).bytes(3, feedBytes(frame.feed))
      out.int(4, frame.from).int(5, frame.to).int(6, frame.budget)
      break
    case 'end':
      out.int(1, frame.id).text(2, frame.reason).int(3, frame.base)
      break
    case 'stored':
      out.text(1, frame.topic).bytes(2, feedBytes(frame.feed)).int(3, frame.seq)
      break
    case 'more':
      out.int(1, frame.id).int(2, frame.budget)
      break
    case 'cancel':
      out.int(1, frame.id)
      break
    case 'fork':
      out.text(1, frame.topic).bytes(2, frame.a).bytes(3, frame.b)
      break
    default:
      frame satisfies never
  }
  return out.finish()
}

/**
 * Parses one frame; throws `WireError`. `undefined` for a kind that this version does not know. The body of a frame that came in several
 * pieces stays in pieces.
 */
export function decodeFrame(frame: Uint8Array | Uint8ArrayList): Frame | undefined {
  const piece = frame instanceof Uint8Array ? undefined : decodePiece(frame)
  if (piece !== undefined) return piece
  const outer = new MessageReader(frame.subarray())
  const kind = outer.first
  if (kind === undefined) throw new WireError('empty frame')
  const decode = decoders[kind]
  return decode?.(new MessageReader(outer.bytes(kind)))
}

/** Enough for all that comes before a body. */
const beforeBodyMax = 2_048

/** A batch or chunk as it is written here, which ends with its body. Whatever else there is, the reader of messages has a word for. */
function decodePiece(frame: Uint8ArrayList): Piece | undefined {
  const input = reader(frame.subarray(0, Math.min(frame.length, beforeBodyMax)))
  const goesToTheEnd = () => input.uint32() === frame.length - input.pos
  try {
    const kind = input.uint32()
    if (kind !== delimitedTag(kinds.batch) && kind !== delimitedTag(kinds.chunk)) return undefined
    if (!goesToTheEnd() || input.uint32() !== varintTag(1)) return undefined
    const id = input.uint64Number()
    if (!Number.isSafeInteger(id)) return undefined
    if (kind === delimitedTag(kinds.chunk)) {
      if (input.uint32() !== delimitedTag(2) || !goesToTheEnd()) return undefined
      return { type: 'chunk', id, body: frame.sublist(input.pos) }
    }
    if (input.uint32() !== delimitedTag(2)) return undefined
    const head = input.bytes()
    if (input.uint32() !== delimitedTag(3) || !goesToTheEnd()) return undefined
    return { type: 'batch', id, head, body: frame.sublist(input.pos) }
  } catch {
    return undefined
  }
}

const decoders: Record<number, (m: MessageReader) => Frame> = {
  [kinds.digest]: (m) => ({ type: 'digest', ask: m.int(1), prints: m.all(2).map(printOf), answer: m.int(3) }),
  [kinds.frontier]: (m) => {
    const buckets = m.bytes(3)
    if (buckets.length !== 0 && buckets.length !== bucketCount / 8)
      throw new WireError('frontier: not a set of buckets')
    return {
      type: 'frontier',
      topic: parseTopicBytes(m.text(1)),
      answer: m.bool(2),
      buckets,
      entries: m.all(4).map(entryOf),
      more: m.bool(5),
    }
  },
  [kinds.buckets]: (m) => ({
    type: 'buckets',
    topic: parseTopicBytes(m.text(1)),
    prints: m.bytes(2, bucketCount * markBytes),
  }),
  [kinds.want]: (m) => {
    const [from, to] = [m.int(4), m.int(5)]
    if (from < 1 || to < from) throw new WireError('want: not a range')
    return {
      type: 'want',
      id: m.int(1),
      topic: parseTopicBytes(m.text(2)),
      feed: feedOf(m, 3),
      from,
      to,
      budget: m.int(6),
    }
  },
  [kinds.batch]: (m) => ({ type: 'batch', id: m.int(1), head: m.bytes(2), body: m.bytes(3) }),
  [kinds.chunk]: (m) => ({ type: 'chunk', id: m.int(1), body: m.bytes(2) }),
  [kinds.end]: (m) => {
    const reason = m.text(2)
    return {
      type: 'end',
      id: m.int(1),
      reason: reason === 'done' || reason === 'gone' ? reason : 'unknown',
      base: m.int(3),
    }
  },
  [kinds.stored]: (m) => ({ type: 'stored', topic: parseTopicBytes(m.text(1)), feed: feedOf(m, 2), seq: m.int(3) }),
  [kinds.more]: (m) => ({ type: 'more', id: m.int(1), budget: m.int(2) }),
  [kinds.cancel]: (m) => ({ type: 'cancel', id: m.int(1) }),
  [kinds.fork]: (m) => ({ type: 'fork', topic: parseTopicBytes(m.text(1)), a: m.bytes(2), b: m.bytes(3) }),
}

function printOf(bytes: Uint8Array): TopicPrint {
  const m = new MessageReader(bytes)
  return { topic: parseTopicBytes(m.text(1)), held: m.bool(2), print: m.bytes(3, markBytes) }
}

function entryOf(bytes: Uint8Array): FrontierEntry {
  const m = new MessageReader(bytes)
  const entry = { feed: feedOf(m, 1), base: m.int(2), last: m.int(3), mark: m.bytes(4, markBytes) }
  // What retention left nothing of begins behind its end.
  if (entry.base < 1 || entry.last < 1 || entry.last < entry.base - 1) throw new WireError('frontier: not a range')
  return entry
}

/** What travels by gossip: a signed head, and its body where it is small. */
export interface Announcement {
  head: Uint8Array
  body: Uint8Array | undefined
  /** Its author has sent it to all who carry the topic, as far as it knows. Default false. */
  isDirect?: boolean
}

export function encodeAnnouncement(announcement: Announcement): Uint8Array {
  const out = new MessageWriter().bytes(1, announcement.head)
  if (announcement.body !== undefined) out.bytes(2, announcement.body)
  if (announcement.isDirect) out.bool(3, true)
  return out.finish()
}

/** Throws `WireError`; also for whatever is encoded in another way than here, since each variant would be a new gossip message. */
export function decodeAnnouncement(bytes: Uint8Array): Announcement {
  const m = new MessageReader(bytes)
  const announcement: Announcement = { head: m.bytes(1), body: m.has(2) ? m.bytes(2) : undefined }
  if (m.bool(3)) announcement.isDirect = true
  if (!sameBytes(encodeAnnouncement(announcement), bytes)) throw new WireError('an announcement in an odd encoding')
  return announcement
}

function feedBytes(feed: FeedId): Uint8Array {
  return Buffer.from(feed, 'hex')
}

function feedOf(m: MessageReader, field: number): FeedId {
  return Buffer.from(m.bytes(field, 16)).toString('hex') as FeedId
}

function parseTopicBytes(name: string): TopicName {
  try {
    return parseTopic(name, { own: true })
  } catch (cause) {
    throw new WireError('not a topic name', { cause })
  }
}
