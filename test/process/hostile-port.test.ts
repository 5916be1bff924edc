/**
 * The open port of a running peer: a peer with the wrong secret gets nothing and says so; garbage costs the peer neither its
 * friends nor its memory. 8 s of each kind of garbage, with GRAPEVINE_SOAK=1 ten minutes.
 */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { encodeFriendFrame } from '../../node/friends/frame.ts'
import { createHost, type Host } from '../../node/host/host.ts'
import type { FeedId, TopicName } from '../../node/types.ts'
import { encodeFrame } from '../../node/wire/frame.ts'
import { ports } from '../friends/member.ts'
import { Neighbourhood, ok, type PeerProcess } from '../helper/process.ts'
import { mutated } from '../helper/random.ts'
import { suite, type TestTools } from '../helper/suite.ts'
import { until } from '../helper/until.ts'

const test = suite('process')
const soak = process.env.GRAPEVINE_SOAK !== undefined
const attackMs = soak ? 600_000 : 8_000
const MiB = 1024 * 1024
/** A peer under attack: its sockets and buffers have bounds, and the collector takes its time (it was seen to level off at 350 MiB). */
const residentMax = 512 * MiB
/** What it may grow by in the last three quarters of a long attack. */
const growthMax = 96 * MiB
const attackers = 24

function residentBytes(peer: PeerProcess): number {
  const kib = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${peer.pid}/status`, 'utf8'))?.[1]
  return Number(kib) * 1024
}

function portOf(peer: PeerProcess): number {
  return Number(/\/tcp\/(\d+)/.exec(peer.addresses[0] ?? '')?.[1])
}

/** `multistream-select` and noise begin like this; what follows should be a handshake. */
const hello = Buffer.from('\x13/multistream/1.0.0\n\x07/noise\n')

const garbage: ((socket: Socket) => void)[] = [
  // Nothing at all.
  (socket) => socket.destroy(),
  (socket) => socket.resetAndDestroy(),
  // Bytes without sense, little and much.
  (socket) => socket.end(randomBytes(1 + Math.floor(Math.random() * 100))),
  (socket) => socket.write(randomBytes(MiB)),
  // Another protocol.
  (socket) => socket.end('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'),
  // A message of the negotiation that claims to be long, or is no text.
  (socket) => socket.write(Buffer.concat([Buffer.from([0xff, 0xff, 0xff, 0x7f]), randomBytes(2_000)])),
  (socket) => socket.write(Buffer.from('\x13/multistream/1.0.0\n'.repeat(5_000))),
  // A length that never ends.
  (socket) => socket.write(Buffer.alloc(MiB, 0xff)),
  // A handshake that is cut short, garbled, or as long as it can be.
  (socket) => socket.end(hello.subarray(0, 1 + Math.floor(Math.random() * hello.length))),
  (socket) => socket.end(Buffer.concat([hello, Buffer.from([0, 32]), randomBytes(31)])),
  (socket) => socket.write(Buffer.concat([hello, Buffer.from([0, 32]), randomBytes(32)])),
  (socket) => socket.write(Buffer.concat([hello, Buffer.from([0xff, 0xff]), randomBytes(0xffff)])),
  (socket) => socket.end(mutated(Math.random, Buffer.concat([hello, randomBytes(96)]))),
  // One byte at a time, as slowly as it takes.
  (socket) => {
    const timer = setInterval(() => socket.write(hello.subarray(0, 1)), 500)
    socket.on('close', () => clearInterval(timer))
  },
]

/** Keeps so many connections of random kinds at the port; each is given a second or two. */
function attack(port: number, count: number): { stop(): Promise<void>; readonly tries: number } {
  let stopped = false
  let tries = 0
  const one = async () => {
    while (!stopped) {
      const socket = connect(port, '127.0.0.1')
      socket.on('error', () => {})
      socket.resume()
      tries++
      const closed = new Promise((resolve) => socket.on('close', resolve))
      socket.on('connect', () => garbage[Math.floor(Math.random() * garbage.length)]?.(socket))
      await Promise.race([closed, sleep(200 + Math.random() * 2_000)])
      socket.destroy()
      await sleep(10)
    }
  }
  const all = Array.from({ length: count }, one)
  return {
    stop: async () => {
      stopped = true
      await Promise.all(all)
    },
    get tries() {
      return tries
    },
  }
}

/** What `act` did to a peer that goes on serving a friend meanwhile: each record the friend publishes must be confirmed by it. */
async function whileServing(
  tools: TestTools,
  act: (peer: PeerProcess) => { stop(): Promise<void>; readonly tries: number },
) {
  const here = new Neighbourhood(tools)
  const peer = await here.up('peer', ['--carry', 'orders'])
  const friend = await here.up('friend')
  await friend.event('friend-joined')
  const orders = friend.client.topic<number>('orders')
  await orders.publish(0, { confirm: 1 })

  const attacking = act(peer)
  tools.use(attacking)
  const begun = performance.now()
  let warm = residentBytes(peer)
  let most = 0
  const took: number[] = []
  let published = 1
  for (let lasted = 0; lasted < attackMs; lasted = performance.now() - begun) {
    const sent = performance.now()
    await orders.publish(published++, { confirm: 1, timeoutMs: 10_000 })
    took.push(performance.now() - sent)
    const bytes = residentBytes(peer)
    if (lasted < attackMs / 4) warm = Math.max(warm, bytes)
    else most = Math.max(most, bytes)
    await sleep(50)
  }
  const { tries } = attacking
  await attacking.stop()
  const grown = Math.round((most - warm) / MiB)
  took.sort((a, b) => a - b)
  const [median = 0, slowest = 0] = [took[took.length >> 1], took.at(-1)]
  process.stdout.write(
    `${tries} tries, ${published} records confirmed, half of them within ${Math.round(median)} ms, the slowest in ${Math.round(slowest)} ms; ` +
      `${Math.round(most / MiB)} MiB, ${grown} more than after warm-up\n`,
  )
  assert.ok(most < residentMax, `memory is ${Math.round(most / MiB)} MiB`)
  assert.ok(!soak || most - warm < growthMax, `memory grew by ${grown} MiB`)
  assert.ok(tries > attackMs / 1_000, `${tries} tries`)

  // And newcomers are let in as before.
  const late = await here.up('late', ['--no-discovery', '--join', peer.addresses[0] ?? ''])
  await late.event('friend-joined', 20_000)
  const read = await ok(
    late.run(['sub', 'orders', '--from', 'earliest', '--count', `${published}`, '--timeout', '20s']),
  )
  const expected = Array.from({ length: published }, (_, i) => `${i}\n`).join('')
  assert.is(read.stdout.toString(), expected)
  return { peer }
}

test(
  'a peer with the wrong secret gets nothing and says so',
  async (tools) => {
    const here = new Neighbourhood(tools)
    const right = await here.up('right', ['--mesh', 'vine'])
    await ok(right.run(['pub', 'orders', '--confirm', '0', 'for friends only']))
    const joining = ['--mesh', 'other', '--join', right.addresses[0] ?? '']
    const wrong = await here.up('wrong', joining)

    const refused = await wrong.event('refused', 10_000)
    assert.match(String(refused.reason), 'secret')
    assert.ok(right.addresses[0]?.startsWith(String(refused.address)), `${refused.address}`)
    const read = await wrong.run(['sub', 'orders', '--from', 'earliest', '--count', '1', '--timeout', '3s'])
    assert.equal([read.code, read.stdout.toString()], [1, ''])
    assert.equal(await wrong.client.friends(), [])
    assert.equal(await wrong.client.topics().then((topics) => topics.filter(({ held }) => held === 'none')), [])
    assert.equal(await right.client.friends(), [])
    assert.match(String((await right.event('refused')).reason), 'secret')

    // Neither does a command with a peer of its own, which says why.
    const alone = await here.run(['sub', 'orders', '--from', 'earliest', '--count', '1', '--timeout', '5s', ...joining])
    assert.equal([alone.code, alone.stdout.toString()], [1, ''])
    const told = here.start(['up', '--ephemeral', ...joining])
    await until(() => /refused: address .*secret/.test(told.errors()), 10_000, 'it says so in a sentence')
  },
  { deadlineMs: 60_000 },
)

test(
  'a peer goes on serving its friend while garbage comes in on its port, and its memory stays',
  (tools) => whileServing(tools, (peer) => attack(portOf(peer), attackers)),
  { deadlineMs: attackMs + 60_000 },
)

const valid = [
  encodeFrame({ type: 'buckets', topic: 'orders' as TopicName, prints: new Uint8Array(2048) }),
  encodeFrame({
    type: 'want',
    id: 1,
    topic: 'orders' as TopicName,
    feed: '0123456789abcdef0123456789abcdef' as FeedId,
    from: 1,
    to: 9,
    budget: 2 ** 31 - 1,
  }),
  encodeFriendFrame({ type: 'digest', entries: [], answer: true }),
  encodeFriendFrame({ type: 'carry', topic: 'orders' as TopicName }),
]
const protocols = [
  '/grapevine/sync/1',
  '/grapevine/friends/1',
  '/meshsub/1.1.0',
  '/meshsub/1.2.0',
  '/ipfs/id/1.0.0',
  '/ipfs/ping/1.0.0',
  '/no/such/1',
]

/** Bytes as a stream of frames might have them: a length, and something of about that length. */
function nearFrame(): Uint8Array {
  const kind = Math.random()
  const frame = valid[Math.floor(Math.random() * valid.length)] ?? new Uint8Array()
  if (kind < 0.2) return randomBytes(1 + Math.floor(Math.random() * 5_000))
  if (kind < 0.3) return Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f])
  const bytes = kind < 0.8 ? mutated(Math.random, frame) : randomBytes(Math.floor(Math.random() * 120))
  const length = bytes.length < 128 ? [bytes.length] : [(bytes.length & 0x7f) | 0x80, bytes.length >> 7]
  return Buffer.concat([Buffer.from(length), bytes])
}

/** Somebody who has the secret and knows the protocols by name; each time somebody new, since offenders are shut out. */
async function member(address: string): Promise<void> {
  const host: Host = await createHost({
    seed: ports.random.bytes(32),
    listen: [],
    mesh: '',
    ports,
    onRefused: () => {},
  })
  try {
    await host.dial(address)
    for (let i = 0; i < 20; i++) {
      const [connection] = host.libp2p.getConnections()
      if (!connection) return
      const stream = await connection.newStream(protocols[Math.floor(Math.random() * protocols.length)] ?? '', {
        signal: AbortSignal.timeout(2_000),
      })
      for (let sent = 0; sent < 10 && stream.status === 'open'; sent++) stream.send(nearFrame())
      if (Math.random() < 0.5) stream.abort(new Error('enough'))
      await sleep(10)
    }
  } finally {
    await host.stop()
  }
}

function attackFromInside(address: string): { stop(): Promise<void>; readonly tries: number } {
  let stopped = false
  let tries = 0
  const run = async () => {
    while (!stopped) {
      tries++
      // Refused, hung up on, reset: all of it is meant to happen.
      await member(address).catch(() => {})
      await sleep(20)
    }
  }
  const all = [run(), run()]
  return {
    stop: async () => {
      stopped = true
      await Promise.all(all)
    },
    get tries() {
      return tries
    },
  }
}

test(
  'a peer goes on serving its friend while members of the mesh send garbage in its protocols',
  async (tools) => {
    const { peer } = await whileServing(tools, (peer) => attackFromInside(peer.addresses[0] ?? ''))
    assert.ok(peer.events.some(({ event }) => event === 'misbehaved'))
  },
  { deadlineMs: attackMs + 60_000 },
)

test.run()
