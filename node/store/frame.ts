/**
 * The bytes of a segment file: a 16-byte file header, then frames.
 *
 * frame  = magic u32 | crc32 u32 | headLen u32 | bodyLen u32 | firstOffset u64 | head | body      (little endian)
 * crc32 covers everything after itself. A frame is a function of its batch and its first offset, so a lost one can be
 * written again in place, byte for byte. A void frame fills a place whose batch is lost: its crc covers only the
 * header, what follows is left as it was. Places too small for a void frame are filled with a pad byte.
 */
import assert from 'node:assert/strict'
import { crc32 } from 'node:zlib'
import { limits } from '../limits.ts'
import { type Batch, openHead, type SignedHead } from '../wire/head.ts'

export const formatVersion = 1
export const fileHeaderBytes = 16
export const frameHeaderBytes = 24

const batchMagic = 0x46565247 // 'GRVF'
const voidMagic = 0x56565247 // 'GRVV'
const padByte = 0xa5

/** The first bytes of a batch frame, to search for. */
export const batchMagicBytes = Uint8Array.of(0x47, 0x52, 0x56, 0x46)

export interface FrameHeader {
  kind: 'batch' | 'void'
  crc: number
  /** In a void frame: the records lost. */
  headBytes: number
  bodyBytes: number
  firstOffset: number
  /** Of the whole frame. */
  length: number
}

/** 'GRVSEG', the format version, zeros. */
export function fileHeader(): Uint8Array {
  const bytes = new Uint8Array(fileHeaderBytes)
  bytes.set([0x47, 0x52, 0x56, 0x53, 0x45, 0x47])
  new DataView(bytes.buffer).setUint16(6, formatVersion, true)
  return bytes
}

export function isFileHeader(bytes: Uint8Array): boolean {
  return Buffer.compare(bytes, fileHeader()) === 0
}

export function frameBytes(batch: Batch): number {
  return frameHeaderBytes + batch.head.bytes.length + batch.body.length
}

/** Writes the header of the batch's frame into `into` and returns the frame's pieces, none of them copied. */
export function frameOf(
  batch: Batch,
  firstOffset: number,
  into = new Uint8Array(frameHeaderBytes),
): [Uint8Array, Uint8Array, Uint8Array] {
  const head = batch.head.bytes
  const view = viewOf(into)
  view.setUint32(0, batchMagic, true)
  view.setUint32(8, head.length, true)
  view.setUint32(12, batch.body.length, true)
  writeOffset(view, firstOffset)
  view.setUint32(4, crc32(batch.body, crc32(head, crc32(into.subarray(8, frameHeaderBytes)))), true)
  return [into, head, batch.body]
}

/** What fills `length` bytes that hold nothing any more; of a void frame only the header has to be written. */
export function voidOf(length: number, firstOffset: number, records: number): Uint8Array {
  if (length < frameHeaderBytes) return new Uint8Array(length).fill(padByte)
  const bytes = new Uint8Array(frameHeaderBytes)
  const view = viewOf(bytes)
  view.setUint32(0, voidMagic, true)
  view.setUint32(8, records, true)
  view.setUint32(12, length - frameHeaderBytes, true)
  writeOffset(view, firstOffset)
  view.setUint32(4, crc32(bytes.subarray(8)), true)
  return bytes
}

/** How many pad bytes `bytes` begins with; more than a header's length is no padding of ours. */
export function paddingOf(bytes: Uint8Array): number {
  let length = 0
  while (length < bytes.length && length < frameHeaderBytes && bytes[length] === padByte) length++
  return length < frameHeaderBytes ? length : 0
}

/** Reads a frame's header; undefined when it cannot be one. A void frame is fully checked by this, a batch is not. */
export function readFrameHeader(bytes: Uint8Array): FrameHeader | undefined {
  if (bytes.length < frameHeaderBytes) return undefined
  const view = viewOf(bytes)
  const magic = view.getUint32(0, true)
  if (magic !== batchMagic && magic !== voidMagic) return undefined
  const crc = view.getUint32(4, true)
  const headBytes = view.getUint32(8, true)
  const bodyBytes = view.getUint32(12, true)
  const high = view.getUint32(20, true)
  if (high >= 2 ** 21) return undefined
  const firstOffset = high * 2 ** 32 + view.getUint32(16, true)
  const length = frameHeaderBytes + headBytes + bodyBytes
  if (magic === voidMagic) {
    if (crc32(bytes.subarray(8, frameHeaderBytes)) !== crc) return undefined
    return { kind: 'void', crc, headBytes, bodyBytes, firstOffset, length: frameHeaderBytes + bodyBytes }
  }
  if (headBytes === 0 || headBytes > limits.headBytesMax || bodyBytes > limits.bodyBytesMax) return undefined
  return { kind: 'batch', crc, headBytes, bodyBytes, firstOffset, length }
}

/** Whether a whole frame is as it was written. */
export function frameHolds(frame: Uint8Array, header: FrameHeader): boolean {
  return frame.length === header.length && crc32(frame.subarray(8)) === header.crc
}

/** The head in these bytes; undefined when they are none. */
export function headIn(bytes: Uint8Array): SignedHead | undefined {
  try {
    return openHead(bytes)
  } catch {
    return undefined
  }
}

function writeOffset(view: DataView, offset: number): void {
  assert(Number.isSafeInteger(offset) && offset >= 0)
  view.setUint32(16, offset >>> 0, true)
  view.setUint32(20, Math.floor(offset / 2 ** 32), true)
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
