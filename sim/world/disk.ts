/**
 * A disk that behaves as disks do on the bad day. What is written sits in a cache until it is synced. A killed process loses nothing of
 * it (the kernel has it); a power cut loses what was not synced, in part: writes are lost, kept or torn at random, later ones
 * may survive earlier ones, and of one over what was there before any sectors. Bits flip, files are truncated, space runs out, and everything takes its time.
 */
import type { Disk, DiskFile } from '../../node/ports.ts'
import type { Rng } from './random.ts'
import type { VirtualTime } from './time.ts'

export interface DiskTiming {
  /** Of a read or write, ms. */
  operationMs: number
  /** Of a sync, ms. */
  syncMs: number
}

/** A write that is not synced yet, with what undoes it. */
interface Unsynced {
  position: number
  /** The bytes written; undefined: the file was cut to `position`. */
  bytes: Uint8Array | undefined
  before: Uint8Array
  sizeBefore: number
}

/** Pages, so that a file that grows is not copied again and again. */
const pageBytes = 64 * 1024
/** What a disk writes whole or not at all. */
const sectorBytes = 512
/** Zeros that are written ahead of a file that grows, at most. */
const aheadMax = 8 * 1024
const healthy: DiskTiming = { operationMs: 0.05, syncMs: 2 }

class Content {
  #pages: Uint8Array[] = []
  #size = 0
  #unsynced: Unsynced[] = []

  get size(): number {
    return this.#size
  }

  /** Copies what the running process sees from `position` on; returns how much that is. */
  read(into: Uint8Array, position: number): number {
    const length = Math.max(0, Math.min(into.length, this.#size - position))
    for (const { page, from, to, at } of this.#parts(position, length)) into.set(page.subarray(from, to), at)
    return length
  }

  /** A copy, not beyond the end. */
  slice(from = 0, to = this.#size): Uint8Array {
    const copy = new Uint8Array(Math.max(0, Math.min(to, this.#size) - from))
    this.read(copy, from)
    return copy
  }

  /** Where what was written ends, without the zeros that were written ahead of it. */
  get end(): number {
    const from = Math.max(0, this.#size - aheadMax)
    return from + this.slice(from).findLastIndex((byte) => byte !== 0) + 1
  }

  flip(position: number, bits: number): void {
    for (const { page, from } of this.#parts(position, 1)) page[from] = (page[from] as number) ^ bits
  }

  write(position: number, bytes: Uint8Array): void {
    const before = this.slice(position, position + bytes.length)
    this.#unsynced.push({ position, bytes, before, sizeBefore: this.#size })
    this.#put(position, bytes)
  }

  truncate(size: number): void {
    this.#unsynced.push({ position: size, bytes: undefined, before: this.slice(size), sizeBefore: this.#size })
    this.#size = size
  }

  sync(): void {
    this.#unsynced = []
  }

  /** A power cut: of what was not synced, each write is lost, kept, or kept in part: its beginning, or where the file was as long before some of it. */
  losePower(random: Rng): void {
    const writes = this.#unsynced.splice(0)
    for (const { position, before, sizeBefore } of [...writes].reverse()) {
      this.#put(position, before)
      this.#size = sizeBefore
    }
    for (const { position, bytes } of writes) {
      const fate = random.float()
      if (fate < 0.4) continue
      if (bytes === undefined) this.#size = Math.min(this.#size, position)
      else if (fate < 0.8) this.#put(position, bytes)
      else if (fate < 0.9 || position + bytes.length > this.#size)
        this.#put(position, bytes.slice(0, random.int(0, bytes.length)))
      else this.#putSectors(position, bytes, random)
    }
  }

  #putSectors(position: number, bytes: Uint8Array, random: Rng): void {
    for (let at = position; at < position + bytes.length; ) {
      const end = Math.min(position + bytes.length, (Math.floor(at / sectorBytes) + 1) * sectorBytes)
      if (random.float() < 0.5) this.#put(at, bytes.subarray(at - position, end - position))
      at = end
    }
  }

  #put(position: number, bytes: Uint8Array): void {
    const end = position + bytes.length
    while (this.#pages.length * pageBytes < end) this.#pages.push(Buffer.allocUnsafeSlow(pageBytes))
    // A gap reads as zeros, also where longer content was cut before.
    for (const { page, from, to } of this.#parts(this.#size, position - this.#size)) page.fill(0, from, to)
    for (const { page, from, to, at } of this.#parts(position, bytes.length))
      page.set(bytes.subarray(at, at + to - from), from)
    this.#size = Math.max(this.#size, end)
  }

  /** Where `length` bytes from `position` on lie: `from` to `to` of each page, the first of them being number `at`. */
  *#parts(position: number, length: number): Iterable<{ page: Uint8Array; from: number; to: number; at: number }> {
    for (let at = 0; at < length; ) {
      const from = (position + at) % pageBytes
      const to = Math.min(pageBytes, from + length - at)
      yield { page: this.#pages[Math.floor((position + at) / pageBytes)] as Uint8Array, from, to, at }
      at += to - from
    }
  }
}

export class SimDisk implements Disk {
  readonly #time: VirtualTime
  readonly #random: Rng
  #files = new Map<string, Content>()
  /** What makes it slow now, the latest last. */
  readonly #slow = new Set<DiskTiming>()
  /** Bytes that fit; beyond, writes fail with ENOSPC. */
  capacity = Number.POSITIVE_INFINITY
  /** Of all operations that are not done yet: the process that asked for them has died. */
  #generation = 0

  constructor(time: VirtualTime, random: Rng) {
    this.#time = time
    this.#random = random
  }

  /** Takes that long from now on, until what is returned is called; of several that overlap the latest counts. */
  slow(timing: DiskTiming): () => void {
    const own = { ...timing }
    this.#slow.add(own)
    return () => this.#slow.delete(own)
  }

  get timing(): DiskTiming {
    return [...this.#slow].at(-1) ?? healthy
  }

  get used(): number {
    let used = 0
    for (const content of this.#files.values()) used += content.size
    return used
  }

  paths(): string[] {
    return [...this.#files.keys()].sort()
  }

  size(path: string): number {
    return this.#files.get(path)?.size ?? 0
  }

  /** The process died: what it was doing is not done, what it has written stays (`killed`) or depends on luck (`power`). */
  crash(how: 'killed' | 'power'): void {
    this.#generation++
    if (how === 'killed') return
    for (const content of this.#files.values()) content.losePower(this.#random)
  }

  /** Flips one random bit of what was written to a file; says where. */
  flipBit(path: string): { position: number } | undefined {
    const content = this.#files.get(path)
    if (content === undefined || content.end === 0) return undefined
    const position = this.#random.int(0, content.end - 1)
    content.flip(position, 1 << this.#random.int(0, 7))
    return { position }
  }

  /** Cuts bytes off the end of what was written to a file, for good. */
  cutEnd(path: string, count: number): void {
    const content = this.#files.get(path)
    content?.truncate(Math.max(0, content.end - count))
    content?.sync()
  }

  wipe(): void {
    this.#generation++
    this.#files = new Map()
  }

  /** A copy of everything as it is, to come back to with `restore`. */
  snapshot(): ReadonlyMap<string, Uint8Array> {
    return new Map([...this.#files].map(([path, content]) => [path, content.slice()]))
  }

  restore(snapshot: ReadonlyMap<string, Uint8Array>): void {
    this.wipe()
    for (const [path, bytes] of snapshot) {
      const content = new Content()
      content.write(0, bytes.slice())
      content.sync()
      this.#files.set(path, content)
    }
  }

  async open(path: string, { grows = false } = {}): Promise<DiskFile> {
    await this.#takes('operation')
    let content = this.#files.get(path)
    if (content === undefined) {
      content = new Content()
      this.#files.set(path, content)
    }
    return this.#file(content, grows)
  }

  async list(folder: string): Promise<string[]> {
    await this.#takes('operation')
    const prefix = folder === '' ? '' : `${folder}/`
    const names = new Set<string>()
    for (const path of this.#files.keys())
      if (path.startsWith(prefix)) names.add(path.slice(prefix.length).split('/')[0] as string)
    return [...names].sort()
  }

  async remove(path: string): Promise<void> {
    await this.#takes('operation')
    for (const known of [...this.#files.keys()])
      if (known === path || known.startsWith(`${path}/`)) this.#files.delete(known)
  }

  #file(content: Content, grows: boolean): DiskFile {
    /** Of what was written; what follows of one that grows are zeros. */
    let end = content.size
    return {
      size: async () => (grows ? end : content.size),
      read: async (into, position) => {
        await this.#takes('operation')
        return content.read(grows ? into.subarray(0, Math.max(0, end - position)) : into, position)
      },
      write: async (pieces, position) => {
        // As the caller may use its buffers again, what is written is what they hold now.
        const bytes = Buffer.concat(pieces)
        await this.#takes('operation')
        // On a full disk nothing fits any more, also where zeros were written ahead.
        const grown = Math.max(0, position + bytes.length - (grows ? end : content.size))
        const room = Math.max(0, this.capacity - this.used)
        const fits = grown <= room ? bytes : bytes.slice(0, Math.max(0, bytes.length - (grown - room)))
        const isLonger = grows && position + bytes.length > content.size
        const ahead = isLonger ? Math.min(position + bytes.length, aheadMax, Math.max(0, room - grown)) : 0
        if (fits.length > 0) content.write(position, ahead > 0 ? Buffer.concat([fits, new Uint8Array(ahead)]) : fits)
        if (fits.length < bytes.length)
          throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
        await this.#takes('sync')
        content.sync()
        end = Math.max(end, position + bytes.length)
      },
      truncate: async (size) => {
        await this.#takes('operation')
        end = size
        if (size < content.size) content.truncate(size)
        else if (size > content.size) content.write(content.size, new Uint8Array(size - content.size))
      },
      sync: async () => {
        await this.#takes('sync')
        content.sync()
      },
      close: async () => {
        if (grows && end < content.size) content.truncate(end)
      },
    }
  }

  /** An operation of a process that has died in the meantime never ends. */
  #takes(what: 'operation' | 'sync'): Promise<void> {
    const generation = this.#generation
    const ms = (what === 'sync' ? this.timing.syncMs : this.timing.operationMs) * (0.5 + this.#random.float())
    return new Promise((resolve) => {
      this.#time.set(() => {
        if (generation === this.#generation) resolve()
      }, ms)
    })
  }
}
