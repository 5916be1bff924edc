import * as fc from 'fast-check'
import { Uint8ArrayList } from 'uint8arraylist'
import * as assert from 'uvu/assert'
import type { FeedId, TopicName } from '../../node/types.ts'
import { WireError } from '../../node/wire/error.ts'
import {
  type Announcement,
  decodeAnnouncement,
  decodeFrame,
  encodeAnnouncement,
  encodeFrame,
  encodePiece,
  type Frame,
} from '../../node/wire/frame.ts'
import { bytesOf, hexOf, onlyWireError, throwsWire } from '../helper/bytes.ts'
import { suite } from '../helper/suite.ts'

const test = suite('wire/frame')

const topic = 'a.b' as TopicName
const feed = '000102030405060708090a0b0c0d0e0f' as FeedId
const bytes = (...values: number[]) => Uint8Array.from(values)
const mark = bytes(1, 2, 3, 4, 5, 6, 7, 8)

/** A frame as it is on the wire. Spaces part the fields. */
const golden: [frame: Frame, hex: string][] = [
  [
    { type: 'digest', ask: 1, prints: [{ topic, held: true, print: mark }], answer: 2 },
    '0a 17 0801 12 11 0a03612e62 1001 1a080102030405060708 1802',
  ],
  [
    {
      type: 'frontier',
      topic,
      answer: false,
      buckets: bytes(),
      entries: [{ feed, base: 1, last: 300, mark }],
      more: true,
    },
    '12 2e 0a03612e62 1000 1a00 2801 22 21 0a10000102030405060708090a0b0c0d0e0f 1001 18ac02 22080102030405060708',
  ],
  [
    { type: 'want', id: 7, topic, feed, from: 1, to: 2, budget: 4096 },
    '22 20 0807 1203612e62 1a10000102030405060708090a0b0c0d0e0f 2001 2802 308020',
  ],
  [{ type: 'batch', id: 7, head: bytes(9, 9), body: bytes(1, 2, 3) }, '2a 0b 0807 12020909 1a03010203'],
  [{ type: 'chunk', id: 7, body: bytes(4) }, '32 05 0807 120104'],
  [{ type: 'end', id: 7, reason: 'gone', base: 9 }, '3a 0a 0807 1204676f6e65 1809'],
  [{ type: 'stored', topic, feed, seq: 300 }, '42 1a 0a03612e62 1210000102030405060708090a0b0c0d0e0f 18ac02'],
  [{ type: 'more', id: 7, budget: 1 }, '4a 04 0807 1001'],
  [{ type: 'cancel', id: 2 ** 31 + 1 }, '52 06 088180808008'],
  [{ type: 'fork', topic, a: bytes(1, 2), b: bytes(3) }, '5a 0c 0a03612e62 12020102 1a0103'],
]

for (const [frame, hex] of golden) {
  test(`a ${frame.type} frame is these bytes`, () => {
    assert.is(hexOf(encodeFrame(frame)), hex.replaceAll(' ', ''))
    assert.equal(decodeFrame(bytesOf(hex, 'hex')), frame)
  })
}

test('the body of a batch or a chunk goes along as it is, without a copy', () => {
  const body = new Uint8Array(300).fill(5)
  for (const frame of [
    { type: 'batch', id: 1, head: bytes(9), body },
    { type: 'chunk', id: 1, body },
  ] as const) {
    const sent = encodePiece(frame)
    assert.is([...sent].at(-1), body)
    assert.is(hexOf(sent.subarray()), hexOf(encodeFrame(frame)))
    assert.equal(decodeFrame(sent.subarray()), frame)
  }
})

test('a buckets frame is these bytes', () => {
  const prints = Uint8Array.from({ length: 2048 }, (_, i) => i & 0xff)
  const frame: Frame = { type: 'buckets', topic, prints }
  assert.is(hexOf(encodeFrame(frame)), `1a8810${'0a03612e62'}128010${hexOf(prints)}`)
  assert.equal(decodeFrame(encodeFrame(frame)), frame)
})

test('an announcement is these bytes, with its body or without', () => {
  const both: [Announcement, string][] = [
    [{ head: bytes(1, 2), body: bytes(3) }, '0a020102120103'],
    [{ head: bytes(1, 2), body: undefined }, '0a020102'],
    [{ head: bytes(1), body: bytes() }, '0a01011200'],
    [{ head: bytes(1), body: undefined, isDirect: true }, '0a01011801'],
  ]
  for (const [announcement, hex] of both) {
    assert.is(hexOf(encodeAnnouncement(announcement)), hex)
    assert.equal(decodeAnnouncement(bytesOf(hex, 'hex')), announcement)
  }
})

test('an announcement has one encoding', () => {
  for (const hex of [
    '120103 0a020102',
    '0a020102 1800',
    '0a020102 1802',
    '0a020102 2001',
    '0a820001 02',
    '0a020102 120103 120103',
  ])
    throwsWire(() => decodeAnnouncement(bytesOf(hex, 'hex')), hex)
})

/** Plain objects, as the decoder makes them. */
const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.record(model, { noNullPrototype: true })
const blob = (max = 40) => fc.uint8Array({ maxLength: max })
const exact = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const id = fc.nat(2 ** 31 - 1)
const seq = fc.maxSafeNat().map((n) => Math.max(1, n))
const topics = fc
  .stringMatching(/^\$?[A-Za-z][A-Za-z0-9_-]{0,20}(\.[a-z0-9]{1,5}){0,3}$/)
  .map((name) => name as TopicName)
const feeds = exact(16).map((raw) => hexOf(raw) as FeedId)
/** Of some feeds retention has left nothing: they begin behind their end. */
const entry = record({ feed: feeds, last: seq, held: fc.oneof(fc.constant(0), fc.nat(1000)), mark: exact(8) }).map(
  ({ held, ...rest }) => ({
    feed: rest.feed,
    base: Math.max(1, Math.min(rest.last - held + 1, Number.MAX_SAFE_INTEGER)),
    last: rest.last,
    mark: rest.mark,
  }),
)
const frames: fc.Arbitrary<Frame> = fc.oneof(
  record({
    type: fc.constant('digest' as const),
    ask: id,
    answer: id,
    prints: fc.array(record({ topic: topics, held: fc.boolean(), print: exact(8) }), { maxLength: 4 }),
  }),
  record({
    type: fc.constant('frontier' as const),
    topic: topics,
    answer: fc.boolean(),
    buckets: fc.oneof(exact(0), exact(32)),
    entries: fc.array(entry, { maxLength: 4 }),
    more: fc.boolean(),
  }),
  record({ type: fc.constant('buckets' as const), topic: topics, prints: exact(2048) }),
  record({ id, topic: topics, feed: feeds, range: fc.tuple(seq, seq), budget: id }).map(
    ({ range: [a, b], ...rest }) => ({
      type: 'want' as const,
      ...rest,
      from: Math.min(a, b),
      to: Math.max(a, b),
    }),
  ),
  record({ type: fc.constant('batch' as const), id, head: blob(), body: blob() }),
  record({ type: fc.constant('chunk' as const), id, body: blob() }),
  record({
    type: fc.constant('end' as const),
    id,
    reason: fc.constantFrom('done' as const, 'gone' as const, 'unknown' as const),
    base: fc.maxSafeNat(),
  }),
  record({ type: fc.constant('stored' as const), topic: topics, feed: feeds, seq: fc.maxSafeNat() }),
  record({ type: fc.constant('more' as const), id, budget: id }),
  record({ type: fc.constant('cancel' as const), id }),
  record({ type: fc.constant('fork' as const), topic: topics, a: blob(), b: blob() }),
)

test('every frame comes back as it was', () => {
  fc.assert(fc.property(frames, (frame) => assert.equal(decodeFrame(encodeFrame(frame)), frame)))
})

/** What it decodes to, in whatever pieces its body is; or that it is refused. */
function outcome(frame: Uint8Array | Uint8ArrayList): unknown {
  try {
    const decoded = decodeFrame(frame)
    return decoded && 'body' in decoded ? { ...decoded, body: decoded.body.subarray() } : decoded
  } catch (error) {
    assert.instance(error, WireError)
    return 'refused'
  }
}

test('a frame that comes in pieces says what it says in one piece, and so does one that is wrong', () => {
  const split = (encoded: Uint8Array, cuts: number[]) => {
    const at = [0, ...cuts.map((cut) => cut % encoded.length).sort((a, b) => a - b), encoded.length]
    return new Uint8ArrayList(...at.slice(1).map((end, i) => encoded.subarray(at[i], end)))
  }
  fc.assert(
    fc.property(
      frames,
      fc.array(fc.nat(), { maxLength: 4 }),
      fc.array(fc.tuple(fc.nat(20), fc.nat(7)), { maxLength: 2 }),
      (frame, cuts, flips) => {
        const encoded = encodeFrame(frame)
        for (const [at, bit] of flips) if (at < encoded.length) encoded[at] = (encoded[at] as number) ^ (1 << bit)
        assert.equal(outcome(split(encoded, cuts)), outcome(encoded))
      },
    ),
    { numRuns: 2_000 },
  )
})

test('a body in pieces is not put together', () => {
  const body = new Uint8Array(100_000).fill(5)
  for (const frame of [
    { type: 'batch', id: 1, head: bytes(9), body },
    { type: 'chunk', id: 1, body },
  ] as const) {
    const encoded = encodeFrame(frame)
    const decoded = decodeFrame(new Uint8ArrayList(encoded.subarray(0, 60_000), encoded.subarray(60_000)))
    assert.ok(decoded?.type === frame.type && decoded.body instanceof Uint8ArrayList)
    for (const part of decoded.body) assert.is(part.buffer, encoded.buffer)
  }
})

test('a frame with a flipped bit, cut short or lengthened is another frame or a WireError', () => {
  fc.assert(
    fc.property(frames, fc.nat(), fc.nat(), blob(8), (frame, bit, cut, tail) => {
      const encoded = encodeFrame(frame)
      const flipped = new Uint8Array(encoded)
      const at = (bit >>> 3) % flipped.length
      flipped[at] = (flipped[at] as number) ^ (1 << (bit & 7))
      onlyWireError(() => decodeFrame(flipped))
      onlyWireError(() => decodeFrame(encoded.subarray(0, cut % encoded.length)))
      onlyWireError(() => decodeFrame(Buffer.concat([encoded, tail])))
    }),
    { numRuns: 500 },
  )
})

test('garbage is a WireError or nothing we know', () => {
  fc.assert(
    fc.property(blob(200), (garbage) => {
      onlyWireError(() => decodeFrame(garbage))
      onlyWireError(() => decodeAnnouncement(garbage))
    }),
    { numRuns: 1000 },
  )
})

test('garbage within each kind of frame is a WireError or a frame', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 11 }), blob(100), (kind, garbage) => {
      onlyWireError(() => decodeFrame(Buffer.concat([bytes((kind << 3) | 2, garbage.length), garbage])))
    }),
    { numRuns: 1000 },
  )
})

test('fields and kinds of later versions are skipped', () => {
  assert.equal(decodeFrame(bytesOf('4a 08 0807 1001 7a020102', 'hex')), { type: 'more', id: 7, budget: 1 }, 'a field')
  assert.is(decodeFrame(bytesOf('7a 02 0801', 'hex')), undefined, 'a kind')
})

const wrong: [what: string, hex: string][] = [
  ['nothing at all', ''],
  ['a kind that is a number', '0801'],
  ['a body longer than the frame', '0a 20 0801'],
  ['a print of seven bytes', '0a 13 12 11 0a03612e62 1001 1a0701020304050607'],
  ['a topic with a slash', '1a 05 0a03612f62'],
  ['no topic', '42 00'],
  ['a feed of fifteen bytes', '42 18 0a03612e62 120f000102030405060708090a0b0c0d0e'],
  ['prints for too few buckets', '1a 0f 0a03612e62 12080102030405060708'],
  ['buckets that are no set of 256', '12 08 0a03612e62 1a0101'],
  ['a want from 0', '22 1d 0807 1203612e62 1a10000102030405060708090a0b0c0d0e0f 2000 2802'],
  ['a want that ends before it begins', '22 1d 0807 1203612e62 1a10000102030405060708090a0b0c0d0e0f 2003 2802'],
  ['a number beyond 2^53', '42 21 0a03612e62 1210000102030405060708090a0b0c0d0e0f 18ffffffffffffffff7f'],
  ['bytes where a number belongs', '4a 03 0a0107'],
]
for (const [what, hex] of wrong) {
  test(`${what} is refused`, () => throwsWire(() => decodeFrame(bytesOf(hex, 'hex')), what))
}

test.run()
