import * as assert from 'uvu/assert'
import { type GrapevineError, isError } from '../../node/errors.ts'
import { createPeer } from '../../node/index.ts'
import { limits } from '../../node/limits.ts'
import type { Message } from '../../node/types.ts'
import { addressesOf, carried, codeOf, eventsOf, friendly, meshOf, peerOf, take, valuesOf } from '../helper/mesh.ts'
import { suite } from '../helper/suite.ts'
import { until } from '../helper/until.ts'

const test = suite('peer')

test('a record published on one peer arrives on the other as it was', async ({ use }) => {
  const [ann, ben] = await meshOf(use, 2)
  const subscription = use(ben.topic<object>('orders').subscribe())
  await subscription.ready
  const before = Date.now()
  const receipt = await ann
    .topic<object>('orders')
    .publish({ id: 1, text: 'größer' }, { key: 'customer-7', headers: { source: 'web', ü: '' } })
  const [message] = (await take(subscription, 1)) as [Message<object>]
  assert.is(receipt.copies, 1)
  assert.equal(message.value, { id: 1, text: 'größer' })
  assert.is(message.key, 'customer-7')
  assert.equal({ ...message.headers }, { source: 'web', ü: '' })
  assert.is(message.publisher, ann.id)
  assert.equal([message.feed, message.seq, message.index], [receipt.feed, receipt.seq, receipt.index])
  assert.is(message.id, `${receipt.feed}/0`)
  assert.is(message.topic, 'orders')
  assert.ok(message.time >= before && message.time <= Date.now() + 1)
})

test('a peer in memory seals what is published in one turn together, as one with a disk does', async ({ use }) => {
  const peer = use(await createPeer({ discover: false }))
  const topic = peer.topic<number>('many')
  const source = async function* () {
    for (let value = 0; value < 1_000; value++) yield { value }
  }
  await topic.publishMany(source())
  const [status] = await peer.topics()
  assert.is(status?.records, 1_000)
  assert.ok((status?.batches ?? 0) <= 20, `${status?.batches} batches`)
})

test('text and bytes are what they were, and what is no text is refused where it is published', async ({ use }) => {
  const [ann, ben] = await meshOf(use, 2)
  const texts = use(ben.topic<string>('words', { codec: 'text' }).subscribe())
  const bytes = use(ben.topic<Uint8Array>('raw', { codec: 'bytes' }).subscribe())
  await Promise.all([texts.ready, bytes.ready])
  await ann.topic('words', { codec: 'text' }).publish('\ufeffä\u0000')
  await ann.topic('raw', { codec: 'bytes' }).publish(Uint8Array.of(0, 255, 128))
  assert.equal(await valuesOf(texts, 1), ['\ufeffä\u0000'])
  assert.equal([...((await valuesOf(bytes, 1))[0] as Uint8Array)], [0, 255, 128])
  assert.is(await codeOf(ann.topic('words', { codec: 'text' }).publish('\ud800')), 'CodecFailed')
  assert.is(await codeOf(ann.topic('any').publish(undefined)), 'CodecFailed')
})

test('a value that cannot be read fails when it is looked at, and the subscription goes on', async ({ use }) => {
  const [ann] = await meshOf(use, 1)
  const subscription = use(ann.topic('mixed', { codec: 'json' }).subscribe())
  const raw = ann.topic<string>('mixed', { codec: 'text' })
  await raw.publish('{"half":')
  await raw.publish('{"whole":1}')
  const [bad, good] = await take(subscription, 2)
  try {
    assert.unreachable(String(bad?.value))
  } catch (error) {
    assert.ok(isError(error, 'CodecFailed'), String(error))
  }
  assert.equal(good?.value, { whole: 1 })
})

test('alone, auto asks for nobody else', async ({ use }) => {
  const ann = await peerOf(use)
  assert.is((await ann.topic('orders').publish(1)).copies, 0)
})

test('with another peer, auto waits until a keeper has the record, whoever subscribes', async ({ use }) => {
  const [ann, ben] = await meshOf(use, 2)
  assert.is((await ann.topic('orders').publish(1)).copies, 1)
  const [topic] = await ben.topics()
  assert.equal([topic?.name, topic?.held, topic?.records], ['orders', 'carry', 1])
})

test('confirm takes as many others as it asks for', async ({ use }) => {
  const peers = await meshOf(use, 4)
  const receipt = await peers[1].topic('orders').publish(1, { confirm: 3 })
  assert.is(receipt.copies, 3)
})

test('too few in time is a ConfirmTimeout that says how many have it, and the record stays on its way', async ({
  use,
}) => {
  const [ann] = await meshOf(use, 2)
  const error = (await ann
    .topic('orders')
    .publish('early', { confirm: 2, timeoutMs: 600 })
    .catch((error) => error)) as GrapevineError<'ConfirmTimeout'>
  assert.is(error.code, 'ConfirmTimeout')
  assert.equal([error.data.wanted, error.data.copies, error.data.timeoutMs], [2, 1, 600])
  const cat = await peerOf(use, { join: await addressesOf(ann) })
  assert.equal(await valuesOf(cat.topic('orders').subscribe({ from: 'earliest' }), 1), ['early'])
})

test('what was published alone is on its way when a peer joins', async ({ use }) => {
  const ann = await peerOf(use)
  const orders = ann.topic<number>('orders')
  for (let i = 0; i < 50; i++) await orders.publish(i)
  const ben = await peerOf(use, { join: await addressesOf(ann) })
  const values = await valuesOf(ben.topic<number>('orders').subscribe({ from: 'earliest' }), 50)
  assert.equal(
    values,
    Array.from({ length: 50 }, (_, i) => i),
  )
})

test('a thousand publishes at once become few batches and keep their order', async ({ use }) => {
  const [ann, ben] = await meshOf(use, 2)
  const subscription = use(ben.topic<number>('orders').subscribe())
  await subscription.ready
  const orders = ann.topic<number>('orders')
  const receipts = await Promise.all(Array.from({ length: 1000 }, (_, i) => orders.publish(i)))
  assert.equal(
    receipts.map(({ index }) => index),
    Array.from({ length: 1000 }, (_, i) => i),
  )
  assert.ok((receipts.at(-1)?.seq ?? 0) < 20)
  assert.equal(
    await valuesOf(subscription, 1000),
    Array.from({ length: 1000 }, (_, i) => i),
  )
})

test('publishMany takes a stream and counts what is confirmed', async ({ use }) => {
  const [ann, ben] = await meshOf(use, 2)
  async function* lines() {
    for (let i = 0; i < 20_000; i++) yield { value: `line ${i}`, key: `k${i % 7}`, headers: { n: String(i) } }
  }
  const result = await ann.topic<string>('lines', { codec: 'text' }).publishMany(lines(), { confirm: 1 })
  assert.equal(result, { published: 20_000, confirmed: 20_000, copies: 1 })
  const messages = await take(ben.topic<string>('lines', { codec: 'text' }).subscribe({ from: 'earliest' }), 20_000)
  assert.ok(messages.every((message, i) => message.value === `line ${i}` && message.headers.n === String(i)))
})

test('a record of the largest size crosses the mesh, and a larger one names the limit', async ({ use }) => {
  const [ann, ben] = await meshOf(use, 2)
  const large = new Uint8Array(limits.recordBytesMax)
  for (let i = 0; i < large.length; i += 997) large[i] = (i * 2654435761) >>> 24
  const subscription = use(ben.topic<Uint8Array>('large', { codec: 'bytes' }).subscribe())
  await subscription.ready
  const topic = ann.topic<Uint8Array>('large', { codec: 'bytes' })
  await topic.publish(large)
  const [value] = await valuesOf(subscription, 1)
  assert.is(Buffer.compare(value as Uint8Array, large), 0)
  assert.is(await codeOf(topic.publish(new Uint8Array(limits.recordBytesMax + 1))), 'RecordTooLarge')
})

test('draining waits for what is on its way and takes nothing new; closing ends everything', async ({ use }) => {
  const [ann, ben] = await meshOf(use, 2)
  const events = eventsOf(ann)
  const subscription = ann.topic('orders').subscribe()
  const looping = (async () => {
    for await (const _ of subscription);
  })()
  const sent = Array.from({ length: 20 }, (_, i) => ann.topic('orders').publish(i))
  await ann.drain()
  assert.is((await Promise.all(sent)).length, 20)
  assert.is(await codeOf(ann.topic('orders').publish(1)), 'PeerClosed')
  await looping
  await ann.close()
  await ann.close()
  assert.is(await codeOf(ann.topic('orders').publish(1)), 'PeerClosed')
  await until(async () => (await ben.friends()).length === 0)
  assert.ok(events.some(({ type }) => type === 'friend-joined'))
})

test('closing does not wait for confirmations that will not come', async ({ use }) => {
  const ann = await peerOf(use)
  const waiting = codeOf(ann.topic('orders').publish(1, { confirm: 5 }))
  const start = performance.now()
  await ann.close()
  assert.is(await waiting, 'PeerClosed')
  assert.ok(performance.now() - start < 2000)
})

test('status, topics and friends say what is so', async ({ use }) => {
  const [ann, ben] = await meshOf(use, 2)
  await ann.topic('orders').publish('x'.repeat(1000))
  for (const peer of [ann, ben]) await carried(peer, 'orders', 2)
  const status = await ann.status()
  assert.equal([status.id, status.friends, status.topics, status.data], [ann.id, 1, 1, null])
  assert.ok(status.bytes.sent > 1000 && status.bytes.received > 0 && status.bytes.stored > 0)
  assert.ok(status.addresses.every((address) => address.endsWith(ann.id)))
  const [friend] = await ann.friends()
  assert.is(friend?.id, ben.id)
  const [topic] = await ann.topics()
  assert.equal([topic?.name, topic?.feeds, topic?.batches, topic?.records], ['orders', 1, 1, 1])
})

test('events tell of friends, topics and their end', async ({ use }) => {
  const ann = await peerOf(use)
  const seen = eventsOf(ann)
  const ben = await peerOf(use, { join: await addressesOf(ann) })
  await friendly(ann)
  use(ann.topic('orders').subscribe())
  const has = (type: string) => seen.some((event) => event.type === type)
  await until(() => has('carrying'), 3000, 'carrying')
  await ben.close()
  await until(() => has('friend-left'), 3000, 'friend-left')
  assert.equal(
    seen.filter(({ type }) => type.startsWith('friend')).map(({ type }) => type),
    ['friend-joined', 'friend-left'],
  )
})

test.run()
