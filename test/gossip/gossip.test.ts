import * as assert from 'uvu/assert'
import { encodeAnnouncement } from '../../node/wire/frame.ts'
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

test.run()
