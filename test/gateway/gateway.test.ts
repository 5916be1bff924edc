import { request } from 'node:http'
import * as assert from 'uvu/assert'
import { GrapevineError, isError } from '../../node/errors.ts'
import { connectPeer } from '../../node/gateway/client.ts'
import { startGateway } from '../../node/gateway/server.ts'
import { limits } from '../../node/limits.ts'
import type { Message, Outgoing, PeerEvent, PeerId } from '../../node/types.ts'
import { suite, type TestTools } from '../helper/suite.ts'
import { until } from '../helper/until.ts'
import { FakePeer } from './fake-peer.ts'

const test = suite('gateway')

async function pair(use: TestTools['use']) {
  const fake = new FakePeer()
  const gateway = use(await startGateway({ peer: fake }))
  const peer = use(await connectPeer({ api: gateway.address, token: gateway.token }))
  return { fake, gateway, peer }
}

/** Status of a GET with these headers; the token is right unless given. */
function statusOf(address: string, token: string, headers: Record<string, string> = {}): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const all = { authorization: `Bearer ${token}`, ...headers }
    request(`http://${address}/v1/status`, { headers: all }, (response) => {
      response.resume()
      resolve(response.statusCode)
    })
      .on('error', reject)
      .end()
  })
}

async function thrown(act: () => unknown): Promise<GrapevineError> {
  try {
    await act()
  } catch (error) {
    if (isError(error)) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

test('only a request with the token, for a loopback host and from no other page is answered', async ({ use }) => {
  const { gateway } = await pair(use)
  const { address, token } = gateway
  assert.match(token, /^[0-9a-f]{64}$/)
  assert.is(await statusOf(address, token), 200)
  assert.is(await statusOf(address, 'wrong'), 401)
  assert.is(await statusOf(address, token, { authorization: token }), 401)
  assert.is(await statusOf(address, token, { host: 'evil.example' }), 403)
  assert.is(await statusOf(address, token, { host: '127.0.0.1.evil.example' }), 403)
  assert.is(await statusOf(address, token, { origin: 'http://evil.example' }), 403)
  assert.is(await statusOf(address, token, { origin: 'http://127.0.0.1:1' }), 403)
  assert.is(await statusOf(address, token, { origin: 'null' }), 403)
  assert.is(await statusOf(address, token, { origin: `http://${address}` }), 200)
})

test('it listens on loopback or not at all', async () => {
  for (const listen of ['0.0.0.0:0', '192.168.1.1:80', '[::]:0', 'example.com:80', '127.0.0.1', '127.0.0.1:99999']) {
    const error = await thrown(() => startGateway({ peer: new FakePeer(), listen }))
    assert.is(error.code, 'InvalidOption', listen)
  }
})

test('a wrong token or a dead address is an ApiFailed that says so', async ({ use }) => {
  const { gateway } = await pair(use)
  const refused = await thrown(() => connectPeer({ api: gateway.address, token: 'no' }))
  assert.equal([refused.code, refused.data], ['ApiFailed', { status: 401 }])
  assert.match(refused.message, 'token')
  await gateway.close()
  const dead = await thrown(() => connectPeer({ api: gateway.address, token: gateway.token }))
  assert.equal([dead.code, dead.data], ['ApiFailed', { status: 0 }])
})

test("status, friends and topics are the peer's own", async ({ use }) => {
  const { fake, peer } = await pair(use)
  assert.is(peer.id, fake.id)
  assert.equal(await peer.status(), await fake.status())
  assert.equal(await peer.friends(), [])
  assert.equal(await peer.mesh(), [])
  assert.is((await thrown(() => peer.mesh({ timeoutMs: -1 }))).code, 'ApiFailed')
  assert.equal(await peer.topics(), [])
})

test('a published value arrives with key and headers, and its receipt comes back', async ({ use }) => {
  const { fake, peer } = await pair(use)
  const topic = peer.topic('orders', { codec: 'bytes' })
  const value = Uint8Array.of(0, 255, 10, 13, 128)
  const receipt = await topic.publish(value, { key: 'ä', headers: { a: '1', b: '' }, confirm: 3 })
  assert.equal(receipt, { feed: 'ab'.repeat(16), seq: 1, index: 0, copies: 3 })
  const [kept] = fake.records('orders')
  assert.equal(Array.from(kept?.value ?? []), Array.from(value))
  assert.equal([kept?.key, kept?.headers], ['ä', { a: '1', b: '' }])
})

test('publishes called at once keep their order, and each has its own receipt', async ({ use }) => {
  const { peer } = await pair(use)
  const topic = peer.topic<number>('numbers')
  const receipts = await Promise.all(Array.from({ length: 500 }, (_, i) => topic.publish(i)))
  assert.equal(
    receipts.map(({ index }) => index),
    Array.from({ length: 500 }, (_, i) => i),
  )
})

test('a failure arrives as the error it was', async ({ use }) => {
  const { fake, peer } = await pair(use)
  const data = { wanted: 2, copies: 1, timeoutMs: 5, feed: 'f', seq: 9 }
  fake.failWith = new GrapevineError('ConfirmTimeout', 'one has it', data)
  for (const act of [() => peer.topic('a').publish(1), () => peer.topic('a').publishMany([{ value: 1 }])]) {
    const error = await thrown(act)
    assert.equal([error.code, error.message, error.data], ['ConfirmTimeout', 'one has it', data])
  }
  fake.failWith = new Error('unforeseen')
  const error = await thrown(() => peer.topic('a').publish(1))
  assert.equal([error.code, error.data], ['ApiFailed', { status: 500 }])
})

test('values and topics are checked before anything is sent', async ({ use }) => {
  const { peer } = await pair(use)
  assert.is((await thrown(() => peer.topic('a b'))).code, 'InvalidTopic')
  assert.is((await thrown(() => peer.topic('a').publish(undefined))).code, 'CodecFailed')
  const large = new Uint8Array(limits.recordBytesMax + 1)
  assert.is((await thrown(() => peer.topic('a', { codec: 'bytes' }).publish(large))).code, 'RecordTooLarge')
})

test('the largest record goes through, there and back', async ({ use }) => {
  const { peer } = await pair(use)
  const topic = peer.topic<Uint8Array>('large', { codec: 'bytes' })
  const value = new Uint8Array(limits.recordBytesMax).fill(7)
  await topic.publish(value)
  for await (const message of topic.subscribe({ from: 'earliest' })) {
    assert.is(Buffer.compare(message.value, value), 0)
    break
  }
})

test('a program may ask for its topic as often as it publishes', async ({ use }) => {
  const { peer } = await pair(use)
  for (let i = 0; i < limits.apiSocketsMax + 10; i++) await peer.topic<number>('orders').publish(i)
})

test('publishMany sends what it has when its source pauses', async ({ use }) => {
  const { fake, peer } = await pair(use)
  const more = Promise.withResolvers<void>()
  async function* source() {
    yield { value: 'one' }
    yield { value: 'two' }
    await more.promise
    yield { value: 'three' }
  }
  const done = peer.topic('lines').publishMany(source())
  await until(() => fake.records('lines').length === 2, 2_000, 'the first two are published')
  more.resolve()
  assert.equal(await done, { published: 3, confirmed: 3, copies: 2 })
})

test('publishMany waits for a peer that takes slowly, and is told at once when it fails', async ({ use }) => {
  const { fake, peer } = await pair(use)
  const gate = Promise.withResolvers<void>()
  fake.beforeTake = () => gate.promise
  let taken = 0
  function* source(): Generator<Outgoing<Uint8Array>> {
    for (; taken < 1_000; taken++) yield { value: new Uint8Array(64 * 1024) }
  }
  const done = thrown(() => peer.topic<Uint8Array>('slow', { codec: 'bytes' }).publishMany(source()))
  let before = -1
  await until(async () => {
    const still = taken === before
    before = taken
    await new Promise((resolve) => setTimeout(resolve, 200))
    return still && taken > 0
  })
  assert.ok(taken < 300, `${taken} of 1,000 were taken from the source`)
  fake.failWith = new GrapevineError('StorageFull', 'full', { path: 'x' })
  gate.resolve()
  assert.is((await done).code, 'StorageFull')
})

test('a source that throws ends publishMany with its error, and what came before is published', async ({ use }) => {
  const { fake, peer } = await pair(use)
  function* source() {
    yield { value: 1 }
    throw new Error('the source broke')
  }
  let message = ''
  await peer
    .topic('a')
    .publishMany(source())
    .catch((error) => {
      message = error.message
    })
  assert.is(message, 'the source broke')
  await until(() => fake.records('a').length === 1, 2_000, 'the first is published')
})

test('a subscription delivers everything once, in order, with all its fields', async ({ use }) => {
  const { fake, peer } = await pair(use)
  const count = 25_000
  const topic = peer.topic<number>('numbers')
  await topic.publishMany(Array.from({ length: count }, (_, value) => ({ value, key: `k${value % 3}` })))
  const got: Message<number>[] = []
  const subscription = topic.subscribe({ from: 'earliest' })
  await subscription.ready
  for await (const batch of subscription.batches()) {
    got.push(...batch)
    if (got.length === count) break
  }
  assert.ok(
    got.every(
      ({ value, index, offset, time }, i) => value === i && index === i && offset === i + 7 && time === 1_000 + i,
    ),
  )
  const last = got.at(-1)
  const feed = 'ab'.repeat(16)
  const place = { feed, publisher: fake.id, seq: 250, index: count - 1, offset: count + 6, id: `${feed}/${count - 1}` }
  assert.equal(
    { ...last },
    { topic: 'numbers', value: count - 1, key: 'k0', headers: {}, time: 1_000 + count - 1, ...place },
  )
  await until(() => fake.openSubscriptions === 0, 2_000, 'leaving the loop ends the subscription')
})

test('an acknowledgement resolves when the peer has it', async ({ use }) => {
  const { fake, peer } = await pair(use)
  const topic = peer.topic<number>('work')
  await topic.publishMany(Array.from({ length: 10 }, (_, value) => ({ value })))
  let seen = 0
  for await (const message of topic.subscribe({ name: 'w', from: 'earliest' })) {
    await message.ack()
    assert.is(fake.acked.length, ++seen)
    if (seen === 10) break
  }
})

test('an acknowledgement given just before the end of the subscription still resolves', async ({ use }) => {
  const { fake, peer } = await pair(use)
  const orders = peer.topic('orders')
  await orders.publish('one')
  fake.beforeAck = () => new Promise((resolve) => setTimeout(resolve, 50))
  let ack: Promise<void> | undefined
  for await (const message of orders.subscribe({ name: 'billing', from: 'earliest' })) {
    ack = message.ack()
    break
  }
  await ack
  assert.is(fake.acked.length, 1)
})

test('a reader that stops holds back only itself', async ({ use }) => {
  const { fake, peer } = await pair(use)
  const topic = peer.topic<Uint8Array>('big', { codec: 'bytes' })
  for (let i = 0; i < 200; i++)
    fake.records('big').push({ value: new Uint8Array(100_000), key: undefined, headers: {} })
  const slow = topic.subscribe({ name: 's', from: 'earliest' })
  const reader = slow[Symbol.asyncIterator]()
  const first = await reader.next()
  let got = 0
  for await (const batch of topic.subscribe({ from: 'earliest' }).batches()) {
    got += batch.length
    if (got === 200) break
  }
  // Its acknowledgements still pass while its records wait.
  await first.value.ack()
  for (let i = 1; i < 200; i++) assert.is((await reader.next()).value.index, i)
  await slow.close()
})

test('a subscription that is refused says so to ready and to its reader', async ({ use }) => {
  const { peer } = await pair(use)
  const subscription = peer.topic('a').subscribe({ name: 'taken' })
  assert.is((await thrown(() => subscription.ready)).code, 'SubscriptionInUse')
  const error = await thrown(() => subscription[Symbol.asyncIterator]().next())
  assert.equal(error.data, { name: 'taken', topic: 'a' })
})

test('a signal and close() end the iteration', async ({ use }) => {
  const { fake, peer } = await pair(use)
  const abort = new AbortController()
  const byTopic = (signal?: AbortSignal) => peer.topic('quiet').subscribe(signal ? { signal } : {})
  const byName = [byTopic(abort.signal), byTopic()]
  const ends = byName.map(async (subscription) => {
    for await (const _ of subscription) assert.unreachable()
  })
  await Promise.all(byName.map(({ ready }) => ready))
  assert.is(fake.openSubscriptions, 2)
  abort.abort()
  await byName[1]?.close()
  await Promise.all(ends)
  assert.is(fake.openSubscriptions, 0)
})

test('losing the connection rejects what waits on it', async ({ use }) => {
  const { fake, gateway, peer } = await pair(use)
  fake.beforeTake = () => new Promise(() => {})
  const reading = thrown(() => peer.topic('a').subscribe()[Symbol.asyncIterator]().next())
  const subscription = peer.topic('a').subscribe()
  await subscription.ready
  const publishing = thrown(() => peer.topic('a').publishMany([{ value: 1 }]))
  await until(() => fake.openSubscriptions === 2)
  await gateway.close()
  assert.is((await reading).code, 'ApiFailed')
  assert.is((await publishing).code, 'ApiFailed')
  assert.is((await thrown(() => peer.status())).code, 'ApiFailed')
  await until(() => fake.openSubscriptions === 0, 2_000, 'the peer is rid of its readers')
})

test('publishing on a connection that is gone by then rejects, and does no more', async ({ use }) => {
  const { gateway, peer } = await pair(use)
  await gateway.close()
  assert.is((await thrown(() => peer.topic('a').publish(1))).code, 'ApiFailed')
  assert.is((await thrown(() => peer.topic('a').publishMany([{ value: 1 }]))).code, 'ApiFailed')
})

test('events pass from now on', async ({ use }) => {
  const { fake, peer } = await pair(use)
  const left = (time: number): PeerEvent => ({ type: 'friend-left', peer: 'x' as PeerId, time, reason: 'gone' })
  const events = peer.events()[Symbol.asyncIterator]()
  const first = events.next()
  const sending = setInterval(() => fake.emit(left(5)), 10)
  use(() => clearInterval(sending))
  assert.equal(await first, { done: false, value: left(5) })
  await events.return?.()
})

test('a drained connection publishes nothing more, and the peer goes on', async ({ use }) => {
  const { gateway, peer } = await pair(use)
  const last = peer.topic('a').publish(1)
  await peer.drain()
  await last
  assert.is((await thrown(() => peer.topic('a').publish(2))).code, 'PeerClosed')
  await peer.close()
  assert.is((await thrown(() => peer.status())).code, 'PeerClosed')
  const again = use(await connectPeer({ api: gateway.address, token: gateway.token }))
  assert.is((await again.topic('a').publish(2)).index, 1)
})

test.run()
