/**
 * Strings inside record batches. Keys and headers are mostly short ASCII, where a loop in JavaScript is several times
 * cheaper than a call into native code; all else goes there.
 */
import { WireError } from './error.ts'

/** Up to this many characters the loop wins. */
const shortLength = 64
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Bytes of `text` as UTF-8; a lone surrogate counts as the replacement character that is written for it. */
export function utf8Length(text: string): number {
  return isShortAscii(text) ? text.length : Buffer.byteLength(text, 'utf8')
}

/** Writes `text`, whose `utf8Length` is `length`, and returns the position after it. */
export function writeUtf8(into: Buffer, text: string, at: number, length: number): number {
  if (length === text.length && length <= shortLength) {
    for (let i = 0; i < length; i++) into[at + i] = text.charCodeAt(i)
  } else {
    into.write(text, at, length, 'utf8')
  }
  return at + length
}

/** Reads strictly: bytes that are not UTF-8 are a WireError, so that two different keys never read as one. */
export function readUtf8(from: Buffer, start: number, end: number): string {
  let at = start
  while (at < end && (from[at] as number) < 0x80) at++
  if (at === end) return from.toString('latin1', start, end)
  try {
    return decoder.decode(from.subarray(start, end))
  } catch (cause) {
    throw new WireError('a string is not UTF-8', { cause })
  }
}

function isShortAscii(text: string): boolean {
  if (text.length > shortLength) return false
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) >= 0x80) return false
  return true
}
