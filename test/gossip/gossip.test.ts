import { randomBytes } from 'node:crypto'
import * as assert from 'uvu/assert'
import { encodeAnnouncement } from '../../node/wire/frame.ts'
import { simulate } from '../../sim/index.ts'
import { eventsOf, peerOf } from '../helper/mesh.ts'
import { suite } from '../helper/suite.ts'
import { until } from '../helper/until.ts'
import { fakeFriendOf, sealed, topic } from '../sync/fake-friend.ts'

const test = suite('gossip')

test('a message with another body than its head describes is refused, also where the batch is held already', async ({
  use,
}) => {
  const victim = await peerOf(use, { carry: [topic] })
  const fake = await fakeFriendOf(use, victim)
  const events = eventsOf(victim)
  const { head, body } = sealed(fake.feed(), 'one')
  await fake.gives({ head, body })
  const spoiled = new Uint8Array(body)
  spoiled[spoiled.length - 1] = (spoiled.at(-1) as number) ^ 1
  await fake.gossip(encodeAnnouncement({ head: head.bytes, body: spoiled }))
  const event = await until(() => events.find(({ type }) => type === 'misbehaved'), 3000, 'misbehaved')
  assert.match(JSON.stringify(event), /gossiped a body that is not the one of its head/)
})

test('where all are friends, nobody passes on what its author has sent to all', () =>
  simulate({ peers: 4, seed: 3 }, async (world) => {
    const [author, ...others] = world.peers
    const got = others.map(() => 0)
    for (const [i, peer] of others.entries())
      peer.run(async (running) => {
        for await (const _ of running.topic('news', { codec: 'bytes' }).subscribe()) got[i] = (got[i] ?? 0) + 1
      })
    const sent = async () => {
      const each = await Promise.all(world.peers.map((peer) => peer.status()))
      return each.reduce((sum, { bytes }) => sum + bytes.sent, 0)
    }
    await world.sleep(15_000)
    const [count, size] = [40, 3_000]
    const before = await sent()
    for (let i = 0; i < count; i++) await author.topic('news', { codec: 'bytes' }).publish(randomBytes(size))
    await world.until(() => got.every((each) => each === count))
    const copies = ((await sent()) - before) / (count * size) / others.length
    assert.ok(copies < 1.25, `${copies.toFixed(2)} copies for each who has it`)
  }))

test.run()
