/** A process that is one client of a measured system, and does what its parent (`crew.ts`) asks. */
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { sharedNow } from './clock.ts'
import { numberOf, type Payload, sentAtOf, stamp, valuesOf } from './payload.ts'
import { loadSystem, type SystemName } from './systems/all.ts'
import type { Client, Which } from './systems/system.ts'

export type Ask =
  | ({ type: 'open'; system: SystemName; place: string } & Which)
  | { type: 'send'; payload: Payload; records: number; distinct?: number }
  | { type: 'publish'; payload: Payload; records: number; window: number }
  | { type: 'pace'; payload: number; records: number; everyMs: number }
  | { type: 'listen'; timed?: boolean }
  | { type: 'consume'; consumers: number; prefetch: number }
  | { type: 'count' }
  | { type: 'tell' }
  | { type: 'memory' }
  | { type: 'take-up'; topics: number }
  | { type: 'used' }
  | { type: 'sent' }
  | { type: 'reopen'; bare: boolean }
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
  /** Of each record that says when it was sent, how long it was on its way, in ms. */
  delaysMs: number[]
}

/** Of the records that one client published. */
export interface Published {
  /** On the clock that all processes of this machine share, in ms. */
  beganAt: number
  endedAt: number
  /** Of each, how long it took to be confirmed, in ms; not in an order. Empty where they were sent in bulk. */
  tookMs: Float64Array
}

export interface Counted {
  count: number
  /** Of their values. */
  bytes: number
  /** What its connection ended with, where it did. */
  failure: string | undefined
}

/** In bytes: of the process as the machine sees it, and what its objects take. */
export interface Used {
  rss: number
  heap: number
}

/** How long opening took, and of how many bytes on disk. */
export interface Opened {
  ms: number
  bytes: number
}

export type Answer = { ok: true; value: unknown } | { ok: false; text: string }

let client: Client | undefined
let count = 0
let bytes = 0
let numbers = new Uint32Array(1 << 16)
const had = { shares: [] as number[], firstAt: 0, lastAt: 0, delaysMs: [] as number[] }
let failure: unknown
let cpu = process.cpuUsage()

/** Rejects with what went wrong since it was last asked. */
function clientOf(): Client {
  if (failure !== undefined) throw failure
  if (client === undefined) throw new Error('ask to open first')
  return client
}

/** What the client can do by this name. */
function ableTo<Name extends keyof Client>(name: Name): NonNullable<Client[Name]> {
  const able = clientOf()[name]
  if (able === undefined) throw new Error(`this system cannot ${name}`)
  return able.bind(client) as NonNullable<Client[Name]>
}

const onError = (error: unknown) => {
  failure ??= error
}

function onRecord(consumer: number, value: Uint8Array): void {
  had.lastAt = sharedNow()
  if (count === 0) had.firstAt = had.lastAt
  if (count === numbers.length) {
    const more = new Uint32Array(2 * count)
    more.set(numbers)
    numbers = more
  }
  numbers[count++] = numberOf(value)
  bytes += value.length
  had.shares[consumer] = (had.shares[consumer] ?? 0) + 1
}

async function publish({ payload, records, window }: Ask & { type: 'publish' }): Promise<Published> {
  const one = ableTo('publish')
  const values = valuesOf(payload, records)
  const tookMs = new Float64Array(records)
  const beganAt = sharedNow()
  let next = 0
  const lane = async () => {
    while (next < records) {
      const at = performance.now()
      const number = next++
      await one(values[number] as Uint8Array)
      tookMs[number] = performance.now() - at
    }
  }
  await Promise.all(Array.from({ length: window }, lane))
  return { beganAt, endedAt: sharedNow(), tookMs }
}

/** One each `everyMs`, whether or not those before are confirmed; each says when it was sent. */
async function pace({ payload, records, everyMs }: Ask & { type: 'pace' }): Promise<Published> {
  const one = ableTo('publish')
  const tookMs = new Float64Array(records)
  const beganAt = sharedNow()
  const sending: Promise<void>[] = []
  for (const [number, value] of valuesOf(payload, records).entries()) {
    // Where it is late it does not wait.
    const aheadMs = beganAt + number * everyMs - sharedNow()
    if (aheadMs > 0) await sleep(aheadMs)
    const at = sharedNow()
    stamp(value, at)
    const done = one(value).then(() => {
      tookMs[number] = sharedNow() - at
    })
    sending.push(done)
  }
  await Promise.all(sending)
  return { beganAt, endedAt: sharedNow(), tookMs }
}

async function answer(ask: Ask): Promise<unknown> {
  switch (ask.type) {
    case 'open':
      client = await (await loadSystem(ask.system)).connect(ask.place, ask)
      return await client.open()
    case 'send': {
      const values = valuesOf(ask.payload, ask.records, ask.distinct)
      const beganAt = sharedNow()
      await ableTo('send')(values)
      return { beganAt, endedAt: sharedNow(), tookMs: new Float64Array() } satisfies Published
    }
    case 'publish':
      return await publish(ask)
    case 'pace':
      return await pace(ask)
    case 'listen': {
      const { timed = false } = ask
      cpu = process.cpuUsage()
      had.shares = [0]
      const onEach = (value: Uint8Array) => {
        onRecord(0, value)
        if (timed) had.delaysMs.push(had.lastAt - sentAtOf(value))
      }
      return await ableTo('listen')({ onRecord: onEach, onError })
    }
    case 'consume': {
      const { consumers, prefetch } = ask
      cpu = process.cpuUsage()
      had.shares = Array.from({ length: consumers }, () => 0)
      return await ableTo('consume')({ consumers, prefetch, onRecord, onError })
    }
    case 'count':
      return { count, bytes, failure: failure === undefined ? undefined : textOf(failure) } satisfies Counted
    case 'tell': {
      const { user, system } = process.cpuUsage(cpu)
      return { ...had, numbers: numbers.slice(0, count), cpuMs: (user + system) / 1000 } satisfies Had
    }
    case 'memory':
      return process.resourceUsage().maxRSS * 1024
    case 'take-up':
      return await ableTo('takeUp')(ask.topics)
    case 'sent':
      return await ableTo('sentBytes')()
    case 'reopen':
      return await ableTo('reopen')(ask.bare)
    case 'used':
      return await used()
    case 'close':
      return await client?.close()
    default:
      return ask satisfies never
  }
}

/** Until what is not needed any more is gone for sure: code that has not run for some collections is one of the things. */
const collections = 10

/** What it has in memory when all garbage is gone, in bytes. */
async function used(): Promise<Used> {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  for (let i = 0; i < collections; i++) {
    collect()
    await sleep(0)
  }
  const { rss, heapUsed, external } = process.memoryUsage()
  return { rss, heap: heapUsed + external }
}

function textOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}

process.on('message', (ask: Ask) => {
  answer(ask).then(
    (value) => process.send?.({ ok: true, value } satisfies Answer),
    (error: unknown) => {
      process.send?.({ ok: false, text: textOf(error) } satisfies Answer)
    },
  )
})
process.on('disconnect', () => process.exit())
