/**
 * Looking again at what was not read when the log was opened: segments whose indexes told what they hold. Frames that do
 * not hold any more are damage like any other. It goes at `limits.scrubBytesPerSecond`, so that it is not felt.
 */
import { limits } from '../limits.ts'
import type { Clock } from '../ports.ts'
import type { Arrival, Segment } from './arrival.ts'
import type { OpenFiles } from './files.ts'
import { fileHeader, fileHeaderBytes, frameHolds, isFileHeader, readFrameHeader } from './frame.ts'
import type { Row } from './rows.ts'
import type { DamageEvent } from './topic-log.ts'

const windowBytes = 1024 * 1024

export interface ScrubParts {
  topic: DamageEvent['topic']
  files: OpenFiles
  clock: Clock
  arrival: Arrival
  onDamage: (event: DamageEvent) => void
  /** The batch at this offset is damaged. */
  lose(offset: number): Promise<void>
  /** Ends it early. */
  isClosed(): boolean
}

/** Resolves when all that is indexed has been read; a file that cannot be read is left alone. */
export async function scrub(parts: ScrubParts): Promise<void> {
  for (const segment of parts.arrival.segments.filter(({ indexed }) => indexed)) {
    await scrubSegment(parts, segment).catch(() => {})
  }
}

async function scrubSegment(parts: ScrubParts, segment: Segment): Promise<void> {
  const { files, clock, lose, isClosed } = parts
  await scrubHeader(parts, segment)
  let offset = segment.firstOffset
  for (;;) {
    // From here to the reading nobody else runs: opening a file that was removed would make a new one.
    const rows = isGone(parts, segment) ? [] : windowFrom(parts.arrival, segment, offset)
    const [first, last] = [rows[0], rows.at(-1)]
    if (first === undefined || last === undefined) return
    const bytes = new Uint8Array(last.position + last.length - first.position)
    const read = await files.use(segment.path, (file) => file.read(bytes, first.position))
    for (const row of rows) {
      const frame = bytes
        .subarray(0, read)
        .subarray(row.position - first.position)
        .subarray(0, row.length)
      if (!holds(frame, row) && !isClosed()) await lose(row.firstOffset)
    }
    offset = last.firstOffset + last.count
    await new Promise<void>((resume) => clock.after((read / limits.scrubBytesPerSecond) * 1_000, resume))
  }
}

async function scrubHeader(parts: ScrubParts, segment: Segment): Promise<void> {
  const { files, topic, onDamage } = parts
  if (isGone(parts, segment)) return
  const { path: file } = segment
  await files.use(file, async (open) => {
    const bytes = new Uint8Array(fileHeaderBytes)
    await open.read(bytes, 0)
    if (isFileHeader(bytes)) return
    onDamage({ type: 'damage-found', topic, file, position: 0, bytes: fileHeaderBytes, kind: 'damaged' })
    await open.write([fileHeader()], 0)
  })
}

/** Rows of the segment from `offset` on, as many as are read at a time. */
function windowFrom(arrival: Arrival, segment: Segment, offset: number): Row[] {
  const { rows } = arrival
  const window: Row[] = []
  let bytes = 0
  for (let at = rows.find(offset); at < rows.end && rows.segment(at) === segment.id; at++) {
    const row = rows.get(at)
    bytes += row.length
    if (window.length > 0 && bytes > windowBytes) break
    window.push(row)
  }
  return window
}

function holds(frame: Uint8Array, { firstOffset }: Row): boolean {
  const header = readFrameHeader(frame)
  return header?.kind === 'batch' && header.firstOffset === firstOffset && frameHolds(frame, header)
}

function isGone({ arrival, isClosed }: ScrubParts, segment: Segment): boolean {
  return isClosed() || !arrival.segments.includes(segment)
}
