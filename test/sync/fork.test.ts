import * as assert from 'uvu/assert'
import { forkOf } from '../../node/feed/chain.ts'
import { openState } from '../../node/store/state.ts'
import type { Peer, PeerEvent } from '../../node/types.ts'
import { encodeAnnouncement } from '../../node/wire/frame.ts'
import { type Batch, openHead } from '../../node/wire/head.ts'
import { addressesOf, eventsOf, friendly, peerOf, valuesOf } from '../helper/mesh.ts'
import { suite, type TestTools } from '../helper/suite.ts'
import { until } from '../helper/until.ts'
import { type FakeFriend, fakeFriendOf, forged, sealed, topic } from './fake-friend.ts'

const test = suite('sync')

async function scene(use: TestTools['use'], data: string | null = null) {
  const victim = await peerOf(use, { carry: [topic], data })
  const fake = await fakeFriendOf(use, victim)
  return { victim, fake, events: eventsOf(victim) }
}

async function recordsOf(peer: Peer): Promise<number> {
  return (await peer.topics()).find(({ name }) => name === topic)?.records ?? 0
}

/** The fork is told once and names its author; of the feed nothing more is taken, of others everything. */
async function stopped(victim: Peer, fake: FakeFriend, events: PeerEvent[], next: Batch, seq: number): Promise<void> {
  const fork = await until(() => events.find((event) => event.type === 'fork'), 3000, 'fork')
  assert.equal([fork.topic, fork.feed, fork.publisher, fork.seq], [topic, next.head.feed, fake.id, seq])
  const before = await recordsOf(victim)
  fake.offer(next.head.feed, next.head.head.seq, next.head.hash)
  await fake.gives(sealed(fake.feed(), 'other'))
  assert.is(await recordsOf(victim), before + 1)
  const wanted = fake.heard.some((frame) => frame.type === 'want' && frame.feed === next.head.feed)
  assert.not.ok(wanted, 'a forked feed is not asked for')
  assert.is(events.filter(({ type }) => type === 'fork').length, 1)
}

test('another newest head than ours is asked for, and proves the fork', async ({ use }) => {
  const { victim, fake, events } = await scene(use)
  const [left, right] = fake.twins()
  await fake.gives(sealed(left, 'one'))
  const other = sealed(right, 'another one')
  fake.answer((await fake.offered(other)).id, other)
  await stopped(victim, fake, events, sealed(left, 'two'), 1)
})

test('a batch that follows another than ours leads back to the fork', async ({ use }) => {
  const { victim, fake, events } = await scene(use)
  const [left, right] = fake.twins()
  await fake.gives(sealed(left, 'one'))
  const [other, next] = [sealed(right, 'another one'), sealed(right, 'two')]
  fake.answer((await fake.offered(next)).id, next)
  const probe = await fake.hears('want', ({ from, to }) => from === 1 && to === 1)
  fake.answer(probe.id, other)
  await stopped(victim, fake, events, sealed(left, 'two'), 1)
})

test('a second batch of one number by gossip is the proof itself', async ({ use }) => {
  const { victim, fake, events } = await scene(use)
  const [left, right] = fake.twins()
  await fake.gives(sealed(left, 'one'))
  const { head, body } = sealed(right, 'another one')
  await fake.gossip(encodeAnnouncement({ head: head.bytes, body }))
  await stopped(victim, fake, events, sealed(left, 'two'), 1)
})

test('who follows the longer branch is told the proof, once', async ({ use }) => {
  const { victim, fake, events } = await scene(use)
  const [left, right] = fake.twins()
  await fake.gives(sealed(left, 'one'))
  const other = sealed(right, 'another one')
  fake.answer((await fake.offered(other)).id, other)
  await until(() => events.some(({ type }) => type === 'fork'), 3000, 'fork')
  for (const next of [sealed(right, 'two'), sealed(right, 'three')])
    fake.offer(next.head.feed, next.head.head.seq, next.head.hash)
  const { a, b } = await fake.hears('fork')
  const proof = forkOf(openHead(a), openHead(b))
  assert.equal([proof?.feed, proof?.seq], [other.head.feed, 1])
  await fake.gives(sealed(fake.feed(), 'other'))
  assert.not.ok(fake.heard.some(({ type }) => type === 'fork'))
  assert.is(await recordsOf(victim), 2)
})

test('a proof stops the feed; of a feed that is not here it is dropped, and one that proves nothing counts against its sender', async ({
  use,
}) => {
  const { victim, fake, events } = await scene(use)
  const [left, right] = fake.twins()
  const [one, other] = [sealed(left, 'one'), sealed(right, 'another one')]
  const proof = { type: 'fork' as const, topic, a: one.head.bytes, b: other.head.bytes }
  fake.send(proof)
  await fake.gives(one)
  assert.not.ok(events.some(({ type }) => type === 'fork'))
  fake.send({ ...proof, b: forged(other.head).bytes })
  const misbehaved = await until(() => events.find(({ type }) => type === 'misbehaved'), 3000, 'misbehaved')
  assert.match(JSON.stringify(misbehaved), /proves nothing/)
  assert.not.ok(events.some(({ type }) => type === 'fork'))
  fake.send(proof)
  await stopped(victim, fake, events, sealed(left, 'two'), 1)
})

test('a fork is remembered with its proof over a restart', async ({ use, dir }) => {
  const data = dir()
  const { victim, fake, events } = await scene(use, data)
  const [left, right] = fake.twins()
  const one = sealed(left, 'one')
  await fake.gives(one)
  const other = sealed(right, 'another one')
  fake.answer((await fake.offered(other)).id, other)
  await until(() => events.some(({ type }) => type === 'fork'), 3000, 'fork')
  await victim.close()

  const state = await openState(data)
  const proof = Buffer.from((await state.get(`fork/${topic}/${one.head.feed}`)) ?? [])
  await state.close()
  for (const { head } of [one, other]) assert.ok(proof.includes(Buffer.from(head.bytes)))

  const again = await peerOf(use, { data, carry: [topic] })
  const stranger = await fakeFriendOf(use, again)
  const next = sealed(left, 'two')
  stranger.offer(next.head.feed, 2, next.head.hash)
  await stranger.gives(sealed(stranger.feed(), 'other'))
  assert.equal(await valuesOf(use(again.topic(topic).subscribe({ from: 'earliest' })), 2), ['one', 'other'])
})

test('a forged other head proves nothing', async ({ use }) => {
  const { victim, fake, events } = await scene(use)
  const [left, right] = fake.twins()
  await fake.gives(sealed(left, 'one'))
  const other = sealed(right, 'another one')
  const bytes = new Uint8Array(other.head.bytes)
  bytes[bytes.length - 1] = (bytes.at(-1) as number) ^ 1
  fake.answer((await fake.offered(other)).id, { head: { bytes }, body: other.body })
  await fake.gives(sealed(left, 'two'))
  assert.not.ok(events.some(({ type }) => type === 'fork'))
  assert.is(await recordsOf(victim), 2)
})

test('a friend that promises much of a feed and sends nothing holds it up for a moment only', async ({ use }) => {
  const { victim, fake } = await scene(use)
  const good = await peerOf(use, { join: await addressesOf(victim) })
  await friendly(good)
  const { feed } = await good.topic<string>(topic).publish('small')
  fake.offer(feed, 2 ** 50)
  await fake.hears('want', (want) => want.feed === feed)
  // Too large for gossip to bring it along.
  await good
    .topic<string>(topic)
    .publish(Buffer.from(crypto.getRandomValues(new Uint8Array(9_000))).toString('hex'), { confirm: 1 })
})

test('what is sent again is neither stored again nor held against anybody', async ({ use }) => {
  const { victim, fake, events } = await scene(use)
  const writer = fake.feed()
  const [one, two] = [sealed(writer, 'one'), sealed(writer, 'two')]
  await fake.gives(one)
  await fake.gives(two)
  for (const { head, body } of [one, two]) await fake.gossip(encodeAnnouncement({ head: head.bytes, body }))
  fake.offer(writer.feed, 1, one.head.hash)
  await fake.gives(sealed(fake.feed(), 'other'))
  assert.is(await recordsOf(victim), 3)
  assert.not.ok(events.some(({ type }) => type === 'misbehaved' || type === 'fork'))
})

test('a friend is served what it asks for, in order, in pieces, and told of what is gone or unknown', async ({
  use,
}) => {
  const { victim, fake } = await scene(use)
  const { feed } = await victim.topic<string>(topic).publish('one', { confirm: 0 })
  await victim
    .topic<string>(topic)
    .publish(Array.from({ length: 30_000 }, () => crypto.randomUUID()).join(), { confirm: 0 })
  fake.send({ type: 'want', id: 1, topic, feed, from: 1, to: 2, budget: 4 << 20 })
  await fake.hears('batch', ({ id }) => id === 1)
  let bytes = (await fake.hears('batch', ({ id }) => id === 1)).body.length
  while (bytes < 200_000) bytes += (await fake.hears('chunk')).body.length
  assert.equal([(await fake.hears('end', ({ id }) => id === 1)).reason], ['done'])
  fake.send({ type: 'want', id: 2, topic, feed, from: 2, to: 9, budget: 4 << 20 })
  assert.is((await fake.hears('end', ({ id }) => id === 2)).reason, 'unknown')
  fake.send({ type: 'want', id: 3, topic, feed: fake.feed().feed, from: 1, to: 9, budget: 4 << 20 })
  assert.is((await fake.hears('end', ({ id }) => id === 3)).reason, 'unknown')
})

test('a feed goes on after a gap that retention left at every friend, and says so to others', async ({ use, dir }) => {
  const data = dir()
  const { victim, fake, events } = await scene(use, data)
  const writer = fake.feed()
  const all = ['1', '2', '3', '4', '5', '6', '7'].map((value) => sealed(writer, value))
  const [one, two, , , five, six, seven] = all as [Batch, Batch, Batch, Batch, Batch, Batch, Batch]
  await fake.gives(one)
  await fake.gives(two)
  fake.offer(writer.feed, 6, six.head.hash)
  const want = await fake.hears('want', ({ from }) => from === 3)
  fake.send({ type: 'end', id: want.id, reason: 'gone', base: 5 })
  const rest = await fake.hears('want', ({ from, to }) => from === 5 && to === 6)
  fake.send({ type: 'batch', id: rest.id, head: five.head.bytes, body: five.body })
  fake.answer(rest.id, six)
  await fake.hears('stored', ({ seq }) => seq === 6)
  await fake.gives(seven)
  fake.send({ type: 'want', id: 1, topic, feed: writer.feed, from: 1, to: 7, budget: 4 << 20 })
  const gone = await fake.hears('end', ({ id }) => id === 1)
  assert.equal([gone.reason, gone.base], ['gone', 5])
  assert.not.ok(events.some(({ type }) => type === 'misbehaved'))
  await victim.close()

  const again = await peerOf(use, { data, carry: [topic] })
  const stranger = await fakeFriendOf(use, again)
  const values = await valuesOf(use(again.topic(topic).subscribe({ from: 'earliest' })), 5)
  assert.equal(values, ['1', '2', '5', '6', '7'])
  stranger.send({ type: 'want', id: 1, topic, feed: writer.feed, from: 5, to: 7, budget: 4 << 20 })
  assert.is((await stranger.hears('end', ({ id }) => id === 1)).reason, 'done')
  const wanted = stranger.heard.some((frame) => frame.type === 'want')
  assert.not.ok(wanted, 'what retention removed is not missing')
})

test('a gap that would use an index twice is refused', async ({ use }) => {
  const { victim, fake, events } = await scene(use)
  const [left, right] = fake.twins()
  await fake.gives(sealed(left, 'a', 'b', 'c', 'd'))
  const later = [sealed(right, 'x'), sealed(right, 'y'), sealed(right, 'z')].at(-1) as Batch
  fake.offer(left.feed, 3, later.head.hash)
  const want = await fake.hears('want', ({ from }) => from === 2)
  fake.send({ type: 'end', id: want.id, reason: 'gone', base: 3 })
  fake.answer((await fake.hears('want', ({ from }) => from === 3)).id, later)
  await until(() => events.some(({ type }) => type === 'misbehaved'), 3000, 'misbehaved')
  assert.is(await recordsOf(victim), 4)
})

test('a want waits when its budget is used up, and goes on with more', async ({ use }) => {
  const { victim, fake } = await scene(use)
  const publish = () => victim.topic<string>(topic).publish('x', { confirm: 0 })
  const { feed } = await publish()
  await publish()
  fake.send({ type: 'want', id: 1, topic, feed, from: 1, to: 2, budget: 1 })
  await fake.hears('batch')
  // Another feed is not held up by that.
  fake.send({ type: 'want', id: 2, topic, feed: fake.feed().feed, from: 1, to: 2, budget: 1 })
  await fake.hears('end', ({ id }) => id === 2)
  assert.not.ok(fake.heard.some(({ type }) => type === 'batch'))
  fake.send({ type: 'more', id: 1, budget: 1_000 })
  await fake.hears('batch')
  assert.is((await fake.hears('end')).reason, 'done')
})

test.run()
