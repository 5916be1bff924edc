import fc from 'fast-check'
import * as assert from 'uvu/assert'
import { limits } from '../../node/limits.ts'
import { feedIdOf, type Head, headSigned, openHead, type SignedHead, signHead } from '../../node/wire/head.ts'
import { signingKeyOf, verifySignature } from '../../node/wire/key.ts'
import { parseTopic } from '../../node/wire/topic.ts'
import { bytesOf, hexOf, onlyWireError, throwsWire } from '../helper/bytes.ts'
import { suite } from '../helper/suite.ts'

const test = suite('wire/head')

const key = signingKeyOf(Uint8Array.from({ length: 32 }, (_, i) => i))
const sample: Head = {
  author: key.publicKey,
  topic: parseTopic('orders.eu'),
  started: 1_700_000_000_000,
  nonce: bytesOf('0102030405060708', 'hex'),
  seq: 3,
  count: 2,
  firstIndex: 300,
  prev: new Uint8Array(32).fill(0xaa),
  bodyHash: new Uint8Array(32).fill(0xbb),
  bodyBytes: 1000,
  rawBytes: 70_000,
  compression: 'deflate-raw',
  time: 1_700_000_000_001,
  tick: 5,
  flags: 0,
}

const headBytes = [
  '0a20 03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8',
  `12 09 ${hexOf(bytesOf('orders.eu'))}`,
  '18 80d095ffbc31',
  '22 08 0102030405060708',
  '28 03',
  '30 02',
  '38 ac02',
  `42 20 ${'aa'.repeat(32)}`,
  `4a 20 ${'bb'.repeat(32)}`,
  '50 e807',
  '58 f0a204',
  '60 01',
  '68 81d095ffbc31',
  '70 05',
].join('')

const anyHead: fc.Arbitrary<Head> = fc
  .record({
    topic: fc.constantFrom('a', 'orders.eu', '$cards', 'x'.repeat(limits.topicBytesMax)),
    started: fc.integer({ min: 0, max: limits.timeMsMax }),
    nonce: fc.uint8Array({ minLength: 8, maxLength: 8 }),
    seq: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    count: fc.integer({ min: 1, max: limits.batchRecordsMax }),
    firstIndex: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER - limits.batchRecordsMax }),
    prev: fc.uint8Array({ minLength: 32, maxLength: 32 }),
    bodyHash: fc.uint8Array({ minLength: 32, maxLength: 32 }),
    bodyBytes: fc.integer({ min: 1, max: limits.bodyBytesMax }),
    compression: fc.constantFrom('none' as const, 'deflate-raw' as const),
    time: fc.integer({ min: 0, max: limits.timeMsMax }),
    tick: fc.integer({ min: 0, max: 0xffff_ffff }),
    flags: fc.integer({ min: 0, max: 0xffff_ffff }),
  })
  .map((head) => ({
    ...head,
    topic: parseTopic(head.topic, { own: true }),
    author: key.publicKey,
    rawBytes: head.compression === 'none' ? head.bodyBytes : limits.bodyBytesMax,
  }))

/** A signed head around any bytes, signed as the author would. */
function signed(encoded: Uint8Array): Uint8Array {
  const signature = key.sign(Buffer.concat([bytesOf('grapevine head 1\n'), encoded]))
  const length = encoded.length < 128 ? [encoded.length] : [(encoded.length & 127) | 128, encoded.length >> 7]
  return Buffer.concat([Uint8Array.of(0x0a, ...length), encoded, Uint8Array.of(0x12, 64), signature])
}

test('a signed head has exactly these bytes', () => {
  const { bytes, hash, feed, author } = signHead(sample, key)
  const expected = `0a9b01${headBytes}1240`.replaceAll(' ', '')
  assert.is(hexOf(bytes).slice(0, -128), expected)
  assert.is(
    hexOf(bytes).slice(-128),
    'd1e907dc1e62dd3a2514570e1ad1209104a7d7bdce92e79003953896b0c96a1fda6d7cf05f988f11b003bda1637576057a51519af9b99c2b7aeff86b766f3b0b',
  )
  assert.is(hexOf(hash), 'c2d0a81c3798134f33ff8b2a730eb093d11621f8aea23eed64b1b38e37528925')
  assert.is(feed, '5a69f8757c9a1eb9d3454bd98cbe6818')
  assert.is(author, '12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB')
})

test('what is signed is the domain and the head', () => {
  const { bytes } = signHead(sample, key)
  const data = bytesOf(`${hexOf(bytesOf('grapevine head 1\n'))}${headBytes}`, 'hex')
  assert.ok(verifySignature(key.publicKey, data, bytes.subarray(-64)))
})

test('heads come out as they went in, and signed', () => {
  fc.assert(
    fc.property(anyHead, (head) => {
      const made = signHead(head, key)
      const read = openHead(made.bytes)
      assert.equal(read, made)
      assert.equal(read.head, head)
      assert.ok(headSigned(read))
      assert.ok(read.bytes.length <= limits.headBytesMax)
    }),
    { numRuns: 200 },
  )
})

test('a head keeps nothing of the buffer it was read from', () => {
  const { bytes } = signHead(sample, key)
  const buffer = Buffer.concat([bytes])
  const read = openHead(buffer)
  buffer.fill(0)
  assert.equal(read, signHead(sample, key))
  assert.ok(headSigned(read))
})

test('a feed is named by author, topic, start and nonce', () => {
  const ids = [
    feedIdOf(sample.author, sample.topic, sample.started, sample.nonce),
    feedIdOf(new Uint8Array(32), sample.topic, sample.started, sample.nonce),
    feedIdOf(sample.author, parseTopic('orders.e'), sample.started, sample.nonce),
    feedIdOf(sample.author, sample.topic, sample.started + 1, sample.nonce),
    feedIdOf(sample.author, sample.topic, sample.started, new Uint8Array(8)),
  ]
  assert.is(new Set(ids).size, ids.length)
  for (const id of ids) assert.match(id, /^[0-9a-f]{32}$/)
})

test('a field of a later version is skipped and kept under the signature', () => {
  const later = bytesOf(`${headBytes} 8001 07 8a01 03 616263 9101 0102030405060708`, 'hex')
  const read = openHead(signed(later))
  assert.ok(headSigned(read))
  assert.equal(read.head, sample)
  assert.is.not(hexOf(read.hash), hexOf(signHead(sample, key).hash))
})

test('a signed head takes no other field, so nobody can vary it on the way', () => {
  const { bytes } = signHead(sample, key)
  const encoded = bytes.subarray(3, -66)
  const signature = bytes.subarray(-66)
  const variants = {
    'a field after': Buffer.concat([bytes, bytesOf('1800', 'hex')]),
    'a field before': Buffer.concat([bytesOf('1800', 'hex'), bytes]),
    'parts swapped': Buffer.concat([signature, bytes.subarray(0, -66)]),
    'a longer length': Buffer.concat([bytesOf('0ab18100', 'hex'), encoded, signature]),
    'a longer tag': Buffer.concat([bytesOf('8a00b101', 'hex'), encoded, signature]),
    'two heads': Buffer.concat([bytes.subarray(0, -66), bytes]),
    'no signature': bytes.subarray(0, -66),
    'a short signature': Buffer.concat([bytes.subarray(0, -66), bytesOf('123f', 'hex'), bytes.subarray(-63)]),
  }
  for (const [what, variant] of Object.entries(variants)) throwsWire(() => openHead(variant), what)
})

test('a head out of bounds is refused', () => {
  const varint = (value: number | bigint) => {
    const bytes: number[] = []
    let rest = BigInt(value)
    for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128)
    return hexOf(Uint8Array.of(...bytes, Number(rest)))
  }
  // The last of two equal fields counts, so each case overrides one field of a good head.
  const cases = {
    'short author': '0a0100',
    'no topic': '1200',
    'topic with spaces': '1203612062',
    'topic not ASCII': '1202c3a9',
    'topic in overlong UTF-8': '1202c1a1',
    'start beyond any date': `18${varint(2 ** 48)}`,
    'start beyond 2^53': `18${varint(2n ** 55n)}`,
    'endless start': '18ffffffffffffffffffff01',
    'short nonce': '220100',
    'seq 0': '2800',
    'unsafe seq': `28${varint(2n ** 53n)}`,
    'no records': '3000',
    'too many records': `30${varint(limits.batchRecordsMax + 1)}`,
    'unsafe index': `38${varint(2n ** 53n - 2n)}`,
    'short prev': '420100',
    'long hash': `4a21${'00'.repeat(33)}`,
    'no body': '5000',
    'large body': `50${varint(limits.bodyBytesMax + 1)}`,
    'nothing after decompression': '5800',
    'large after decompression': `58${varint(limits.bodyBytesMax + 1)}`,
    'unknown compression': '6002',
    'two sizes without compression': '6000',
    'time beyond any date': `68${varint(2 ** 48)}`,
    'cut off': '4a20',
    'unknown wire type': '0f',
    'nested groups': '0b'.repeat(500),
  }
  assert.equal(openHead(signed(bytesOf(headBytes, 'hex'))).head, sample)
  for (const [what, hex] of Object.entries(cases)) {
    throwsWire(() => openHead(signed(bytesOf(headBytes + hex, 'hex'))), what)
  }
  throwsWire(() => openHead(signed(new Uint8Array(0))), 'no fields')
  throwsWire(() => openHead(signed(bytesOf(`${headBytes}8a01f006${'00'.repeat(880)}`, 'hex'))), 'larger than a head')
})

test('a head that was changed or signed by another is not signed', () => {
  const { bytes } = signHead(sample, key)
  const other = signingKeyOf(new Uint8Array(32).fill(9))
  const forged = new Uint8Array(bytes)
  forged.set(other.sign(bytes.subarray(3, -66)), bytes.length - 64)
  assert.not(headSigned(openHead(forged)))
  const withoutDomain = new Uint8Array(bytes)
  withoutDomain.set(key.sign(bytes.subarray(3, -66)), bytes.length - 64)
  assert.not(headSigned(openHead(withoutDomain)))
})

test('no flipped bit leaves a head signed', () => {
  const { bytes } = signHead(sample, key)
  for (let bit = 0; bit < bytes.length * 8; bit += 5) {
    const flipped = new Uint8Array(bytes)
    flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7))
    const read = onlyWireError(() => openHead(flipped))
    assert.not(read !== undefined && headSigned(read), `bit ${bit}`)
  }
})

test('truncations and noise give a WireError', () => {
  const { bytes } = signHead(sample, key)
  for (let length = 0; length < bytes.length; length++)
    throwsWire(() => openHead(bytes.subarray(0, length)), `${length}`)
  const noisy = fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ maxLength: 700 }).map(signed))
  fc.assert(
    fc.property(noisy, (noise) => {
      onlyWireError(() => openHead(noise))
    }),
    { numRuns: 1_000 },
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 20 }), fc.nat(bytes.length - 70), (noise, at) => {
      const encoded = new Uint8Array(bytes.subarray(3, -66))
      encoded.set(noise.subarray(0, Math.max(0, encoded.length - at)), Math.min(at, encoded.length))
      onlyWireError(() => openHead(signed(encoded)))
    }),
    { numRuns: 1_000 },
  )
})

test('the check of a signature is remembered for the object', () => {
  const read: SignedHead = openHead(signHead(sample, key).bytes)
  assert.ok(headSigned(read))
  read.bytes.fill(0)
  assert.ok(headSigned(read))
})

test.run()
