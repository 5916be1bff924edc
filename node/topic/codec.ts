/**
 * How an application's values become bytes and come back. Strict both ways: a value that would not come back the same
 * (`undefined`, a lone surrogate) and bytes that are not what the codec says are refused with `CodecFailed`.
 */
import { GrapevineError } from '../errors.ts'
import type { CodecName } from '../types.ts'

export interface Codec {
  readonly name: CodecName
  /** Throws `CodecFailed`. */
  encode(value: unknown): Uint8Array
  /** Throws `CodecFailed`. */
  decode(bytes: Uint8Array): unknown
}

const encoder = new TextEncoder()
/** `ignoreBOM` keeps a leading byte order mark in the text, where it came from. */
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

const codecs: Record<CodecName, Codec> = {
  json: {
    name: 'json',
    encode(value) {
      const text = attempt('json', 'the value cannot be written as JSON', () => JSON.stringify(value))
      if (text === undefined)
        throw failed('json', `a ${typeof value} has no form in JSON: publish an object, text, number, boolean or null`)
      return encoder.encode(text)
    },
    decode: (bytes) => attempt('json', 'the record is not JSON', () => JSON.parse(decoder.decode(bytes))),
  },
  text: {
    name: 'text',
    encode(value) {
      if (typeof value !== 'string') throw failed('text', `the topic takes strings, this is a ${typeof value}`)
      if (!value.isWellFormed())
        throw failed('text', 'the string has half of a surrogate pair, which UTF-8 cannot carry')
      return encoder.encode(value)
    },
    decode: (bytes) => attempt('text', 'the record is not UTF-8', () => decoder.decode(bytes)),
  },
  bytes: {
    name: 'bytes',
    encode(value) {
      if (!(value instanceof Uint8Array))
        throw failed('bytes', `the topic takes a Uint8Array, this is a ${typeof value}`)
      return value
    },
    decode: (bytes) => bytes,
  },
}

/** The codec of that name; `json` when none is given. Throws `InvalidOption`. */
export function codecOf(name: CodecName = 'json'): Codec {
  if (Object.hasOwn(codecs, name)) return codecs[name]
  throw new GrapevineError('InvalidOption', `codec ${JSON.stringify(name)} is none of json, text, bytes`, {
    option: 'codec',
  })
}

function attempt<T>(codec: CodecName, what: string, act: () => T): T {
  try {
    return act()
  } catch (error) {
    throw failed(codec, `${what}: ${error instanceof Error ? error.message : String(error)}`, error)
  }
}

function failed(codec: CodecName, message: string, cause?: unknown): GrapevineError<'CodecFailed'> {
  return new GrapevineError('CodecFailed', message, { codec }, cause)
}
