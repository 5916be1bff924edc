import * as assert from 'uvu/assert'
import type { Disk, DiskFile } from '../../node/ports.ts'
import { memoryDisk } from '../../node/store/memory.ts'
import type { Peer } from '../../node/types.ts'
import { addressesOf, codeOf, eventsOf, friendly, peerOf, peerOn, valuesOf } from '../helper/mesh.ts'
import { suite } from '../helper/suite.ts'
import { until } from '../helper/until.ts'

const test = suite('peer')

/** A disk that has so much room, and says ENOSPC beyond it, as a real one does in the middle of a write. */
function smallDisk(inner: Disk = memoryDisk()) {
  const room = { bytes: Number.POSITIVE_INFINITY, failing: false }
  const wrap = (file: DiskFile): DiskFile => ({
    size: () => file.size(),
    read: (into, position) => file.read(into, position),
    truncate: (size) => file.truncate(size),
    sync: () => file.sync(),
    close: () => file.close(),
    async write(pieces, position) {
      if (room.failing) throw Object.assign(new Error('EIO: input/output error'), { code: 'EIO' })
      const all = Buffer.concat(pieces)
      const fits = all.subarray(0, Math.min(all.length, room.bytes))
      room.bytes -= fits.length
      await file.write([fits], position)
      if (fits.length < all.length) throw Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' })
    },
  })
  const disk: Disk = { ...inner, open: async (path) => wrap(await inner.open(path)) }
  return { disk, room }
}

const numbers = (count: number) => Array.from({ length: count }, (_, i) => i)
const earliest = (peer: Peer) => peer.topic<number>('orders').subscribe({ from: 'earliest' })

test('on a full disk publishing says StorageFull, reading goes on, and with space all is well on a new feed', async ({
  use,
}) => {
  const { disk, room } = smallDisk()
  const ann = await peerOn(use, { disk })
  const orders = ann.topic<number>('orders')
  const feeds = new Set<string>()
  for (const n of numbers(10)) feeds.add((await orders.publish(n)).feed)
  room.bytes = 100
  assert.is(await codeOf(orders.publish(-1)), 'StorageFull')
  assert.is(await codeOf(orders.publish(-2)), 'StorageFull')
  assert.is(await codeOf(ann.topic('another').publish(-3)), 'StorageFull')
  assert.is((await ann.status()).state, 'full')
  assert.equal(await valuesOf(use(earliest(ann)), 10), numbers(10))
  const events = eventsOf(ann)
  room.bytes = Number.POSITIVE_INFINITY
  const receipt = await orders.publish(10)
  assert.not.ok(feeds.has(receipt.feed), 'a number is never used twice')
  assert.equal(await valuesOf(use(earliest(ann)), 11), numbers(11))
  assert.not.ok(events.some(({ type }) => type.startsWith('damage')))
  await ann.topic('another').publish(1)
})

test('what a full disk left behind is no damage after a restart', async ({ use }) => {
  const { disk, room } = smallDisk()
  const ann = await peerOn(use, { disk })
  for (const n of numbers(5)) await ann.topic('orders').publish(n)
  room.bytes = 60
  assert.is(await codeOf(ann.topic('orders').publish(5)), 'StorageFull')
  await ann.close()
  room.bytes = Number.POSITIVE_INFINITY
  const again = await peerOn(use, { disk })
  const events = eventsOf(again)
  assert.equal(await valuesOf(use(earliest(again)), 5), numbers(5))
  assert.not.ok(events.some(({ type }) => type === 'damage-found'))
})

test('a carrier whose disk is full says so, serves what it has, and fetches the rest when there is space', async ({
  use,
}) => {
  const { disk, room } = smallDisk()
  const full = await peerOn(use, { disk }, { carry: ['orders'] })
  const events = eventsOf(full)
  const ann = await peerOf(use, { join: await addressesOf(full) })
  await friendly(ann)
  const orders = ann.topic<number>('orders')
  for (const n of numbers(5)) await orders.publish(n)
  room.bytes = 100
  assert.is(await codeOf(orders.publish(5, { confirm: 1, timeoutMs: 700 })), 'ConfirmTimeout')
  await until(() => events.some(({ type, ...rest }) => type === 'storage-full' && 'topic' in rest))
  assert.equal(await valuesOf(use(earliest(full)), 5), numbers(5))
  room.bytes = Number.POSITIVE_INFINITY
  await orders.publish(6, { confirm: 1 })
  assert.equal(await valuesOf(use(earliest(full)), 7), numbers(7))
})

test('a disk that fails otherwise is not called full', async ({ use }) => {
  const { disk, room } = smallDisk()
  const broken = await peerOn(use, { disk }, { carry: ['orders'] })
  const events = eventsOf(broken)
  const ann = await peerOf(use, { join: await addressesOf(broken) })
  await friendly(ann)
  await ann.topic('orders').publish(1)
  room.failing = true
  assert.is(await codeOf(broken.topic('orders').publish(2)), 'StorageFailed')
  assert.is(await codeOf(ann.topic('orders').publish(2, { confirm: 1, timeoutMs: 500 })), 'ConfirmTimeout')
  assert.not.ok(events.some(({ type }) => type === 'storage-full'))
})

test('a peer that closes while others send to it does not call that a full disk', async ({ use }) => {
  const ann = await peerOf(use, { carry: ['orders'] })
  const ben = await peerOf(use, { join: await addressesOf(ann) })
  await friendly(ben)
  const events = eventsOf(ann)
  const sending = ben.topic('orders').publishMany(
    numbers(2000).map((value) => ({ value })),
    { confirm: 0 },
  )
  await until(async () => ((await ann.topics())[0]?.records ?? 0) > 0)
  await ann.close()
  await sending
  assert.not.ok(events.some(({ type }) => type === 'storage-full'))
})

test.run()
