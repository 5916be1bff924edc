/**
 * The frames of `/grapevine/friends/1`.
 *
 *   message Frame { oneof { Cards cards = 1; Digest digest = 2; Want want = 3; Carry carry = 4; Ping ping = 5; Pong pong = 6; Bye bye = 7;
 *                           Ask ask = 8; Answer answer = 9; } }
 *   message Cards  { repeated Item items = 1; }    message Item { bytes card = 1; uint64 age_ms = 2; }
 *   message Digest { repeated Entry entries = 1; bool answer = 2; }    message Entry { bytes key = 1; uint64 issued = 2; }
 *   message Want   { repeated bytes keys = 1; }
 *   message Carry  { string topic = 1; }
 *   message Ping   { uint64 nonce = 1; }    message Pong { uint64 nonce = 1; }
 *   message Bye    { string reason = 1; }
 *   message Ask    { bytes id = 1; uint32 hops = 2; bytes question = 3; }
 *   message Answer { bytes id = 1; bytes key = 2; bytes answer = 3; bytes signature = 4; }   // over 'grapevine answer 1\n' + id + answer
 *
 * What does not parse is a `WireError`; a kind of frame this version does not know is `undefined`.
 */
import { limits } from '../limits.ts'
import type { PeerId, TopicName } from '../types.ts'
import { WireError } from '../wire/error.ts'
import { peerIdOf, publicKeyOf } from '../wire/key.ts'
import { MessageReader, MessageWriter } from '../wire/protobuf.ts'
import { parseTopic } from '../wire/topic.ts'

export interface CardItem {
  bytes: Uint8Array
  ageMs: number
}

export interface DigestEntry {
  peer: PeerId
  issued: number
}

/** Why a friend leaves: `enough` friends, `leaving` the mesh, `misbehaved`. */
export type ByeReason = 'enough' | 'leaving' | 'misbehaved'

export type FriendFrame =
  | { type: 'cards'; items: CardItem[] }
  | { type: 'digest'; entries: DigestEntry[]; answer: boolean }
  | { type: 'want'; peers: PeerId[] }
  | { type: 'carry'; topic: TopicName }
  | { type: 'ping'; nonce: number }
  | { type: 'pong'; nonce: number }
  | { type: 'bye'; reason: ByeReason }
  | { type: 'ask'; id: Uint8Array; hops: number; question: Uint8Array }
  | { type: 'answer'; id: Uint8Array; key: Uint8Array; answer: Uint8Array; signature: Uint8Array }

const kinds = { cards: 1, digest: 2, want: 3, carry: 4, ping: 5, pong: 6, bye: 7, ask: 8, answer: 9 } as const

export function encodeFriendFrame(frame: FriendFrame): Uint8Array {
  return new MessageWriter().bytes(kinds[frame.type], bodyOf(frame)).finish()
}

/** Frames of cards, each well below the size a frame may have. */
export function cardFrames(items: Iterable<CardItem>): Uint8Array[] {
  const frames: Uint8Array[] = []
  let part: CardItem[] = []
  let bytes = 0
  for (const item of items) {
    if (part.length > 0 && bytes + item.bytes.length > limits.frameBytesMax / 2) {
      frames.push(encodeFriendFrame({ type: 'cards', items: part }))
      part = []
      bytes = 0
    }
    part.push(item)
    bytes += item.bytes.length + 16
  }
  if (part.length > 0) frames.push(encodeFriendFrame({ type: 'cards', items: part }))
  return frames
}

function bodyOf(frame: FriendFrame): Uint8Array {
  const out = new MessageWriter()
  switch (frame.type) {
    case 'cards':
      for (const { bytes, ageMs } of frame.items) {
        out.bytes(1, new MessageWriter().bytes(1, bytes).int(2, Math.round(ageMs)).finish())
      }
      break
    case 'digest':
      for (const { peer, issued } of frame.entries) {
        out.bytes(1, new MessageWriter().bytes(1, publicKeyOf(peer)).int(2, issued).finish())
      }
      out.bool(2, frame.answer)
      break
    case 'want':
      for (const peer of frame.peers) out.bytes(1, publicKeyOf(peer))
      break
    case 'carry':
      out.text(1, frame.topic)
      break
    case 'ping':
    case 'pong':
      out.int(1, frame.nonce)
      break
    case 'bye':
      out.text(1, frame.reason)
      break
    case 'ask':
      out.bytes(1, frame.id).int(2, frame.hops).bytes(3, frame.question)
      break
    case 'answer':
      out.bytes(1, frame.id).bytes(2, frame.key).bytes(3, frame.answer).bytes(4, frame.signature)
      break
    default:
      frame satisfies never
  }
  return out.finish()
}

export function decodeFriendFrame(bytes: Uint8Array): FriendFrame | undefined {
  const outer = new MessageReader(bytes)
  const kind = outer.first
  if (kind === undefined) throw new WireError('a friends frame is empty')
  if (kind > kinds.answer) return undefined
  const fields = new MessageReader(outer.bytes(kind))
  switch (kind) {
    case kinds.cards:
      return { type: 'cards', items: bounded(fields.all(1)).map(openItem) }
    case kinds.digest:
      return { type: 'digest', entries: bounded(fields.all(1)).map(openEntry), answer: fields.bool(2) }
    case kinds.want:
      return { type: 'want', peers: bounded(fields.all(1)).map(openKey) }
    case kinds.carry:
      return { type: 'carry', topic: openTopic(fields.text(1)) }
    case kinds.ping:
      return { type: 'ping', nonce: fields.int(1) }
    case kinds.pong:
      return { type: 'pong', nonce: fields.int(1) }
    case kinds.bye:
      return { type: 'bye', reason: reasonOf(fields.text(1)) }
    case kinds.ask:
      return {
        type: 'ask',
        id: fields.bytes(1, 16),
        hops: fields.int(2),
        question: upTo(fields.bytes(3), limits.surveyQuestionBytesMax),
      }
    case kinds.answer:
      return {
        type: 'answer',
        id: fields.bytes(1, 16),
        key: fields.bytes(2, 32),
        answer: upTo(fields.bytes(3), limits.surveyAnswerBytesMax),
        signature: fields.bytes(4, 64),
      }
    default:
      return undefined
  }
}

function bounded<T>(items: T[]): T[] {
  if (items.length > limits.digestEntriesMax) throw new WireError('a friends frame has too many entries')
  return items
}

function upTo(bytes: Uint8Array, most: number): Uint8Array {
  if (bytes.length > most) throw new WireError('a question or an answer is too long')
  return bytes
}

function openItem(bytes: Uint8Array): CardItem {
  const fields = new MessageReader(bytes)
  return { bytes: fields.bytes(1), ageMs: fields.int(2) }
}

function openEntry(bytes: Uint8Array): DigestEntry {
  const fields = new MessageReader(bytes)
  return { peer: openKey(fields.bytes(1)), issued: fields.int(2) }
}

function openKey(bytes: Uint8Array): PeerId {
  if (bytes.length !== 32) throw new WireError('a key in a friends frame is not 32 bytes')
  try {
    return peerIdOf(bytes)
  } catch (cause) {
    throw new WireError('a key in a friends frame is none', { cause })
  }
}

function openTopic(text: string): TopicName {
  try {
    return parseTopic(text, { own: true })
  } catch (cause) {
    throw new WireError('a topic in a friends frame is not allowed', { cause })
  }
}

function reasonOf(text: string): ByeReason {
  return text === 'leaving' || text === 'misbehaved' ? text : 'enough'
}
