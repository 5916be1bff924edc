/** A process that is one client of a measured system, and does what its parent (`crew.ts`) asks. */
import { randomFillSync } from 'node:crypto'
import { type SystemName, systems } from './systems/all.ts'
import type { Client } from './systems/system.ts'

export type Ask =
  | { type: 'open'; system: SystemName; place: string; number: number; of: number }
  | { type: 'fill'; records: number; bytes: number }
  | { type: 'consume'; consumers: number; prefetch: number }
  | { type: 'count' }
  | { type: 'tell' }
  | { type: 'close' }

/** Of the records that one client had. */
export interface Had {
  /** The number of each, in the order in which they were done. */
  numbers: Uint32Array
  /** Of each consumer, how many. */
  shares: number[]
  /** On the clock that all processes of this machine share, in ms. */
  firstAt: number
  lastAt: number
  /** Its processor time while it consumed, in ms. */
  cpuMs: number
}

export type Answer = { ok: true; value: unknown } | { ok: false; text: string }

/** Bytes at the beginning of a value that say which it is; the others are random. */
const numberBytes = 4

let client: Client | undefined
let count = 0
let numbers = new Uint32Array(1 << 16)
const had = { shares: [] as number[], firstAt: 0, lastAt: 0 }
let failure: unknown
let cpu = process.cpuUsage()

function clientOf(): Client {
  if (failure !== undefined) throw failure
  if (client === undefined) throw new Error('ask to open first')
  return client
}

const now = () => performance.timeOrigin + performance.now()

function onRecord(consumer: number, value: Uint8Array): void {
  had.lastAt = now()
  if (count === 0) had.firstAt = had.lastAt
  if (count === numbers.length) {
    const more = new Uint32Array(2 * count)
    more.set(numbers)
    numbers = more
  }
  numbers[count++] = new DataView(value.buffer, value.byteOffset).getUint32(0)
  had.shares[consumer] = (had.shares[consumer] ?? 0) + 1
}

function* values(records: number, bytes: number): Generator<Uint8Array> {
  const random = randomFillSync(new Uint8Array(records * bytes))
  for (let i = 0; i < records; i++) {
    new DataView(random.buffer).setUint32(i * bytes, i)
    yield random.subarray(i * bytes, (i + 1) * bytes)
  }
}

async function answer(ask: Ask): Promise<unknown> {
  switch (ask.type) {
    case 'open':
      client = await systems[ask.system].connect(ask.place, ask)
      return await client.open()
    case 'fill':
      return await clientOf().fill([...values(ask.records, Math.max(numberBytes, ask.bytes))])
    case 'consume': {
      const { consumers, prefetch } = ask
      cpu = process.cpuUsage()
      had.shares = Array.from({ length: consumers }, () => 0)
      return await clientOf().consume({ consumers, prefetch, onRecord, onError: (error) => (failure ??= error) })
    }
    case 'count':
      clientOf()
      return count
    case 'tell': {
      const { user, system } = process.cpuUsage(cpu)
      return { ...had, numbers: numbers.slice(0, count), cpuMs: (user + system) / 1000 } satisfies Had
    }
    case 'close':
      return await client?.close()
    default:
      return ask satisfies never
  }
}

process.on('message', (ask: Ask) => {
  answer(ask).then(
    (value) => process.send?.({ ok: true, value } satisfies Answer),
    (error: unknown) => {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
      process.send?.({ ok: false, text } satisfies Answer)
    },
  )
})
process.on('disconnect', () => process.exit())
