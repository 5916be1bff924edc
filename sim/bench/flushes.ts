/** How often the disk was made to keep what it has: by all processes, so nothing else must write while it is counted (Linux only). */
import { readFileSync, statSync } from 'node:fs'

/** Of the fields of Documentation/block/stat.rst in the kernel's sources, from 0. */
const flushField = 15

/** Of the disk that a folder is on, since the machine started. Undefined where it cannot be told. */
export function flushesOf(folder: string): number | undefined {
  try {
    const { dev } = statSync(folder)
    // The number is made up of a major and a minor one (makedev(3)).
    const [major, minor] = [(dev >> 8) & 0xfff, (dev & 0xff) | ((dev >> 12) & 0xfff00)]
    const fields = readFileSync(`/sys/dev/block/${major}:${minor}/stat`, 'utf8').trim().split(/\s+/)
    const text = fields[flushField]
    return text === undefined ? undefined : Number(text)
  } catch {
    return undefined
  }
}

/** In words: how often since then. */
export function flushedText(folder: string, before: number | undefined): string {
  const now = flushesOf(folder)
  return before === undefined || now === undefined
    ? 'syncs not counted here'
    : `${(now - before).toLocaleString('en')} syncs`
}
