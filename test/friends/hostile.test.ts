import * as assert from 'uvu/assert'
import { encodeFriendFrame } from '../../node/friends/frame.ts'
import { friendsProtocol } from '../../node/friends/friends.ts'
import { createHost, type Host } from '../../node/host/host.ts'
import { type Links, links } from '../../node/host/link.ts'
import { signCard } from '../../node/presence/card.ts'
import type { TopicName } from '../../node/types.ts'
import { signingKeyOf } from '../../node/wire/key.ts'
import { suite } from '../helper/suite.ts'
import { until } from '../helper/until.ts'
import { type Member, member, ports } from './member.ts'

const test = suite('friends')

interface Villain {
  host: Host
  links: Links
  say(frame: Uint8Array): void
  stop(): Promise<void>
}

/** Knows the mesh secret and speaks the protocol, badly. */
async function villain(victim: Member): Promise<Villain> {
  const listen = ['/ip4/127.0.0.1/tcp/0']
  const options = { seed: ports.random.bytes(32), listen, mesh: 'test mesh', ports, onRefused: () => undefined }
  const host = await createHost(options)
  const ends = links(host, friendsProtocol, {
    onOpen: () => undefined,
    onFrame: () => undefined,
    onClose: () => undefined,
  })
  await host.dial(victim.host.addresses()[0] as string)
  await until(() => ends.get(victim.id))
  return {
    host,
    links: ends,
    say: (frame) => void ends.get(victim.id)?.send(frame),
    async stop() {
      await ends.close()
      await host.stop()
    },
  }
}

function draft(topic: string) {
  const topics = [topic as TopicName]
  return { addresses: [], topics, role: 'peer', version: '', issued: ports.clock.now(), ttlMs: 30_000 } as const
}

test('forged cards and garbage are counted, known to nobody, and end the connection', async ({ use }) => {
  const victim = use(await member())
  const other = use(await member({ join: [victim.host.addresses()[0] as string] }))
  await until(() => victim.friendIds().length === 1)
  const bad = use(await villain(victim))
  const told: string[] = []
  victim.friends.onMisbehaved((peer, reason) => told.push(`${peer === bad.host.id} ${reason}`))
  const key = signingKeyOf(ports.random.bytes(32))
  const card = signCard({ ...draft('forged'), addresses: [], topics: ['forged' as TopicName] }, key).bytes
  card[card.length - 1] = (card[card.length - 1] as number) ^ 1
  bad.say(encodeFriendFrame({ type: 'cards', items: [{ bytes: card, ageMs: 0 }] }))
  await until(() => told.length === 1)
  assert.equal(told, ['true a card is not signed by its peer'])
  // Not at random: one in a thousand random frames reads as one of a kind of the future, which is no offence.
  for (let i = 0; i < 4; i++) bad.say(new Uint8Array(100).fill(0xff))
  await until(() => told.length === 5 && victim.host.connected().length === 1)
  assert.equal(victim.cards.topics(), new Set())
  await bad.host.dial(victim.host.addresses()[0] as string).catch(() => undefined)
  await until(() => victim.host.connected().length === 1 && bad.host.connected().length === 0)
  assert.equal(victim.friendIds(), [other.id])
})

test('a flood of cards of made-up peers is bounded and the mesh goes on', async ({ use }) => {
  const victim = use(await member())
  const bad = use(await villain(victim))
  for (let i = 0; i < 300; i++) {
    const { bytes } = signCard(
      { ...draft(`t${i}`), addresses: ['/ip4/127.0.0.1/tcp/9'], topics: [] },
      signingKeyOf(ports.random.bytes(32)),
    )
    bad.say(encodeFriendFrame({ type: 'cards', items: [{ bytes, ageMs: 0 }] }))
  }
  await until(() => [...victim.cards.cards()].length >= 300)
  const late = use(await member({ join: [victim.host.addresses()[0] as string] }))
  await until(() => late.friendIds().includes(victim.id))
  // With more to tell than fits a greeting, the rest comes by comparing lists.
  await until(() => [...late.cards.cards()].length >= 300)
})

test('a peer that does not speak the protocol is no friend', async ({ use }) => {
  const victim = use(await member())
  const listen = ['/ip4/127.0.0.1/tcp/0']
  const options = { seed: ports.random.bytes(32), listen, mesh: 'test mesh', ports, onRefused: () => undefined }
  const mute = use(await createHost(options))
  await mute.dial(victim.host.addresses()[0] as string)
  await until(() => victim.host.connected().length === 1)
  assert.equal(victim.friendIds(), [])
})

test.run()
