import fc from 'fast-check'
import * as assert from 'uvu/assert'
import { assign, hashText, Slots } from '../../node/group/slots.ts'
import type { FeedId, PeerId } from '../../node/types.ts'
import { suite } from '../helper/suite.ts'

const test = suite('group')
const feed = 'aa'.repeat(16) as FeedId
const peersOf = (count: number) => Array.from({ length: count }, (_, i) => `12D3KooWpeer${i}` as PeerId)

function shares(holders: readonly PeerId[], members: readonly PeerId[]): number[] {
  return members.map((member) => holders.filter((holder) => holder === member).length)
}

test('what members must agree on stays as it is', () => {
  assert.equal(['', 'a', 'customer-7', 'ключ'].map(hashText), [2872998923, 444641715, 2465736963, 3185335672])
  const byKey = new Slots('key-shared')
  const byId = new Slots('shared')
  assert.equal([byKey.of(feed, 0, 'customer-7'), byKey.of(feed, 9, 'customer-7')], [3, 3])
  assert.equal(
    [0, 1, 2].map((index) => byId.of(feed, index, 'customer-7')),
    [44, 45, 46],
  )
  assert.equal(
    [0, 1, 2].map((index) => byKey.of(feed, index, undefined)),
    [44, 45, 46],
  )
  assert.is(new Slots('failover').of(feed, 5, 'k'), 0)
  const holders = assign(peersOf(3), 64).map((peer) => peer.at(-1))
  assert.is(holders.join(''), '0122012112111200002101022110021011112120122010220011122020000222')
})

test('records of one feed, and keys, are spread over all slots', () => {
  for (const slotOf of [
    (i: number) => new Slots('shared').of(feed, i, undefined),
    (i: number) => new Slots('key-shared').of(feed, 0, `customer-${i}`),
  ]) {
    const counts = new Array<number>(64).fill(0)
    for (let i = 0; i < 6_400; i++) counts[slotOf(i)] = (counts[slotOf(i)] ?? 0) + 1
    assert.ok(Math.min(...counts) > 50 && Math.max(...counts) < 160, `${counts}`)
  }
})

test('shares differ by one slot at most, whoever is asked', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.string(), { minLength: 1, maxLength: 80 }), fc.nat(), (names, turn) => {
      const members = names as PeerId[]
      const holders = assign(members, 64)
      assert.is(holders.length, 64)
      const loads = shares(holders, members)
      assert.ok(Math.max(...loads) - Math.min(...loads) <= 1)
      const at = turn % members.length
      assert.equal(assign([...members.slice(at), ...members.slice(0, at)], 64), holders)
    }),
  )
})

test('a member has as much as is due to those who consume there, whoever is asked', () => {
  const [a, b, c, d] = peersOf(4) as [PeerId, PeerId, PeerId, PeerId]
  const three = (peer: PeerId) => (peer === a || peer === b ? 3 : 2)
  assert.equal(shares(assign([a, b, c, d], 64, { sharesOf: three }), [a, b, c, d]), [19, 19, 13, 13])
  assert.equal(
    assign([a, b, c, d], 64, { sharesOf: () => 7 }),
    assign([a, b, c, d], 64),
    'only their proportion counts',
  )
  const members = fc.uniqueArray(fc.tuple(fc.string(), fc.integer({ min: 1, max: 64 })), {
    minLength: 1,
    maxLength: 80,
    selector: ([name]) => name,
  })
  fc.assert(
    fc.property(members, fc.nat(), (named, turn) => {
      const sharesOf = new Map(named as [PeerId, number][])
      const names = [...sharesOf.keys()]
      const now = { sharesOf: (peer: PeerId) => sharesOf.get(peer) ?? 1 }
      const all = [...sharesOf.values()].reduce((sum, each) => sum + each, 0)
      const holders = assign(names, 64, now)
      assert.is(holders.length, 64)
      for (const [i, load] of shares(holders, names).entries()) {
        const due = (64 * now.sharesOf(names[i] as PeerId)) / all
        assert.ok(Math.abs(load - due) < 1, `${load} slots where ${due} are due`)
      }
      const at = turn % names.length
      assert.equal(assign([...names.slice(at), ...names.slice(0, at)], 64, now), holders)
    }),
  )
})

test('when one of many goes, most slots stay where they are', () => {
  for (const count of [4, 8, 16]) {
    const members = peersOf(count)
    const before = assign(members, 64)
    const [gone] = members
    const after = assign(members.slice(1), 64)
    const moved = before.filter((holder, slot) => holder !== gone && holder !== after[slot]).length
    assert.ok(moved <= 24, `${moved} of 64 slots moved needlessly with ${count} members`)
  }
})

test('the only slot of a group stays with its holder while that is a member', () => {
  const members = peersOf(5)
  for (const holder of members) assert.equal(assign(members, 1, { holderOf: () => holder }), [holder])
  const [first] = members
  assert.is(assign(members.slice(1), 1, { holderOf: () => first }).length, 1)
  assert.equal(assign([], 64), [])
})

test('whoever may be dead keeps what it holds, and gets nothing else', () => {
  const members = peersOf(8)
  const [silent, ...prompt] = members as [PeerId, ...PeerId[]]
  const wanted = assign(members, 64)
  const its = wanted.flatMap((holder, slot) => (holder === silent ? [slot] : []))
  const [held] = its
  const now = assign(members, 64, { prompt, holderOf: (slot) => (slot === held ? silent : undefined) })
  assert.is(now[held as number], silent)
  const heirs = assign(prompt, 64)
  for (const slot of its.slice(1)) assert.is(now[slot], heirs[slot])
  const others = (holder: PeerId, slot: number) => its.includes(slot) || now[slot] === holder
  assert.ok(wanted.every(others), 'nothing else is moved')
})

test.run()
