/** `grapevine doctor` in set-ups that are broken on purpose: it names the cause, whatever it is. */
import * as assert from 'uvu/assert'
import { diagnose, type Facts, type Finding } from '../../cli/doctor/diagnose.ts'
import type { MeshPeer, PeerId, PeerStatus, TopicName } from '../../node/index.ts'
import { type CommandResult, Neighbourhood, ok, type PeerProcess } from '../helper/process.ts'
import { suite } from '../helper/suite.ts'
import { until } from '../helper/until.ts'

const test = suite('cli')
const slow = { deadlineMs: 240_000 }

async function findings(result: Promise<CommandResult>): Promise<{ code: number | string; causes: string[] }> {
  const { code, stdout, stderr } = await result
  assert.is(stderr, '')
  return { code, causes: (JSON.parse(stdout.toString()) as Finding[]).map(({ cause }) => cause) }
}

test(
  'a doctor names what is wrong with a peer that does not run, hangs, or does not let it in',
  async (tools) => {
    const here = new Neighbourhood(tools)
    const examine = (...args: string[]) => findings(here.run(['doctor', '--json', ...args]))
    assert.equal(await examine(), { code: 1, causes: ['no-peer'] })

    const peer = await here.up('peer')
    const friend = await here.up('friend')
    await until(async () => (await peer.client.friends()).length === 1, 20_000)
    assert.equal(await examine('--data', peer.data), { code: 0, causes: [] }, 'nothing is wrong')
    const { stdout } = await ok(peer.run(['doctor']))
    assert.is(stdout.toString(), 'Nothing is wrong.\n')
    const locked = here.start(['doctor', '--json', '--data', peer.data], undefined, {
      env: { GRAPEVINE_TOKEN: 'wrong' },
    })
    assert.equal(await findings(locked.ended), { code: 1, causes: ['wrong-token'] })

    process.kill(peer.pid, 'SIGSTOP')
    assert.equal(await examine('--data', peer.data), { code: 1, causes: ['peer-silent'] })
    process.kill(peer.pid, 'SIGCONT')
    await peer.kill()
    assert.equal(await examine('--data', peer.data), { code: 1, causes: ['peer-died'] })
    await friend.stop()
    assert.equal(await examine('--data', friend.data), { code: 1, causes: ['no-peer'] })
  },
  slow,
)

test(
  'a doctor names why a peer has no friends',
  async (tools) => {
    const here = new Neighbourhood(tools)
    const causesOf = (peer: PeerProcess) => findings(peer.run(['doctor', '--json']))
    const lonely = await here.up('lonely', ['--no-discovery'])
    assert.equal(await causesOf(lonely), { code: 0, causes: ['told-nobody'] })
    const alone = await here.up('alone')
    assert.equal(await causesOf(alone), { code: 0, causes: ['alone'] })
    const nowhere = await here.up('nowhere', ['--no-discovery', '--join', '/ip4/127.0.0.1/tcp/1'])
    await until(async () => (await causesOf(nowhere)).causes.includes('join-refused'), 20_000)
    const other = await here.up('other', ['--no-discovery', '--mesh', 'another', '--join', lonely.addresses[0] ?? ''])
    await until(async () => (await causesOf(other)).causes.includes('other-mesh-secret'), 20_000)
    assert.is((await causesOf(other)).code, 1)
  },
  slow,
)

test(
  'a doctor names records that have one copy, work that nobody does, and dead letters',
  async (tools) => {
    const here = new Neighbourhood(tools)
    const peer = await here.up('peer', ['--keep', '0'])
    await here.up('friend', ['--keep', '0'])
    await until(async () => (await peer.client.friends()).length === 1, 20_000)
    await peer.client.topic('orders').publish(1, { confirm: 0 })
    const causes = async () => (await findings(peer.run(['doctor', '--json']))).causes
    assert.equal(await causes(), ['single-copy'])

    const work = ['consume', 'orders', '--group', 'billing', '--from', 'earliest', '--count', '1']
    await ok(peer.run(work))
    await peer.client.topic('orders').publish(2, { confirm: 0 })
    await until(async () => (await causes()).includes('nobody-works'), 30_000)

    await ok(peer.run(['queue', 'stats', 'jobs', '--max-receives', '1']))
    await ok(peer.run(['queue', 'send', 'jobs', 'one']))
    const { stdout } = await ok(peer.run(['queue', 'receive', 'jobs', '--wait', '20s', '--json']))
    await ok(peer.run(['queue', 'ack', 'jobs', JSON.parse(stdout.toString()).receipt, '--nack']))
    // Who has been received too often is dead when it would be received again.
    assert.is((await peer.run(['queue', 'receive', 'jobs'])).stdout.toString(), '')
    await until(async () => (await causes()).includes('dead-letters'), 30_000)
  },
  slow,
)

const status: PeerStatus = {
  id: '12D3KooWa' as PeerId,
  version: '1.0.0',
  addresses: ['/ip4/127.0.0.1/tcp/1'],
  data: '/data',
  mesh: 'secret',
  since: 0,
  state: 'open',
  settings: { keep: 3, role: 'peer', discover: true, confirmTimeoutMs: 1, retention: {} },
  joins: [],
  troubles: [],
  peersKnown: 1,
  friends: 1,
  topics: 0,
  bytes: { sent: 0, received: 0, stored: 0 },
}

const other = (id: string, more: Partial<MeshPeer> = {}): MeshPeer => ({
  id: id as PeerId,
  version: '1.0.0',
  role: 'peer',
  addresses: [],
  since: 0,
  time: 1_000_000,
  friends: [],
  topics: [],
  topicCount: 0,
  bytes: { sent: 0, received: 0, stored: 0 },
  ...more,
})

test('a doctor names what cannot be prepared on any machine', () => {
  const causes = (facts: Partial<Facts>) =>
    diagnose({ place: { kind: 'answers' }, status, mesh: [], at: 1_000_000, ...facts }).map(({ cause }) => cause)
  const feed = 'f'.repeat(32) as never
  const topic = 'orders' as TopicName
  assert.equal(causes({}), [])
  assert.equal(causes({ status: { ...status, state: 'full' } }), ['disk-full'])
  assert.equal(causes({ freeBytes: 1_000 }), ['disk-nearly-full'])
  assert.equal(causes({ status: { ...status, state: 'draining' } }), ['draining'])
  const lost = { type: 'damage-lost' as const, topic, file: 'a', bytes: 1, time: 1 }
  assert.equal(causes({ status: { ...status, troubles: [lost] } }), ['damage-lost'])
  const fork = { type: 'fork' as const, topic, feed, publisher: status.id, seq: 3, time: 1 }
  assert.equal(causes({ status: { ...status, troubles: [fork] } }), ['fork'])
  assert.equal(causes({ mesh: [other('b'), other('c', { time: 1_060_000 }), other('d')] }), ['clock-wrong'])
  assert.equal(causes({ mesh: [other('b', { time: 1_060_000 }), other('c', { time: 1_060_000 })] }), ['clock-wrong'])
  assert.equal(causes({ mesh: [other('b'), other('c', { version: '2.0.0' })] }), ['versions-differ'])
  const joins = [{ address: '/ip4/10.0.0.9/tcp/4001', state: 'failing' as const, failure: 'The operation timed out' }]
  assert.equal(causes({ status: { ...status, friends: 0, joins } }), ['join-unreachable'])
  const trying = [{ address: '/ip4/10.0.0.9/tcp/4001', state: 'trying' as const }]
  assert.equal(causes({ status: { ...status, friends: 0, joins: trying } }), ['alone', 'loopback-only'])
})

test.run()
