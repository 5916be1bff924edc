/** The real disk. Rejects with Node's error codes, as the port says. */
import { constants } from 'node:fs'
import { type FileHandle, mkdir, open, readdir, rm } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import type { Disk, DiskFile } from '../ports.ts'

/** Pieces below this are copied together: a vector entry costs the kernel more than moving a few KiB. */
const smallBytes = 4 * 1024
const copyBytesMax = 256 * 1024

/** A tree of files under `root`, which is created when the first file is. */
export function systemDisk(root: string): Disk {
  const at = (path: string) => join(resolve(root), path)
  return {
    async open(path) {
      const full = at(path)
      const known = await open(full, constants.O_RDWR).catch(missing)
      return new SystemFile(known ?? (await create(full)))
    },
    async list(folder) {
      const names = await readdir(at(folder)).catch(missing)
      return (names ?? []).sort()
    },
    async remove(path) {
      await rm(at(path), { recursive: true, force: true })
    },
  }
}

/** A new file survives a power cut only when the folders that name it do. */
async function create(path: string): Promise<FileHandle> {
  const folder = dirname(path)
  const firstMade = await mkdir(folder, { recursive: true })
  const handle = await open(path, constants.O_RDWR | constants.O_CREAT, 0o600)
  try {
    const top = firstMade === undefined ? folder : dirname(firstMade)
    for (let made = folder; ; made = dirname(made)) {
      await syncFolder(made)
      if (made === top) return handle
    }
  } catch (error) {
    await handle.close()
    throw error
  }
}

async function syncFolder(path: string): Promise<void> {
  // Windows cannot open folders, and makes their entries durable by itself.
  if (process.platform === 'win32') return
  const handle = await open(path, constants.O_RDONLY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

class SystemFile implements DiskFile {
  readonly #handle: FileHandle

  constructor(handle: FileHandle) {
    this.#handle = handle
  }

  async size(): Promise<number> {
    return (await this.#handle.stat()).size
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    let done = 0
    while (done < into.length) {
      const { bytesRead } = await this.#handle.read(into, done, into.length - done, position + done)
      if (bytesRead === 0) break
      done += bytesRead
    }
    return done
  }

  async write(pieces: readonly Uint8Array[], position: number): Promise<void> {
    let rest = joinSmall(pieces)
    let at = position
    while (rest.length > 0) {
      const { bytesWritten } = await this.#handle.writev(rest, at)
      at += bytesWritten
      rest = after(rest, bytesWritten)
    }
  }

  async truncate(size: number): Promise<void> {
    await this.#handle.truncate(size)
  }

  async sync(): Promise<void> {
    await this.#handle.datasync()
  }

  async close(): Promise<void> {
    await this.#handle.close()
  }
}

function joinSmall(pieces: readonly Uint8Array[]): Uint8Array[] {
  const joined: Uint8Array[] = []
  let small: Uint8Array[] = []
  let bytes = 0
  const flush = () => {
    if (small.length > 0) joined.push(Buffer.concat(small, bytes))
    small = []
    bytes = 0
  }
  for (const piece of pieces) {
    if (piece.length === 0) continue
    if (piece.length >= smallBytes || bytes + piece.length > copyBytesMax) flush()
    if (piece.length >= smallBytes) joined.push(piece)
    else {
      small.push(piece)
      bytes += piece.length
    }
  }
  flush()
  return joined
}

/** What is left of the pieces after the first `bytes`. */
function after(pieces: Uint8Array[], bytes: number): Uint8Array[] {
  let skip = bytes
  const from = pieces.findIndex((piece) => {
    if (skip < piece.length) return true
    skip -= piece.length
    return false
  })
  if (from < 0) return []
  return [(pieces[from] as Uint8Array).subarray(skip), ...pieces.slice(from + 1)]
}

function missing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}
