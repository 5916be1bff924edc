import fc from 'fast-check'
import * as assert from 'uvu/assert'
import { Backoff } from '../../node/friends/backoff.ts'
import { Conduct } from '../../node/friends/conduct.ts'
import { decide, type Effect, type FriendView, type Need, ringAfter, type View } from '../../node/friends/policy.ts'
import { limits } from '../../node/limits.ts'
import type { PeerId, TopicName } from '../../node/types.ts'
import { suite } from '../helper/suite.ts'

const test = suite('friends')
const now = 1_000_000
const topic = 'orders' as TopicName

function named(count: number, prefix = 'p'): PeerId[] {
  return Array.from({ length: count }, (_, i) => `${prefix}${i}` as PeerId)
}

function friend(peer: PeerId, change: Partial<FriendView> = {}): FriendView {
  return { peer, since: 0, rttMs: undefined, guest: false, sharedTopics: 0, ...change }
}

function view(change: Partial<View>): View {
  const empty: View = {
    self: 'self' as PeerId,
    friends: [],
    connections: 0,
    candidates: [],
    strangers: [],
    joins: [],
    needs: [],
    dialling: new Set(),
    ready: () => true,
    trialDue: false,
    lostTrialDue: false,
  }
  return { ...empty, ...change }
}

function need(carriers: PeerId[], change: Partial<Need> = {}): Need {
  return { topic, wanted: 3, carriers, carried: false, ...change }
}

function shortly(effects: Effect[]): string[] {
  return effects.map((effect) => {
    if (effect.type === 'dial') return `dial ${effect.peer} ${effect.why}`
    return effect.type === 'join' ? `join ${effect.address}` : `shed ${effect.peer}`
  })
}

const table: { it: string; given: Partial<View>; effects: string[] }[] = [
  { it: 'alone, there is nothing to do', given: {}, effects: [] },
  {
    it: 'in a small mesh everyone is dialled',
    given: { friends: named(2, 'f').map((peer) => friend(peer)), candidates: named(3) },
    effects: ['dial p0 few', 'dial p1 few', 'dial p2 few'],
  },
  {
    it: 'in a large mesh only up to the minimum, counting those on their way',
    given: { friends: [friend('f0' as PeerId)], candidates: named(20), dialling: new Set(named(1)) },
    effects: ['dial p1 few', 'dial p2 few'],
  },
  {
    it: 'who failed just now is passed over',
    given: { candidates: named(3), ready: (target) => target !== 'p1' },
    effects: ['dial p0 few', 'dial p2 few'],
  },
  {
    it: 'no more than eight dials at a time',
    given: { dialling: new Set(named(7, 'd')), candidates: named(3), needs: [need(named(3))] },
    effects: ['dial p0 topic'],
  },
  {
    it: 'near the greatest number of connections nobody is dialled',
    given: { connections: 48, candidates: named(3), needs: [need(named(3))] },
    effects: [],
  },
  {
    it: 'a topic gets as many friends among its carriers as it needs',
    given: {
      friends: named(4, 'f').map((peer) => friend(peer)),
      candidates: named(9),
      needs: [need(['f0' as PeerId, ...named(5)])],
    },
    effects: ['dial p0 topic', 'dial p1 topic'],
  },
  {
    it: 'those that help several topics are dialled first',
    given: {
      friends: named(4, 'f').map((peer) => friend(peer)),
      candidates: named(9),
      needs: [need(['p3', 'p4'] as PeerId[], { wanted: 1 }), need(['p4', 'p5'] as PeerId[], { wanted: 1 })],
    },
    effects: ['dial p4 topic'],
  },
  {
    it: 'a joined address is dialled until it was reached, and again when its peer is gone or friends are few',
    given: {
      friends: named(4, 'f').map((peer) => friend(peer)),
      joins: [
        { address: '/new', reached: false, live: false },
        { address: '/fine', reached: true, live: true },
        { address: '/gone', reached: true, live: false },
      ],
    },
    effects: ['join /new', 'join /gone'],
  },
  {
    it: 'who is found nearby and stays unknown is dialled though there are friends enough',
    given: {
      friends: named(8, 'f').map((peer) => friend(peer)),
      strangers: [
        { peer: 'fresh' as PeerId, from: 'found', since: now - 100 },
        { peer: 'other' as PeerId, from: 'found', since: now - 5_000 },
        { peer: 'old' as PeerId, from: 'remembered', since: 0 },
      ],
    },
    effects: ['dial other found'],
  },
  {
    it: 'with few friends the remembered are tried as well',
    given: {
      strangers: [
        { peer: 'fresh' as PeerId, from: 'found', since: now },
        { peer: 'old' as PeerId, from: 'remembered', since: 0 },
      ],
    },
    effects: ['dial fresh found', 'dial old lost'],
  },
  {
    it: 'now and then one by chance, and one that was lost',
    given: {
      friends: named(4, 'f').map((peer) => friend(peer)),
      candidates: named(9),
      strangers: [{ peer: 'old' as PeerId, from: 'remembered', since: 0 }],
      trialDue: true,
      lostTrialDue: true,
    },
    effects: ['dial p0 trial', 'dial old lost'],
  },
  {
    it: 'above eight the least useful go, not the nearest, nor the new, nor those a topic needs',
    given: {
      friends: [
        friend('near' as PeerId, { rttMs: 1 }),
        friend('nearish' as PeerId, { rttMs: 2 }),
        friend('close' as PeerId, { rttMs: 3 }),
        friend('new' as PeerId, { since: now - 9_000 }),
        friend('needed' as PeerId),
        friend('useful' as PeerId, { sharedTopics: 2 }),
        friend('useless' as PeerId, { rttMs: 9 }),
        friend('handy' as PeerId, { sharedTopics: 1 }),
        friend('more' as PeerId, { sharedTopics: 3 }),
        friend('most' as PeerId, { sharedTopics: 4 }),
        friend('guest' as PeerId, { guest: true }),
      ],
      needs: [need(['needed' as PeerId])],
    },
    effects: ['shed useless', 'shed handy'],
  },
]

for (const { it, given, effects } of table) {
  test(`policy: ${it}`, () => assert.equal(shortly(decide(view(given), now)), effects))
}

test('policy: we hold on to our neighbours in the ring of carriers, and to the next when one cannot be reached', () => {
  const carriers = named(7)
  const ring = ringAfter('self' as PeerId, topic, carriers)
  const [first, second, , , , , last] = ring as [PeerId, PeerId, PeerId, PeerId, PeerId, PeerId, PeerId]
  const enough = ring.slice(2, 6)
  const given = { friends: enough.map((peer) => friend(peer)), candidates: carriers }
  const needs = [need(carriers, { carried: true })]
  assert.equal(shortly(decide(view({ ...given, needs }), now)), [`dial ${first} topic`])
  const ready = (target: string) => target !== first
  assert.equal(shortly(decide(view({ ...given, needs, ready }), now)), [`dial ${second} topic`])
  assert.equal(shortly(decide(view({ ...given, needs: [need(carriers)] }), now)), [])
  const crowd = [...carriers, ...named(4, 'f')].map((peer) =>
    friend(peer, { sharedTopics: peer.startsWith('p') ? 0 : 1 }),
  )
  const shed = shortly(decide(view({ friends: crowd, needs }), now))
  assert.is(shed.length, 3)
  assert.not.ok(shed.includes(`shed ${first}`) || shed.includes(`shed ${last}`))
})

test('policy: if every carrier does what the policy says, all of them are connected', () => {
  const carriers = named(40, 'c')
  const edges = new Map<PeerId, PeerId>(
    carriers.map((peer) => {
      const others = carriers.filter((other) => other !== peer)
      return [peer, ringAfter(peer, topic, others)[0] as PeerId]
    }),
  )
  const seen = new Set<PeerId>()
  for (let at = carriers[0] as PeerId; !seen.has(at); at = edges.get(at) as PeerId) seen.add(at)
  assert.is(seen.size, carriers.length)
})

test('policy: whatever it sees, it dials nobody twice, nor friends, nor itself, and never more than it may', () => {
  const peer = fc.nat(20).map((i) => `p${i}` as PeerId)
  const distinct = (max: number) => fc.uniqueArray(peer, { maxLength: max })
  fc.assert(
    fc.property(distinct(12), distinct(15), distinct(8), fc.array(distinct(10), { maxLength: 4 }), (f, c, d, t) => {
      const friends = f.map((name) => friend(name))
      const candidates = c.filter((name) => !f.includes(name))
      const dialling = new Set<PeerId | string>(d)
      const needs = t.map((carriers) => need(carriers, { carried: true }))
      const flags = { trialDue: true, lostTrialDue: true }
      const effects = decide(view({ friends, candidates, dialling, needs, connections: f.length, ...flags }), now)
      const dials = effects.flatMap((effect) => (effect.type === 'dial' ? [effect.peer] : []))
      const shed = effects.flatMap((effect) => (effect.type === 'shed' ? [effect.peer] : []))
      assert.is(new Set(dials).size, dials.length)
      assert.ok(dials.every((name) => !f.includes(name) && !dialling.has(name) && name !== 'self'))
      assert.ok(dials.length + d.length <= Math.max(limits.dialsMax, d.length))
      assert.ok(f.length - shed.length >= Math.min(f.length, limits.friendsMax))
    }),
    { numRuns: 300 },
  )
})

test('backoff doubles with chance up to its bound, for ever, and ends with success', () => {
  const backoff = new Backoff<string>(() => 1)
  const waits: number[] = []
  let time = 0
  for (let i = 0; i < 9; i++) {
    backoff.failed('x', time)
    const began = time
    while (!backoff.ready('x', time)) time += 100
    waits.push(time - began)
  }
  assert.equal(waits, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000])
  backoff.succeeded('x')
  assert.ok(backoff.ready('x', time))
  const early = new Backoff<string>(() => 0)
  early.failed('x', 0)
  assert.not.ok(early.ready('x', 249))
  assert.ok(early.ready('x', 250))
})

test('five violations within a minute are too many, and forgiven later', () => {
  const conduct = new Conduct()
  const peer = 'p' as PeerId
  const banned = [0, 20_000, 40_000, 61_000, 62_000].map((time) => conduct.offence(peer, time))
  assert.equal(banned, [false, false, false, false, false])
  assert.is(conduct.offence(peer, 63_000), true)
  assert.is(conduct.banned(peer, 63_000 + limits.banMs - 1), true)
  assert.is(conduct.banned(peer, 63_000 + limits.banMs), false)
})

test.run()
