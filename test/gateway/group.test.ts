/** Groups through the local API of real peers: what a consumer in another process has, and what is left of it when it goes. */
import * as assert from 'uvu/assert'
import { connectPeer } from '../../node/gateway/client.ts'
import { type Gateway, type GroupOptions, type GroupRecord, type Peer, startGateway } from '../../node/index.ts'
import { addressesOf, codeOf, friendly, meshOf, peerOf } from '../helper/mesh.ts'
import { suite, type TestTools } from '../helper/suite.ts'
import { until } from '../helper/until.ts'

const test = suite('gateway')
/** Long enough for a machine that is busy with other things. */
const options: GroupOptions = { from: 'earliest', leaseMs: 10_000 }
const short: GroupOptions = { ...options, leaseMs: 2_000 }

async function connect(use: TestTools['use'], { address, token }: Gateway): Promise<Peer> {
  return use(await connectPeer({ api: address, token }))
}

async function place(use: TestTools['use']) {
  const [local] = await meshOf(use, 1)
  const gateway = use(await startGateway({ peer: local }))
  return { local, gateway, remote: await connect(use, gateway) }
}

const work = (peer: Peer, asked = options) => peer.topic<number>('jobs').group('work', asked)
const numbers = (count: number) => Array.from({ length: count }, (_, value) => ({ value, key: `k${value}` }))

/** The next record of an iteration that has one. */
async function next<T>(records: AsyncIterable<GroupRecord<T>>): Promise<GroupRecord<T>> {
  const { done, value } = await records[Symbol.asyncIterator]().next()
  if (done) throw new Error('the iteration ended')
  return value
}

test('consumers in other processes share the records with those of the peer, each with all its fields', async ({
  use,
}) => {
  const { local, gateway, remote } = await place(use)
  await local.topic<number>('jobs').publishMany(numbers(60))
  const by = new Map<number, Peer>()
  const peers = [local, remote, await connect(use, gateway)]
  const consuming = peers.map(async (peer) => {
    for await (const record of work(peer).consume({ concurrency: 4 })) {
      assert.not(by.has(record.value))
      by.set(record.value, peer)
      assert.equal([record.topic, record.key, record.attempt], ['jobs', `k${record.value}`, 1])
      assert.equal([record.id, record.publisher], [`${record.feed}/${record.index}`, local.id])
      assert.ok(record.fencingToken > 0)
      await record.ack()
    }
  })
  await until(() => by.size === 60, 15_000, 'all are handed out')
  assert.is(new Set(by.values()).size, 3)
  const status = await work(remote).status()
  assert.equal([status.lag, status.members, status.slots.length], [0, [{ peer: local.id, slots: 64, silentMs: 0 }], 64])
  assert.is(status.settings.leaseMs, 10_000)
  await Promise.all(peers.slice(1).map((peer) => peer.drain()))
  await local.drain()
  await Promise.all(consuming)
})

test('a record that is refused comes again after its delay, and one that is extended is not taken away', async ({
  use,
}) => {
  const { remote } = await place(use)
  await remote.topic<number>('jobs').publish(7)
  const records = work(remote, short).consume()
  const first = await next(records)
  await first.nack({ delayMs: 300 })
  const refused = Date.now()
  const second = await next(records)
  assert.ok(Date.now() - refused >= 250)
  assert.equal([second.value, second.attempt], [7, 2])
  assert.ok(second.fencingToken >= first.fencingToken)
  await second.extend(60_000)
  await new Promise((resolve) => setTimeout(resolve, 3_000))
  await second.ack()
  assert.is((await work(remote, short).status()).lag, 0)
})

test("what is not this delivery's any more is LeaseLost, with all that the peer says of it", async ({ use }) => {
  const { remote } = await place(use)
  await remote.topic<number>('jobs').publish(7)
  const records = work(remote, short).consume()
  const slow = await next(records)
  const again = await next(records)
  assert.equal([again.id, again.attempt], [slow.id, 2])
  const lost = async (act: Promise<void>) => {
    const error = await act.then(
      () => undefined,
      (error) => error,
    )
    assert.is(error?.code, 'LeaseLost')
    assert.equal([error.data.group, error.data.record], ['work', slow.id])
    return error.data.reason
  }
  assert.is(await lost(slow.ack()), 'expired')
  await again.ack()
  for (const act of [again.ack(), again.nack(), again.extend(5)]) assert.is(await lost(act), 'settled')
})

test('what is asked the wrong way is refused as the peer itself does', async ({ use }) => {
  const { local, remote } = await place(use)
  assert.throws(() => work(remote, { leaseMs: 1 }), /leaseMs/)
  assert.throws(() => remote.topic('jobs').group('a.b'), /name/)
  await work(local).status()
  const other = work(remote, { ...options, type: 'exclusive' })
  assert.is(await codeOf(other.status()), 'GroupConflict')
  assert.is(await codeOf(next(other.consume())), 'GroupConflict')
  const events = other.events()[Symbol.asyncIterator]()
  assert.is(await codeOf(events.next()), 'GroupConflict')
  for (const concurrency of [0, 1.5, Number.NaN, 1_001])
    assert.is(await codeOf(next(work(remote).consume({ concurrency }))), 'InvalidOption')

  await remote.topic<number>('jobs').publish(7)
  const record = await next(work(remote).consume())
  assert.is(await codeOf(record.nack({ delayMs: -1 })), 'InvalidOption')
  assert.is(await codeOf(record.extend(Number.NaN)), 'InvalidOption')
  await record.ack()
})

test('an exclusive group refuses the second member also where it is asked for from outside', async ({ use }) => {
  const [one, two] = await meshOf(use, 2)
  const gateway = use(await startGateway({ peer: two }))
  const remote = await connect(use, gateway)
  const exclusive: GroupOptions = { ...options, type: 'exclusive' }
  await one.topic<number>('jobs').publish(1)
  await next(work(one, exclusive).consume())
  assert.is(await codeOf(next(work(remote, exclusive).consume())), 'GroupInUse')
})

test('records that wait for an application that hangs go to others, and it goes on when it asks again', async ({
  use,
}) => {
  const { local, remote } = await place(use)
  await local.topic<number>('jobs').publishMany(numbers(6))
  const hanging = work(remote, short).consume({ concurrency: 6 })
  await (await next(hanging)).ack()
  await new Promise((resolve) => setTimeout(resolve, 6_500))
  const other = work(local, short).consume({ concurrency: 6 })
  const values = new Set<number>()
  for (let i = 0; i < 5; i++) {
    const record = await next(other)
    values.add(record.value)
    await record.ack()
  }
  assert.is(values.size, 5)
  await other[Symbol.asyncIterator]().return?.()
  await local.topic<number>('jobs').publish(9)
  const record = await next(hanging)
  assert.equal([record.value, record.attempt], [9, 1])
  await record.ack()
})

test('records of a connection that is lost go back at once', async ({ use }) => {
  const { local, gateway, remote } = await place(use)
  const long: GroupOptions = { ...options, leaseMs: 60_000 }
  await local.topic<number>('jobs').publishMany(numbers(5))
  const records = work(remote, long).consume({ concurrency: 5 })
  const had = [await next(records), await next(records)]
  await had[1]?.ack()
  await remote.close()
  assert.is(await codeOf(had[0]?.ack() ?? Promise.resolve()), 'ApiFailed')
  assert.equal((await records[Symbol.asyncIterator]().next()).done, true)

  const values: number[] = []
  const other = await connect(use, gateway)
  for await (const record of work(other, long).consume({ concurrency: 5 })) {
    values.push(record.value)
    await record.ack()
    if (values.length === 4) break
  }
  assert.equal(new Set([...values, had[1]?.value]).size, 5)
})

test('a peer that goes away fails its consumers, and what they have', async ({ use }) => {
  const { gateway, remote } = await place(use)
  await remote.topic<number>('jobs').publish(1)
  const records = work(remote).consume({ concurrency: 2 })
  const record = await next(records)
  const waiting = next(records)
  waiting.catch(() => undefined)
  await gateway.close()
  assert.is(await codeOf(waiting), 'ApiFailed')
  assert.is(await codeOf(record.ack()), 'ApiFailed')
  assert.equal(await records[Symbol.asyncIterator]().next(), { done: true, value: undefined })
})

test('an iteration that is left, aborted or drained gets no more, and what it has may still be settled', async ({
  use,
}) => {
  const { local, remote } = await place(use)
  await local.topic<number>('jobs').publishMany(numbers(8))
  const abort = new AbortController()
  const group = work(remote)
  const records = [group.consume({ signal: abort.signal, concurrency: 2 }), group.consume({ concurrency: 2 })] as const
  const had = await Promise.all(records.map((each) => next(each)))
  const waiting = records[0][Symbol.asyncIterator]().next()
  await (await waiting).value?.ack()
  abort.abort()
  assert.equal(await records[0][Symbol.asyncIterator]().next(), { done: true, value: undefined })
  let drained = false
  const draining = group.drain().then(() => {
    drained = true
  })
  assert.equal(await records[1][Symbol.asyncIterator]().next(), { done: true, value: undefined })
  assert.not(drained)
  for (const record of had) await record.ack()
  await draining
  const left = work(local).consume({ concurrency: 8 })
  for (let i = 0; i < 5; i++) await (await next(left)).ack()
  assert.is((await group.status()).lag, 0)
})

test('groups are listed with who is in them and how far they are, also by a peer that takes no part', async ({
  use,
}) => {
  const { local, remote } = await place(use)
  assert.equal(await remote.groups(), [])
  await local.topic<number>('jobs').publishMany(numbers(5))
  const records = work(local).consume({ concurrency: 2 })
  await (await next(records)).ack()
  await local.topic('other').group('standby', { type: 'failover', quorum: true }).status()
  const [first, second, ...more] = await until(async () => {
    const list = await remote.groups()
    return list[0]?.members[0]?.slots === 64 && list.length === 2 ? list : undefined
  })
  assert.equal(more, [])
  const settings = (await work(local).status()).settings
  const left = { lag: 4, inFlight: first?.inFlight, delayed: 0, redelivered: 0 }
  assert.equal({ ...first, members: [] }, { topic: 'jobs', name: 'work', settings, members: [], slots: 64, ...left })
  assert.is(first?.members[0]?.peer, local.id)
  await next(records)
  await until(async () => (await remote.groups('jobs'))[0]?.inFlight === 1)
  assert.equal([second?.topic, second?.name, second?.members, second?.slots], ['other', 'standby', [], 1])
  assert.equal(
    (await remote.groups('other')).map(({ name }) => name),
    ['standby'],
  )
  assert.equal(await remote.groups('jobs.else'), [])
  assert.is(await codeOf(remote.groups('a b')), 'InvalidTopic')

  // A guest keeps nothing: it asks those who do.
  const join = await addressesOf(local)
  const guest = await peerOf(use, { join, role: 'guest' })
  await friendly(guest)
  const seen = await until(async () => {
    const list = await guest.groups('jobs')
    return list.length > 0 ? list : undefined
  })
  assert.equal([seen[0]?.members[0]?.peer, seen[0]?.lag], [local.id, undefined])
  assert.equal(await guest.topics().then((topics) => topics.filter(({ held }) => held !== 'none')), [])
})

test('a group is moved, and begins at a date, also from outside', async ({ use }) => {
  const { local, remote } = await place(use)
  const jobs = local.topic<number>('jobs')
  await jobs.publishMany(numbers(3))
  await new Promise((resolve) => setTimeout(resolve, 20))
  const from = new Date()
  await jobs.publishMany(numbers(2))
  const asked = { ...options, from }
  const records = work(remote, asked).consume({ concurrency: 2 })
  assert.equal([(await next(records)).value, (await next(records)).value].sort(), [0, 1])
  assert.is((await work(remote, asked).status()).lag, 2, 'and not 5')
  await work(remote).seek('earliest')
  assert.is((await work(local).status()).lag, 5)
  await work(remote).seek(from)
  assert.is((await work(local).status()).lag, 2)
  await work(remote).seek('latest')
  assert.is((await work(remote).status()).lag, 0)
  for (const wrong of [new Date(Number.NaN), 'now' as never])
    assert.is(await codeOf(work(remote).seek(wrong)), 'InvalidOption')
  assert.throws(() => work(remote, { ...options, from: new Date(Number.NaN) }), /from/)
})

test('events of a group pass', async ({ use }) => {
  const { local, remote } = await place(use)
  const events = work(remote).events()[Symbol.asyncIterator]()
  const first = events.next()
  await local.topic<number>('jobs').publish(1)
  await until(async () => (await work(remote).status()).settings.leaseMs === 10_000)
  await (await next(work(remote).consume())).ack()
  assert.match(JSON.stringify(await first), /"joined"|"slot-taken"/)
  await events.return?.()
})

test('bytes that are not what the codec says become a dead letter', async ({ use }) => {
  const { local, remote } = await place(use)
  await local.topic<Uint8Array>('jobs', { codec: 'bytes' }).publish(Buffer.from('{'))
  await remote.topic<number>('jobs').publish(2)
  for await (const record of work(remote).consume({ concurrency: 2 })) {
    assert.is(record.value, 2)
    await record.ack()
    break
  }
  const consuming = work(remote).consume()
  const nothing = consuming[Symbol.asyncIterator]().next()
  for await (const dead of local.topic('jobs.dead', { codec: 'text' }).subscribe({ from: 'earliest' })) {
    assert.is(dead.value, '{')
    break
  }
  await work(remote).drain()
  await remote.drain()
  assert.is((await nothing).done, true)
})

test.run()
