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
  closed: PromiseWithResolvers<void>
}

export class OpenFiles {
  readonly #disk: Disk
  readonly #max: number
  /** In order of last use. */
  readonly #open = new Map<string, OpenFile>()

  constructor(disk: Disk, max: number) {
    this.#disk = disk
    this.#max = max
  }

  /** Runs `act` with the file open. */
  async use<T>(path: string, act: (file: DiskFile) => Promise<T>): Promise<T> {
    const entry = this.#open.get(path) ?? this.#begin(path)
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

  /** Closes all files whose path begins with `prefix`; resolves when the last use that had begun is over. */
  async close(prefix = ''): Promise<void> {
    const ended = [...this.#open].filter(([path]) => path.startsWith(prefix))
    for (const [path, entry] of ended) this.#end(path, entry)
    await Promise.all(ended.map(([, entry]) => entry.closed.promise))
  }

  #begin(path: string): OpenFile {
    return { file: this.#disk.open(path, { grows: true }), users: 0, ending: false, closed: Promise.withResolvers() }
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
    entry.file.then((file) => file.close()).then(entry.closed.resolve, () => entry.closed.resolve())
  }
}
