import fc from 'fast-check'
import * as assert from 'uvu/assert'
import { Leases, type SlotTerm } from '../../node/group/leases.ts'
import { Members } from '../../node/group/members.ts'
import { type Beat, Roster } from '../../node/group/roster.ts'
import type { PeerId } from '../../node/types.ts'
import { random } from '../helper/random.ts'
import { suite } from '../helper/suite.ts'
import { settings, Village, type Villager } from './village.ts'

const test = suite('group')
const slots = Array.from({ length: 64 }, (_, slot) => slot)

const shares = (village: Village) =>
  village.villagers.map(({ roster }) => slots.filter((slot) => roster.termOf(slot, village.now) !== undefined).length)

function oneEach(village: Village): void {
  for (const slot of slots) {
    const holders = village.deliverers(slot)
    assert.is(holders.length, 1, `slot ${slot} is held by ${holders.map(({ id }) => id)}`)
  }
}

/** To look with: no term of a slot is ever had by two. */
function oneTerm(village: Village): () => void {
  const had = new Map<string, string>()
  return () => {
    for (const { id, roster } of village.villagers)
      for (const slot of slots) {
        const term = roster.termOf(slot, village.now)
        if (term === undefined) continue
        const other = had.get(`${slot}/${term}`) ?? id
        assert.is(other, id, `slot ${slot} under term ${term} is held by ${other} and ${id}`)
        had.set(`${slot}/${term}`, id)
      }
  }
}

/** `a` works on something of each slot as `b` comes and is to have half of them. */
function busyBesideNewcomer(): Village {
  const village = new Village({})
  village.add('a')
  village.pass(5_000)
  village.busy = (id) => id === 'a'
  village.add('b')
  return village
}

test('a member alone holds everything after two beats', () => {
  const village = new Village({})
  const a = village.add('a')
  village.pass(1_400)
  assert.is(a.roster.termOf(7, village.now), undefined)
  village.pass(300)
  assert.is(a.roster.termOf(7, village.now), 1)
})

test('members that begin together share alike, and one more gets its share by hand-over', () => {
  const village = new Village({})
  for (const id of ['a', 'b', 'c']) village.add(id)
  village.pass(10_000)
  oneEach(village)
  assert.equal(shares(village).sort(), [21, 21, 22])
  village.add('d')
  village.pass(8_000, () => {
    for (const slot of slots) assert.ok(village.deliverers(slot).length <= 1)
  })
  assert.equal(shares(village), [16, 16, 16, 16])
})

test('a member at which more consume has more, from when it says so', () => {
  const village = new Village({})
  const [a] = ['a', 'b', 'c'].map((id) => village.add(id))
  village.pass(10_000)
  a?.roster.setConsumers(2)
  village.pass(8_000, () => {
    for (const slot of slots) assert.ok(village.deliverers(slot).length <= 1)
  })
  oneEach(village)
  assert.equal(shares(village), [32, 16, 16])
  a?.roster.setConsumers(1)
  village.pass(8_000)
  oneEach(village)
  assert.equal(shares(village).sort(), [21, 21, 22])
})

test('of members that begin together each claims its share, and no slot waits for a second claim', () => {
  for (const ids of ['abcd', 'efgh', 'ijklm']) {
    const village = new Village({})
    for (const id of ids) village.add(id, true)
    village.pass(2_000)
    oneEach(village)
    assert.ok(Math.max(...shares(village)) - Math.min(...shares(village)) <= 1)
  }
})

test('where one of them hears another too late, what it claimed in its place is claimed again at once', () => {
  for (const ids of ['abcd', 'dcba', 'efgh', 'ijklm', 'mlkji'])
    for (const from of ids)
      for (const to of ids) {
        const village = new Village({})
        for (const id of ids) village.add(id, true)
        village.lag = (one, other) => (one === from && other === to ? 250 : 0)
        village.pass(2_200)
        oneEach(village)
        assert.ok(Math.max(...shares(village)) - Math.min(...shares(village)) <= 1)
      }
})

test('what is left to a member it claims at once', () => {
  for (let phaseMs = 0; phaseMs < 1_000; phaseMs += 100) {
    const village = new Village({})
    village.add('a')
    village.pass(5_000 + phaseMs)
    const b = village.add('b', true)
    const isHandedOver = () => slots.some((slot) => b.roster.termOf(slot, village.now) !== undefined)
    // It listens for three beats at most, until the other one leaves something it takes another, and then the claim stands for one and a half.
    let ms = 0
    for (; !isHandedOver(); ms += 100) village.pass(100)
    assert.ok(ms <= 5_000, `after ${ms} ms, begun ${phaseMs} ms after a beat`)
  }
})

test('what a member held is taken over when it was silent for a lease, and not before', () => {
  const village = new Village({})
  const [, b] = [village.add('a'), village.add('b')] as const
  village.pass(10_000)
  const held = slots.filter((slot) => b.roster.termOf(slot, village.now) !== undefined)
  b.asleep = true
  village.pass(4_000)
  assert.ok(held.every((slot) => village.deliverers(slot).length === 0))
  village.pass(5_000)
  oneEach(village)
})

test('a member that was paused longer than its lease delivers nothing when it wakes, and gets its share again', () => {
  const village = new Village({})
  const [, b] = [village.add('a'), village.add('b')] as const
  village.pass(10_000)
  const [slot = 0] = slots.filter((each) => b.roster.termOf(each, village.now) !== undefined)
  b.asleep = true
  village.pass(5_100)
  // Nobody has it yet, and it does not know that it slept.
  assert.is(b.roster.termOf(slot, village.now), undefined)
  assert.is(b.roster.ackTermOf(slot, village.now), undefined)
  village.pass(10_000)
  b.asleep = false
  village.pass(15_000, () => assert.ok(village.deliverers(slot).length <= 1))
  oneEach(village)
  assert.equal(shares(village), [32, 32])
})

test('a slot whose records are on their way is handed over when they are settled', () => {
  const village = busyBesideNewcomer()
  village.pass(5_000)
  assert.equal(shares(village), [32, 0], 'a delivers nothing new of what it is to give')
  const [a] = village.villagers
  assert.ok(slots.every((slot) => a?.roster.ackTermOf(slot, village.now) === 1))
  village.busy = () => false
  village.pass(5_000)
  assert.equal(shares(village), [32, 32])
})

test('what is worked on for long keeps nothing else of its slot waiting, and the slot goes when it is settled', () => {
  const village = busyBesideNewcomer()
  village.pass(8_000)
  assert.equal(shares(village), [64, 0], 'a goes on')
  let waits = 0
  const [a] = village.villagers
  village.pass(60_000, () => {
    if (shares(village)[0] === 32) waits++
    assert.ok(
      slots.every((slot) => a?.roster.isHeld(slot)),
      'what comes meanwhile is read',
    )
  })
  assert.ok(waits > 0 && waits <= 600 / 4, 'and tries again now and then')
  village.busy = () => false
  village.pass(20_000)
  assert.equal(shares(village), [32, 32])
})

test('what a dead member held has another when the lease is over, and no claim later', () => {
  const village = new Village({})
  for (const id of ['a', 'b', 'c']) village.add(id)
  village.pass(15_000)
  const [a, ...others] = village.villagers as [Villager, ...Villager[]]
  const held = slots.filter((slot) => a.roster.termOf(slot, village.now) !== undefined)
  village.remove(a)
  village.pass(4_000)
  assert.ok(
    held.every((slot) => village.deliverers(slot).length === 0),
    'it may be alive',
  )
  village.pass(1_300)
  for (const slot of held) assert.is(village.deliverers(slot).length, 1)

  // One that is only late loses nothing.
  const [b] = others
  village.lag = (from) => (from === b?.id ? 3_500 : 0)
  village.pass(30_000, () => {
    for (const slot of held) assert.is(village.deliverers(slot).length, 1)
  })
})

test('whoever hears a dead member late, as one that came just now, takes over no later than others', () => {
  const village = new Village({})
  for (const id of ['a', 'b', 'c', 'd']) village.add(id)
  village.pass(15_000)
  const [a] = village.villagers as [Villager]
  const held = slots.filter((slot) => a.roster.termOf(slot, village.now) !== undefined)
  village.lag = (from, to) => (from === 'a' && to === 'd' ? 3_000 : 0)
  village.pass(10_000)
  village.remove(a)
  village.pass(5_500)
  for (const slot of held) assert.is(village.deliverers(slot).length, 1)
})

test('who died before one came is none of its members for longer than a beat', () => {
  const village = new Village({})
  for (const id of ['a', 'b', 'c']) village.add(id)
  village.pass(15_000)
  const [a] = village.villagers as [Villager]
  village.remove(a)
  village.pass(20_000)
  const d = village.add('d')
  village.pass(1_500)
  assert.equal(d.roster.active(village.now), ['b', 'c', 'd'])
})

test('what a dead member held has another after a lease and a claim, also where members die and come all the time', () => {
  for (let seed = 1; seed <= 5; seed++) {
    const draw = random(seed)
    const village = new Village({}, () => 10 + draw() * 90)
    for (let number = 0; number < 8; number++) village.add(`m${number}`)
    village.pass(15_000)
    /** Slots that nobody has, and since when: whoever held or claimed them died. */
    const open = new Map<number, number>()
    const taken: number[] = []
    /** Who took a slot over, and when: it has what the dead one had to hand out before it gives the slot away. */
    const heirs = new Map<number, { heir: Villager; at: number }>()
    const look = () => {
      for (const [slot, { heir, at }] of heirs) {
        if (village.now - at > 2_500 || !village.villagers.includes(heir)) heirs.delete(slot)
        else assert.ok(village.deliverers(slot).includes(heir), `seed ${seed}: slot ${slot} did not stay`)
      }
      for (const [slot, since] of open) {
        const [heir] = village.deliverers(slot)
        if (heir === undefined) continue
        open.delete(slot)
        taken.push(village.now - since)
        heirs.set(slot, { heir, at: village.now })
      }
    }
    for (let number = 8; number < 28; number++) {
      const { villagers } = village
      const [{ id, roster }] = villagers.splice(Math.floor(draw() * villagers.length), 1) as [Villager]
      for (const slot of slots) {
        const held = roster.termOf(slot, village.now) !== undefined
        if (held || (open.has(slot) && roster.claimantOf(slot) === id)) open.set(slot, village.now)
      }
      village.pass(1_000, look)
      village.add(`m${number}`)
      village.pass(2_000, look)
    }
    village.pass(10_000, look)
    const most = Math.max(...taken)
    assert.is(open.size, 0)
    assert.ok(most <= 5_000 + 1_500 + 500, `seed ${seed}: a slot was taken after ${most} ms`)
  }
})

test('members that begin together share what is free, and hand nothing over, though one of them may claim before the others', () => {
  const village = new Village({})
  village.strangers = (id) => (id === 'b' ? [] : ['x' as PeerId])
  const all = ['a', 'c', 'd'].map((id) => village.add(id))
  village.pass(300)
  // It has heard all of them, and they wait for a beat more.
  all.push(village.add('b'))
  village.pass(1_500)
  village.strangers = () => []
  village.pass(10_000)
  oneEach(village)
  for (const { effects } of all) assert.not(effects.some(({ type }) => type === 'lost'))
})

test('members that begin in the same moment, and know nothing of each other, share what all of them claim', () => {
  const village = new Village({}, () => 50)
  const all = ['a', 'b', 'c', 'd'].map((id) => village.add(id))
  village.pass(2_000)
  const granted = village.villagers.map(({ effects }) => effects.filter(({ type }) => type === 'granted').length)
  for (const count of granted) assert.ok(count > 8, String(granted))
  village.pass(2_600)
  oneEach(village)
  for (const { effects } of all) assert.not(effects.some(({ type }) => type === 'lost'))
})

test('what is free does not wait for long for somebody who came and claims nothing', () => {
  const village = new Village({})
  village.add('a')
  village.add('b')
  village.strangers = (id) => (id === 'b' ? ['x' as PeerId] : [])
  village.pass(5_000)
  for (const slot of slots) assert.is(village.deliverers(slot)[0]?.id, 'a')
})

test('whoever comes takes nothing beside strangers, and for a beat after, but for no longer than a lease', () => {
  const village = new Village({})
  village.strangers = () => ['b' as PeerId]
  village.add('a')
  village.pass(3_000)
  assert.equal(shares(village), [0])
  village.strangers = () => []
  village.pass(900)
  assert.equal(shares(village), [0], 'what they told is on its way')
  village.pass(2_500)
  assert.equal(shares(village), [64])

  village.strangers = () => ['c' as PeerId]
  village.pass(20_000)
  assert.equal(shares(village), [64], 'what it has it keeps')
  village.add('b')
  village.pass(4_900)
  assert.equal(shares(village), [64, 0])
  village.pass(15_000)
  assert.equal(shares(village), [32, 32])
})

test('whoever reads a long history claims nothing of what was free in it', () => {
  const [me, a] = ['c' as PeerId, 'a' as PeerId]
  let now = 1_000_000
  const roster = new Roster({ me, run: now, settings })
  const said = (n: number, held: Beat['held']): Beat => ({ run: 1, n, leaving: false, held, claims: [] })
  const tick = (isBehind: boolean) => roster.tick(now, () => false, [], isBehind).beat
  roster.enter(now)
  // One after the other as they wait on the disk, with as much time between them as between beats that are made just now.
  for (let n = 2; n < 8; n++) {
    now += 1_000
    roster.onBeat(a, said(n, []), now, false, true)
    const { claims, listening } = tick(true)
    assert.equal([claims.length, listening], [0, true])
  }
  const all = slots.map((slot): [number, number] => [slot, 3])
  for (let n = 8; n < 10; n++) {
    roster.onBeat(a, said(n, all), now)
    assert.equal(tick(false).claims, [])
    now += 1_000
  }
  assert.is(tick(false).listening, undefined, 'it has listened')
})

test('whoever waits for what was said meanwhile claims nothing, also while it hears nobody', () => {
  const me = 'c' as PeerId
  let now = 1_000_000
  const roster = new Roster({ me, run: now, settings })
  roster.enter(now)
  for (let i = 0; i < 10; i++) {
    now += 1_000
    assert.equal(roster.tick(now, () => false, [], true).beat.claims, [])
  }
  let claims = 0
  for (const end = now + settings.leaseMs; now < end; ) {
    assert.is(claims, 0)
    now += 1_000
    claims = roster.tick(now, () => false).beat.claims.length
  }
  assert.is(claims, 64)
})

test('whoever slept over its first claim listens before it claims again, also if it has heard nobody so far', () => {
  let now = 1_000_000
  const roster = new Roster({ me: 'c' as PeerId, run: now, settings })
  roster.enter(now)
  const tick = () => roster.tick(now, () => false).beat
  assert.is(tick().claims.length, 64)
  now += 15_000
  for (const end = now + settings.leaseMs; now < end; now += 1_000) {
    const { claims, held } = tick()
    assert.equal([claims, held], [[], []])
  }
  assert.is(tick().claims.length, 64)
})

test('what a sleeper finds when it wakes may be old, and says of nobody that it lives', () => {
  const members = new Members(5_000, 1_000)
  const peer = 'a' as PeerId
  let now = 1_000_000
  const beat = (n: number) => members.onBeat(peer, { run: 1, n, leaving: false }, now)
  for (let n = 1; n <= 3; n++) {
    now += 1_000
    beat(n)
  }
  assert.ok(members.areSure(now))
  now += 10_800
  members.excuse(10_000, now)
  beat(4)
  assert.not.ok(members.areSure(now), 'it had waited to be read')
  now += 1_000
  beat(5)
  assert.ok(members.areSure(now))
})

test('a term that an earlier run of a member had is known, though a later run is heard first', () => {
  const now = 1_000_000
  const roster = new Roster({ me: 'c' as PeerId, run: now, settings })
  const beat = (run: number, held: SlotTerm[]): Beat => ({ run, n: run, leaving: false, held, claims: [] })
  roster.onBeat('a' as PeerId, beat(9_000, [[7, 2]]), now)
  roster.onBeat('a' as PeerId, beat(8_000, [[8, 4]]), now)
  assert.equal(roster.terms().slice(7, 9), [2, 4])
  assert.is(roster.holderOf(8), undefined)
  assert.is(roster.holderOf(7), 'a')
})

test('a member has its slots half a beat shorter than the others wait, and loses what it would renew later', () => {
  const village = new Village({})
  const [a] = [village.add('a'), village.add('b')] as const
  village.pass(10_000)
  const [slot = 0] = slots.filter((each) => a.roster.termOf(each, village.now) !== undefined)
  a.asleep = true
  const beganBy = village.now
  village.pass(settings.leaseMs - 1_000)
  const had = () => a.roster.ackTermOf(slot, village.now) !== undefined
  for (; had(); village.pass(50)) assert.ok(village.now - beganBy <= settings.leaseMs - 500)
  a.asleep = false
  village.pass(200)
  assert.not.ok(had(), 'a beat does not give it back')
  village.pass(15_000, () => assert.ok(village.deliverers(slot).length <= 1))
  oneEach(village)
})

test('whoever leaves gives all away without anybody waiting for a lease', () => {
  const village = new Village({})
  const [a] = [village.add('a'), village.add('b')] as const
  village.pass(10_000)
  a.roster.leave()
  village.pass(4_200)
  assert.ok(a.roster.hasLeft(village.now))
  assert.equal(shares(village), [0, 64])
})

test('a voter that leaves is let go when the others can do without it, and not while one of them is silent', () => {
  const village = new Village({ quorum: true })
  const [a, b] = [village.add('a'), village.add('b'), village.add('c')] as const
  village.pass(20_000)
  village.remove(a)
  village.pass(4_000)
  b.roster.leave()
  village.add('d')
  village.pass(20_000)
  assert.equal(shares(village), [0, 32, 32])
  assert.ok(b.roster.hasLeft(village.now))
  // Of those that are left one more may fall silent, once the dead one is off the list.
  village.pass(60_000)
  assert.equal(b.roster.voters?.peers, ['c', 'd'])
})

test('whoever fell silent just now is made no voter', () => {
  const village = new Village({ quorum: true })
  const [a] = [village.add('a'), village.add('b'), village.add('d')] as const
  village.pass(20_000)
  village.remove(a)
  const c = village.add('c')
  // Until another edits the list.
  village.pass(4_000)
  village.remove(c)
  village.pass(30_000)
  assert.equal(shares(village), [32, 32])
})

test('by default both sides of a partition go on, and are one again when it is over', () => {
  const village = new Village({})
  for (const id of ['a', 'b', 'c']) village.add(id)
  village.pass(10_000)
  village.side = (id) => (id === 'c' ? 1 : 0)
  village.pass(12_000)
  for (const slot of slots) assert.is(village.deliverers(slot).length, 2)
  village.heal()
  village.pass(10_000)
  oneEach(village)
})

test('with a quorum the minority stops within a lease, and the majority goes on', () => {
  const village = new Village({ quorum: true })
  for (const id of ['a', 'b', 'c', 'd', 'e', 'f']) village.add(id)
  village.pass(25_000)
  oneEach(village)
  assert.equal(
    village.villagers.map(({ roster }) => roster.voters?.peers.length),
    [6, 6, 6, 6, 6, 6],
  )
  village.side = (id) => (id === 'a' || id === 'b' ? 1 : 0)
  village.pass(30_000, () => {
    for (const slot of slots) assert.ok(village.deliverers(slot).length <= 1)
  })
  assert.equal(shares(village), [0, 0, 16, 16, 16, 16])
  village.heal()
  village.pass(15_000)
  oneEach(village)
})

test('with a quorum, whoever comes back and hears the new holders late takes nothing from them', () => {
  const village = new Village({ quorum: true })
  const [a, b] = ['a', 'b', 'c', 'd', 'e'].map((id) => village.add(id)) as [Villager, Villager]
  const look = oneTerm(village)
  village.pass(15_000, look)
  village.side = (id) => (id === b.id ? 1 : 0)
  village.pass(12_000, look)
  village.lag = (from, to) => (from === a.id && to === b.id ? 12_000 : 0)
  village.heal()
  village.pass(11_000, look)
  village.lag = () => 0
  village.pass(20_000, look)
  oneEach(village)
})

test('with a quorum, whoever has told of one claim tells of no other under that term, until it is dropped', () => {
  const [a, b, c] = ['a', 'b', 'c'] as [PeerId, PeerId, PeerId]
  const voter = new Leases(c, 1, 1_000, true)
  const claim = (term: number) => ({ held: [], claims: [[0, term]] as SlotTerm[] })
  voter.onBeat(b, claim(1))
  voter.onBeat(a, claim(1))
  assert.equal(voter.known(), [[0, 1, b, false]])
  voter.onKnown(a, [[0, 1, a, false]])
  assert.equal(voter.known(), [[0, 1, b, false]])
  voter.onBeat(b, { held: [], claims: [] })
  voter.onBeat(a, claim(1))
  assert.equal(voter.known(), [[0, 1, a, false]])
  voter.onBeat(b, claim(2))
  assert.equal(voter.known(), [[0, 2, b, false]])
})

test('with a quorum, two that hear each other only by way of a third never have one term both', () => {
  const village = new Village({ quorum: true })
  const [a, b, c] = ['a', 'b', 'c'].map((id) => village.add(id)) as [Villager, Villager, Villager]
  const look = oneTerm(village)
  village.pass(15_000, look)
  const apart = [a.id, b.id]
  village.lag = (from, to) => (apart.includes(from) && apart.includes(to) ? 1e9 : 0)
  for (const sleepMs of [12_000, 11_300, 12_700]) {
    c.asleep = true
    village.pass(sleepMs, look)
    c.asleep = false
    village.pass(12_000, look)
  }
  village.lag = () => 0
  village.pass(20_000, look)
  oneEach(village)
})

test('with a quorum, whoever does not hear a holder leaves it what it has, as long as others hear it', () => {
  const village = new Village({ quorum: true })
  const [a, b] = ['a', 'b', 'c'].map((id) => village.add(id)) as [Villager, Villager, Villager]
  const look = oneTerm(village)
  village.pass(15_000, look)
  const own = slots.filter((slot) => village.deliverers(slot)[0] === a)
  village.lag = (from, to) => (from === a.id && to === b.id ? 1e9 : 0)
  village.pass(40_000, () => {
    look()
    for (const slot of own) assert.equal(village.deliverers(slot), [a])
  })
  village.lag = () => 0
  village.pass(20_000, look)
  oneEach(village)
})

test('with a quorum, what a voter had heard must be known to who is granted a claim by its vote', () => {
  const village = new Village({ quorum: true })
  const [a, b] = ['a', 'b', 'c'].map((id) => village.add(id)) as [Villager, Villager, Villager]
  village.pass(15_000)
  const own = slots.filter((slot) => village.deliverers(slot)[0] === a)
  // What it acknowledged in its last seconds comes late to one of the two that are left.
  const diesAt = village.now + 3_000
  village.lag = (from, to) => (from === a.id && to === b.id ? 25_000 : 0)
  village.pass(3_000)
  village.remove(a)
  const lacksUntil = diesAt + 24_000
  village.pass(24_000, () => {
    for (const slot of own) assert.not(village.now < lacksUntil && village.deliverers(slot).includes(b))
  })
  village.pass(20_000)
  oneEach(village)
})

test('newcomers cannot make a minority a majority', () => {
  const village = new Village({ quorum: true })
  for (const id of ['a', 'b', 'c', 'd', 'e']) village.add(id)
  village.pass(25_000)
  village.side = (id) => ('abxyzuvw'.includes(id) ? 1 : 0)
  for (const id of ['x', 'y', 'z', 'u', 'v', 'w']) village.add(id)
  village.pass(30_000)
  for (const slot of slots) {
    const [only, ...others] = village.deliverers(slot)
    assert.ok(only !== undefined && others.length === 0 && 'cde'.includes(only.id))
  }
})

test('two that change the list of voters apart from each other never have a majority each', () => {
  const village = new Village({ quorum: true })
  for (const id of ['a', 'b', 'c', 'd']) village.add(id)
  const look = oneTerm(village)
  village.pass(15_000, look)
  // Whoever edits the list is cut off, and admits somebody before it knows of that; the others have lost it, and do so too.
  village.side = (id) => ('ax'.includes(id) ? 1 : 0)
  village.add('x')
  village.pass(1_500, look)
  village.add('y')
  village.pass(12_000, look)
  assert.ok(village.villagers.find(({ id }) => id === 'b')?.roster.voters?.peers.includes('y' as PeerId))
  // Three of five by either list.
  village.side = (id) => ('acx'.includes(id) ? 1 : 0)
  village.pass(5_000, look)
  village.pass(25_000, () => {
    look()
    const entitled = village.villagers.filter(({ roster }) => roster.isEntitled(village.now)).map(({ id }) => id)
    assert.equal(entitled, ['b', 'd', 'y'])
  })
  village.heal()
  village.pass(15_000, look)
  oneEach(village)
})

test('voters that crashed are dropped one after the other, so that the rest can lose more', () => {
  const village = new Village({ quorum: true })
  for (const id of ['a', 'b', 'c', 'd', 'e']) village.add(id)
  village.pass(25_000)
  for (const id of ['d', 'e']) village.remove(village.villagers.find((one) => one.id === id) as Villager)
  village.pass(80_000)
  assert.equal(village.villagers[0]?.roster.voters?.peers, ['a', 'b', 'c'])
  village.remove(village.villagers[0] as Villager)
  village.pass(15_000)
  assert.equal(shares(village), [32, 32])
})

test('voters that all leave first make those voters who stay', () => {
  const village = new Village({ quorum: true })
  const [a, b, c] = ['a', 'b', 'c'].map((id) => village.add(id)) as [Villager, Villager, Villager]
  c.roster.leave()
  village.pass(10_000)
  assert.equal(a.roster.voters?.peers, ['a', 'b'])
  c.roster.enter(village.now)
  a.roster.leave()
  b.roster.leave()
  // A list of nobody would take from `c` what it was granted by then.
  village.pass(15_000, () => assert.ok(a.roster.voters?.peers.length))
  assert.equal(c.roster.voters?.peers, ['c'])
  assert.equal(shares(village), [0, 0, 64])
})

test('the last voter keeps what somebody works on until it is done, also when it leaves', () => {
  const village = new Village({ quorum: true })
  const a = village.add('a')
  village.pass(10_000)
  village.busy = (_, slot) => slot === 7
  a.roster.leave()
  village.pass(12_000)
  assert.not(a.effects.some((effect) => effect.type === 'lost' && effect.slot === 7))
  assert.ok(a.roster.ackTermOf(7, village.now) !== undefined)
  village.busy = () => false
  village.pass(3_000)
  assert.ok(a.roster.hasLeft(village.now))
})

test('who is made a voter as it leaves stays until it is none any more', () => {
  const village = new Village({ quorum: true })
  const a = village.add('a')
  village.pass(10_000)
  // Each moment between two beats once.
  for (let ms = 100; ms <= 1_200; ms += 100) {
    const b = village.add('b')
    village.pass(ms)
    b.roster.leave()
    for (let waited = 0; !b.roster.hasLeft(village.now); waited += 100) {
      assert.ok(waited < 4_000)
      village.pass(100)
    }
    village.remove(b)
    village.pass(6_000)
    assert.equal(a.roster.voters?.peers, ['a'])
    assert.equal(shares(village), [64])
  }
})

test('when all voters have left, the group begins anew', () => {
  const village = new Village({ quorum: true })
  const both = [village.add('a'), village.add('b')]
  village.pass(10_000)
  for (const { roster } of both) roster.leave()
  village.pass(6_000)
  assert.ok(both.every(({ roster }) => roster.hasLeft(village.now)))
  assert.equal(both[0]?.roster.voters?.peers, [])
})

/** What may happen to a village, a second to some seconds apart. */
const happening = fc.record({
  after: fc.integer({ min: 200, max: 9_000 }),
  who: fc.nat({ max: 3 }),
  what: fc.constantFrom('sleep', 'wake', 'restart', 'leave', 'enter'),
})

function live(quorum: boolean, story: { after: number; who: number; what: string }[], delays: number[], cuts: boolean) {
  let at = 0
  const village = new Village({ quorum }, () => delays[at++ % delays.length] ?? 10)
  for (const id of ['a', 'b', 'c', 'd']) village.add(id)
  const highest = new Map<number, number>()
  const look = () => {
    for (const slot of slots) {
      const holders = village.deliverers(slot)
      assert.ok(holders.length <= 1, `slot ${slot} is held by ${holders.map(({ id }) => id)} at ${village.now}`)
      const term = holders[0]?.roster.termOf(slot, village.now) ?? 0
      if (term === 0) continue
      assert.ok(term >= (highest.get(slot) ?? 0), `the term of slot ${slot} went back to ${term}`)
      highest.set(slot, term)
    }
  }
  for (const { after, who, what } of story) {
    village.pass(after, look)
    const villager = village.villagers.find(({ id }) => id === 'abcd'[who])
    if (villager === undefined) continue
    if (cuts && what === 'leave') village.side = (id) => (id <= villager.id ? 0 : 1)
    else if (cuts && what === 'enter') village.heal()
    else if (what === 'sleep') villager.asleep = true
    else if (what === 'wake') villager.asleep = false
    else if (what === 'leave') villager.roster.leave()
    else if (what === 'enter') villager.roster.enter(village.now)
    else {
      village.remove(villager)
      village.add(villager.id)
    }
  }
  for (const villager of village.villagers) {
    villager.asleep = false
    villager.roster.enter(village.now)
  }
  village.heal()
  village.pass(40_000, look)
  oneEach(village)
}

const delays = fc.array(fc.integer({ min: 5, max: 700 }), { minLength: 1, maxLength: 20 })

test('in a connected mesh no two members deliver a slot at once and no term goes back, whoever sleeps, dies and comes', () => {
  fc.assert(
    fc.property(fc.array(happening, { maxLength: 12 }), delays, (story, some) => live(false, story, some, false)),
    { numRuns: 25, seed: 4 },
  )
})

test('with a quorum neither happens under partitions', () => {
  fc.assert(
    fc.property(fc.array(happening, { maxLength: 12 }), delays, (story, some) => live(true, story, some, true)),
    { numRuns: 25, seed: 4 },
  )
})

test.run()
