import type { MultiaddrConnection } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import * as assert from 'uvu/assert'
import { World } from '../../sim/world/world.ts'
import { suite } from '../helper/suite.ts'

const test = suite('sim')

const log = Object.assign(() => undefined, { error() {}, trace() {}, enabled: false, newScope: () => log })
const components = { logger: { forComponent: () => log as never } }

/** A connection from `a` to `b`, and the bytes that come out at the other end. */
async function connect(world: World): Promise<{ connection: MultiaddrConnection; got: number[] }> {
  const got: number[] = []
  const [a, b] = ['a', 'b'].map((name) => {
    const host = { name, paused: false, dead: false }
    return world.network.transport(host)(components)
  }) as [ReturnType<ReturnType<World['network']['transport']>>, ReturnType<ReturnType<World['network']['transport']>>]
  const upgradeInbound = async (connection: MultiaddrConnection) => {
    connection.addEventListener('message', ({ data }) => got.push(...data.subarray()))
  }
  await b.createListener({ upgrader: { upgradeInbound } as never }).listen(multiaddr('/memory/b'))
  const upgrader = { upgradeOutbound: async (connection: MultiaddrConnection) => connection }
  const connection = await a.dial(multiaddr('/memory/b'), { upgrader } as never)
  return { connection: connection as unknown as MultiaddrConnection, got }
}

test('what is sent arrives once and in order, whatever cuts and delays come between', async () => {
  for (let seed = 0; seed < 20; seed++) {
    const world = new World({ seed, quality: { delayMs: 50, jitterMs: 400, bytesPerSecond: 1e5 } })
    await world.run(async () => {
      const { connection, got } = await connect(world)
      let cut = false
      const sent = Array.from({ length: 200 }, (_, i) => i)
      for (const i of sent) {
        connection.send(Uint8Array.of(i))
        if (world.random.chance(0.2)) {
          cut = !cut
          world.network.setCut(() => cut)
        }
        if (world.random.chance(0.7)) await world.sleep(world.random.int(0, 200))
      }
      world.network.setCut(() => false)
      await world.sleep(10_000)
      assert.equal(got, sent)
    })
  }
})

test('a cut that lasts too long ends the connection instead', async () => {
  const world = new World({ seed: 1 })
  await world.run(async () => {
    const { connection, got } = await connect(world)
    world.network.setCut(() => true)
    connection.send(Uint8Array.of(1))
    await world.sleep(world.network.resetAfterMs + 1_000)
    world.network.setCut(() => false)
    await world.sleep(1_000)
    assert.is(connection.status === 'open', false)
    assert.equal(got, [])
  })
})

test('whoever breaks a connection, each end learns of it within its own process', async () => {
  const world = new World({ seed: 1 })
  await world.run(async () => {
    const { connection } = await connect(world)
    let told: string | undefined
    connection.addEventListener('close', () => {
      told = world.time.current()?.name
    })
    world.network.reset('a', 'b')
    await world.sleep(1)
    assert.is(told, 'a')
  })
})

test('a link carries no more bytes a second than it has', async () => {
  const world = new World({ seed: 1, quality: { delayMs: 1, jitterMs: 0, bytesPerSecond: 100_000 } })
  await world.run(async () => {
    const { connection, got } = await connect(world)
    for (let i = 0; i < 10; i++) connection.send(new Uint8Array(20_000))
    await world.sleep(1_000)
    assert.ok(got.length >= 80_000 && got.length < 120_000, `${got.length} bytes in the first second`)
    await world.sleep(1_500)
    assert.is(got.length, 200_000)
  })
})

test.run()
