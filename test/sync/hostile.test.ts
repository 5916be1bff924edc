import { randomBytes } from 'node:crypto'
import * as assert from 'uvu/assert'
import { limits } from '../../node/limits.ts'
import type { Peer, PeerEvent, Subscription } from '../../node/types.ts'
import { encodeAnnouncement, encodeFrame, type Frame } from '../../node/wire/frame.ts'
import { addressesOf, eventsOf, friendly, peerOf, valuesOf } from '../helper/mesh.ts'
import { suite, type TestTools } from '../helper/suite.ts'
import { until } from '../helper/until.ts'
import { type FakeFriend, fakeFriendOf, forged, sealed, topic } from './fake-friend.ts'

const test = suite('sync')

interface Scene {
  victim: Peer
  good: Peer
  fake: FakeFriend
  events: PeerEvent[]
  subscription: Subscription<string>
  /** What the victim holds: one honest record at first. */
  records(): Promise<number>
}

/** A peer that carries the topic, an honest friend that has published one record, and one that is not honest. */
async function scene(use: TestTools['use']): Promise<Scene> {
  const victim = await peerOf(use, { carry: [topic] })
  const good = await peerOf(use, { join: await addressesOf(victim) })
  await friendly(good)
  const subscription = use(victim.topic<string>(topic).subscribe({ from: 'earliest' }))
  await good.topic<string>(topic).publish('honest')
  assert.equal(await valuesOf(subscription, 1), ['honest'])
  const fake = await fakeFriendOf(use, victim, 2)
  const events = eventsOf(victim)
  const records = async () => (await victim.topics()).find(({ name }) => name === topic)?.records ?? 0
  return { victim, good, fake, events, subscription, records }
}

/** The victim lives, has taken nothing, serves others, and (if it should) has counted it. */
async function unharmed(scene: Scene, counted: RegExp | undefined): Promise<void> {
  const { victim, good, fake, events, subscription, records } = scene
  const bad = () => events.find((event) => event.type === 'misbehaved')
  if (counted !== undefined) {
    const event = await until(bad, 3000, 'misbehaved')
    assert.is(event.peer, fake.id)
    assert.match(event.reason, counted)
  }
  await good.topic<string>(topic).publish('after', { confirm: 1 })
  assert.equal(await valuesOf(subscription, 1), ['after'])
  await victim.topic<string>(topic).publish('mine', { confirm: 1 })
  assert.is(await records(), 3)
  if (counted === undefined) assert.is(bad(), undefined)
}

const attacks: [name: string, counted: RegExp | undefined, act: (scene: Scene) => Promise<void>][] = [
  [
    'a batch with a forged signature',
    /does not verify \(signature\)/,
    async ({ fake }) => {
      const { head, body } = sealed(fake.feed(), 'forged')
      fake.answer((await fake.offered({ head, body })).id, { head: forged(head), body })
    },
  ],
  [
    'a body that is not the one the head describes',
    /does not verify \(body\)/,
    async ({ fake }) => {
      const { head, body } = sealed(fake.feed(), 'body')
      const other = new Uint8Array(body)
      other[0] = 99
      fake.answer((await fake.offered({ head, body })).id, { head, body: other })
    },
  ],
  [
    'a batch of a feed that was not asked for',
    /not asked for/,
    async ({ fake }) => {
      const want = await fake.offered(sealed(fake.feed(), 'one'))
      fake.answer(want.id, sealed(fake.feed(), 'other'))
    },
  ],
  [
    'a later batch than the one asked for',
    /not asked for/,
    async ({ fake }) => {
      const writer = fake.feed()
      const [one, two] = [sealed(writer, 'one'), sealed(writer, 'two')]
      fake.answer((await fake.offered(one)).id, two)
    },
  ],
  [
    'the same batch twice',
    /not asked for/,
    async ({ fake, events, subscription, records }) => {
      const writer = fake.feed()
      const [one, two] = [sealed(writer, 'mine'), sealed(writer, 'two')]
      const { id } = await fake.offered(two)
      const frame: Frame = { type: 'batch', id, head: one.head.bytes, body: one.body }
      fake.send(frame, frame)
      await until(() => events.some(({ type }) => type === 'misbehaved'))
      // The first of them was good, and is one of the three records.
      assert.equal(await valuesOf(subscription, 1), ['mine'])
      assert.is(await records(), 2)
      throw done
    },
  ],
  ['an answer to no question', undefined, async ({ fake }) => fake.answer(4711, sealed(fake.feed(), 'unasked'))],
  [
    'an answer to a question of somebody else’s',
    undefined,
    async ({ fake }) => {
      for (let id = 1; id < 20; id++) fake.answer(id, sealed(fake.feed(), 'unasked'))
      for (let id = 2 ** 31; id < 2 ** 31 + 20; id++) fake.answer(id, sealed(fake.feed(), 'unasked'))
    },
  ],
  [
    'a piece of no body',
    /piece of no body/,
    async ({ fake }) => {
      const { id } = await fake.offered(sealed(fake.feed(), 'one'))
      fake.send({ type: 'chunk', id, body: new Uint8Array(10) })
    },
  ],
  [
    'more pieces than the body has',
    /piece of no body/,
    async ({ fake }) => {
      const batch = sealed(fake.feed(), 'x'.repeat(1000))
      const { id } = await fake.offered(batch)
      fake.send({ type: 'batch', id, head: batch.head.bytes, body: batch.body.subarray(0, 500) })
      fake.send({ type: 'chunk', id, body: new Uint8Array(limits.chunkBytes) })
    },
  ],
  [
    'a body longer than its head says',
    /longer than its head says/,
    async ({ fake }) => {
      const { head, body } = sealed(fake.feed(), 'long')
      fake.answer((await fake.offered({ head, body })).id, { head, body: Buffer.concat([body, body]) })
    },
  ],
  [
    'half a body and then the end',
    undefined,
    async ({ fake }) => {
      const { head, body } = sealed(fake.feed(), 'half')
      fake.answer((await fake.offered({ head, body })).id, { head, body: body.subarray(0, 5) })
    },
  ],
  ['bytes that are no frame', /frame that is wrong/, async ({ fake }) => fake.send(new Uint8Array(100).fill(0xff))],
  [
    'a frame that was cut short',
    /frame that is wrong/,
    async ({ fake }) => {
      const frame = encodeFrame({ type: 'stored', topic, feed: fake.feed().feed, seq: 1 })
      fake.send(frame.subarray(0, frame.length - 3))
    },
  ],
  ['a frame that is too large', /too large/, async ({ fake }) => fake.send(new Uint8Array(limits.frameBytesMax + 1))],
  [
    'more wants than it may have waiting',
    /more than it may/,
    async ({ fake }) => {
      const feed = fake.feed().feed
      for (let id = 0; id < 20 * limits.wantsPerFriendMax; id++)
        fake.send({ type: 'want', id, topic, feed, from: 1, to: 2 ** 50, budget: 0 })
    },
  ],
  [
    'wants that are cancelled and asked again without end',
    undefined,
    async ({ fake }) => {
      for (let i = 0; i < 2000; i++) {
        const wanted = { topic, feed: fake.feed().feed, from: 1, to: 2 ** 50, budget: 2 ** 30 }
        fake.send({ type: 'want', id: i, ...wanted }, { type: 'cancel', id: i })
      }
    },
  ],
  [
    'a frontier that promises more than there can be',
    undefined,
    async ({ fake }) => {
      const feed = fake.feed().feed
      fake.offer(feed, 2 ** 50)
      const want = await fake.hears('want', (each) => each.feed === feed)
      assert.ok(want.budget <= limits.wantBytes)
    },
  ],
  [
    'claims to have stored what was never published',
    undefined,
    async ({ fake }) => {
      for (let i = 0; i < 1000; i++) fake.send({ type: 'stored', topic, feed: fake.feed().feed, seq: 2 ** 50 })
    },
  ],
  [
    'digests of topics without end',
    undefined,
    async ({ fake }) => {
      for (let i = 0; i < 300; i++) {
        const prints = Array.from({ length: 500 }, (_, j) => ({
          topic: `t${i}.${j}` as typeof topic,
          held: true,
          print: new Uint8Array(8),
        }))
        fake.send({ type: 'digest', ask: 0, prints, answer: i })
      }
    },
  ],
  ['garbage by gossip', /no head/, async ({ fake }) => fake.gossip(new Uint8Array(50).fill(7))],
  [
    'a forged head by gossip',
    /does not verify/,
    async ({ fake }) => {
      const { head, body } = sealed(fake.feed(), 'forged')
      await fake.gossip(encodeAnnouncement({ head: forged(head).bytes, body }))
    },
  ],
  [
    'a head with another’s body by gossip',
    /not the one of its head/,
    async ({ fake }) => {
      const [one, two] = [sealed(fake.feed(), 'one'), sealed(fake.feed(), 'two')]
      await fake.gossip(encodeAnnouncement({ head: one.head.bytes, body: two.body }))
    },
  ],
  [
    'a body by gossip that is too large for it',
    /too large/,
    async ({ fake }) => {
      // It must not become smaller by compression.
      const noise = randomBytes(limits.inlineBodyBytesMax).toString('base64')
      const { head, body } = sealed(fake.feed(), noise)
      await fake.gossip(encodeAnnouncement({ head: head.bytes, body }))
    },
  ],
  [
    'a body by gossip that is too large even for whoever sends it to all',
    /too large/,
    async ({ fake }) => {
      const { head, body } = sealed(fake.feed(), randomBytes(limits.directBodyBytesMax).toString('base64'))
      await fake.gossip(encodeAnnouncement({ head: head.bytes, body, isDirect: true }))
    },
  ],
  [
    'a head of another topic by gossip',
    /does not verify/,
    async ({ fake }) => {
      const { head, body } = sealed(fake.feed('others'), 'x')
      await fake.gossip(encodeAnnouncement({ head: head.bytes, body }))
    },
  ],
]

/** For an attack that has looked at the outcome itself. */
const done = new Error('done')

for (const [name, counted, act] of attacks) {
  test(`${name} harms nobody`, async ({ use }) => {
    const it = await scene(use)
    try {
      await act(it)
    } catch (error) {
      if (error === done) return
      throw error
    }
    await unharmed(it, counted)
  })
}

test.run()
