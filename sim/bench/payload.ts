/** What is sent: random bytes, which do not compress, or what people really send. Each value begins with its number, where it can. */
import { randomFillSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Random values of so many bytes, or each a flight of a file of 200,000, as JSON of 50 bytes. */
export type Payload = number | 'flights'

const flightsPath = join(import.meta.dirname, '../../node_modules/vega-datasets/data/flights-200k.json')
/** Bytes at the beginning of a random value that say which it is. */
const numberBytes = 4

/** Random values beyond `distinct` are those from the first on again: memory for many. */
export function valuesOf(payload: Payload, records: number, distinct = records): Uint8Array[] {
  if (payload !== 'flights' && distinct < records) {
    const some = valuesOf(payload, distinct)
    return Array.from({ length: records }, (_, i) => some[i % distinct] as Uint8Array)
  }
  if (payload === 'flights') return flights(records)
  const bytes = Math.max(numberBytes, payload)
  return Array.from({ length: records }, (_, i) => {
    const value = randomFillSync(new Uint8Array(bytes))
    new DataView(value.buffer).setUint32(0, i)
    return value
  })
}

/** Over and over where there are not so many. */
function flights(records: number): Uint8Array[] {
  const all: object[] = JSON.parse(readFileSync(flightsPath, 'utf8'))
  const encoder = new TextEncoder()
  return Array.from({ length: records }, (_, i) => encoder.encode(JSON.stringify(all[i % all.length])))
}

/** Of a random value. */
export function numberOf(value: Uint8Array): number {
  const [a = 0, b = 0, c = 0, d = 0] = value
  return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0
}

/** Says in a value of 12 bytes at least when it was sent, on the clock that all processes share. */
export function stamp(value: Uint8Array, atMs: number): void {
  new DataView(value.buffer, value.byteOffset).setFloat64(numberBytes, atMs)
}

export function sentAtOf(value: Uint8Array): number {
  return new DataView(value.buffer, value.byteOffset).getFloat64(numberBytes)
}

export function payloadText(payload: Payload): string {
  if (payload === 'flights') return 'flights of about 50 B'
  return payload < 1024 ? `${payload} B` : `${payload / 1024} KiB`
}
