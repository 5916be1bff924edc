import * as assert from 'uvu/assert'
import { peerOf, valuesOf } from '../helper/mesh.ts'
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

test.run()
