/** Feeds and stores for the store's tests. */
import { FeedWriter } from '../../node/feed/writer.ts'
import type { Clock, Disk, StateDb } from '../../node/ports.ts'
import { memoryDisk } from '../../node/store/memory.ts'
import { openState } from '../../node/store/state.ts'
import { openStore, type Store } from '../../node/store/store.ts'
import type { DamageEvent, TopicLog } from '../../node/store/topic-log.ts'
import type { TopicName } from '../../node/types.ts'
import type { Batch } from '../../node/wire/head.ts'
import { signingKeyOf } from '../../node/wire/key.ts'

export const topic = 'orders' as TopicName
const key = signingKeyOf(new Uint8Array(32).fill(7))
export const startTime = 1_700_000_000_000

/** A feed of its own; `next` seals batches of `count` records of `bytes` each. */
export function feed(nonce = 1, name: TopicName = topic) {
  const writer = new FeedWriter(key, name, startTime, new Uint8Array(8).fill(nonce))
  let time = startTime
  return {
    id: writer.feed,
    next(count = 2, bytes = 50, at = ++time): Batch {
      const records = Array.from({ length: count }, (_, i) => ({
        value: new Uint8Array(bytes).fill(i + nonce),
        time: at,
      }))
      return writer.seal(records, { time: at, tick: 0 })
    },
    /** A batch of one record with this value. */
    holding(value: Uint8Array): Batch {
      return writer.seal([{ value, time: ++time }], { time, tick: 0 })
    },
    many(batches: number, count = 2, bytes = 50): Batch[] {
      return Array.from({ length: batches }, () => this.next(count, bytes))
    },
  }
}

export interface OpenedStore {
  store: Store
  log: TopicLog
  events: DamageEvent[]
  close(): Promise<void>
}

/** A folder in memory that stores can be opened on one after the other. */
export function folder(disk: Disk = memoryDisk(), segmentBytesMax?: number) {
  let now = startTime
  const clock: Clock = {
    now: () => now,
    after: (_, act) => {
      setImmediate(act)
      return { cancel() {} }
    },
    every: () => ({ cancel() {} }),
    breathe: () => undefined,
  }
  let state: Promise<StateDb> | undefined
  return {
    disk,
    clock,
    pass(ms: number) {
      now += ms
    },
    /** Forgets the small state, as when its database was lost. */
    loseState() {
      state = undefined
    },
    async open(): Promise<OpenedStore> {
      const events: DamageEvent[] = []
      state ??= openState(null)
      const shared = unclosed(await state)
      const store = await openStore(
        { clock, disk, openState: async () => shared },
        { data: null, onDamage: (event) => events.push(event), ...(segmentBytesMax && { segmentBytesMax }) },
      )
      return { store, log: await store.open(topic), events, close: () => store.close() }
    },
  }
}

/** The state of a folder in memory outlives the stores on it. */
function unclosed(state: StateDb): StateDb {
  return new Proxy(state, {
    get(target, name) {
      if (name === 'close') return async () => {}
      const value = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

export async function bytesOf(disk: Disk, path: string): Promise<Uint8Array> {
  const file = await disk.open(path)
  const bytes = new Uint8Array(await file.size())
  await file.read(bytes, 0)
  await file.close()
  return bytes
}

/** Replaces a file's content. */
export async function rewrite(disk: Disk, path: string, bytes: Uint8Array): Promise<void> {
  const file = await disk.open(path)
  await file.truncate(0)
  await file.write([bytes], 0)
  await file.close()
}

export async function flipBit(disk: Disk, path: string, bit: number): Promise<void> {
  const bytes = await bytesOf(disk, path)
  bytes[bit >>> 3] = (bytes[bit >>> 3] ?? 0) ^ (1 << (bit & 7))
  await rewrite(disk, path, bytes)
}

export async function segments(disk: Disk): Promise<string[]> {
  return (await disk.list(`topics/${topic}`))
    .filter((name) => name.endsWith('.seg'))
    .map((name) => `topics/${topic}/${name}`)
}

/** What a reader gets from `from` on: `feed/seq@offset`, or `damaged` for a place that awaits repair. */
export async function readAll(log: TopicLog, from = 0): Promise<string[]> {
  const seen: string[] = []
  for (let offset = from; ; ) {
    const found = await log.at(offset)
    if (found === undefined) return seen
    if ('damaged' in found) {
      seen.push('damaged')
      offset = found.nextOffset
    } else {
      const { head } = found.batch
      seen.push(nameOf(found.batch, found.offset))
      offset = found.offset + head.head.count
    }
  }
}

function nameOf({ head }: Batch, offset: number): string {
  return `${head.feed.slice(0, 4)}/${head.head.seq}@${offset}`
}

/** What a log should read that got these batches in this order. */
export function namesOf(batches: readonly Batch[]): string[] {
  let offset = 0
  return batches.map((batch) => {
    const name = nameOf(batch, offset)
    offset += batch.head.head.count
    return name
  })
}
