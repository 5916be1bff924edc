/** The data folder: what tells that it is ours, and where a topic lies in it. */
import { createHash } from 'node:crypto'
import { GrapevineError } from '../errors.ts'
import type { Disk } from '../ports.ts'
import type { TopicName } from '../types.ts'
import { parseTopic } from '../wire/topic.ts'
import { formatVersion } from './frame.ts'

const formatPath = 'format'
const topicsFolder = 'topics'
const nameFile = 'name'
/** Names of file systems end at 255 bytes. */
const nameBytesMax = 240
/** What may lie in a new folder: our own, and what the root of a volume holds. */
const harmless = /^(state|peer\.json|lost\+found|\..*)$/

/**
 * Refuses a folder of a newer format (`FolderTooNew`) or of somebody else (`FolderInvalid`); `folder` is its name in errors.
 * Returns whether it is new, to be marked as ours once it is locked.
 */
export async function checkFolder(disk: Disk, folder: string): Promise<'ours' | 'new'> {
  const names = (await disk.list('')).filter((name) => !harmless.test(name))
  const text = names.includes(formatPath) ? await readText(disk, formatPath) : ''
  if (text === '' && names.every((name) => name === formatPath)) return 'new'
  const format = Number(/^grapevine (\d{1,9})\n$/.exec(text)?.[1] ?? 0)
  if (format === 0) {
    throw new GrapevineError(
      'FolderInvalid',
      `${folder} is not empty and not a data folder of Grapevine. Name another one.`,
      {
        folder,
      },
    )
  }
  if (format > formatVersion) {
    throw new GrapevineError(
      'FolderTooNew',
      `${folder} has format ${format}; this Grapevine reads up to ${formatVersion}. Use a newer Grapevine, or another folder.`,
      { folder, format, supported: formatVersion },
    )
  }
  return 'ours'
}

export async function markFolder(disk: Disk): Promise<void> {
  await writeText(disk, formatPath, `grapevine ${formatVersion}\n`)
}

/** The folder of a topic. Creates the note that names it where the name itself does not fit a file system. */
export async function topicFolder(disk: Disk, topic: TopicName): Promise<string> {
  const name = encodeTopic(topic)
  if (name.length <= nameBytesMax) return `${topicsFolder}/${name}`
  const folder = `${topicsFolder}/=2${createHash('sha256').update(topic).digest('hex')}`
  await writeText(disk, `${folder}/${nameFile}`, topic)
  return folder
}

/** The topics that have a folder; folders that are not ours are left alone. */
export async function topicsOf(disk: Disk): Promise<TopicName[]> {
  const topics: TopicName[] = []
  for (const name of await disk.list(topicsFolder)) {
    const topic = name.startsWith('=2')
      ? await readText(disk, `${topicsFolder}/${name}/${nameFile}`)
      : decodeTopic(name)
    try {
      topics.push(parseTopic(topic, { own: true }))
    } catch {}
  }
  return topics
}

const offsetDigits = 16

export function segmentPath(folder: string, firstOffset: number): string {
  return `${folder}/${String(firstOffset).padStart(offsetDigits, '0')}.seg`
}

/** Where the index of a segment is. */
export function indexPathOf(segmentPath: string): string {
  return segmentPath.replace(/seg$/, 'idx')
}

export interface SegmentFile {
  firstOffset: number
  hasIndex: boolean
}

/** The segments in a folder, by first offset. */
export async function segmentsOf(disk: Disk, folder: string): Promise<SegmentFile[]> {
  const names = new Set(await disk.list(folder))
  return [...names]
    .filter((name) => /^\d{16}\.seg$/.test(name))
    .map((name) => ({ firstOffset: Number.parseInt(name, 10), hasIndex: names.has(indexPathOf(name)) }))
    .filter(({ firstOffset }) => Number.isSafeInteger(firstOffset))
    .sort((a, b) => a.firstOffset - b.firstOffset)
}

/** Two topics that differ in case stay apart where file names do not; no name is hidden or a way out of the folder. */
function encodeTopic(topic: string): string {
  return topic
    .replace(/[A-Z]/g, (letter) => `=${letter.toLowerCase()}`)
    .replace(/^\$/, '=0')
    .replace(/^\./, '=1')
}

function decodeTopic(name: string): string {
  return name
    .replace(/^=0/, '$')
    .replace(/^=1/, '.')
    .replace(/=([a-z])/g, (_, letter: string) => letter.toUpperCase())
}

async function readText(disk: Disk, path: string): Promise<string> {
  const file = await disk.open(path)
  try {
    const bytes = new Uint8Array(1_024)
    return Buffer.from(bytes.subarray(0, await file.read(bytes, 0))).toString()
  } finally {
    await file.close()
  }
}

async function writeText(disk: Disk, path: string, text: string): Promise<void> {
  const file = await disk.open(path)
  try {
    await file.write([Buffer.from(text)], 0)
  } finally {
    await file.close()
  }
}
