import * as assert from 'uvu/assert'
import { isError } from '../../node/errors.ts'
import {
  decodePeer,
  decodeQuestion,
  decodeSight,
  encodePeer,
  encodeQuestion,
  encodeSight,
} from '../../node/mesh/answer.ts'
import type { FeedId, MeshPeer, PeerId, RecordSight, TopicName } from '../../node/types.ts'
import { peerIdOf, signingKeyOf } from '../../node/wire/key.ts'
import { simulate } from '../../sim/index.ts'
import { suite } from '../helper/suite.ts'

const test = suite('mesh')

const [ann, ben] = [1, 2].map((i) => peerIdOf(signingKeyOf(new Uint8Array(32).fill(i)).publicKey)) as [PeerId, PeerId]
const bytesOf = (value: unknown) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))

const about: MeshPeer = {
  id: ann,
  version: '1.0.0',
  role: 'peer',
  addresses: ['/ip4/127.0.0.1/tcp/1'],
  since: 5,
  time: 6,
  friends: [
    { id: ben, rttMs: 1.5, batches: 3, records: 30 },
    { id: ben, batches: 0, records: 0 },
  ],
  topics: [{ name: 'orders' as TopicName, held: 'carry', feeds: 1, batches: 2, records: 3, bytes: 4 }],
  topicCount: 1,
  bytes: { sent: 1, received: 2, stored: 3 },
}

const gone: RecordSight = {
  peer: ann,
  topic: 'orders' as TopicName,
  publisher: ben,
  held: 'removed',
  groups: [{ group: 'billing', slot: 3, holder: ben, attempts: 1, done: false }],
}

test('questions and answers read as they were written', () => {
  assert.equal(decodeQuestion(encodeQuestion({ about: 'peer' })), { about: 'peer' })
  assert.equal(decodePeer(ann, encodePeer(about)), about)
  const asked = { about: 'record' as const, feed: 'ab'.repeat(16) as FeedId, index: 7 }
  assert.equal(decodeQuestion(encodeQuestion(asked)), asked)
  for (const sight of [gone, { ...gone, held: 'here' as const, seq: 1, offset: 2, time: 3, from: ben, at: 4 }])
    assert.equal(decodeSight(ann, encodeSight(sight)), sight)
})

test('what has another shape counts for nothing', () => {
  const { id: _, ...plain } = about
  const wrong: unknown[] = [
    '{',
    'null',
    { ...plain, version: 'x'.repeat(65) },
    { ...plain, since: 'now' },
    { ...plain, role: 'king' },
    { ...plain, friends: [{ id: 'nobody', batches: 0, records: 0 }] },
    { ...plain, friends: [{ id: ben, batches: -1, records: 0 }] },
    { ...plain, friends: Array(101).fill(plain.friends[1]) },
    { ...plain, topics: [{ ...plain.topics[0], name: '../up' }] },
    { ...plain, topics: Array(101).fill(plain.topics[0]) },
    { ...plain, addresses: ['/ip4/1.2.3.4/tcp/1'.repeat(20)] },
    { ...plain, bytes: { sent: 1, received: 2 } },
  ]
  for (const each of wrong) assert.is(decodePeer(ann, bytesOf(each)), undefined, JSON.stringify(each).slice(0, 100))
  const { peer: __, ...sight } = gone
  for (const each of [
    { ...sight, held: 'there' },
    { ...sight, offset: -1 },
    { ...sight, from: 'x' },
    { ...sight, groups: [{}] },
    '',
  ])
    assert.is(decodeSight(ann, bytesOf(each)), undefined)
  assert.is(decodeQuestion(bytesOf({ about: 'record', feed: '../..', index: 1 })), undefined)
  assert.is(decodeQuestion(bytesOf({ about: 'everything' })), undefined)
  assert.is(decodeQuestion(new Uint8Array([0xff, 0])), undefined)
})

test('every peer sees the whole mesh: who is whose friend, and which way records came', () =>
  simulate({ peers: 30, seed: 5, network: { delayMs: 5 } }, async (world) => {
    const [first, second] = world.peers
    await world.connected()
    await first.publish('news', 'one', { confirm: 2 })
    await world.converged()
    await world.sleep(5_000)
    const peers = await second.mesh()
    assert.equal(peers.map(({ id }) => id).sort(), world.peers.map(({ id }) => id).sort())
    assert.is(peers[0]?.id, second.id, 'oneself first')
    const byId = new Map(peers.map((each) => [each.id, each]))
    for (const { id, friends, addresses } of peers) {
      assert.ok(friends.length >= 1 && addresses.length >= 1)
      for (const friend of friends) {
        assert.ok(
          byId.get(friend.id)?.friends.some((back) => back.id === id),
          'friends are each other s',
        )
        assert.ok((friend.rttMs ?? 0) >= 10)
      }
    }
    const carrying = peers.filter(({ topics }) =>
      topics.some(({ name, held, records }) => name === 'news' && held === 'carry' && records === 1),
    )
    assert.ok(carrying.length >= 3, `${carrying.length} carry it`)
    for (const { id, friends } of carrying)
      assert.is(
        friends.reduce((sum, friend) => sum + friend.records, 0),
        id === first.id ? 0 : 1,
      )
    await first.crash()
    await world.sleep(10_000)
    const left = await second.mesh()
    assert.is(left.length, 29)
    assert.not.ok(
      left.some(({ friends }) => friends.some(({ id }) => id === first.id)),
      'nobody counts it as a friend',
    )
  }))

test('of a record every peer tells which way it came, and members of groups how they stand with it', () =>
  simulate({ peers: 5, seed: 6, network: { delayMs: 5 } }, async (world) => {
    const [first, second, third] = world.peers
    await world.connected()
    const worker = third.topic<number>('jobs').group('work', { from: 'earliest' })
    await first.publish('jobs', 1, { confirm: 2 })
    const { feed, index } = await first.publish('jobs', 2, { confirm: 2 })
    await world.converged()
    const id = `${feed}/${index}`
    const before = await second.why(id)
    assert.ok(before.length >= 3, `${before.length} know it`)
    for (const { peer, publisher, held, offset, time, from, at } of before) {
      assert.equal([publisher, held, typeof offset, typeof time], [first.id, 'here', 'number', 'number'])
      assert.is(from === undefined, peer === first.id, 'it came from somebody, but to its publisher')
      if (at !== undefined) assert.ok(at - (time ?? 0) >= 10 && at - (time ?? 0) < 2_000)
    }
    let done = 0
    third.run(async (peer) => {
      for await (const record of peer.topic<number>('jobs').group('work', { from: 'earliest' }).consume()) {
        await record.ack()
        done++
      }
    })
    await world.until(() => done === 2, { withinMs: 30_000 })
    const standing = (await second.why(id)).find(({ peer }) => peer === third.id)?.groups
    assert.equal(
      standing?.map(({ group, holder, done: isDone }) => [group, holder, isDone]),
      [['work', third.id, true]],
    )
    assert.is((await worker.status()).lag, 0)
    assert.equal(await second.why(`${feed}/99`), [])
    for (const wrong of ['', 'x', `${feed}`, `${feed}/-1`])
      await second.why(wrong).then(
        () => assert.unreachable(wrong),
        (error: unknown) => assert.ok(isError(error, 'InvalidOption'), wrong),
      )
  }))

test.run()
