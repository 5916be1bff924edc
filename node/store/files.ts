/**
 * Open files, shared by all logs of a store: opened when first used, and the one used longest ago closed when there are
 * too many, so that a thousand quiet topics cost no descriptors. A file in use is never closed.
 */
import type { Disk, DiskFile } from '../ports.ts'

interface OpenFile {
  file: Promise<DiskFile>
  users: number
  /** To be closed by its last user. */
  ending: boolean
}

export class OpenFiles {
  readonly #disk: Disk
  readonly #max: number
  /** In order of last use. */
  readonly #open = new Map<string, OpenFile>()
  readonly #closing = new Set<Promise<void>>()

  constructor(disk: Disk, max: number) {
    this.#disk = disk
    this.#max = max
  }

  /** Runs `act` with the file open. */
  async use<T>(path: string, act: (file: DiskFile) => Promise<T>): Promise<T> {
    const entry = this.#open.get(path) ?? { file: this.#disk.open(path), users: 0, ending: false }
    this.#open.delete(path)
    this.#open.set(path, entry)
    entry.users++
    try {
      return await act(await entry.file)
    } catch (error) {
      // Whatever went wrong, the next use begins with a fresh descriptor.
      this.#end(path, entry)
      throw error
    } finally {
      entry.users--
      if (entry.ending && entry.users === 0) this.#close(entry)
      this.#shrink()
    }
  }

  /** Closes the file, once nobody uses it; resolves at once. */
  forget(path: string): void {
    const entry = this.#open.get(path)
    if (entry !== undefined) this.#end(path, entry)
  }

  /** Closes all files whose path begins with `prefix`; resolves when those unused are closed. */
  async close(prefix = ''): Promise<void> {
    for (const [path, entry] of [...this.#open]) if (path.startsWith(prefix)) this.#end(path, entry)
    await Promise.all(this.#closing)
  }

  #shrink(): void {
    if (this.#open.size <= this.#max) return
    for (const [path, entry] of this.#open) {
      if (entry.users > 0) continue
      this.#end(path, entry)
      if (this.#open.size <= this.#max) return
    }
  }

  #end(path: string, entry: OpenFile): void {
    if (this.#open.get(path) === entry) this.#open.delete(path)
    if (entry.ending) return
    entry.ending = true
    if (entry.users === 0) this.#close(entry)
  }

  #close(entry: OpenFile): void {
    // What was written is synced already; a failing close loses nothing.
    const closed = entry.file
      .then((file) => file.close())
      .catch(() => {})
      .finally(() => this.#closing.delete(closed))
    this.#closing.add(closed)
  }
}
