import * as assert from 'uvu/assert'
import { createHost, type Host } from '../../node/host/host.ts'
import { ports } from '../friends/member.ts'
import { suite } from '../helper/suite.ts'
import { until } from '../helper/until.ts'

const test = suite('host')
const topic = 'a topic'

/** The parts of the library these tests look into. */
interface Inside {
  topics: Map<string, Set<string>>
  streamsOutbound: Map<string, { rawStream: { abort(error: Error): void } }>
  sendRpc(peer: string, rpc: object): boolean
  onPeerDisconnected(peer: unknown): void
}

function inside(host: Host): Inside {
  return host.libp2p.services.pubsub as unknown as Inside
}

async function host(): Promise<Host> {
  const listen = ['/ip4/127.0.0.1/tcp/0']
  return createHost({ seed: ports.random.bytes(32), listen, mesh: 'm', ports, onRefused: () => undefined })
}

async function pair(use: <T extends { stop(): unknown }>(one: T) => T): Promise<[Host, Host, string[]]> {
  const [a, b] = [use(await host()), use(await host())]
  const heard: string[] = []
  for (const one of [a, b]) {
    one.gossipTopics.add(topic)
    one.libp2p.services.pubsub.subscribe(topic)
  }
  b.libp2p.services.pubsub.addEventListener('gossipsub:message', ({ detail }) => {
    heard.push(Buffer.from(detail.msg.data).toString())
  })
  await a.dial(b.addresses()[0] as string)
  await until(() => inside(a).topics.get(topic)?.has(b.id) && inside(b).topics.get(topic)?.has(a.id))
  return [a, b, heard]
}

function say(one: Host, text: string): Promise<unknown> {
  return one.libp2p.services.pubsub.publish(topic, Buffer.from(text))
}

test('subscriptions of others count only for topics we gossip ourselves', async ({ use }) => {
  const [a, b] = await pair(use)
  inside(a).sendRpc(b.id, {
    subscriptions: Array.from({ length: 1_000 }, (_, i) => ({ subscribe: true, topic: `spam ${i}` })),
    messages: [],
  })
  inside(a).sendRpc(b.id, { subscriptions: [{ subscribe: true, topic: 'later' }], messages: [] })
  await say(a, 'after the spam')
  await until(() => inside(b).topics.size === 1)
  b.gossipTopics.add('later')
  inside(a).sendRpc(b.id, { subscriptions: [{ subscribe: true, topic: 'later' }], messages: [] })
  await until(() => inside(b).topics.get('later')?.has(a.id))
  assert.equal([...inside(b).topics.keys()].sort(), [topic, 'later'])
})

test('a topic taken up later knows who had subscribed to it before, and who had left again', async ({ use }) => {
  const [a, b] = await pair(use)
  const say = (subscribe: boolean, ...names: string[]) =>
    inside(a).sendRpc(b.id, { subscriptions: names.map((name) => ({ subscribe, topic: name })), messages: [] })
  say(true, 'later', 'left', 'x'.repeat(100))
  say(false, 'left')
  b.gossipTopics.add('last')
  say(true, 'last')
  await until(() => inside(b).topics.has('last'))
  for (const name of ['later', 'left', 'x'.repeat(100)]) b.gossipTopics.add(name)
  assert.equal([...inside(b).topics.keys()].sort(), [topic, 'last', 'later'])

  // What we no longer take part in is not listened for, and yet not wrong when it becomes ours again.
  b.gossipTopics.delete('later')
  say(false, 'later')
  await until(() => !inside(b).topics.has('later'))
  b.gossipTopics.add('later')
  assert.not(inside(b).topics.has('later'))

  say(true, 'gone')
  await a.hangUp(b.id)
  await until(() => !inside(b).topics.get(topic)?.has(a.id))
  b.gossipTopics.add('gone')
  assert.not(inside(b).topics.has('gone'))
})

test('messages that carry a sender, key, number or signature are dropped', async ({ use }) => {
  const [a, b, heard] = await pair(use)
  const data = Buffer.from('signed')
  for (const extra of ['from', 'key', 'seqno', 'signature']) {
    inside(a).sendRpc(b.id, { subscriptions: [], messages: [{ topic, data, [extra]: Buffer.from('x') }] })
  }
  await say(a, 'anonymous')
  await until(() => heard.length > 0)
  assert.equal(heard, ['anonymous'])
})

test('a gossip stream that died is opened again while the connection lives', async ({ use }) => {
  const [a, b, heard] = await pair(use)
  inside(a).streamsOutbound.get(b.id)?.rawStream.abort(new Error('a test'))
  await until(() => !inside(a).streamsOutbound.has(b.id))
  await until(() => inside(a).streamsOutbound.has(b.id), 6_000)
  // The library forgets the peer altogether after a read error.
  inside(b).onPeerDisconnected(a.libp2p.peerId)
  await until(() => inside(b).streamsOutbound.has(a.id) && inside(b).topics.get(topic)?.has(a.id), 6_000)
  await until(async () => {
    await say(a, `again ${ports.random.float()}`)
    return heard.length > 0
  })
  assert.is(a.libp2p.getConnections().length, 1)
})

test.run()
