import { MemoryLevel } from 'memory-level'
import * as assert from 'uvu/assert'
import type { StateDb } from '../../node/ports.ts'
import type { TopicName } from '../../node/types.ts'
import { suite } from '../helper/suite.ts'
import { until } from '../helper/until.ts'
import { type Member, member } from './member.ts'

const test = suite('friends')

function all(members: Member[], count: number): boolean {
  return members.every((one) => one.friendIds().length === count)
}

test('peers joined in a line become friends of friends, and stay so when the middle one dies', async ({ use }) => {
  const one = use(await member())
  const two = use(await member({ join: [one.host.addresses()[0] as string] }))
  const three = use(await member({ join: [two.host.addresses()[0] as string] }))
  await until(() => one.friendIds().includes(three.id) && three.friendIds().includes(one.id), 10_000)
  await two.kill()
  await until(() => [one, three].every(({ lost }) => lost.some(({ peer }) => peer === two.id)), 5_000)
  assert.is(one.cards.card(two.id), undefined, 'the dead peer is forgotten')
  assert.equal(one.friendIds(), [three.id])
  assert.equal(three.friendIds(), [one.id])
  assert.is(one.host.connected().length, 1)
})

test('in a small mesh everyone is the friend of everyone, with one connection each', async ({ use }) => {
  const first = use(await member())
  const members = [first]
  for (let i = 0; i < 4; i++) members.push(use(await member({ join: [first.host.addresses()[0] as string] })))
  await until(() => all(members, 4), 10_000)
  await until(() => members.every((one) => one.host.libp2p.getConnections().length === 4), 5_000)
})

test('topics and their end travel on cards', async ({ use }) => {
  const one = use(await member())
  const two = use(await member({ join: [one.host.addresses()[0] as string] }))
  const three = use(await member({ join: [two.host.addresses()[0] as string] }))
  const topic = 'orders' as TopicName
  three.cards.setTopics([topic])
  await until(() => one.cards.carriersOf(topic).includes(three.id))
  three.cards.setTopics([])
  await until(() => one.cards.carriersOf(topic).length === 0)
})

test('a peer that leaves says so: it is forgotten everywhere at once', async ({ use }) => {
  const one = use(await member())
  const two = use(await member({ join: [one.host.addresses()[0] as string] }))
  await until(() => all([one, two], 1))
  await two.close()
  await until(() => one.lost.length === 1)
  assert.is(one.lost[0]?.reason, 'it is leaving')
  assert.is(one.cards.card(two.id), undefined)
})

test('a carry request reaches a peer that is no friend yet', async ({ use }) => {
  const one = use(await member())
  const two = use(await member())
  const topic = 'orders' as TopicName
  const asked: string[] = []
  two.friends.onCarryRequest((peer, name) => asked.push(`${peer} ${name}`))
  one.friends.found(two.id, two.host.addresses())
  one.friends.requestCarry(two.id, topic)
  await until(() => asked.length > 0)
  assert.equal(asked, [`${one.id} ${topic}`])
})

test('a peer of another mesh gets nothing, and both sides are told', async ({ use }) => {
  const one = use(await member())
  const stranger = use(await member({ mesh: 'another', join: [one.host.addresses()[0] as string] }))
  await until(() => one.refused.length > 0 && stranger.refused.length > 0)
  assert.match(one.refused[0] as string, 'does not share our mesh secret')
  assert.match(stranger.refused[0] as string, 'does not share our mesh secret')
  assert.equal(one.host.connected(), [])
  assert.equal([...one.cards.cards(), ...stranger.cards.cards()], [])
})

test('a peer that starts again finds the mesh by the cards it remembered', async ({ use }) => {
  const state = use(new MemoryLevel<string, Uint8Array>({ valueEncoding: 'view' })) as unknown as StateDb
  const one = use(await member())
  const two = await member({ state, join: [one.host.addresses()[0] as string] })
  await until(() => all([one, two], 1))
  await two.close()
  const again = use(await member({ state }))
  await until(() => again.friendIds().includes(one.id))
})

test('a joined address is tried until somebody is there', async ({ use }) => {
  const early = use(await member())
  const address = early.host.addresses()[0] as string
  await early.close()
  const one = use(await member({ join: [address.split('/p2p/')[0] as string] }))
  await until(() => one.friends.list().length === 0)
  const port = Number(address.split('/')[4])
  const { createHost } = await import('../../node/host/host.ts')
  const { ports } = await import('./member.ts')
  const late = use(
    await createHost({
      seed: ports.random.bytes(32),
      listen: [`/ip4/127.0.0.1/tcp/${port}`],
      mesh: 'test mesh',
      ports,
      onRefused: () => undefined,
    }),
  )
  await until(() => late.connected().includes(one.id), 8_000)
})

test('too many violations end a friendship for a while', async ({ use }) => {
  const one = use(await member())
  const two = use(await member({ join: [one.host.addresses()[0] as string] }))
  await until(() => all([one, two], 1))
  for (let i = 0; i < 5; i++) one.friends.misbehaved(two.id, 'a test')
  await until(() => one.host.connected().length === 0)
  await two.host.dial(one.id, one.host.addresses()).catch(() => undefined)
  await until(() => one.host.connected().length === 0 && two.host.connected().length === 0)
  assert.equal(one.friendIds(), [])
})

test.run()
