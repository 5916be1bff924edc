import fc from 'fast-check'
import * as assert from 'uvu/assert'
import { limits } from '../../node/limits.ts'
import type { Random } from '../../node/ports.ts'
import { type Card, openCard, signCard } from '../../node/presence/card.ts'
import { type CardTable, createPresence } from '../../node/presence/presence.ts'
import type { PeerId, TopicName } from '../../node/types.ts'
import { WireError } from '../../node/wire/error.ts'
import { type SigningKey, signingKeyOf } from '../../node/wire/key.ts'
import { type HandClock, handClock } from '../helper/clock.ts'
import { suite } from '../helper/suite.ts'

const test = suite('presence')

const keys = Array.from({ length: 6 }, (_, i) => signingKeyOf(new Uint8Array(32).fill(i + 1)))
const [ownKey, otherKey] = keys as [SigningKey, SigningKey]
/** Always the same answers. */
const evenRandom: Random = {
  float: () => 0.5,
  bytes: (count) => new Uint8Array(count).fill(7),
}
const orders = 'orders' as TopicName

function table(clock: HandClock, key = ownKey, role: 'peer' | 'guest' = 'peer'): CardTable {
  const addresses = () => ['/ip4/127.0.0.1/tcp/1']
  return createPresence({ key, role, version: '1', clock, random: evenRandom, addresses })
}

function draft(clock: HandClock, change: Partial<Card> = {}): Omit<Card, 'peer' | 'truncated'> {
  const plain = { addresses: ['/ip4/10.0.0.1/tcp/4001'], topics: [orders], role: 'peer', version: '1' } as const
  return { ...plain, addresses: [...plain.addresses], topics: [orders], issued: clock.now(), ttlMs: 30_000, ...change }
}

test('a card reads as it was signed, byte for byte', () => {
  const signed = signCard(draft(handClock(), { role: 'guest' }), otherKey)
  assert.equal(openCard(signed.bytes).card, signed.card)
  const golden = [
    '0a540a208139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b39412162f6970342f31302e302e302e',
    '312f7463702f343030311a066f7264657273200028013201313880d095ffbc3140b0ea011240683062df2779b67a41f1161a',
    '9c7ed1f01df0bc5b0e4485f3354969f13a05e4c587b3a8d49104ad38b769266e9fea85412b3e4d3c3c16219916380b0ea365',
    '0b00',
  ]
  assert.is(Buffer.from(signed.bytes).toString('hex'), golden.join(''))
})

test('of topics that do not fit, the card says that there are more', () => {
  const topics = Array.from({ length: 5_000 }, (_, i) => `topic.number.${i}` as TopicName)
  const { card, bytes } = signCard(draft(handClock(), { topics }), otherKey)
  assert.ok(card.truncated && card.topics.length > 2_000)
  assert.ok(bytes.length <= limits.cardBytesMax)
  assert.equal(openCard(bytes).card, card)
})

test('a card with any bit changed is refused, and so is every kind of garbage', () => {
  const { bytes } = signCard(draft(handClock()), otherKey)
  const refused = (given: Uint8Array) => {
    try {
      openCard(given)
      return false
    } catch (error) {
      return error instanceof WireError
    }
  }
  fc.assert(
    fc.property(fc.nat(bytes.length * 8 - 1), (bit) => {
      const changed = new Uint8Array(bytes)
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7))
      return refused(changed)
    }),
    { numRuns: 300 },
  )
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), refused), { numRuns: 300 })
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), (end) => refused(bytes.subarray(0, end))),
    { numRuns: 100 },
  )
  assert.ok(refused(new Uint8Array(limits.cardBytesMax + 1)))
})

test('the newest card of a peer counts, and changes are told once', () => {
  const clock = handClock()
  const own = table(clock)
  const told: PeerId[] = []
  own.onChange((peer) => told.push(peer))
  const first = signCard(draft(clock), otherKey)
  assert.is(own.accept(first.bytes, 0).outcome, 'new')
  assert.is(own.accept(first.bytes, 0).outcome, 'known')
  const renewed = signCard(draft(clock, { issued: clock.now() + 1 }), otherKey)
  assert.is(own.accept(renewed.bytes, 0).outcome, 'new')
  assert.is(told.length, 1)
  const moved = signCard(draft(clock, { issued: clock.now() + 2, topics: [] }), otherKey)
  own.accept(moved.bytes, 0)
  assert.is(own.accept(renewed.bytes, 0).outcome, 'known')
  assert.equal(told, [first.card.peer, first.card.peer])
  assert.equal(own.carriersOf(orders), [])
})

test('a card goes when its time is over, counted from its issue, and does not come back', () => {
  const clock = handClock()
  const own = table(clock)
  const { bytes, card } = signCard(draft(clock), otherKey)
  own.accept(bytes, 20_000)
  assert.equal(own.carriersOf(orders), [card.peer])
  clock.pass(11_000)
  assert.is(own.card(card.peer), undefined)
  assert.is(own.accept(bytes, 0).outcome, 'known')
  assert.is(own.accept(signCard(draft(clock), otherKey).bytes, 0).outcome, 'new')
})

test('a forgotten peer comes back only with a newer card', () => {
  const clock = handClock()
  const own = table(clock)
  const { bytes, card } = signCard(draft(clock), otherKey)
  own.accept(bytes, 0)
  own.forget(card.peer)
  assert.is(own.accept(bytes, 0).outcome, 'known')
  assert.is(own.wants(card.peer, card.issued), false)
  assert.is(own.accept(signCard(draft(clock, { issued: card.issued + 1 }), otherKey).bytes, 0).outcome, 'new')
})

test('a card from the future is refused, one from a slow clock is not', () => {
  const clock = handClock()
  const own = table(clock)
  const ahead = signCard(draft(clock, { issued: clock.now() + limits.clockAheadMsMax + 1 }), otherKey)
  assert.is(own.accept(ahead.bytes, 0).outcome, 'refused')
  const behind = signCard(draft(clock, { issued: clock.now() - 86_400_000 }), otherKey)
  assert.is(own.accept(behind.bytes, 0).outcome, 'new')
  assert.ok(own.card(behind.card.peer))
})

test('a farewell removes the peer and is news to pass on', () => {
  const clock = handClock()
  const [own, other] = [table(clock), table(clock, otherKey)]
  own.accept(other.signed().bytes, 0)
  assert.is(own.accept(other.farewell().bytes, 0).outcome, 'new')
  assert.is(own.card(other.self().peer), undefined)
})

test('our card is issued at once for new topics, together for many, and renewed in time', () => {
  const clock = handClock()
  const own = table(clock)
  const issued: Card[] = []
  own.onIssue(({ card }) => issued.push(card))
  own.setTopics([orders])
  own.setTopics([orders, 'a' as TopicName])
  clock.pass(100)
  own.setTopics(['a' as TopicName, orders])
  clock.pass(100)
  assert.equal(
    issued.map(({ topics }) => topics),
    [['a', 'orders']],
  )
  clock.pass(limits.cardRenewMs)
  assert.is(issued.length, 2)
  assert.ok((issued[1] as Card).issued > (issued[0] as Card).issued)
})

test('a card of an earlier run with a clock ahead is outbid', () => {
  const clock = handClock()
  const own = table(clock)
  const earlier = signCard(draft(clock, { issued: clock.now() + 50_000 }), ownKey)
  own.accept(earlier.bytes, 0)
  assert.ok(own.self().issued > earlier.card.issued)
  assert.equal([...own.cards()], [])
})

test('everybody ranks the keepers of a topic alike, guests are never among them', () => {
  const clock = handClock()
  const tables = keys.map((key, i) => table(clock, key, i === 5 ? 'guest' : 'peer'))
  for (const one of tables) for (const other of tables) if (one !== other) one.accept(other.signed().bytes, 0)
  const rankings = tables.map((one) => one.keepersOf(orders, 3).join())
  assert.is(new Set(rankings).size, 1)
  const all = (tables[0] as CardTable).keepersOf(orders, 10)
  assert.is(all.length, 5)
  assert.not.ok(all.includes((tables[5] as CardTable).self().peer))
  // One that goes changes nothing for the others.
  const gone = all[0] as PeerId
  const rest = tables.find((one) => one.self().peer !== gone) as CardTable
  rest.forget(gone)
  assert.equal(rest.keepersOf(orders, 10), all.slice(1))
})

test.run()
