/**
 * The end of a log, where frames are written. A failed write leaves nothing behind: the file is cut back to where it
 * was good, and where even that fails, or more was wrong than that the disk was full (what the kernel then holds is anybody's guess), the
 * segment is never written again and the next write begins a new one.
 */
import { GrapevineError } from '../errors.ts'
import type { Disk, DiskFile } from '../ports.ts'
import type { Arrival, Segment } from './arrival.ts'
import type { OpenFiles } from './files.ts'
import { indexPathOf, segmentPath } from './folder.ts'
import { fileHeader, fileHeaderBytes } from './frame.ts'

export interface TailParts {
  folder: string
  disk: Disk
  files: OpenFiles
  segmentBytesMax: number
}

export class Tail {
  readonly #parts: TailParts
  readonly #arrival: Arrival
  #sealed = false

  constructor(parts: TailParts, arrival: Arrival) {
    this.#parts = parts
    this.#arrival = arrival
  }

  /** Makes `bytes` of frames durable at the end; rejects with `StorageFull` or `StorageFailed`. */
  async write(frames: readonly Uint8Array[], bytes: number): Promise<{ segment: Segment; position: number }> {
    const current = this.#arrival.segments.at(-1)
    const fits = current !== undefined && current.bytes + bytes <= this.#parts.segmentBytesMax
    if (current !== undefined && !this.#sealed && (fits || this.#arrival.endOffset === current.firstOffset)) {
      return this.#extend(current, frames, bytes)
    }
    // Its file is as long as its index says then. Where that fails, or a crash comes before, what is left over is taken for what it is.
    if (current !== undefined && !this.#sealed)
      await this.#parts.files.use(current.path, (file) => file.truncate(current.bytes)).catch(() => {})
    // One without frames that cannot be written is made anew, under the same name.
    const kept = this.#arrival.segments.filter(({ firstOffset }) => firstOffset < this.#arrival.endOffset)
    const segment = await this.#begin((kept.at(-1)?.id ?? 0) + 1, frames, bytes)
    this.#arrival.segments = [...kept, segment]
    this.#sealed = false
    return { segment, position: fileHeaderBytes }
  }

  async #extend(segment: Segment, frames: readonly Uint8Array[], bytes: number) {
    const position = segment.bytes
    await this.#parts.files
      .use(segment.path, (file) => writeOrCut(file, frames, position))
      .catch((error: WriteFailure) => {
        this.#sealed = !error.clean
        throw storageError(error.cause ?? error, segment.path)
      })
    segment.bytes += bytes
    return { segment, position }
  }

  async #begin(id: number, frames: readonly Uint8Array[], bytes: number): Promise<Segment> {
    const { folder, disk, files } = this.#parts
    const firstOffset = this.#arrival.endOffset
    const path = segmentPath(folder, firstOffset)
    try {
      // What an earlier attempt, or another segment that was lost, may have left here.
      await disk.remove(indexPathOf(path))
      await files.use(path, async (file) => {
        await file.truncate(0)
        await writeOrCut(file, [fileHeader(), ...frames], 0)
      })
    } catch (error) {
      await files.close(path)
      await disk.remove(path).catch(() => {})
      throw storageError((error as Error).cause ?? error, path)
    }
    return { id, path, firstOffset, bytes: fileHeaderBytes + bytes, newest: 0, indexed: false }
  }
}

/** `clean`: the file is as it was before the write. */
class WriteFailure extends Error {
  readonly clean: boolean

  constructor(clean: boolean, cause: unknown) {
    super('a write failed', { cause })
    this.clean = clean
  }
}

async function writeOrCut(file: DiskFile, pieces: readonly Uint8Array[], position: number): Promise<void> {
  try {
    await file.write(pieces, position)
  } catch (cause) {
    const cut = await file
      .truncate(position)
      .then(() => file.sync())
      .then(
        () => true,
        () => false,
      )
    throw new WriteFailure(cut && isFull(cause), cause)
  }
}

function isFull(error: unknown): boolean {
  const { code } = (error ?? {}) as NodeJS.ErrnoException
  return code === 'ENOSPC' || code === 'EDQUOT'
}

/** What an error of the disk or of the state database becomes for callers; any other stays what it is. */
export function storageError(cause: unknown, path: string): unknown {
  const code = (cause as NodeJS.ErrnoException | undefined)?.code
  if (cause instanceof GrapevineError || !/^(E[A-Z\d]+|LEVEL_.*)$/.test(code ?? '')) return cause
  if (isFull(cause)) {
    return new GrapevineError(
      'StorageFull',
      `The disk is full at ${path}. Free some space, or lower retention; what is stored stays readable.`,
      { path },
      cause,
    )
  }
  return new GrapevineError('StorageFailed', `The disk failed at ${path}: ${String(cause)}`, { path }, cause)
}
