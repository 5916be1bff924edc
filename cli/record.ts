/** One value as it is given, made a record: checked as its codec asks, its key found. */
import { isUtf8 } from 'node:buffer'
import type { CodecName } from '../node/index.ts'

export interface RecordRule {
  codec: CodecName
  key: string | undefined
  keyField: string | undefined
}

export type Read = { value: Uint8Array; key?: string } | { broken: string }

/** The bytes go through as they are; `broken` says what is wrong with them. */
export function recordOf(value: Uint8Array, { codec, key, keyField }: RecordRule): Read {
  if (codec === 'bytes' && keyField === undefined) return key === undefined ? { value } : { value, key }
  if (!isUtf8(value)) return { broken: 'it is not UTF-8' }
  if (codec !== 'json' && keyField === undefined) return key === undefined ? { value } : { value, key }

  let parsed: unknown
  try {
    parsed = JSON.parse(Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString())
  } catch (error) {
    return { broken: `it is not JSON: ${(error as Error).message}` }
  }
  if (keyField === undefined) return key === undefined ? { value } : { value, key }
  const found =
    typeof parsed === 'object' && parsed !== null && Object.hasOwn(parsed, keyField)
      ? (parsed as Record<string, unknown>)[keyField]
      : undefined
  if (typeof found === 'string') return { value, key: found }
  if (typeof found === 'number' || typeof found === 'boolean') return { value, key: String(found) }
  return { broken: `its field ${JSON.stringify(keyField)} is no text, number or boolean to use as key` }
}
