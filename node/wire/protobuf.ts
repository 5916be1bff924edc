/**
 * Protobuf messages field by field, over the reader and writer of protons-runtime: only varint and
 * length-delimited fields are used here, and whatever else a later version may send is skipped.
 */
import { reader, writer } from 'protons-runtime'
import { WireError } from './error.ts'

const varint = 0
const delimited = 2

export const varintTag = (field: number) => (field << 3) | varint
export const delimitedTag = (field: number) => (field << 3) | delimited

/** Writes one message; numbers are field numbers of the schema. Zero and empty values are written too. */
export class MessageWriter {
  readonly #out = writer()

  int(field: number, value: number): this {
    this.#out.uint32(varintTag(field)).uint64Number(value)
    return this
  }

  bool(field: number, value: boolean): this {
    return this.int(field, value ? 1 : 0)
  }

  bytes(field: number, value: Uint8Array): this {
    this.#out.uint32(delimitedTag(field)).bytes(value)
    return this
  }

  /** As `bytes`, but only the beginning of the field: so many bytes are to follow what is written. */
  ahead(field: number, length: number): this {
    this.#out.uint32(delimitedTag(field)).uint32(length)
    return this
  }

  text(field: number, value: string): this {
    this.#out.uint32(delimitedTag(field)).string(value)
    return this
  }

  finish(): Uint8Array {
    return this.#out.finish()
  }
}

/** One parsed message. Byte fields are views into the input. Throws `WireError` for what is missing or malformed. */
export class MessageReader {
  readonly #fields = new Map<number, (number | Uint8Array)[]>()

  constructor(bytes: Uint8Array) {
    try {
      const input = reader(bytes)
      while (input.pos < input.len) {
        const tag = input.uint32()
        const wireType = tag & 7
        if (wireType === varint) this.#add(tag >>> 3, input.uint64Number())
        else if (wireType === delimited) this.#add(tag >>> 3, input.bytes())
        else input.skipType(wireType)
      }
    } catch (cause) {
      throw new WireError('message does not parse', { cause })
    }
  }

  /** The lowest field present: of a oneof, the one that is set. */
  get first(): number | undefined {
    return this.#fields.keys().next().value
  }

  /** A whole number from 0 to 2^53-1. */
  int(field: number): number {
    const value = this.#fields.get(field)?.[0] ?? 0
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
      throw new WireError(`field ${field} is not a whole number`)
    return value
  }

  bool(field: number): boolean {
    return this.int(field) !== 0
  }

  has(field: number): boolean {
    return this.#fields.has(field)
  }

  /** Bytes, of exactly `length` where one is given. */
  bytes(field: number, length?: number): Uint8Array {
    const value = this.#fields.get(field)?.[0] ?? empty
    if (typeof value === 'number') throw new WireError(`field ${field} is not bytes`)
    if (length !== undefined && value.length !== length) throw new WireError(`field ${field} is not ${length} bytes`)
    return value
  }

  text(field: number): string {
    try {
      return utf8.decode(this.bytes(field))
    } catch (cause) {
      throw new WireError(`field ${field} is not text`, { cause })
    }
  }

  /** All values of a repeated message or bytes field. */
  all(field: number): Uint8Array[] {
    const values = this.#fields.get(field) ?? []
    return values.map((value) => {
      if (typeof value === 'number') throw new WireError(`field ${field} is not bytes`)
      return value
    })
  }

  #add(field: number, value: number | Uint8Array): void {
    const values = this.#fields.get(field)
    if (values === undefined) this.#fields.set(field, [value])
    else values.push(value)
  }
}

const empty = new Uint8Array(0)
const utf8 = new TextDecoder('utf-8', { fatal: true })
