import fc from 'fast-check'
import * as assert from 'uvu/assert'
import { checkRange, forkOf, type RangeFault, type Tip, tipOf } from '../../node/feed/chain.ts'
import { FeedWriter } from '../../node/feed/writer.ts'
import { sha256 } from '../../node/wire/bytes.ts'
import { type Batch, type Head, openHead, signHead } from '../../node/wire/head.ts'
import { signingKeyOf } from '../../node/wire/key.ts'
import { parseTopic } from '../../node/wire/topic.ts'
import { bytesOf } from '../helper/bytes.ts'
import { suite } from '../helper/suite.ts'

const test = suite('feed/chain')

const key = signingKeyOf(new Uint8Array(32).fill(1))
const stranger = signingKeyOf(new Uint8Array(32).fill(2))
const nonce = new Uint8Array(8)

/** The first `count` batches of a feed; batch n has n records. */
function feedOf(count: number, text = 'x', author = key): Batch[] {
  const writer = new FeedWriter(author, parseTopic('orders'), 1_000, nonce)
  return Array.from({ length: count }, (_, i) =>
    writer.seal(
      Array.from({ length: i + 1 }, (_, n) => ({ value: bytesOf(`${text}${n}`), time: 2_000 })),
      { time: 2_000 + i, tick: 0 },
    ),
  )
}

/** As it comes from the network: nothing remembered. */
function received({ head, body }: Batch): Batch {
  return { head: openHead(head.bytes), body }
}

/** The batch with some of its head changed by its own author, signed again. */
function altered(batch: Batch, change: Partial<Head>): Batch {
  return { head: signHead({ ...batch.head.head, ...change }, key), body: batch.body }
}

/** The batch with its signature made by someone else. */
function forged(batch: Batch): Batch {
  const bytes = new Uint8Array(batch.head.bytes)
  bytes.set(stranger.sign(bytesOf('anything')), bytes.length - 64)
  return { head: openHead(bytes), body: batch.body }
}

function fails(tip: Tip | undefined, batches: Batch[], reason: RangeFault, at: number) {
  assert.equal(checkRange(tip, batches.map(received)), { ok: false, reason, at })
}

const [one, two, three, four] = feedOf(4) as [Batch, Batch, Batch, Batch]

test('any split of a feed into consecutive ranges is taken', () => {
  const feed = feedOf(12)
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 12 }), (lengths) => {
      let tip: Tip | undefined
      let from = 0
      for (const length of lengths) {
        const range = feed.slice(from, from + length).map(received)
        assert.equal(checkRange(tip, range), { ok: true })
        if (range.length > 0) tip = tipOf((range.at(-1) as Batch).head)
        from += length
      }
      assert.is(
        tip?.nextIndex,
        feed.slice(0, from).reduce((sum, batch) => sum + batch.head.head.count, 0),
      )
    }),
    { numRuns: 20 },
  )
})

test('without a tip a range may begin anywhere, since retention may have removed the rest', () => {
  assert.equal(checkRange(undefined, [three, four].map(received)), { ok: true })
  assert.equal(checkRange(undefined, []), { ok: true })
})

test('the beginning of a feed has nothing before it', () => {
  fails(undefined, [altered(one, { prev: new Uint8Array(32).fill(1) })], 'chain', 0)
  fails(undefined, [altered(one, { firstIndex: 5 })], 'index', 0)
})

test('a forged signature is found, on the last batch', () => {
  fails(undefined, [forged(one)], 'signature', 0)
  fails(tipOf(one.head), [two, three, forged(four)], 'signature', 2)
})

test('a replayed batch, a gap and a swapped order are found', () => {
  fails(tipOf(two.head), [two], 'order', 0)
  fails(tipOf(two.head), [one], 'order', 0)
  fails(tipOf(two.head), [four], 'order', 0)
  fails(undefined, [one, three], 'order', 1)
  fails(undefined, [one, two, two], 'order', 2)
  fails(tipOf(one.head), [three, two], 'order', 0)
})

test('a batch that names another predecessor is found', () => {
  fails(tipOf(one.head), [altered(two, { prev: new Uint8Array(32) })], 'chain', 0)
  fails(tipOf(altered(one, { flags: 1 }).head), [two, three], 'chain', 0)
  fails(undefined, [one, altered(two, { flags: 1 }), three], 'chain', 2)
})

test('indices that skip records or repeat them are found', () => {
  fails(tipOf(two.head), [altered(three, { firstIndex: 4 })], 'index', 0)
  fails(tipOf(two.head), [altered(three, { firstIndex: 2 })], 'index', 0)
})

test('a body other than the one described is found, wherever it is', () => {
  const swapped = { head: two.head, body: one.body }
  const flipped = { head: two.head, body: two.body.map((byte, i) => (i === two.body.length - 1 ? byte ^ 1 : byte)) }
  const longer = { head: two.head, body: new Uint8Array([...two.body, 0]) }
  for (const wrong of [swapped, flipped, longer]) fails(undefined, [one, wrong, three], 'body', 1)
  // The hash of the body is right and its size is not.
  const size = altered(two, { bodyBytes: two.body.length + 1, rawBytes: two.body.length + 1 })
  assert.equal(size.head.head.bodyHash, sha256(two.body))
  fails(tipOf(one.head), [size], 'body', 0)
})

test('a batch of another feed is found', () => {
  const other = feedOf(2, 'x', stranger)
  fails(undefined, [one, other[1] as Batch], 'feed', 1)
})

test('one valid signature does not carry a forged head before it', () => {
  fails(undefined, [one, altered(two, { time: 9_999 }), three, four], 'chain', 2)
})

test('a signature spoiled on the way is found even where it is not checked', () => {
  fails(undefined, [one, forged(two), three], 'chain', 2)
  fails(tipOf(forged(one).head), [two], 'chain', 0)
})

test('two signed heads under one number are a fork, and the proof is the same from either side', () => {
  const other = feedOf(4, 'y')
  const proof = forkOf(two.head, (other[1] as Batch).head)
  assert.is(proof?.feed, two.head.feed)
  assert.is(proof?.seq, 2)
  assert.equal(forkOf((other[1] as Batch).head, two.head), proof)
})

test('what is not two signed heads under one number is no fork', () => {
  const other = feedOf(4, 'y').map((batch) => batch.head)
  assert.is(forkOf(two.head, openHead(two.head.bytes)), undefined)
  assert.is(forkOf(two.head, other[2] as Batch['head']), undefined)
  assert.is(forkOf(two.head, forged(feedOf(2, 'y')[1] as Batch).head), undefined)
  assert.is(forkOf(forged(two).head, other[1] as Batch['head']), undefined)
  assert.is(forkOf(two.head, (feedOf(2, 'x', stranger)[1] as Batch).head), undefined)
})

test('any change to a range that its author did not sign is found', () => {
  const feed = feedOf(5)
  fc.assert(
    fc.property(fc.nat(4), fc.boolean(), fc.nat(), fc.nat(7), (at, inBody, position, bit) => {
      const { head, body } = feed[at] as Batch
      const bytes = new Uint8Array(inBody ? body : head.bytes)
      bytes[position % bytes.length] = (bytes[position % bytes.length] as number) ^ (1 << bit)
      let changed: Batch
      try {
        changed = inBody ? { head: openHead(head.bytes), body: bytes } : { head: openHead(bytes), body }
      } catch {
        return
      }
      assert.not(checkRange(undefined, feed.with(at, changed)).ok)
    }),
    { numRuns: 300 },
  )
})

test.run()
