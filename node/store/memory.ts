/**
 * A disk in memory, for peers that keep nothing and for tests. It keeps large pieces themselves, not copies: bodies are written once, and two of each
 * would have the garbage collector at work all the time.
 */
import type { Disk, DiskFile } from '../ports.ts'

/** A piece of this size or more is kept as it is; smaller ones are gathered in memory that grows up to `roomBytesMax`. */
const keptBytesMin = 4096
const roomBytesMax = 1024 * 1024

/**
 * What is written is as durable as it gets; `sync` says when (default: at once). A peer that publishes more than a record at a time needs it
 * to take a turn of the event loop: what is published meanwhile is the next batch, and without it each record would be signed by itself.
 */
export function memoryDisk(sync: () => Promise<void> = async () => undefined): Disk {
  const files = new Map<string, Content>()

  return {
    async open(path) {
      const content = files.get(path) ?? new Content()
      files.set(path, content)
      return new MemoryFile(content, sync)
    },
    async list(folder) {
      const prefix = folder === '' ? '' : `${folder}/`
      const names = new Set<string>()
      for (const path of files.keys()) {
        if (path.startsWith(prefix)) names.add(path.slice(prefix.length).replace(/\/.*/, ''))
      }
      return [...names].sort()
    },
    async remove(path) {
      for (const file of [...files.keys()]) if (file === path || file.startsWith(`${path}/`)) files.delete(file)
    },
  }
}

class MemoryFile implements DiskFile {
  readonly #content: Content
  readonly sync: () => Promise<void>

  constructor(content: Content, sync: () => Promise<void>) {
    this.#content = content
    this.sync = sync
  }

  async size(): Promise<number> {
    return this.#content.size
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    return this.#content.read(into, position)
  }

  async write(pieces: readonly Uint8Array[], position: number): Promise<void> {
    let at = position
    for (const piece of pieces) {
      this.#content.write(piece, at)
      at += piece.length
    }
    await this.sync()
  }

  async truncate(size: number): Promise<void> {
    this.#content.resize(size)
  }

  async close(): Promise<void> {}
}

/** Some of a file, one behind the other. */
interface Extent {
  at: number
  /** With room behind what is used where it is our own. */
  bytes: Uint8Array
  used: number
  /** Not memory of whoever wrote it, which must not be changed. */
  own: boolean
}

/** Bytes of a file; what was never written is 0. */
class Content {
  readonly #extents: Extent[] = []

  get size(): number {
    const last = this.#extents.at(-1)
    return last === undefined ? 0 : last.at + last.used
  }

  read(into: Uint8Array, position: number): number {
    const end = Math.min(position + into.length, this.size)
    for (let at = position, i = this.#find(at); at < end; i++) {
      const extent = this.#extents[i] as Extent
      const part = extent.bytes.subarray(at - extent.at, Math.min(extent.used, end - extent.at))
      into.set(part, at - position)
      at += part.length
    }
    return Math.max(0, end - position)
  }

  write(bytes: Uint8Array, position: number): void {
    if (bytes.length === 0) return
    if (position > this.size) this.resize(position)
    const over = Math.min(bytes.length, this.size - position)
    this.#overwrite(bytes.subarray(0, over), position)
    const rest = bytes.subarray(over)
    if (rest.length === 0) return
    // A view on much more would keep all of that alive.
    if (rest.length >= keptBytesMin && rest.length >= rest.buffer.byteLength / 2)
      this.#extents.push({ at: this.size, bytes: rest, used: rest.length, own: false })
    else this.#gather(rest)
  }

  resize(size: number): void {
    if (size > this.size) {
      this.#gather(new Uint8Array(size - this.size))
      return
    }
    while ((this.#extents.at(-1)?.at ?? -1) >= size) this.#extents.pop()
    const last = this.#extents.at(-1)
    if (last !== undefined) last.used = size - last.at
  }

  #overwrite(bytes: Uint8Array, position: number): void {
    for (let done = 0, i = this.#find(position); done < bytes.length; i++) {
      const extent = this.#extents[i] as Extent
      if (!extent.own) extent.bytes = new Uint8Array(extent.bytes)
      extent.own = true
      const from = position + done - extent.at
      const part = bytes.subarray(done, done + extent.used - from)
      extent.bytes.set(part, from)
      done += part.length
    }
  }

  #gather(bytes: Uint8Array): void {
    const last = this.#extents.at(-1)
    const used = last?.own ? last.used : 0
    if (last?.own && used + bytes.length <= Math.max(last.bytes.length, roomBytesMax)) {
      last.bytes = grown(last.bytes, used, used + bytes.length)
      last.bytes.set(bytes, used)
      last.used += bytes.length
    } else this.#extents.push({ at: this.size, bytes: new Uint8Array(bytes), used: bytes.length, own: true })
  }

  /** Which extent has this place. */
  #find(position: number): number {
    let [low, high] = [0, this.#extents.length]
    while (high - low > 1) {
      const middle = (low + high) >>> 1
      if ((this.#extents[middle] as Extent).at <= position) low = middle
      else high = middle
    }
    return low
  }
}

/** With room for twice as much as is used now, for so much at least. */
function grown(bytes: Uint8Array, used: number, wanted: number): Uint8Array {
  if (wanted <= bytes.length) return bytes
  const room = new Uint8Array(Math.max(wanted, Math.min(2 * used, roomBytesMax)))
  room.set(bytes.subarray(0, used))
  return room
}
