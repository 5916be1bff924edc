import * as assert from 'uvu/assert'
import { limits } from '../../node/limits.ts'
import { memoryDisk } from '../../node/store/memory.ts'
import { addressesOf, friendly, peerOf, peerOn, valuesOf } from '../helper/mesh.ts'
import { suite } from '../helper/suite.ts'
import { until } from '../helper/until.ts'
import { fakeFriendOf, sealed, topic } from './fake-friend.ts'

const test = suite('sync')

test('what a friend could not hand out is asked for again, though what comes after it arrived', async ({ use }) => {
  const peer = await peerOf(use, { carry: [topic] })
  const subscription = use(peer.topic<string>(topic).subscribe({ from: 'earliest' }))
  const fake = await fakeFriendOf(use, peer)
  const writer = fake.feed()
  const [first, second, third] = ['first', 'second', 'third'].map((value) => sealed(writer, value)) as [
    ReturnType<typeof sealed>,
    ReturnType<typeof sealed>,
    ReturnType<typeof sealed>,
  ]
  await fake.gives(first)
  // Two wants, one behind the other; the first comes to nothing, as where a disk is damaged.
  const early = await fake.offered(second)
  const late = await fake.offered(third)
  assert.is(late.from, 3)
  fake.send({ type: 'end', id: early.id, reason: 'unknown', base: 0 })
  fake.answer(late.id, third)
  const again = await until(async () => {
    fake.offer(third.head.feed, 3, third.head.hash)
    return fake.heard.find((frame) => frame.type === 'want' && frame.from === 2 && frame.id !== early.id)
  }, 8_000)
  assert.is(again?.type, 'want')
  if (again?.type !== 'want') return
  fake.send({ type: 'batch', id: again.id, head: second.head.bytes, body: second.body })
  fake.answer(again.id, third)
  assert.equal(await valuesOf(subscription, 3), ['first', 'second', 'third'])
})

test('a first batch that damage took from the only friend is waited for, not left out', async ({ use }) => {
  const [annDisk, catDisk] = [memoryDisk(), memoryDisk()]
  const ann = await peerOn(use, { disk: annDisk })
  const cat = await peerOn(use, { disk: catDisk }, { join: await addressesOf(ann) })
  await friendly(cat)
  for (const value of ['first', 'second', 'third']) await ann.topic('orders').publish(value, { confirm: 1 })
  await cat.close()
  await ann.close()

  const [name] = await annDisk.list('topics/orders')
  const file = await annDisk.open(`topics/orders/${name}`)
  await file.write([Buffer.from('damage')], 100)
  await file.close()
  const again = await peerOn(use, { disk: annDisk }, { carry: ['orders'] })
  const ben = await peerOn(use, {}, { join: await addressesOf(again) })
  const subscription = use(ben.topic<string>('orders').subscribe({ from: 'earliest' }))
  await friendly(ben)
  // Longer than a friend that has removed the beginning would have to wait.
  await new Promise((resolve) => setTimeout(resolve, 1.5 * limits.gapPatienceMs))
  await peerOn(use, { disk: catDisk }, { carry: ['orders'], join: await addressesOf(again) })
  assert.equal(await valuesOf(subscription, 3), ['first', 'second', 'third'])
})

test.run()
