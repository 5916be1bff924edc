import * as fc from 'fast-check'
import * as assert from 'uvu/assert'
import type { FeedRange } from '../../node/store/topic-log.ts'
import {
  bucketPrints,
  differingBuckets,
  entriesAhead,
  entriesOf,
  printOf,
  samePrint,
} from '../../node/sync/frontier.ts'
import { FetchScheduler } from '../../node/sync/scheduler.ts'
import type { FeedId, PeerId, TopicName } from '../../node/types.ts'
import { decodeFrame, encodeFrame, type Frame } from '../../node/wire/frame.ts'
import { suite } from '../helper/suite.ts'

const test = suite('sync')
const all = new Uint8Array(0)
const topic = 'orders' as TopicName

function rangeOf(last: number, hash: Uint8Array, base = 1): FeedRange {
  return { base, last, hash, nextIndex: last, author: 'ann' as PeerId, forked: false, started: 0 }
}

const feedId = fc
  .uint8Array({ minLength: 16, maxLength: 16 })
  .map((bytes) => Buffer.from(bytes).toString('hex') as FeedId)
const range = fc
  .record({ last: fc.integer({ min: 1, max: 1000 }), hash: fc.uint8Array({ minLength: 32, maxLength: 32 }) })
  .map(({ last, hash }) => rangeOf(last, hash))
const feeds = fc.uniqueArray(fc.tuple(feedId, range), { selector: ([id]) => id, maxLength: 40 })

test('a print does not depend on the order in which feeds became known', () => {
  fc.assert(
    fc.property(feeds, (some) => {
      const [there, back] = [new Map(some), new Map([...some].reverse())]
      assert.equal(printOf(there), printOf(back))
      assert.equal(bucketPrints(there), bucketPrints(back))
    }),
  )
})

test('two frontiers that differ in one feed differ in its bucket alone, and that names the feed', () => {
  fc.assert(
    fc.property(feeds, feedId, range, (some, id, theirs) => {
      const mine = new Map(some.filter(([feed]) => feed !== id))
      const other = new Map(mine).set(id, theirs)
      const differing = differingBuckets(bucketPrints(mine), bucketPrints(other))
      // A hash whose mark is zero cannot be told from a feed that is not there; nobody can make one.
      if (theirs.hash.subarray(0, 8).every((byte) => byte === 0)) return
      assert.not.ok(samePrint(printOf(mine), printOf(other)))
      const bits = [...differing].flatMap((byte, at) =>
        [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => byte & (1 << bit)).map((bit) => at * 8 + bit),
      )
      assert.equal(bits, [Number.parseInt(id.slice(0, 2), 16)])
      assert.ok(entriesOf(other, differing).some(({ feed }) => feed === id))
      assert.ok(entriesOf(other, differing).every(({ feed }) => feed.slice(0, 2) === id.slice(0, 2)))
    }),
  )
})

test('the same frontier has the same prints and no differing bucket', () => {
  const mine = new Map([['ab'.repeat(16) as FeedId, rangeOf(3, new Uint8Array(32).fill(7))]])
  assert.ok(samePrint(printOf(mine), printOf(new Map(mine))))
  assert.equal(differingBuckets(bucketPrints(mine), bucketPrints(mine)), new Uint8Array(32))
})

test('nothing held prints as zeros', () => {
  assert.equal(printOf(new Map()), new Uint8Array(8))
  assert.equal(bucketPrints(new Map()), new Uint8Array(2048))
})

test('what a friend lacks is what it has less of, or nothing', () => {
  const [a, b, c] = ['0a', '0b', '0c'].map((byte) => byte.repeat(16) as FeedId) as [FeedId, FeedId, FeedId]
  const hash = Uint8Array.from({ length: 32 }, (_, i) => i)
  const mine = new Map([
    [a, rangeOf(5, hash, 2)],
    [b, rangeOf(5, hash)],
    [c, rangeOf(5, hash)],
  ])
  const ahead = entriesAhead(
    mine,
    all,
    new Map([
      [b, 3],
      [c, 5],
    ]),
  )
  const mark = hash.subarray(0, 8)
  assert.equal(ahead, [
    { feed: a, base: 2, last: 5, mark },
    { feed: b, base: 1, last: 5, mark },
  ])
})

test('a feed of which retention left nothing is told as far as it went, and nobody who hears of it is asked for it', () => {
  const feed = 'ab'.repeat(16) as FeedId
  const emptied = new Map([[feed, rangeOf(368, new Uint8Array(32).fill(7), 369)]])
  const entries = entriesOf(emptied, all)
  const frame: Frame = { type: 'frontier', topic, answer: false, buckets: all, entries, more: false }
  assert.equal(decodeFrame(encodeFrame(frame)), frame)
  const offer = { type: 'offered' as const, peer: 'ann' as PeerId, topic, feed, base: 369, last: 368, held: 0 }
  assert.equal(new FetchScheduler().handle(offer, 0), [])
})

test.run()
