import fc from 'fast-check'
import * as assert from 'uvu/assert'
import { isError } from '../../node/errors.ts'
import { checkRange, type Tip, tipOf } from '../../node/feed/chain.ts'
import { FeedWriter } from '../../node/feed/writer.ts'
import { limits } from '../../node/limits.ts'
import { expandBody } from '../../node/wire/compress.ts'
import { feedIdOf, openHead } from '../../node/wire/head.ts'
import { peerIdOf, signingKeyOf } from '../../node/wire/key.ts'
import { openRecords, type RecordInput } from '../../node/wire/record.ts'
import { parseTopic } from '../../node/wire/topic.ts'
import { bytesOf } from '../helper/bytes.ts'
import { suite } from '../helper/suite.ts'

const test = suite('feed/writer')

const key = signingKeyOf(new Uint8Array(32).fill(1))
const topic = parseTopic('orders')
const nonce = bytesOf('12345678')
const stamp = { time: 5_000, tick: 3 }

function writerOf(): FeedWriter {
  return new FeedWriter(key, topic, 1_000, nonce)
}

test('the batches of a writer are a feed that anyone can read', () => {
  const anyRecord = fc.record({ value: fc.uint8Array({ maxLength: 300 }), time: fc.integer({ min: 0, max: 10_000 }) })
  fc.assert(
    fc.property(
      fc.array(fc.array(anyRecord, { minLength: 1, maxLength: 40 }), { minLength: 1, maxLength: 5 }),
      (runs) => {
        const writer = writerOf()
        let tip: Tip | undefined
        const read: RecordInput[] = []
        for (const run of runs) {
          const { head, body } = writer.seal(run, stamp)
          const arrived = { head: openHead(head.bytes), body }
          assert.equal(checkRange(tip, [arrived]), { ok: true })
          tip = tipOf(arrived.head)
          const records = openRecords(expandBody(arrived.head.head, body), arrived.head.head.count)
          for (let i = 0; i < records.count; i++) {
            read.push({ value: records.value(i), time: head.head.time + records.timeDelta(i) })
          }
        }
        const expected = runs.flat().map(({ value, time }) => ({ value, time: Math.max(time, stamp.time) }))
        assert.equal(read, expected)
        assert.equal([tip?.seq, tip?.nextIndex], [runs.length, expected.length])
      },
    ),
    { numRuns: 50 },
  )
})

test('heads say who published what and when', () => {
  const writer = writerOf()
  const { head } = writer.seal([{ value: bytesOf('a'), time: 5_000 }], stamp)
  assert.is(head.feed, feedIdOf(key.publicKey, topic, 1_000, nonce))
  assert.is(head.feed, writer.feed)
  assert.is(head.author, peerIdOf(key.publicKey))
  const { seq, firstIndex, count, time, tick, started } = head.head
  assert.equal(
    { seq, firstIndex, count, time, tick, started },
    { seq: 1, firstIndex: 0, count: 1, ...stamp, started: 1_000 },
  )
})

test('a batch that could not be sealed uses up no number', () => {
  const writer = writerOf()
  const first = writer.seal([{ value: bytesOf('a'), time: 0 }], stamp)
  const large = { value: new Uint8Array(limits.recordBytesMax + 1), time: 0 }
  assert.throws(
    () => writer.seal([large], stamp),
    (error: unknown) => isError(error, 'RecordTooLarge'),
  )
  assert.throws(() => writer.seal([], stamp))
  const second = writer.seal([{ value: bytesOf('b'), time: 0 }], stamp)
  assert.equal(checkRange(tipOf(first.head), [second]), { ok: true })
})

test('a record of the largest size is a batch', () => {
  const value = new Uint8Array(limits.recordBytesMax).fill(7)
  const { head, body } = writerOf().seal([{ value, time: 0 }], stamp)
  assert.is(head.head.compression, 'deflate-raw')
  const read = openRecords(expandBody(head.head, body), 1).value(0)
  assert.ok(Buffer.from(read).equals(value))
})

test('a batch of the most records is a batch', () => {
  const records = Array.from({ length: limits.batchRecordsMax }, () => ({ value: new Uint8Array(0), time: 0 }))
  const { head, body } = writerOf().seal(records, stamp)
  assert.is(openRecords(expandBody(head.head, body), head.head.count).count, limits.batchRecordsMax)
  assert.throws(() => writerOf().seal([...records, { value: new Uint8Array(0), time: 0 }], stamp))
})

test.run()
