import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { isError } from '../../node/errors.ts'
import { createHost, type Host } from '../../node/host/host.ts'
import { limits } from '../../node/limits.ts'
import { ports } from '../friends/member.ts'
import { suite } from '../helper/suite.ts'
import { until } from '../helper/until.ts'

const test = suite('host')

interface Told {
  address: string
  reason: string
}

async function host(mesh = 'test mesh', told: Told[] = [], seed = ports.random.bytes(32)): Promise<Host> {
  return createHost({
    seed,
    listen: ['/ip4/127.0.0.1/tcp/0'],
    mesh,
    ports,
    onRefused: (address, reason) => told.push({ address, reason }),
  })
}

function portOf(one: Host): number {
  return Number(one.addresses()[0]?.split('/')[4])
}

/** A port that leads to another one until it is held: then nothing passes any more, and no end is told, as when power fails. */
async function wireTo(port: number) {
  let isHeld = false
  const sockets: Socket[] = []
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1')
    sockets.push(near, far)
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('data', (piece) => isHeld || to.write(piece)).on('error', () => undefined)
      from.on('close', () => isHeld || to.destroy())
    }
  }).listen(0)
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    hold: () => {
      isHeld = true
    },
    close: () => {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

test('two peers that dial each other at the same moment are left with one connection', async ({ use }) => {
  const [a, b] = [use(await host()), use(await host())]
  const [there, back] = [a.addresses()[0] as string, b.addresses()[0] as string]
  await Promise.all([a.dial(back), b.dial(there)])
  const only = (one: Host) => (one.libp2p.getConnections().length === 1 ? one.libp2p.getConnections()[0] : undefined)
  await until(() => only(a) && only(b) && only(a)?.direction !== only(b)?.direction)
  assert.equal(a.connected(), [b.id])
})

test('a peer that comes back while its last connection still looks alive is left the new one', async ({ use }) => {
  // Both ways, since it is for the lower id to close a duplicate, and ids are drawn.
  for (const isLower of [true, false]) {
    const seeds = [ports.random.bytes(32), ports.random.bytes(32)] as const
    const two = [use(await host('test mesh', [], seeds[0])), use(await host('test mesh', [], seeds[1]))] as const
    const of = two[0].id < two[1].id === isLower ? 0 : 1
    const [a, before, seed] = [two[of], two[1 - of] as Host, seeds[1 - of] as Uint8Array]
    const wire = use(await wireTo(portOf(a)))
    await before.dial(`/ip4/127.0.0.1/tcp/${wire.port}`)
    await until(() => a.connectionOf(before.id))
    wire.hold()
    await before.stop()
    await sleep(limits.staleMs + 100)
    assert.is(a.libp2p.getConnections().length, 1)

    const after = use(await host('test mesh', [], seed))
    const lost: string[] = []
    after.onDisconnect((peer) => lost.push(peer))
    await after.dial(a.addresses()[0] as string)
    await until(() => a.libp2p.getConnections().length === 1)
    await sleep(limits.duplicateMs)
    assert.ok((await a.rttMs(after.id)) >= 0)
    assert.equal(lost, [])
  }
})

test('a dial says who is there, and connecting and hanging up are told once', async ({ use }) => {
  const [a, b] = [use(await host()), use(await host())]
  const seen: string[] = []
  a.onConnect((peer, direction) => seen.push(`+${peer} ${direction}`))
  a.onDisconnect((peer) => seen.push(`-${peer}`))
  assert.is(await a.dial(b.addresses()[0] as string), b.id)
  assert.ok((await a.rttMs(b.id)) >= 0)
  assert.ok(a.traffic().sent > 500 && a.traffic().received > 500)
  await a.hangUp(b.id)
  await until(() => seen.length === 2)
  assert.equal(seen, [`+${b.id} outbound`, `-${b.id}`])
})

test('a peer is dialled at those of its addresses that can be its own', async ({ use }) => {
  const [a, b, c] = [use(await host()), use(await host()), use(await host())]
  const [ofB, ofC] = [b.addresses()[0] as string, c.addresses()[0] as string]
  assert.is(await a.dial(b.id, ['no address', ofC, ofB.split('/p2p/')[0] as string]), b.id)
  const error = await a.dial(c.id, [ofB]).catch((reason) => reason)
  assert.match(String(error), 'no address is known')
})

test('another mesh secret is refused on both sides, in words', async ({ use }) => {
  const [atA, atB]: [Told[], Told[]] = [[], []]
  const [a, b] = [use(await host('one', atA)), use(await host('two', atB))]
  const error = await a.dial(b.addresses()[0] as string).catch((reason) => reason)
  assert.instance(error, Error)
  await until(() => atA.length === 1 && atB.length === 1)
  for (const { reason } of [...atA, ...atB]) {
    assert.is(reason, 'does not share our mesh secret, or is not a Grapevine peer')
  }
  assert.equal([...a.connected(), ...b.connected()], [])
})

test('what talks without encrypting is cut at once, and costs the peer no time', async ({ use }) => {
  const a = use(await host())
  const turns = monitorEventLoopDelay({ resolution: 1 })
  turns.enable()
  for (const hello of ['', '\x13/multistream/1.0.0\n']) {
    const begun = performance.now()
    await new Promise<void>((resolve) => {
      // Never a whole length: the library would read on and on.
      const piece = Buffer.concat([Buffer.from(hello), Buffer.alloc(4_000_000, 0xff)])
      const socket = connect(portOf(a), '127.0.0.1', () => socket.write(piece))
      socket.on('error', () => undefined).on('close', () => resolve())
    })
    const tookMs = performance.now() - begun
    assert.ok(tookMs < 500, `cut after ${Math.round(tookMs)} ms`)
  }
  turns.disable()
  assert.ok(turns.max < 300e6, `the event loop stood still for ${Math.round(turns.max / 1e6)} ms`)
})

test('garbage on the port is refused, reported once for an address, and leaves nothing behind', async ({ use }) => {
  const told: Told[] = []
  const a = use(await host('test mesh', told))
  const pieces = [
    Buffer.from('GET / HTTP/1.1\r\n\r\n'),
    randomBytes(5_000),
    Buffer.from('\x13/multistream/1.0.0\n\x07/noise\n'),
    Buffer.concat([Buffer.from('\x13/multistream/1.0.0\n\x07/noise\n', 'latin1'), randomBytes(300)]),
    Buffer.alloc(0),
    Buffer.alloc(70_000, 255),
  ]
  for (let round = 0; round < 2; round++) {
    for (const piece of pieces) {
      await new Promise<void>((resolve) => {
        const socket = connect(portOf(a), '127.0.0.1', () => socket.end(piece))
        socket.on('error', () => undefined).on('close', () => resolve())
        socket.setTimeout(1_000, () => socket.destroy()).resume()
      })
    }
  }
  await until(() => told.length > 0)
  assert.is(told.length, 1)
  assert.equal(a.libp2p.getConnections(), [])
  const b = use(await host())
  assert.is(await b.dial(a.addresses()[0] as string), a.id, 'it still takes peers')
})

test('a server that is no peer is refused, and one that says nothing costs a bounded time', async ({ use }) => {
  const told: Told[] = []
  const a = use(await host('test mesh', told))
  const talker = use(
    createServer((socket) =>
      socket
        .on('error', () => undefined)
        .resume()
        .end('220 mail ready\r\n'),
    ).listen(0),
  )
  const mute = use(createServer((socket) => socket.on('error', () => undefined).resume()).listen(0))
  await until(() => talker.address() !== null && mute.address() !== null)
  const at = (server: typeof talker) => `/ip4/127.0.0.1/tcp/${(server.address() as { port: number }).port}`
  assert.instance(await a.dial(at(talker)).catch((reason) => reason), Error)
  assert.is(told.length, 1)
  const began = performance.now()
  assert.instance(await a.dial(at(mute), [], 300).catch((reason) => reason), Error)
  assert.ok(performance.now() - began < 2_000)
})

test('listening where it is not possible says which address and why', async ({ use }) => {
  const first = use(await host())
  const taken = first.addresses()[0]?.split('/p2p/')[0] as string
  const options = { seed: ports.random.bytes(32), mesh: '', ports, onRefused: () => undefined }
  const error = await createHost({ ...options, listen: [taken] }).catch((reason) => reason)
  assert.ok(isError(error, 'ListenFailed'))
  assert.equal(error.data.addresses, [taken])
  assert.match(error.message, 'EADDRINUSE')
  assert.ok(isError(await createHost({ ...options, listen: ['4001'] }).catch((reason) => reason), 'InvalidOption'))
})

test.run()
