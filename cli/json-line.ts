/** A record as one line of JSON. */
import { isUtf8 } from 'node:buffer'
import type { Message } from '../node/index.ts'

/** `more` stands before the value. */
export function jsonLine(message: Message<Uint8Array>, more: object = {}): string {
  const { topic, id, publisher, feed, seq, index, offset, time, key, headers, value } = message
  const place = { topic, id, publisher, feed, seq, index, offset, time }
  const meta = JSON.stringify({ ...place, key: key ?? null, headers, ...more })
  return `${meta.slice(0, -1)},"value":${jsonValue(value)}}\n`
}

/** JSON stays the JSON it is (digits that a number would lose too); other text is a string; other bytes `{"base64"}`. */
export function jsonValue(value: Uint8Array): string {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  if (!isUtf8(bytes)) return JSON.stringify({ base64: bytes.toString('base64') })
  const text = bytes.toString()
  try {
    const parsed: unknown = JSON.parse(text)
    return /[\r\n]/.test(text) ? JSON.stringify(parsed) : text
  } catch {
    return JSON.stringify(text)
  }
}
