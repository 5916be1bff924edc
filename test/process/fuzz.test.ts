/**
 * Every decoder of what comes from outside, given garbage and near misses: only its declared error may come out, and
 * memory stays where it was. 3 s each; with GRAPEVINE_SOAK=1 all of them together run for ten minutes.
 * GRAPEVINE_SEED=… makes the same bytes again; a failure prints the input in hex.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { deflateRawSync } from 'node:zlib'
import * as assert from 'uvu/assert'
import { type ErrorCode, isError } from '../../node/errors.ts'
import { decodeFriendFrame, encodeFriendFrame } from '../../node/friends/frame.ts'
import {
  deliveryHead,
  openFrame,
  openOutgoing,
  packOutgoing,
  parseJson,
  publishHead,
  publishOpening,
  readerWord,
  subscribeOpening,
} from '../../node/gateway/frame.ts'
import { decodeInvite, encodeInvite } from '../../node/invite.ts'
import { openCard, peekCard, signCard } from '../../node/presence/card.ts'
import { memoryDisk } from '../../node/store/memory.ts'
import { Cursor, parseCursorState } from '../../node/topic/cursor.ts'
import type { FeedId } from '../../node/types.ts'
import { expandBody } from '../../node/wire/compress.ts'
import { WireError } from '../../node/wire/error.ts'
import { decodeAnnouncement, decodeFrame, encodeAnnouncement, encodeFrame, type Frame } from '../../node/wire/frame.ts'
import { headSigned, openHead } from '../../node/wire/head.ts'
import { peerIdOf, publicKeyOf, signingKeyOf, verifySignature } from '../../node/wire/key.ts'
import { MessageWriter } from '../../node/wire/protobuf.ts'
import { encodeRecords, openRecords } from '../../node/wire/record.ts'
import { parseTopic } from '../../node/wire/topic.ts'
import { mutated, random } from '../helper/random.ts'
import { suite } from '../helper/suite.ts'
import { bytesOf, feed, folder, readAll, rewrite, segments, topic } from '../store/fixture.ts'

const test = suite('process')
const soak = process.env.GRAPEVINE_SOAK !== undefined
const MiB = 1024 * 1024
/** What the process may grow by after warming up: the collector's slack, with no decoder keeping anything. */
const growthMax = 160 * MiB
const seed = Number(process.env.GRAPEVINE_SEED ?? Math.floor(Math.random() * 2 ** 32))
process.stdout.write(`GRAPEVINE_SEED=${seed}\n`)
const draw = random(seed)
const below = (bound: number) => Math.floor(draw() * bound)

interface Target {
  /** Bytes it takes, to be mutated. */
  valid: Uint8Array[]
  decode(bytes: Uint8Array): unknown
  /** What it may throw: a WireError, or errors with this code. */
  throws: 'wire' | ErrorCode | 'nothing'
}

const key = signingKeyOf(new Uint8Array(32).fill(3))
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1')
const json = (value: unknown) => Buffer.from(JSON.stringify(value))
const peer = peerIdOf(key.publicKey)
const feedId = '0123456789abcdef0123456789abcdef' as FeedId
const batches = [...feed(1).many(3, 5, 40), ...feed(2).many(2, 3, 9_000)]
const sample = openHead(batches[0]?.head.bytes ?? new Uint8Array()).head
const records = [
  { value: new Uint8Array(40), time: 0 },
  { value: new Uint8Array(300), key: 'customer-7', headers: { source: 'web', 'x-é': '✓' }, time: 70_000 },
  { value: new Uint8Array(0), key: '', time: 5 },
]
const print8 = new Uint8Array(8).fill(9)
const want = { type: 'want', id: 3, topic, feed: feedId, from: 1, to: 900, budget: 1_000_000 } as const
const frames: Frame[] = [
  { type: 'digest', ask: 1, prints: [{ topic, held: true, print: print8 }], answer: 0 },
  {
    type: 'frontier',
    topic,
    answer: true,
    buckets: new Uint8Array(32),
    entries: [{ feed: feedId, base: 1, last: 7, mark: print8 }],
    more: false,
  },
  { type: 'buckets', topic, prints: new Uint8Array(2048) },
  want,
  { type: 'batch', id: 1, head: batches[0]?.head.bytes ?? print8, body: print8 },
  { type: 'chunk', id: 1, body: print8 },
  { type: 'end', id: 1, reason: 'gone', base: 4 },
  { type: 'stored', topic, feed: feedId, seq: 12 },
  { type: 'more', id: 1, budget: 5 },
  { type: 'cancel', id: 1 },
]
const card = {
  addresses: ['/ip4/127.0.0.1/tcp/4001'],
  topics: [topic],
  role: 'peer' as const,
  version: '1',
  issued: 5,
  ttlMs: 30_000,
}

const targets: Record<string, Target> = {
  'wire/head': {
    valid: batches.map(({ head }) => head.bytes),
    decode: (bytes) => headSigned(openHead(bytes)),
    throws: 'wire',
  },
  'wire/record': {
    valid: [
      encodeRecords(records, 0),
      encodeRecords(
        Array.from({ length: 300 }, () => ({ value: print8, time: 1 })),
        0,
      ),
    ],
    decode: (bytes) => {
      const count = draw() < 0.8 ? (bytes[1] ?? 0) : below(12_000)
      const batch = openRecords(bytes, count)
      for (let i = 0; i < Math.min(batch.count, 10); i++) {
        batch.value(i)
        batch.key(i)
        batch.headers(i)
        batch.timeDelta(i)
      }
    },
    throws: 'wire',
  },
  'wire/frame': { valid: frames.map(encodeFrame), decode: decodeFrame, throws: 'wire' },
  'the announcement': {
    valid: batches.map(({ head, body }) => encodeAnnouncement({ head: head.bytes, body: body.subarray(0, 1_000) })),
    decode: (bytes) => {
      const { head, body } = decodeAnnouncement(bytes)
      const signed = openHead(head)
      if (body) expandBody(signed.head, body)
    },
    throws: 'wire',
  },
  'wire/compress': {
    valid: [deflateRawSync(new Uint8Array(200_000)), deflateRawSync(Buffer.from('flights'.repeat(3_000)))],
    decode: (bytes) => {
      const rawBytes = draw() < 0.5 ? 200_000 : below(2 * MiB)
      expandBody({ ...sample, bodyBytes: bytes.length, rawBytes, compression: 'deflate-raw' }, bytes)
    },
    throws: 'wire',
  },
  'presence/card': {
    valid: [signCard(card, key).bytes],
    decode: (bytes) => {
      if (draw() < 0.5) peekCard(bytes)
      openCard(bytes)
    },
    throws: 'wire',
  },
  'a card signed as it is': {
    valid: [bodyOf(signCard(card, key).bytes)],
    decode: (body) => {
      const domain = Buffer.from('grapevine card 1\n')
      const signature = key.sign(Buffer.concat([domain, body]))
      openCard(new MessageWriter().bytes(1, body).bytes(2, signature).finish())
    },
    throws: 'wire',
  },
  'friends/frame': {
    valid: [
      encodeFriendFrame({ type: 'cards', items: [{ bytes: signCard(card, key).bytes, ageMs: 10 }] }),
      encodeFriendFrame({ type: 'digest', entries: [{ peer, issued: 4 }], answer: true }),
      encodeFriendFrame({ type: 'want', peers: [peer] }),
      encodeFriendFrame({ type: 'carry', topic }),
      encodeFriendFrame({ type: 'ping', nonce: 77 }),
      encodeFriendFrame({ type: 'bye', reason: 'leaving' }),
    ],
    decode: decodeFriendFrame,
    throws: 'wire',
  },
  'wire/key': {
    valid: [key.publicKey, Buffer.from(peer), Buffer.concat([key.publicKey, key.sign(print8)])],
    decode: (bytes) => {
      verifySignature(bytes.subarray(0, 32), print8, bytes.subarray(32))
      publicKeyOf(text(bytes) as typeof peer)
    },
    throws: 'wire',
  },
  'gateway/frame': {
    valid: [packOutgoing({ id: 3, confirm: 2 }, records), packOutgoing({}, records.slice(0, 1))],
    decode: (bytes) => {
      const { head, body } = openFrame(Buffer.from(bytes), publishHead)
      openOutgoing(body, head.count)
    },
    throws: 'ApiFailed',
  },
  'the words of the gateway': {
    valid: [
      json({ type: 'ack', id: 1, ranges: [[0, 5]] }),
      json({ topic: 'orders', name: 'billing', from: { time: 5 } }),
      json({ topic: 'orders', many: { confirm: 'auto', timeoutMs: 5 } }),
      json({ first: 0, time: 1, runs: [{ publisher: peer, feed: feedId, seq: 1, index: 0, offset: 0, count: 3 }] }),
    ],
    decode: (bytes) => {
      const shapes = [readerWord, subscribeOpening, publishOpening, deliveryHead]
      parseJson<unknown>(text(bytes), shapes[below(shapes.length)] ?? readerWord)
    },
    throws: 'ApiFailed',
  },
  invite: {
    valid: [Buffer.from(encodeInvite({ addresses: ['/ip4/127.0.0.1/tcp/4001'], secret: 'vine' }))],
    decode: (bytes) => decodeInvite(draw() < 0.5 ? text(bytes) : `gv1-${Buffer.from(bytes).toString('base64url')}`),
    throws: 'InvalidOption',
  },
  'wire/topic': {
    valid: [Buffer.from('orders.eu.created'), Buffer.from('$cursors.orders')],
    decode: (bytes) => parseTopic(text(bytes), { own: draw() < 0.5 }),
    throws: 'InvalidTopic',
  },
  cursors: {
    valid: [json({ since: 0, feeds: { [feedId]: { low: 4, ranges: [[6, 9]], skip: 0 } } })],
    decode: (bytes) => {
      const state = parseCursorState(text(bytes))
      if (state) new Cursor().merge(state)
    },
    throws: 'nothing',
  },
  'store recovery': { valid: [], decode: () => {}, throws: 'nothing' },
}

function bodyOf(bytes: Uint8Array): Uint8Array {
  // Tag and length of the first field take three bytes: it is longer than 127.
  return bytes.subarray(3, 3 + (((bytes[1] ?? 0) & 0x7f) | ((bytes[2] ?? 0) << 7)))
}

function inputFor({ valid }: Target): Uint8Array {
  const one = valid[below(valid.length)] ?? new Uint8Array()
  const kind = draw()
  if (kind < 0.15) return Uint8Array.from({ length: below(200) }, () => below(256))
  if (kind < 0.3) return mutated(draw, one, valid[below(valid.length)] ?? one)
  return mutated(draw, one)
}

/** Whether it was taken. */
function tryOne(name: string, target: Target): boolean {
  const input = inputFor(target)
  try {
    target.decode(input)
    return true
  } catch (error) {
    if (target.throws === 'wire' ? error instanceof WireError : isError(error) && error.code === target.throws)
      return false
    const hex = Buffer.from(input).toString('hex')
    throw new Error(`${name} threw ${error instanceof Error ? error.stack : error}\nfor ${hex}`, { cause: error })
  }
}

/** A log whose files were garbled opens, and gives back batches that were stored, or none. */
async function openGarbled(): Promise<void> {
  const disk = memoryDisk()
  const here = folder(disk, 20_000)
  const first = await here.open()
  for (const batch of batches) await first.log.append([batch])
  const stored = new Set(await readAll(first.log).then((names) => names.map(placeless)))
  await first.close()
  for (const path of await segments(disk)) {
    if (draw() < 0.7) await rewrite(disk, path, mutated(draw, await bytesOf(disk, path)))
  }
  const again = await here.open()
  const seen = (await readAll(again.log)).map(placeless).filter((name) => name !== 'damaged')
  for (const name of seen) assert.ok(stored.has(name), `${name} was never stored`)
  assert.is(new Set(seen).size, seen.length, `twice: ${seen}`)
  await again.close()
}

function placeless(name: string): string {
  return name.replace(/@.*/, '')
}

async function fuzz(chosen: [name: string, target: Target][], forMs: number): Promise<void> {
  const begun = performance.now()
  const lasted = () => performance.now() - begun
  let warm = 0
  let most = 0
  let tries = 0
  let taken = 0
  while (lasted() < forMs) {
    for (const [name, target] of chosen) {
      if (name === 'store recovery') await openGarbled()
      else for (let i = 0; i < 100; i++) taken += tryOne(name, target) ? 1 : 0
      tries += name === 'store recovery' ? 1 : 100
    }
    // zlib frees its memory, and the collector finds its time, between turns of the event loop.
    await turn()
    const rss = process.memoryUsage.rss()
    if (lasted() < forMs / 4) warm = Math.max(warm, rss)
    else most = Math.max(most, rss)
  }
  const grown = Math.round((most - warm) / MiB)
  const what = chosen.length > 1 ? 'all' : chosen[0]?.[0]
  process.stdout.write(`${what}: ${tries} inputs, ${taken} taken, ${grown} MiB more than after warm-up\n`)
  assert.ok(most - warm < growthMax, `memory grew by ${grown} MiB`)
}

if (soak) {
  const minutes = 10
  test(
    'no decoder throws anything undeclared or keeps memory in ten minutes of garbage',
    () => fuzz(Object.entries(targets), minutes * 60_000),
    { deadlineMs: minutes * 60_000 + 30_000 },
  )
} else {
  for (const [name, target] of Object.entries(targets)) {
    test(`garbage for ${name} ends in its declared error, and memory stays`, () => fuzz([[name, target]], 3_000), {
      deadlineMs: 30_000,
    })
  }
}

test.run()
