/** The real disk. Rejects with Node's error codes, as the port says. */
import { constants } from 'node:fs'
import { type FileHandle, mkdir, open, readdir, rm } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { limits } from '../limits.ts'
import type { Disk, DiskFile } from '../ports.ts'

/**
 * With O_DSYNC a write is on the disk when it resolves, in one trip to the kernel instead of two. Not so elsewhere: on macOS it may still be in
 * the cache of the disk, Windows does not know it.
 */
const writesThrough = process.platform === 'linux'
const flags = constants.O_RDWR | (writesThrough ? constants.O_DSYNC : 0)
/** Pieces below this are copied together: a vector entry costs the kernel more than moving a few KiB. */
const smallBytes = 4 * 1024
const copyBytesMax = 256 * 1024
const blockBytes = 4_096
const zeros = new Uint8Array(limits.roomBytesMax)

/** A tree of files under `root`, which is created when the first file is. */
export function systemDisk(root: string): Disk {
  const at = (path: string) => join(resolve(root), path)
  return {
    async open(path, { grows = false } = {}) {
      const full = at(path)
      const handle = (await open(full, flags).catch(missing)) ?? (await create(full))
      return new SystemFile(handle, grows ? (await handle.stat()).size : undefined)
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
  const handle = await open(path, flags | constants.O_CREAT, 0o600)
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
  /** Of one that grows: where what was written ends, and where the file does. */
  readonly #growing: { end: number; room: number } | undefined

  constructor(handle: FileHandle, size: number | undefined) {
    this.#handle = handle
    this.#growing = size === undefined ? undefined : { end: size, room: size }
  }

  async size(): Promise<number> {
    return this.#growing?.end ?? (await this.#handle.stat()).size
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    const length = Math.min(into.length, (this.#growing?.end ?? Number.POSITIVE_INFINITY) - position)
    let done = 0
    while (done < length) {
      const { bytesRead } = await this.#handle.read(into, done, length - done, position + done)
      if (bytesRead === 0) break
      done += bytesRead
    }
    return done
  }

  async write(pieces: readonly Uint8Array[], position: number): Promise<void> {
    const end = pieces.reduce((sum, piece) => sum + piece.length, position)
    const growing = this.#growing
    const ahead = growing !== undefined && end > growing.room ? aheadOf(end, end - position) : 0
    let rest = joinSmall(ahead === 0 ? pieces : [...pieces, zeros.subarray(0, ahead)])
    let at = position
    try {
      // Where the disk is full before all of the zeros are there it was the last that fitted.
      while (at < end) {
        const { bytesWritten } = await this.#handle.writev(rest, at)
        at += bytesWritten
        rest = after(rest, bytesWritten)
      }
    } finally {
      if (growing !== undefined) growing.room = Math.max(growing.room, at)
    }
    if (!writesThrough) await this.#handle.datasync()
    if (growing !== undefined) growing.end = Math.max(growing.end, end)
  }

  async truncate(size: number): Promise<void> {
    await this.#handle.truncate(size)
    if (this.#growing === undefined) return
    this.#growing.end = size
    this.#growing.room = size
  }

  async sync(): Promise<void> {
    await this.#handle.datasync()
  }

  async close(): Promise<void> {
    try {
      const { end, room } = this.#growing ?? { end: 0, room: 0 }
      if (room > end) await this.#handle.truncate(end)
    } finally {
      await this.#handle.close()
    }
  }
}

/**
 * Zeros to write behind a file that ends at `end` now: as much as there is, so that a small file stays one, up to a block of the disk. None after a
 * large write, which takes so long that what the next one saves does not pay for them.
 */
function aheadOf(end: number, written: number): number {
  const room = Math.min(zeros.length, Math.ceil((2 * end) / blockBytes) * blockBytes - end)
  return written > room / 4 && room >= blockBytes ? 0 : room
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
