import fc from 'fast-check'
import * as assert from 'uvu/assert'
import { isError } from '../../node/errors.ts'
import { limits } from '../../node/limits.ts'
import { encodeRecords, openRecords, type RecordInput, recordSize } from '../../node/wire/record.ts'
import { bytesOf, hexOf, onlyWireError, throwsWire } from '../helper/bytes.ts'
import { suite } from '../helper/suite.ts'

const test = suite('wire/record')

const plainRecord = (value: string, time = 0): RecordInput => ({ value: bytesOf(value), time })

const text = fc.string({ unit: 'grapheme', maxLength: 80 })
const anyRecord: fc.Arbitrary<RecordInput> = fc.record(
  {
    value: fc.uint8Array({ maxLength: 200 }),
    time: fc.oneof(fc.nat(300), fc.integer({ min: 0, max: limits.timeMsMax })),
    key: text,
    headers: fc.dictionary(text, text, { maxKeys: 5 }),
  },
  { requiredKeys: ['value', 'time'] },
)
const anyRecords = fc.array(anyRecord, { minLength: 1, maxLength: 20 })

/** Reads everything there is in a body, as a reader would. */
function readAll(body: Uint8Array, count: number): RecordInput[] {
  const batch = openRecords(body, count)
  return Array.from({ length: count }, (_, i) => ({
    value: batch.value(i),
    key: batch.key(i),
    headers: batch.headers(i),
    time: batch.timeDelta(i),
  }))
}

test('a batch has exactly these bytes', () => {
  const body = encodeRecords(
    [
      { value: bytesOf('hi'), time: 0 },
      { value: bytesOf('v'), key: 'k1', time: 300 },
      { value: bytesOf(''), key: 'é', headers: { a: 'b', source: 'web' }, time: 2 ** 40 },
    ],
    0,
  )
  const expected = [
    '01 03 02',
    '0400 0b00 2500',
    '00 00 6869',
    '01 ac02 02 6b31 76',
    '03 808080808020 02 c3a9 02 01 61 01 62 06 736f75726365 03 776562',
  ]
  assert.is(hexOf(body), expected.join('').replaceAll(' ', ''))
})

test('records come out as they went in', () => {
  fc.assert(
    fc.property(anyRecords, (records) => {
      const expected = records.map(({ value, key, headers, time }) => ({
        value,
        key,
        headers: headers ?? {},
        time,
      }))
      assert.equal(normal(readAll(encodeRecords(records, 0), records.length)), normal(expected))
    }),
    { numRuns: 300 },
  )
})

/** Header objects of fast-check may lack a prototype; only their entries count. */
function normal(records: RecordInput[]) {
  return records.map(({ headers, ...rest }) => ({ ...rest, headers: Object.entries(headers ?? {}) }))
}

test('records may be read in any order', () => {
  fc.assert(
    fc.property(anyRecords, fc.array(fc.nat(19), { maxLength: 30 }), (records, order) => {
      const batch = openRecords(encodeRecords(records, 0), records.length)
      for (const pick of order) {
        const i = pick % records.length
        assert.equal(batch.value(i), records[i]?.value)
        assert.is(batch.timeDelta(i), records[i]?.time)
        assert.is(batch.key(i), records[i]?.key)
      }
    }),
    { numRuns: 100 },
  )
})

test('the table grows to four bytes an entry when the records pass 64 KiB', () => {
  const small = encodeRecords([{ value: new Uint8Array(65_531), time: 0 }, plainRecord('')], 0)
  const large = encodeRecords([{ value: new Uint8Array(65_532), time: 0 }, plainRecord('')], 0)
  assert.is(small[2], 2)
  assert.is(large[2], 4)
  assert.is(large.length, small.length + 1 + 2 * 2)
  assert.is(openRecords(small, 2).value(0).length, 65_531)
  assert.is(openRecords(large, 2).value(0).length, 65_532)
})

test('recordSize bounds what a record takes', () => {
  fc.assert(
    fc.property(anyRecords, (records) => {
      const sum = records.reduce((bytes, record) => bytes + recordSize(record, record.time), 0)
      const header = 3
      assert.is(
        encodeRecords(records, 0).length,
        header + sum - (sum - 4 * records.length > 0xffff ? 0 : 2) * records.length,
      )
    }),
    { numRuns: 100 },
  )
})

test('values are views on the body', () => {
  const body = encodeRecords([plainRecord('abc')], 0)
  const value = openRecords(body, 1).value(0)
  assert.is(value.buffer, body.buffer)
  assert.is(value.constructor, Uint8Array)
})

test('a body inside a larger Buffer is read like any other', () => {
  const body = encodeRecords([{ value: bytesOf('v'), key: 'k', time: 1 }], 0)
  const buffer = Buffer.concat([Buffer.alloc(7), body, Buffer.alloc(9)]).subarray(7, 7 + body.length)
  assert.equal(readAll(buffer, 1), [{ value: bytesOf('v'), key: 'k', headers: {}, time: 1 }])
})

test('a header named __proto__ is a header', () => {
  const headers = JSON.parse('{"__proto__":"x","constructor":"y"}')
  const read = openRecords(encodeRecords([{ value: bytesOf(''), headers, time: 0 }], 0), 1).headers(0)
  assert.equal(Object.entries(read), [
    ['__proto__', 'x'],
    ['constructor', 'y'],
  ])
  assert.is(Object.getPrototypeOf(read), Object.prototype)
})

test('what no reader would take is not written', () => {
  const tooLarge = (record: Partial<RecordInput>, limitBytes: number) => {
    try {
      encodeRecords([{ value: bytesOf(''), time: 0, ...record }], 0)
    } catch (error) {
      if (!isError(error, 'RecordTooLarge')) throw error
      return assert.is(error.data.limitBytes, limitBytes)
    }
    assert.unreachable()
  }
  tooLarge({ key: 'é'.repeat(limits.keyBytesMax / 2 + 1) }, limits.keyBytesMax)
  tooLarge({ headers: { a: 'x'.repeat(limits.headerBytesMax) } }, limits.headerBytesMax)
  tooLarge({ value: new Uint8Array(limits.recordBytesMax + 1) }, limits.recordBytesMax)
})

test('the largest key, headers and record are taken', () => {
  const key = 'k'.repeat(limits.keyBytesMax)
  const headers = { a: 'x'.repeat(limits.headerBytesMax - 6) }
  const value = new Uint8Array(limits.recordBytesMax - limits.keyBytesMax - limits.headerBytesMax)
  const body = encodeRecords([{ value, key, headers, time: 0 }], 0)
  assert.ok(body.length <= limits.bodyBytesMax)
  const batch = openRecords(body, 1)
  assert.is(batch.key(0), key)
  assert.equal(batch.headers(0), headers)
  assert.is(batch.value(0).length, value.length)
})

test('a malformed batch is refused when it is opened', () => {
  const cases: [what: string, hex: string, count: number][] = [
    ['empty', '', 1],
    ['unknown version', '02 01 02 0200 0000', 1],
    ['another count than the head', '01 01 02 0200 0000', 2],
    ['unknown width', '01 01 03 0200 0000', 1],
    ['no width', '01 01', 1],
    ['table cut off', '01 02 02 0200', 2],
    ['record too short', '01 01 02 0100 00', 1],
    ['record ends before the one before', '01 02 02 0400 0300 00000000', 2],
    ['bytes after the last record', '01 01 02 0200 000000', 1],
    ['last record cut off', '01 01 02 0400 0000', 1],
    ['endless count', '01 ffffffffffffffffff', 1],
    ['a count the body cannot hold', '01 904e 04 00000000', 10_000],
  ]
  for (const [what, hex, count] of cases) throwsWire(() => openRecords(bytesOf(hex, 'hex'), count), what)
})

test('a malformed record is refused when it is read, and its neighbours are not', () => {
  const broken = [
    '04 00',
    '00 80',
    '00 ffffffffffffff01',
    '01 00',
    '01 00 05 6161',
    `01 00 8120 ${'61'.repeat(4097)}`,
    '01 00 02 c328',
    '02 00',
    '02 00 7f 0000',
    '02 00 01 01 61 05 62',
    '02 00 01 02 c328 00',
    '02 00 ffffffff0f 0000',
  ]
  for (const record of broken.map((hex) => bytesOf(hex, 'hex'))) {
    const ends = Buffer.alloc(6)
    ends.writeUInt16LE(2, 0)
    ends.writeUInt16LE(2 + record.length, 2)
    ends.writeUInt16LE(4 + record.length, 4)
    const body = Buffer.concat([bytesOf('010302', 'hex'), ends, bytesOf('0000', 'hex'), record, bytesOf('0005', 'hex')])
    const batch = openRecords(body, 3)
    throwsWire(() => [batch.value(1), batch.key(1), batch.headers(1)], hexOf(record).slice(0, 40))
    assert.is(batch.timeDelta(0), 0)
    assert.is(batch.timeDelta(2), 5)
    assert.equal(batch.value(2), bytesOf(''))
  }
})

test('headers made of millions of empty strings are not built', () => {
  const record = Buffer.concat([bytesOf('0200 80897a', 'hex'), new Uint8Array(4_000_000)])
  const table = Buffer.alloc(4)
  table.writeUInt32LE(record.length)
  const batch = openRecords(Buffer.concat([bytesOf('010104', 'hex'), table, record]), 1)
  throwsWire(() => batch.headers(0), 'two million headers')
})

test('flipped bits, truncations and noise give records or a WireError', () => {
  fc.assert(
    fc.property(
      anyRecords,
      fc.array(fc.tuple(fc.nat(), fc.nat(7)), { maxLength: 4 }),
      fc.nat(),
      (records, flips, cut) => {
        const body = encodeRecords(records, 0)
        for (const [at, bit] of flips) body[at % body.length] = (body[at % body.length] as number) ^ (1 << bit)
        onlyWireError(() => readAll(body, records.length))
        onlyWireError(() => readAll(body.subarray(0, cut % body.length), records.length))
      },
    ),
    { numRuns: 500 },
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(5), fc.boolean(), (noise, count, likely) => {
      if (likely) noise.set([1, count, 2].slice(0, noise.length))
      onlyWireError(() => readAll(noise, count))
    }),
    { numRuns: 1_000 },
  )
})

test.run()
