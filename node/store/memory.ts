/** A disk in memory, for peers that keep nothing and for tests. */
import type { Disk, DiskFile } from '../ports.ts'

/** A file is made of pieces of this size; only the first grows to it, so that a small file takes little and a large one is never copied. */
const pieceBytes = 1024 * 1024
const firstBytes = 4096

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

/** Bytes of a file; what was never written is 0. */
class Content {
  size = 0
  readonly #pieces: Uint8Array[] = []

  read(into: Uint8Array, position: number): number {
    const end = Math.min(position + into.length, this.size)
    for (let at = position; at < end; ) {
      const part = this.#piece(at).subarray(at % pieceBytes, (at % pieceBytes) + end - at)
      into.set(part, at - position)
      at += part.length
    }
    return Math.max(0, end - position)
  }

  write(bytes: Uint8Array, position: number): void {
    if (position + bytes.length > this.size) this.resize(position + bytes.length)
    for (let done = 0; done < bytes.length; ) {
      const from = (position + done) % pieceBytes
      const part = bytes.subarray(done, done + pieceBytes - from)
      this.#piece(position + done).set(part, from)
      done += part.length
    }
  }

  resize(size: number): void {
    const wanted = Math.ceil(size / pieceBytes)
    // What lies beyond the new end must not come back.
    if (size < this.size && size % pieceBytes > 0) this.#piece(size).fill(0, size % pieceBytes)
    this.#pieces.length = Math.min(this.#pieces.length, wanted)
    if (wanted === 1) this.#growFirst(size)
    else if (wanted > 1) {
      this.#growFirst(pieceBytes)
      while (this.#pieces.length < wanted) this.#pieces.push(new Uint8Array(pieceBytes))
    }
    this.size = size
  }

  #growFirst(size: number): void {
    const first = this.#pieces[0] ?? new Uint8Array(0)
    if (size <= first.length) return
    const grown = new Uint8Array(Math.min(pieceBytes, Math.max(firstBytes, size, 2 * first.length)))
    grown.set(first)
    this.#pieces[0] = grown
  }

  #piece(position: number): Uint8Array {
    return this.#pieces[Math.floor(position / pieceBytes)] as Uint8Array
  }
}
