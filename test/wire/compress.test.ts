import { deflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import * as assert from 'uvu/assert'
import { limits } from '../../node/limits.ts'
import { Compressor, compressBody, expandBody } from '../../node/wire/compress.ts'
import type { Compression, Head } from '../../node/wire/head.ts'
import { signingKeyOf } from '../../node/wire/key.ts'
import { parseTopic } from '../../node/wire/topic.ts'
import { bytesOf, onlyWireError, throwsWire } from '../helper/bytes.ts'
import { suite } from '../helper/suite.ts'

const test = suite('wire/compress')

const shrinking = bytesOf('{"id":1,"name":"customer"}\n'.repeat(1_000))
/** Bytes without any pattern, from a generator, so that runs repeat. */
const stubborn = noise(20_000)

function noise(length: number): Uint8Array {
  let state = 1
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state >>> 24
  })
}

function headOf(body: Uint8Array, rawBytes: number, compression: Compression = 'deflate-raw'): Head {
  return {
    author: signingKeyOf(new Uint8Array(32)).publicKey,
    topic: parseTopic('t'),
    started: 0,
    nonce: new Uint8Array(8),
    seq: 1,
    count: 1,
    firstIndex: 0,
    prev: new Uint8Array(32),
    bodyHash: new Uint8Array(32),
    bodyBytes: body.length,
    rawBytes,
    compression,
    time: 0,
    tick: 0,
    flags: 0,
  }
}

test('a body that shrinks is compressed, and comes back', () => {
  const { body, compression } = compressBody(shrinking)
  assert.is(compression, 'deflate-raw')
  assert.ok(body.length < shrinking.length / 8)
  assert.is(body.buffer.byteLength, body.length)
  assert.equal(expandBody(headOf(body, shrinking.length), body), shrinking)
})

test('a small body, and one that hardly shrinks, stay as they are', () => {
  const small = shrinking.subarray(0, limits.compressBytesMin - 1)
  for (const raw of [small, stubborn]) {
    const packed = compressBody(raw)
    assert.is(packed.compression, 'none')
    assert.is(packed.body, raw)
    assert.is(expandBody(headOf(raw, raw.length, 'none'), raw), raw)
  }
})

test('bodies of any size come back', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 500 }), fc.integer({ min: 1, max: 60 }), (piece, times) => {
      const raw = new Uint8Array(Buffer.concat(Array.from({ length: times }, () => piece)))
      const { body, compression } = compressBody(raw)
      assert.equal(expandBody(headOf(body, raw.length, compression), body), raw)
    }),
    { numRuns: 100 },
  )
})

test('a compressor stops trying what does not shrink, and soon tries again', () => {
  const compressor = new Compressor()
  for (let i = 0; i < 200; i++) compressor.compress(stubborn)
  // From here on a body comes back compressed exactly when it was tried.
  const tries = Array.from({ length: 130 }, () => compressor.compress(shrinking).compression === 'deflate-raw')
  const first = tries.indexOf(true)
  assert.ok(first > 0 && first < 64, `tried again after ${first}`)
  assert.ok(tries.slice(first).every(Boolean))
})

test('after a body that did not shrink, a large one is judged by its middle first', () => {
  const plain = new Uint8Array(400_000)
  const core = new Uint8Array(400_000)
  core.set(noise(60_000), 170_000)
  const after = (body: Uint8Array) => {
    const compressor = new Compressor()
    assert.is(compressor.compress(stubborn).compression, 'none')
    compressor.compress(stubborn)
    return compressor.compress(body).compression
  }
  assert.is(new Compressor().compress(core).compression, 'deflate-raw')
  assert.equal([after(plain), after(core), after(shrinking)], ['deflate-raw', 'none', 'deflate-raw'])
})

test('a body that expands to more or less than its head says is refused', () => {
  const { body } = compressBody(shrinking)
  throwsWire(() => expandBody(headOf(body, shrinking.length - 1), body), 'one byte more')
  throwsWire(() => expandBody(headOf(body, shrinking.length + 1), body), 'one byte less')
  throwsWire(() => expandBody(headOf(body, 1), body), 'much more')
  throwsWire(() => expandBody({ ...headOf(body, shrinking.length), bodyBytes: 5 }, body), 'another size')
  throwsWire(() => expandBody(headOf(body.subarray(0, -5), shrinking.length), body.subarray(0, -5)), 'cut off')
})

test('a decompression bomb costs no more memory than its head was allowed', () => {
  const bomb = new Uint8Array(deflateRawSync(Buffer.alloc(256 * 1024 * 1024), { level: 9 }))
  const before = process.memoryUsage().arrayBuffers
  let most = 0
  for (let i = 0; i < 20; i++) {
    throwsWire(() => expandBody(headOf(bomb, 10_000), bomb), 'a bomb')
    most = Math.max(most, process.memoryUsage().arrayBuffers - before)
  }
  assert.ok(most < 8 * 1024 * 1024, `${most} bytes`)
})

test('a head that claims what deflate cannot do is refused before anything is allocated', () => {
  const body = new Uint8Array(10)
  const before = process.memoryUsage().arrayBuffers
  for (let i = 0; i < 100; i++)
    throwsWire(() => expandBody(headOf(body, limits.bodyBytesMax), body), 'ten bytes to 16 MiB')
  assert.ok(process.memoryUsage().arrayBuffers - before < 1024 * 1024)
})

test('flipped bits and noise give a body or a WireError', () => {
  const { body } = compressBody(shrinking)
  fc.assert(
    fc.property(
      fc.nat(body.length - 1),
      fc.nat(7),
      fc.uint8Array({ minLength: 1, maxLength: 100 }),
      (at, bit, junk) => {
        const flipped = new Uint8Array(body)
        flipped[at] = (flipped[at] as number) ^ (1 << bit)
        onlyWireError(() => expandBody(headOf(flipped, shrinking.length), flipped))
        onlyWireError(() => expandBody(headOf(junk, junk.length), junk))
      },
    ),
    { numRuns: 500 },
  )
})

test.run()
