/** A disk in memory, for peers that keep nothing and for tests. Everything is durable at once. */
import type { Disk, DiskFile } from '../ports.ts'

interface Content {
  bytes: Uint8Array
  size: number
}

export function memoryDisk(): Disk {
  const files = new Map<string, Content>()

  return {
    async open(path) {
      const content = files.get(path) ?? { bytes: new Uint8Array(0), size: 0 }
      files.set(path, content)
      return new MemoryFile(content)
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

  constructor(content: Content) {
    this.#content = content
  }

  async size(): Promise<number> {
    return this.#content.size
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    const { bytes, size } = this.#content
    const part = bytes.subarray(Math.min(position, size), Math.min(position + into.length, size))
    into.set(part)
    return part.length
  }

  async write(pieces: readonly Uint8Array[], position: number): Promise<void> {
    let at = position
    this.#reserve(position + pieces.reduce((sum, piece) => sum + piece.length, 0))
    for (const piece of pieces) {
      this.#content.bytes.set(piece, at)
      at += piece.length
    }
    this.#content.size = Math.max(this.#content.size, at)
  }

  async truncate(size: number): Promise<void> {
    this.#reserve(size)
    if (size < this.#content.size) this.#content.bytes.fill(0, size, this.#content.size)
    this.#content.size = size
  }

  async sync(): Promise<void> {}

  async close(): Promise<void> {}

  #reserve(size: number): void {
    const { bytes } = this.#content
    if (size <= bytes.length) return
    this.#content.bytes = new Uint8Array(Math.max(size, Math.ceil(bytes.length * 1.5)))
    this.#content.bytes.set(bytes)
  }
}
