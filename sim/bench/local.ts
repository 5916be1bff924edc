/** A quick look at one machine: what a publish costs beside a bare fdatasync, and what bulk and fan-out come to. */
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { createPeer } from '../../node/index.ts'
import { Fleet } from './fleet.ts'

export interface Row {
  what: string
  perSecond: number
  /** Half of them took less; undefined where they were not timed one by one. */
  medianMs?: number
}

const oneByOneMs = 3_000
const bulkRecords = 300_000
const fanOutRecords = 100_000

export async function measureLocal(onRow: (row: Row) => void): Promise<void> {
  {
    await using fleet = new Fleet()
    onRow(await syncs(fleet.folder))
    await using alone = await createPeer({ data: join(fleet.folder, 'alone'), discover: false })
    const stream = alone.topic<Uint8Array>('alone', { codec: 'bytes' })
    onRow(await oneByOne('publish 256 B one by one, confirm 0', () => stream.publish(value256, { confirm: 0 })))
    onRow(
      await timed('publishMany 256 B, confirm 0', bulkRecords, () =>
        stream.publishMany(copiesOf(value256, bulkRecords), { confirm: 0 }),
      ),
    )
  }
  {
    await using fleet = await Fleet.start(2)
    const stream = fleet.peers[0]?.topic<Uint8Array>('pair', { codec: 'bytes' })
    if (!stream) return
    await stream.publish(value256, { confirm: 1 })
    onRow(
      await oneByOne('publish 256 B one by one through the API, confirm 0', () =>
        stream.publish(value256, { confirm: 0 }),
      ),
    )
    onRow(
      await oneByOne('publish 256 B one by one through the API, confirm 1', () =>
        stream.publish(value256, { confirm: 1 }),
      ),
    )
    onRow(
      await timed('publishMany 256 B through the API, confirm 1', bulkRecords, () =>
        stream.publishMany(copiesOf(value256, bulkRecords), { confirm: 1 }),
      ),
    )
  }
  onRow(await fanOut())
}

const value256 = new Uint8Array(256).fill(7)

function* copiesOf(value: Uint8Array, count: number): Generator<{ value: Uint8Array }> {
  for (let i = 0; i < count; i++) yield { value }
}

async function syncs(folder: string): Promise<Row> {
  const file = await open(join(folder, 'bare'), 'a')
  try {
    return await oneByOne('append 256 B and fdatasync, nothing else', async () => {
      await file.write(value256)
      await file.datasync()
    })
  } finally {
    await file.close()
  }
}

async function oneByOne(what: string, act: () => Promise<unknown>): Promise<Row> {
  const took: number[] = []
  const begun = performance.now()
  for (let at = begun; at - begun < oneByOneMs; ) {
    await act()
    const now = performance.now()
    took.push(now - at)
    at = now
  }
  const perSecond = (took.length / (performance.now() - begun)) * 1000
  took.sort((a, b) => a - b)
  return { what, perSecond, medianMs: took[took.length >> 1] ?? 0 }
}

async function timed(what: string, count: number, act: () => Promise<unknown>): Promise<Row> {
  const begun = performance.now()
  await act()
  return { what, perSecond: (count / (performance.now() - begun)) * 1000 }
}

/** Records of 100 B from one peer to seven: published to the last one read. */
async function fanOut(): Promise<Row> {
  await using fleet = await Fleet.start(8)
  const [publisher, ...readers] = fleet.peers
  const subscriptions = readers.map((peer) => peer.topic<Uint8Array>('fan', { codec: 'bytes' }).subscribe())
  await Promise.all(subscriptions.map(({ ready }) => ready))
  const value = new Uint8Array(100).fill(3)
  return await timed('publishMany 100 B to 7 subscribers on 7 peers', fanOutRecords, async () => {
    const reading = Promise.all(
      subscriptions.map(async (subscription) => {
        let left = fanOutRecords
        for await (const messages of subscription.batches()) {
          left -= messages.length
          if (left <= 0) break
        }
      }),
    )
    await publisher?.topic<Uint8Array>('fan', { codec: 'bytes' }).publishMany(copiesOf(value, fanOutRecords))
    await reading
  })
}
