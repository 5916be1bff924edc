/** Reading a segment file from its beginning: frames that hold, and the places between them that do not. */
import { limits } from '../limits.ts'
import type { DiskFile } from '../ports.ts'
import type { SignedHead } from '../wire/head.ts'
import {
  batchMagicBytes,
  type FrameHeader,
  fileHeaderBytes,
  frameHeaderBytes,
  frameHolds,
  isFileHeader,
  paddingOf,
  readFrameHeader,
} from './frame.ts'

export type Found =
  | { kind: 'batch'; position: number; length: number; offset: number; head: SignedHead }
  /** Nothing that is wanted any more, but offsets that are taken. */
  | { kind: 'void'; position: number; length: number; offset: number; records: number }
  | { kind: 'padding'; position: number; length: number }
  /** Zeros that end the file: room that was taken ahead. */
  | { kind: 'room'; position: number; length: number }
  | { kind: 'bad'; position: number; length: number }

/**
 * Reads the head of a frame whose crc holds; undefined when it does not belong here. `resumed`: what lies before it is
 * damaged, so that it may be part of some larger body, put there on purpose.
 */
export type Accept = (header: FrameHeader, frame: Uint8Array, resumed: boolean) => SignedHead | undefined

/** Read at once, into memory that is used again and again: what is taken anew for each piece costs more than reading it. */
const windowBytes = 4 * 1024 * 1024
/** The bytes batch and void frames begin with. */
const magicBytes = batchMagicBytes.subarray(0, 3)

/** Yields what lies in the file, without gaps; a good header is not yielded. */
export async function* scanSegment(file: DiskFile, size: number, accept: Accept): AsyncGenerator<Found> {
  const scan = new Scan(file, size, accept)
  let position = fileHeaderBytes
  let resumed = false
  if (!isFileHeader(await scan.bytes(0, fileHeaderBytes))) {
    position = await scan.resume(0)
    yield { kind: 'bad', position: 0, length: position }
    resumed = position !== fileHeaderBytes
  }
  while (position < size) {
    const found = (await scan.frameAt(position, resumed)) ?? (await scan.paddingAt(position))
    resumed = found === undefined
    if (found !== undefined) {
      yield found
      position += found.length
      continue
    }
    const end = await scan.resume(position + 1)
    const room = end < size ? 0 : await scan.roomFrom(position)
    if (end - room > position) yield { kind: 'bad', position, length: end - room - position }
    if (room > 0) yield { kind: 'room', position: end - room, length: room }
    position = end
  }
}

class Scan {
  readonly #file: DiskFile
  readonly #size: number
  readonly #accept: Accept
  #window = new Uint8Array(0)
  #start = 0
  #length = 0

  constructor(file: DiskFile, size: number, accept: Accept) {
    this.#file = file
    this.#size = size
    this.#accept = accept
  }

  /** A view, good until the next call; shorter at the end of the file. */
  async bytes(position: number, length: number): Promise<Uint8Array> {
    const end = Math.min(position + length, this.#size)
    if (position < this.#start || end > this.#start + this.#length) await this.#read(position, end - position)
    return this.#window.subarray(position - this.#start, Math.min(end - this.#start, this.#length))
  }

  async #read(position: number, length: number): Promise<void> {
    const room = Math.max(0, Math.min(Math.max(length, windowBytes), this.#size - position))
    const old = this.#window
    if (old.length < room) this.#window = new Uint8Array(room)
    // What has been read of it already.
    const from = position - this.#start
    const known = from >= 0 && from < this.#length ? this.#length - from : 0
    this.#window.set(old.subarray(from, from + known))
    this.#start = position
    this.#length = known + (await this.#file.read(this.#window.subarray(known, room), position + known))
  }

  async frameAt(position: number, resumed: boolean): Promise<Found | undefined> {
    const header = readFrameHeader(await this.bytes(position, frameHeaderBytes))
    if (header === undefined || position + header.length > this.#size) return undefined
    const { length, firstOffset: offset } = header
    if (header.kind === 'void') {
      // Its header alone is easily put into a body on purpose; after damage it counts only where a frame follows.
      const end = position + length
      if (resumed && end < this.#size && (await this.#batchAt(end, false)) === undefined) return undefined
      return { kind: 'void', position, length, offset, records: header.headBytes }
    }
    return this.#batchAt(position, resumed)
  }

  async #batchAt(position: number, resumed: boolean): Promise<Found | undefined> {
    const header = readFrameHeader(await this.bytes(position, frameHeaderBytes))
    if (header?.kind !== 'batch' || position + header.length > this.#size) return undefined
    const { length, firstOffset: offset } = header
    const frame = await this.bytes(position, length)
    if (!frameHolds(frame, header)) return undefined
    const head = this.#accept(header, frame, resumed)
    return head && { kind: 'batch', position, length, offset, head }
  }

  async paddingAt(position: number): Promise<Found | undefined> {
    const length = paddingOf(await this.bytes(position, frameHeaderBytes))
    if (length === 0) return undefined
    const ends = position + length === this.#size || (await this.frameAt(position + length, false)) !== undefined
    return ends ? { kind: 'padding', position, length } : undefined
  }

  /** How many zeros behind `position` end the file and are room. Some behind something else may be the end of that. */
  async roomFrom(position: number): Promise<number> {
    const most = Math.min(limits.roomBytesMax, this.#size - position)
    const bytes = await this.bytes(this.#size - most, most)
    const room = bytes.length - 1 - bytes.findLastIndex((byte) => byte !== 0)
    return room === this.#size - position || room >= frameHeaderBytes ? room : 0
  }

  /** The next place from `from` on where a whole frame is; the end of the file if there is none. */
  async resume(from: number): Promise<number> {
    for (let position = from; position < this.#size; ) {
      const bytes = await this.bytes(position, windowBytes)
      const at = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(magicBytes)
      if (at < 0) {
        // The magic may lie across the end of what was read.
        position += Math.max(1, bytes.length - magicBytes.length + 1)
        continue
      }
      position += at
      if ((await this.frameAt(position, true)) !== undefined) return position
      position++
    }
    return this.#size
  }
}
