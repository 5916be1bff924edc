/**
 * A card: what a peer tells the mesh about itself, signed by it.
 *
 *   message SignedCard { bytes card = 1; bytes signature = 2; }   // over 'grapevine card 1\n' + card
 *   message Card { bytes key = 1; repeated bytes addresses = 2; repeated bytes topics = 3; bool truncated = 4; bool guest = 5;
 *                  string version = 6; uint64 issued = 7; uint64 ttl_ms = 8; }
 */
import { GrapevineError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { PeerId, TopicName } from '../types.ts'
import { WireError } from '../wire/error.ts'
import { peerIdOf, type SigningKey, verifySignature } from '../wire/key.ts'
import { MessageReader, MessageWriter } from '../wire/protobuf.ts'
import { parseTopic } from '../wire/topic.ts'

export interface Card {
  peer: PeerId
  /** Multiaddrs, those to try first in front. */
  addresses: string[]
  topics: TopicName[]
  /** Not all carried topics fitted. */
  truncated: boolean
  /** A guest is short-lived: it is never a keeper, nor a good friend to choose. */
  role: 'peer' | 'guest'
  version: string
  /** ms by the peer's clock; of two cards the one issued later counts. */
  issued: number
  /** How long it holds without renewal. Zero is a farewell: the peer is leaving. */
  ttlMs: number
}

export interface SignedCard {
  readonly card: Card
  /** What is sent and stored. */
  readonly bytes: Uint8Array
}

const domain = new TextEncoder().encode('grapevine card 1\n')
const utf8 = new TextDecoder('utf-8', { fatal: true })
const encoder = new TextEncoder()
const addressBytesMax = 256
const versionBytesMax = 64
/** Key, signature, tags and lengths, and then some. */
const overheadBytes = 512

/** Signs a card; topics and addresses beyond what a card holds are left out, and it says so. */
export function signCard(draft: Omit<Card, 'peer' | 'truncated'>, key: SigningKey): SignedCard {
  const addresses = draft.addresses
    .filter((text) => text.length <= addressBytesMax)
    .slice(0, limits.addressesPerCardMax)
  const topics: TopicName[] = []
  let room = limits.cardBytesMax - overheadBytes - addresses.reduce((sum, text) => sum + text.length + 3, 0)
  for (const topic of draft.topics) {
    room -= topic.length + 3
    if (room < 0) break
    topics.push(topic)
  }
  const card: Card = {
    ...draft,
    addresses,
    topics,
    version: draft.version.slice(0, versionBytesMax),
    peer: peerIdOf(key.publicKey),
    truncated: topics.length < draft.topics.length,
  }
  const body = encodeBody(card, key.publicKey)
  const signature = key.sign(signedBytes(body))
  return { card, bytes: new MessageWriter().bytes(1, body).bytes(2, signature).finish() }
}

/** Reads a card whose signature holds; throws `WireError` for anything else. */
export function openCard(bytes: Uint8Array): SignedCard {
  if (bytes.length > limits.cardBytesMax) throw new WireError('a card is too large')
  const outer = new MessageReader(bytes)
  const body = outer.bytes(1)
  const fields = new MessageReader(body)
  const key = fields.bytes(1, 32)
  if (!verifySignature(key, signedBytes(body), outer.bytes(2, 64)))
    throw new WireError('a card is not signed by its peer')
  const card: Card = {
    peer: peerIdOf(key),
    addresses: fields.all(2).map(openAddress),
    topics: fields.all(3).map(openTopic),
    truncated: fields.bool(4),
    role: fields.bool(5) ? 'guest' : 'peer',
    version: fields.text(6),
    issued: fields.int(7),
    ttlMs: fields.int(8),
  }
  if (card.addresses.length > limits.addressesPerCardMax) throw new WireError('a card has too many addresses')
  if (card.version.length > versionBytesMax) throw new WireError('a card has too long a version')
  if (card.ttlMs > limits.cardTtlMsMax) throw new WireError('a card would hold too long')
  return { card, bytes: new Uint8Array(bytes) }
}

/** The key and time of a card, without its proof: enough to see that it is known already. */
export function peekCard(bytes: Uint8Array): { peer: PeerId; issued: number } {
  const fields = new MessageReader(new MessageReader(bytes).bytes(1))
  return { peer: peerIdOf(fields.bytes(1, 32)), issued: fields.int(7) }
}

function encodeBody(card: Card, key: Uint8Array): Uint8Array {
  const out = new MessageWriter().bytes(1, key)
  for (const address of card.addresses) out.bytes(2, encoder.encode(address))
  for (const topic of card.topics) out.bytes(3, encoder.encode(topic))
  out
    .bool(4, card.truncated)
    .bool(5, card.role === 'guest')
    .text(6, card.version)
  return out.int(7, card.issued).int(8, card.ttlMs).finish()
}

function signedBytes(body: Uint8Array): Uint8Array {
  const all = new Uint8Array(domain.length + body.length)
  all.set(domain)
  all.set(body, domain.length)
  return all
}

function openAddress(bytes: Uint8Array): string {
  const text = openText(bytes, addressBytesMax)
  if (!text.startsWith('/')) throw new WireError('an address on a card is no multiaddr')
  return text
}

function openTopic(bytes: Uint8Array): TopicName {
  try {
    return parseTopic(openText(bytes, limits.topicBytesMax), { own: true })
  } catch (error) {
    if (error instanceof GrapevineError) throw new WireError('a topic on a card is not allowed', { cause: error })
    throw error
  }
}

function openText(bytes: Uint8Array, most: number): string {
  if (bytes.length > most) throw new WireError('a text on a card is too long')
  try {
    return utf8.decode(bytes)
  } catch (error) {
    throw new WireError('a text on a card is not UTF-8', { cause: error })
  }
}
