/**
 * Record batches: the body of a batch, and the hot path. What is in it:
 *
 *     u8 version (1) | varint count | u8 width of an offset (2 or 4)
 *     count × end of the record, little endian, counted from where the records begin
 *     count × record:  u8 flags (1 key, 2 headers) | varint ms after the head's time
 *                      | [varint length, key] | [varint n, n × (varint length, name, varint length, value)] | value to the end
 *
 * A codec of our own rather than protobuf, because of the table: a reader takes any record without touching the others, and
 * who only passes a batch on takes none. Encoding writes into one buffer of the exact size; decoding allocates what it
 * returns and nothing else.
 */
import assert from 'node:assert/strict'
import { GrapevineError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { Headers } from '../types.ts'
import { buffer, plain } from './bytes.ts'
import { WireError } from './error.ts'
import { readUtf8, utf8Length, writeUtf8 } from './utf8.ts'
import { varintSize, writeVarint } from './varint.ts'

export interface RecordInput {
  value: Uint8Array
  key?: string | undefined
  headers?: Headers | undefined
  /** Ms. */
  time: number
}

const version = 1
const hasKey = 1
const hasHeaders = 2
/** Ends up to this fit an offset of 2 bytes. */
const narrowMax = 0xffff
const noHeaders: Headers = Object.freeze({})

/**
 * Bytes this record takes in a batch whose head is so much older (ms), with its entry in the table, which may turn out 2 bytes smaller.
 * Throws `RecordTooLarge` for what no reader would take.
 */
export function recordSize(record: Omit<RecordInput, 'time'>, timeDelta = 0): number {
  const keyBytes = record.key === undefined ? 0 : utf8Length(record.key)
  if (keyBytes > limits.keyBytesMax) throw tooLarge("a record's key", keyBytes, limits.keyBytesMax)
  const headerBytes = headersSize(record.headers)
  if (headerBytes > limits.headerBytesMax) throw tooLarge("a record's headers", headerBytes, limits.headerBytesMax)
  const bytes = record.value.length + keyBytes + headerBytes
  if (bytes > limits.recordBytesMax) throw tooLarge('a record', bytes, limits.recordBytesMax)
  return 5 + varintSize(timeDelta) + (record.key === undefined ? 0 : varintSize(keyBytes)) + bytes
}

/**
 * The body that holds these records, 1 to `limits.batchRecordsMax` of them, under a head of this time; what is older counts as that.
 * Throws `RecordTooLarge`.
 */
export function encodeRecords(records: readonly RecordInput[], headTime: number): Uint8Array {
  const count = records.length
  assert(count > 0 && count <= limits.batchRecordsMax, 'a batch has 1 to limits.batchRecordsMax records')
  let area = 0
  for (const record of records) area += recordSize(record, deltaOf(record, headTime)) - 4
  const width = area <= narrowMax ? 2 : 4
  const table = 2 + varintSize(count)
  const start = table + count * width
  const body = Buffer.allocUnsafeSlow(start + area)
  body[0] = version
  body[writeVarint(body, 1, count)] = width
  let at = start
  for (let i = 0; i < count; i++) {
    at = writeRecord(body, at, records[i] as RecordInput, headTime)
    writeEnd(body, table + i * width, width, at - start)
  }
  assert.equal(at, body.length)
  return plain(body)
}

/**
 * The records of a body that has `count` of them by its head. Checks all that lies outside the records themselves.
 * Views on `body`, which must not change afterwards. Throws WireError.
 */
export function openRecords(body: Uint8Array, count: number): RecordBatch {
  return new RecordBatch(body, count)
}

/**
 * A body, read record by record. Every method takes the position of a record in the batch, from 0, and throws WireError when
 * that record is malformed.
 */
export class RecordBatch {
  readonly count: number
  readonly #bytes: Uint8Array
  readonly #text: Buffer
  readonly #view: DataView
  readonly #table: number
  readonly #width: number
  readonly #area: number

  // Where the parts of the record last looked at begin, since its value, key and headers are mostly asked for together.
  #index = -1
  #timeDelta = 0
  #key = -1
  #keyEnd = 0
  #headers = -1
  #value = 0
  #end = 0
  /** Where the next varint is read. */
  #at = 0

  constructor(body: Uint8Array, count: number) {
    this.#bytes = plain(body)
    this.#text = buffer(body)
    this.#view = new DataView(body.buffer, body.byteOffset, body.length)
    if (body.length < 3 || body[0] !== version) throw new WireError('a record batch has a version we do not know')
    this.#at = 1
    this.count = this.#varint(body.length)
    if (this.count !== count) throw new WireError('a record batch has another count than its head')
    this.#width = body[this.#at] ?? 0
    if (this.#width !== 2 && this.#width !== 4) throw new WireError('a record batch has offsets of an unknown width')
    this.#table = this.#at + 1
    this.#area = this.#table + count * this.#width
    if (this.#area > this.#bytes.length) throw new WireError('a record batch ends inside its table')
    if (this.#area + this.#checkTable() !== this.#bytes.length)
      throw new WireError('a record batch has another size than its table')
  }

  /** Finds each record once. Nothing malformed surfaces afterwards. */
  check(): void {
    for (let i = 0; i < this.count; i++) this.#locate(i)
  }

  /** A view, not a copy. */
  value(index: number): Uint8Array {
    this.#locate(index)
    return this.#bytes.subarray(this.#value, this.#end)
  }

  key(index: number): string | undefined {
    this.#locate(index)
    return this.#key < 0 ? undefined : readUtf8(this.#text, this.#key, this.#keyEnd)
  }

  headers(index: number): Headers {
    this.#locate(index)
    if (this.#headers < 0) return noHeaders
    const headers: Record<string, string> = {}
    this.#at = this.#headers
    for (let left = this.#varint(this.#value); left > 0; left--) {
      const name = this.#string()
      const value = this.#string()
      // Assigned, it would become the object's prototype.
      if (name !== '__proto__') headers[name] = value
      else Object.defineProperty(headers, name, { value, enumerable: true, configurable: true, writable: true })
    }
    return headers
  }

  /** Ms after the time of the head. */
  timeDelta(index: number): number {
    this.#locate(index)
    return this.#timeDelta
  }

  /** The smallest record is two bytes, flags and time. Returns where the last ends. */
  #checkTable(): number {
    let last = 0
    for (let i = 0; i < this.count; i++) {
      const end = this.#endOf(i)
      if (end < last + 2) throw new WireError('a record batch has overlapping records')
      last = end
    }
    return last
  }

  /** Where record `index` ends, counted from where the records begin. */
  #endOf(index: number): number {
    const at = this.#table + index * this.#width
    return this.#width === 4 ? this.#view.getUint32(at, true) : this.#view.getUint16(at, true)
  }

  #locate(index: number): void {
    if (index === this.#index) return
    if (!(index >= 0 && index < this.count)) assert.fail(`no record ${index} in a batch of ${this.count}`)
    // Records are mostly asked for one after the other.
    const isNext = this.#index >= 0 && index === this.#index + 1
    this.#at = isNext ? this.#end : this.#area + (index === 0 ? 0 : this.#endOf(index - 1))
    const end = this.#area + this.#endOf(index)
    this.#index = -1
    const flags = this.#bytes[this.#at++] as number
    if (flags > (hasKey | hasHeaders)) throw new WireError('a record has flags we do not know')
    // Each record has two bytes at least, and most have a short time and nothing else before their value.
    const first = this.#bytes[this.#at] as number
    if (first < 128) this.#at++
    this.#timeDelta = first < 128 ? first : this.#varint(end)
    if (this.#timeDelta > limits.timeMsMax) throw new WireError("a record's time is out of bounds")
    this.#key = flags & hasKey ? this.#skipKey(end) : -1
    this.#headers = flags & hasHeaders ? this.#skipHeaders(end) : -1
    this.#value = this.#at
    this.#end = end
    this.#index = index
  }

  #skipKey(end: number): number {
    const length = this.#varint(end)
    if (length > limits.keyBytesMax || this.#at + length > end) throw new WireError("a record's key is too long")
    const start = this.#at
    this.#at = this.#keyEnd = start + length
    return start
  }

  /** The size is bounded here: made of the shortest headers, a body of the largest size would become millions of strings. */
  #skipHeaders(end: number): number {
    const start = this.#at
    const limit = Math.min(end, start + limits.headerBytesMax)
    const count = this.#varint(limit)
    if (count > (limit - this.#at) / 2) throw new WireError('a record has too many headers')
    for (let left = count * 2; left > 0; left--) {
      const length = this.#varint(limit)
      this.#at += length
      if (this.#at > limit) throw new WireError("a record's headers are too long")
    }
    return start
  }

  /** A length and a string, both known to lie inside the record. */
  #string(): string {
    const length = this.#varint(this.#value)
    const start = this.#at
    this.#at = start + length
    return readUtf8(this.#text, start, this.#at)
  }

  /** The varint at `#at`, which moves past it. Up to 7 bytes: 49 bits. */
  #varint(end: number): number {
    let value = 0
    for (let scale = 1; scale < 2 ** 49; scale *= 128) {
      if (this.#at >= end) throw new WireError('a record batch ends inside a number')
      const byte = this.#bytes[this.#at++] as number
      value += (byte & 127) * scale
      if (byte < 128) return value
    }
    throw new WireError('a number in a record batch is too long')
  }
}

function deltaOf({ time }: RecordInput, headTime: number): number {
  return Math.max(0, Math.floor(time) - headTime)
}

function writeRecord(body: Buffer, start: number, record: RecordInput, headTime: number): number {
  const { key, headers, value } = record
  const names = headers === undefined ? 0 : Object.keys(headers).length
  body[start] = (key === undefined ? 0 : hasKey) | (names === 0 ? 0 : hasHeaders)
  let at = writeVarint(body, start + 1, deltaOf(record, headTime))
  if (key !== undefined) at = writeString(body, at, key)
  if (headers !== undefined && names > 0) {
    at = writeVarint(body, at, names)
    for (const name of Object.keys(headers)) {
      at = writeString(body, writeString(body, at, name), headers[name] as string)
    }
  }
  body.set(value, at)
  return at + value.length
}

function writeString(body: Buffer, at: number, text: string): number {
  const length = utf8Length(text)
  return writeUtf8(body, text, writeVarint(body, at, length), length)
}

function writeEnd(body: Buffer, at: number, width: number, end: number): void {
  if (width === 2) body.writeUInt16LE(end, at)
  else body.writeUInt32LE(end, at)
}

/** Bytes of the headers with their count and lengths; none where there are none. */
function headersSize(headers: Headers | undefined): number {
  if (headers === undefined) return 0
  const names = Object.keys(headers)
  if (names.length === 0) return 0
  let size = varintSize(names.length)
  for (const name of names) size += stringSize(name) + stringSize(headers[name] as string)
  return size
}

function stringSize(text: string): number {
  const length = utf8Length(text)
  return varintSize(length) + length
}

function tooLarge(what: string, bytes: number, limitBytes: number): GrapevineError<'RecordTooLarge'> {
  return new GrapevineError('RecordTooLarge', `${what} may have ${limitBytes} bytes, this one has ${bytes}`, {
    bytes,
    limitBytes,
  })
}
