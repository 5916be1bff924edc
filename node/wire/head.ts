/**
 * The signed header of a batch. Knowing a feed's newest head is knowing all there is to fetch: each names the hash of
 * the one before, so its signature vouches for the whole chain behind it. That hash covers the signature of the one before as
 * well: otherwise whoever passes a range on could spoil the signatures that are not looked at, and those who stored it would
 * later be blamed for serving a head that is not signed.
 *
 *     message SignedHead {          message Head {
 *       bytes head = 1;               bytes  author = 1;       // 32
 *       bytes signature = 2;          string topic = 2;
 *     }                               uint64 started = 3;      // ms
 *                                     bytes  nonce = 4;        // 8
 *                                     uint64 seq = 5;          // from 1
 *                                     uint32 count = 6;        // records
 *                                     uint64 firstIndex = 7;   // of its first record in the feed
 *                                     bytes  prev = 8;         // 32, sha-256 of the SignedHead before; zeros for seq 1
 *                                     bytes  bodyHash = 9;     // 32, sha-256 of the body as sent
 *                                     uint32 bodyBytes = 10;
 *                                     uint32 rawBytes = 11;    // after decompression
 *                                     uint32 compression = 12; // 0 none, 1 deflate-raw
 *                                     uint64 time = 13;        // ms, hybrid clock
 *                                     uint32 tick = 14;        // orders what has one time
 *                                     uint32 flags = 15;       // none yet; unknown ones are ignored
 *                                   }
 *
 * Fields that are zero are left out, as in proto3. Unknown fields of Head are skipped and signed with the rest. SignedHead
 * takes none: whoever passes it on could add some, and each variant would be a new gossip message that still verifies.
 */
import assert from 'node:assert/strict'
import { reader, writer } from 'protons-runtime'
import { limits } from '../limits.ts'
import type { FeedId, PeerId, TopicName } from '../types.ts'
import { buffer, sameBytes, sha256 } from './bytes.ts'
import { WireError } from './error.ts'
import { peerIdOf, type SigningKey, verifySignature } from './key.ts'
import { parseTopic } from './topic.ts'

export type Compression = 'none' | 'deflate-raw'

export interface Head {
  /** Raw Ed25519 public key of the publisher, 32 bytes. */
  author: Uint8Array
  topic: TopicName
  /** When the feed began, ms. */
  started: number
  /** 8 random bytes that keep two feeds begun in one millisecond apart. */
  nonce: Uint8Array
  /** Number of the batch in its feed, from 1. */
  seq: number
  /** Records in it, at least 1. */
  count: number
  /** Index of its first record in the feed, from 0. */
  firstIndex: number
  /** Hash of the head before; zeros for seq 1. */
  prev: Uint8Array
  /** Sha-256 of the body as sent. */
  bodyHash: Uint8Array
  bodyBytes: number
  /** Size of the record batch after decompression. */
  rawBytes: number
  compression: Compression
  /** Hybrid clock, ms, and the counter within it. */
  time: number
  tick: number
  flags: number
}

export interface SignedHead {
  readonly head: Head
  /** What is stored and sent. */
  readonly bytes: Uint8Array
  /** Sha-256 of `bytes`, signature included: what the next head names as `prev`. */
  readonly hash: Uint8Array
  readonly feed: FeedId
  readonly author: PeerId
}

/** A head and the body it describes, as sent: perhaps compressed. */
export interface Batch {
  readonly head: SignedHead
  readonly body: Uint8Array
}

const signatureDomain = Buffer.from('grapevine head 1\n')
const feedDomain = Buffer.from('grapevine feed 1\n')
const uint32Max = 0xffff_ffff
const none = new Uint8Array(0)
/** A head none of whose fields has come yet. */
const blank: Head = {
  author: none,
  topic: '' as TopicName,
  started: 0,
  nonce: none,
  seq: 0,
  count: 0,
  firstIndex: 0,
  prev: none,
  bodyHash: none,
  bodyBytes: 0,
  rawBytes: 0,
  compression: 'none',
  time: 0,
  tick: 0,
  flags: 0,
}

/** The id of a feed. Only the topic varies in length, so no two feeds hash the same bytes. */
export function feedIdOf(author: Uint8Array, topic: TopicName, started: number, nonce: Uint8Array): FeedId {
  const begin = Buffer.alloc(8)
  begin.writeBigUInt64BE(BigInt(started))
  return buffer(sha256(Buffer.concat([feedDomain, author, Buffer.from(topic), begin, nonce]))).toString(
    'hex',
    0,
    16,
  ) as FeedId
}

/** Signs a head with the key of its author. */
export function signHead(head: Head, key: SigningKey): SignedHead {
  assert(sameBytes(head.author, key.publicKey), 'a head is signed with the key of its author')
  const wrong = wrongWith(head)
  assert(wrong === undefined, wrong)
  const encoded = encodeHead(head)
  return openHead(encodeSigned(encoded, key.sign(Buffer.concat([signatureDomain, encoded]))))
}

/**
 * Reads a signed head. Checks its bounds and shape and nothing else: see `headSigned` and `checkRange` of the feed room.
 * Keeps a copy, since the bytes from the network are a view on a much larger buffer. Throws WireError.
 */
export function openHead(bytes: Uint8Array): SignedHead {
  if (bytes.length > limits.headBytesMax) throw new WireError('a head is too large')
  const own = new Uint8Array(bytes)
  const { encoded } = splitSigned(own)
  const head = decodeHead(encoded)
  const wrong = wrongWith(head)
  if (wrong !== undefined) throw new WireError(wrong)
  const feed = feedIdOf(head.author, head.topic, head.started, head.nonce)
  return { head, bytes: own, hash: sha256(own), feed, author: peerIdOf(head.author) }
}

const verdicts = new WeakMap<SignedHead, boolean>()

/** Whether the author signed it. Checked once per object, then remembered. */
export function headSigned(signed: SignedHead): boolean {
  const known = verdicts.get(signed)
  if (known !== undefined) return known
  const { encoded, signature } = splitSigned(signed.bytes)
  const verdict = verifySignature(signed.head.author, Buffer.concat([signatureDomain, encoded]), signature)
  verdicts.set(signed, verdict)
  return verdict
}

function encodeHead(head: Head): Uint8Array {
  const w = writer()
  w.uint32(0x0a).bytes(head.author)
  w.uint32(0x12).string(head.topic)
  if (head.started !== 0) w.uint32(0x18).uint64Number(head.started)
  w.uint32(0x22).bytes(head.nonce)
  w.uint32(0x28).uint64Number(head.seq)
  w.uint32(0x30).uint32(head.count)
  if (head.firstIndex !== 0) w.uint32(0x38).uint64Number(head.firstIndex)
  w.uint32(0x42).bytes(head.prev)
  w.uint32(0x4a).bytes(head.bodyHash)
  w.uint32(0x50).uint32(head.bodyBytes)
  w.uint32(0x58).uint32(head.rawBytes)
  if (head.compression !== 'none') w.uint32(0x60).uint32(1)
  if (head.time !== 0) w.uint32(0x68).uint64Number(head.time)
  if (head.tick !== 0) w.uint32(0x70).uint32(head.tick)
  if (head.flags !== 0) w.uint32(0x78).uint32(head.flags)
  return w.finish()
}

function decodeHead(encoded: Uint8Array): Head {
  const head: Head = { ...blank }
  try {
    const r = reader(encoded)
    while (r.pos < r.len) {
      // The whole tag, so that a known field of another wire type counts as unknown.
      const tag = r.uint32()
      if (tag === 0x0a) head.author = r.bytes()
      else if (tag === 0x12) head.topic = buffer(r.bytes()).toString('latin1') as TopicName
      else if (tag === 0x18) head.started = r.uint64Number()
      else if (tag === 0x22) head.nonce = r.bytes()
      else if (tag === 0x28) head.seq = r.uint64Number()
      else if (tag === 0x30) head.count = r.uint32()
      else if (tag === 0x38) head.firstIndex = r.uint64Number()
      else if (tag === 0x42) head.prev = r.bytes()
      else if (tag === 0x4a) head.bodyHash = r.bytes()
      else if (tag === 0x50) head.bodyBytes = r.uint32()
      else if (tag === 0x58) head.rawBytes = r.uint32()
      else if (tag === 0x60) head.compression = compressionOf(r.uint32())
      else if (tag === 0x68) head.time = r.uint64Number()
      else if (tag === 0x70) head.tick = r.uint32()
      else if (tag === 0x78) head.flags = r.uint32()
      else r.skipType(tag & 7)
    }
    if (r.pos !== r.len) throw new WireError('a head ends inside a field')
  } catch (cause) {
    throw cause instanceof WireError ? cause : new WireError('a head cannot be read', { cause })
  }
  return head
}

function compressionOf(code: number): Compression {
  if (code === 0) return 'none'
  if (code === 1) return 'deflate-raw'
  throw new WireError('a head names a compression we do not know')
}

const signatureBytes = 64

function encodeSigned(encoded: Uint8Array, signature: Uint8Array): Uint8Array {
  return writer().uint32(0x0a).bytes(encoded).uint32(0x12).bytes(signature).finish()
}

/** The two parts of a signed head, which must be written in the one way we write them. */
function splitSigned(bytes: Uint8Array): { encoded: Uint8Array; signature: Uint8Array } {
  try {
    const r = reader(bytes)
    if (r.uint32() !== 0x0a) throw new WireError('a signed head does not begin with a head')
    const encoded = r.bytes()
    if (r.uint32() !== 0x12) throw new WireError('a head lacks its signature')
    const signature = r.bytes()
    const canonical = bytes.length === lengthSize(encoded.length) + encoded.length + 2 + signatureBytes
    if (signature.length !== signatureBytes || !canonical) throw new WireError('a signed head has something else in it')
    return { encoded, signature }
  } catch (cause) {
    throw cause instanceof WireError ? cause : new WireError('a signed head cannot be read', { cause })
  }
}

/** Bytes of the tag and length before a head of `length`. */
function lengthSize(length: number): number {
  return length < 128 ? 2 : 3
}

/** What is out of bounds in a head, for both who writes and who reads one. */
function wrongWith(head: Head): string | undefined {
  if (head.author.length !== 32) return 'the author of a head is not a key of 32 bytes'
  if (head.nonce.length !== 8) return 'the nonce of a head has not 8 bytes'
  if (head.prev.length !== 32 || head.bodyHash.length !== 32) return 'a hash in a head has not 32 bytes'
  if (!isTopic(head.topic)) return 'the topic of a head is not allowed'
  if (!isInteger(head.started, 0, limits.timeMsMax)) return 'the start of a feed is out of bounds'
  if (!isInteger(head.time, 0, limits.timeMsMax)) return 'the time of a head is out of bounds'
  if (!isInteger(head.tick, 0, uint32Max)) return 'the tick of a head is out of bounds'
  if (!isInteger(head.flags, 0, uint32Max)) return 'the flags of a head are out of bounds'
  if (!isInteger(head.seq, 1, Number.MAX_SAFE_INTEGER)) return 'the number of a batch is out of bounds'
  if (!isInteger(head.count, 1, limits.batchRecordsMax)) return 'the count of records is out of bounds'
  if (!isInteger(head.firstIndex, 0, Number.MAX_SAFE_INTEGER - head.count)) return 'the first index is out of bounds'
  if (!isInteger(head.bodyBytes, 1, limits.bodyBytesMax)) return 'the size of a body is out of bounds'
  if (!isInteger(head.rawBytes, 1, limits.bodyBytesMax)) return 'the size of a decompressed body is out of bounds'
  if (head.compression === 'none' && head.rawBytes !== head.bodyBytes) return 'a plain body has two sizes'
  return undefined
}

function isInteger(value: number, least: number, most: number): boolean {
  return Number.isSafeInteger(value) && value >= least && value <= most
}

function isTopic(name: string): boolean {
  try {
    parseTopic(name, { own: true })
    return true
  } catch {
    return false
  }
}
