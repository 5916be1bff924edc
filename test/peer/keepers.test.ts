import * as assert from 'uvu/assert'
import type { Peer, TopicStatus } from '../../node/types.ts'
import { acquainted, addressesOf, carried, eventsOf, friendly, meshOf, peerOf, valuesOf } from '../helper/mesh.ts'
import { suite } from '../helper/suite.ts'
import { until } from '../helper/until.ts'

const test = suite('peer')

async function statusOf(peer: Peer, topic = 'orders'): Promise<TopicStatus | undefined> {
  return (await peer.topics()).find(({ name }) => name === topic)
}

/** Those that carry the topic and have all its records. */
async function keepersOf(peers: readonly Peer[], records: number): Promise<Peer[]> {
  const all = await Promise.all(peers.map(async (peer) => ({ peer, status: await statusOf(peer) })))
  return all.filter(({ status }) => status?.held === 'carry' && status.records === records).map(({ peer }) => peer)
}

test('of six peers three keep what one of them publishes, whoever subscribes', async ({ use }) => {
  const peers = await meshOf(use, 6)
  // Whoever does not know all of them yet takes others for the keepers.
  await acquainted(peers)
  for (let n = 0; n < 10; n++) await peers[0].topic('orders').publish(n)
  await until(async () => (await keepersOf(peers, 10)).length >= 3, 10_000, 'three keepers')
  // Everybody ranks alike, so there are no more than that.
  await carried(peers[5], 'orders', 3)
  assert.is((await keepersOf(peers, 10)).length, 3)
})

test('what a topic’s publisher and one of its keepers take with them is still there', async ({ use }) => {
  const peers: Peer[] = await meshOf(use, 6)
  await Promise.all(peers.map((peer) => friendly(peer, 3)))
  const publisher = peers[0] as Peer
  for (let n = 0; n < 10; n++) await publisher.topic('orders').publish(n, { confirm: 2 })
  const keepers = await until(async () => {
    const found = await keepersOf(peers, 10)
    return found.length >= 3 ? found : undefined
  }, 10_000)
  // Confirmed by two others, a record survives the loss of any two (G1).
  const gone = [publisher, ...keepers.filter((peer) => peer !== publisher).slice(0, 1)]
  for (const peer of gone) await peer.close()
  const left = peers.filter((peer) => !gone.includes(peer))
  const reader = left.find((peer) => !keepers.includes(peer)) ?? (left[0] as Peer)
  const values = await valuesOf(use(reader.topic<number>('orders').subscribe({ from: 'earliest' })), 10)
  assert.equal(values, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  await until(async () => (await keepersOf(left, 10)).length >= 3, 10_000, 'three keepers again')
})

test(
  'who is no longer needed as a keeper lets go, and three that have everything are left',
  async ({ use }) => {
    const first = await peerOf(use)
    const events = new Map([[first, eventsOf(first)]])
    const join = await addressesOf(first)
    const peers = [first]
    const topics = ['a', 'b', 'c', 'd', 'e', 'f']
    // Subscribed to by all for a while, so that everybody carries it.
    for (let i = 1; i < 6; i++) {
      const peer = await peerOf(use, { join })
      events.set(peer, eventsOf(peer))
      peers.push(peer)
    }
    await Promise.all(peers.map((peer) => friendly(peer, 5)))
    for (const topic of topics) {
      const subscriptions = peers.map((peer) => peer.topic(topic).subscribe())
      await Promise.all(subscriptions.map(({ ready }) => ready))
      await (peers[0] as Peer).topic(topic).publish('kept', { confirm: 5 })
      await Promise.all(subscriptions.map((subscription) => subscription.close()))
    }
    const carriersOf = async (topic: string) => {
      const all = await Promise.all(peers.map((peer) => statusOf(peer, topic)))
      return all.filter((status) => status?.held === 'carry' && status.records === 1).length
    }
    const released = () => [...events.values()].flat().filter(({ type }) => type === 'released').length
    // Of six, the publisher stays whatever its rank.
    await until(() => released() >= topics.length * 2, 15_000, 'two release each topic')
    for (const topic of topics) assert.ok((await carriersOf(topic)) >= 3, topic)
    const late = await peerOf(use, { join, role: 'guest' })
    for (const topic of topics)
      assert.equal(await valuesOf(use(late.topic(topic).subscribe({ from: 'earliest' })), 1), ['kept'])
  },
  { deadlineMs: 30_000 },
)

test('a guest is never a keeper', async ({ use }) => {
  const [ann] = await meshOf(use, 2, { role: 'guest' })
  assert.is((await ann.topic('orders').publish(1)).copies, 0)
})

test.run()
