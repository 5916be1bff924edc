/** Moving a whole group: what all members come to know of it, and what they hand out then. */
import fc from 'fast-check'
import * as assert from 'uvu/assert'
import { Backlog, type Delivery, type Entry } from '../../node/group/backlog.ts'
import { Indexes } from '../../node/group/indexes.ts'
import { Ledger } from '../../node/group/ledger.ts'
import type { Era, Notice } from '../../node/group/notice.ts'
import type { FeedId, GroupPosition, GroupRecord, PeerId } from '../../node/types.ts'
import { type SimulatedPeer, simulate } from '../../sim/index.ts'
import { refusal } from '../helper/refusal.ts'
import { suite } from '../helper/suite.ts'
import { jobs, place } from './members.ts'
import { type Handle, numbers, Shift } from './shift.ts'

const test = suite('seek')
const slow = { deadlineMs: 90_000 }
const feed = 'aa'.repeat(16) as FeedId
const [ann, bob] = ['ann', 'bob'] as [PeerId, PeerId]

const topicOf = (one: SimulatedPeer) => one.topic<number>('jobs')
const sorted = (values: Iterable<number>) => [...values].sort((x, y) => x - y)
const upTo = (count: number, from = 0) => numbers(count, from).map(({ value }) => value)

type Work = Extract<Notice, { type: 'work' }>
type Fact = { seek: Era } | { work: Work; by: PeerId } | { sum: Work; era: Era | undefined }

const eras = [1, 2].flatMap((time) => [ann, bob].map((by): Era => [time, by]))
const startOf = ([time, by]: Era) => ({ since: time * 10 + (by === ann ? 0 : 1), skip: {} })
const era = fc.constantFrom(undefined, ...eras)
const work: fc.Arbitrary<Work> = fc
  .record({ slot: fc.nat({ max: 2 }), index: fc.nat({ max: 9 }), count: fc.integer({ min: 1, max: 3 }), era })
  .map(({ slot, index, count, era }) => ({
    type: 'work',
    feeds: [[feed, [[0, count, new Indexes(index)]], [[slot, index, new Indexes(index + count - 1)]]]],
    ...(era && { era }),
  }))
const fact: fc.Arbitrary<Fact> = fc.oneof(
  fc.constantFrom(...eras).map((seek) => ({ seek })),
  fc.record({ work, by: fc.constantFrom(ann, bob) }),
  fc.record({ sum: work, era }),
)

function ledgerOf(facts: readonly Fact[]): Ledger {
  const ledger = new Ledger({ me: ann, onDone: () => [], onTwice: () => undefined })
  for (const known of facts) {
    if ('seek' in known) {
      const [time, by] = known.seek
      ledger.onSeek({ time, by, start: startOf(known.seek) })
    } else if ('work' in known) ledger.onWork(known.work, known.by)
    else {
      const other = ledgerOf([{ work: { ...known.sum, ...(known.era && { era: known.era }) }, by: bob }])
      const sought = known.era && { time: known.era[0], by: known.era[1], start: startOf(known.era) }
      if (sought !== undefined) {
        other.onSeek(sought)
        ledger.onSeek(sought)
      }
      ledger.onSum({ progress: other.progress.state(), sought: sought })
    }
  }
  return ledger
}

/** In one form, whatever came first. */
function shown({ era, start, progress }: Ledger): unknown {
  const { feeds, attempts } = progress.state()
  const known = Object.entries(feeds).filter(([, { all, slots }]) => all > 0 || slots.length > 0)
  return { era, start, feeds: known, attempts: attempts.map((attempt) => attempt.join()).sort() }
}

test('in whatever order and however often seeks, work and sums are told, all come to know the same', () => {
  const facts = fc.array(fact, { maxLength: 20 })
  fc.assert(
    fc.property(facts, facts, (some, others) => {
      const together = shown(ledgerOf([...some, ...others]))
      assert.equal(shown(ledgerOf([...others, ...some])), together)
      assert.equal(shown(ledgerOf([...some, ...others, ...some].reverse())), together)
    }),
  )
})

test('the latest seek counts, and of what was done only that which was done after it', () => {
  const done = (era: Era | undefined, index: number): Fact => ({
    work: { type: 'work', feeds: [[feed, [], [[0, index, new Indexes(index)]]]], ...(era && { era }) },
    by: bob,
  })
  const ledger = ledgerOf([
    done(undefined, 0),
    done([2, ann], 1),
    { seek: [1, bob] },
    done([1, bob], 2),
    { seek: [2, ann] },
    { seek: [1, ann] },
    done([1, bob], 3),
    done(undefined, 4),
  ])
  assert.equal(ledger.start, startOf([2, ann]))
  assert.equal(
    [0, 1, 2, 3, 4].filter((index) => ledger.progress.isDone(0, feed, index)),
    [1],
  )
})

const entry = (index: number, lane = `${index}`): Entry => {
  return { slot: 0, feed, index, from: index, offset: index, lane, seq: index + 1, time: index }
}
const take = (backlog: Backlog) =>
  backlog.take(
    100,
    () => 7,
    () => 0,
  )

test('what is out when the group is moved stays out, all else is read again, and what comes back takes its place', () => {
  const backlog = new Backlog()
  for (const index of [5, 6]) backlog.add(entry(index, 'k'))
  backlog.add(entry(7))
  const [held] = take(backlog) as [Delivery, Delivery]
  backlog.handOut(held, 100)
  backlog.renew(() => true)
  assert.equal([backlog.size, backlog.isOut(held), backlog.isOfBefore(held)], [1, true, true])
  for (const index of [3, 4, 5, 6]) backlog.add(entry(index, 'k'))
  assert.equal(take(backlog), [], 'one of a key at a time')
  backlog.giveBack(held)
  const order: number[] = []
  for (let [next] = take(backlog); next !== undefined; [next] = take(backlog)) {
    order.push(next.index)
    backlog.done(feed, next.index)
  }
  assert.equal(order, [3, 4, 5, 6])
})

test('what the group was moved past does not come again, and a delivery of before is no proof for one of now', () => {
  const backlog = new Backlog()
  for (const index of [1, 2]) backlog.add(entry(index))
  const held = take(backlog)
  for (const delivery of held) backlog.handOut(delivery, 100)
  backlog.renew(({ index }) => index === 2)
  for (const delivery of held) assert.ok(backlog.giveBack(delivery))
  const [again, ...others] = take(backlog) as [Delivery, ...Delivery[]]
  assert.equal([again.index, others], [2, []])
  backlog.handOut(again, 100)
  const [, before] = held as [Delivery, Delivery]
  assert.equal([before.attempt, before.term], [again.attempt, again.term])
  assert.equal([backlog.isOut(before), backlog.isOut(again)], [false, true])
})

test('what comes back after the group was moved is acknowledged alone, whatever lay before it then', () => {
  const backlog = new Backlog()
  backlog.add({ ...entry(5), from: 0 })
  const [held] = take(backlog) as [Delivery]
  backlog.handOut(held, 100)
  backlog.renew(() => true)
  backlog.giveBack(held)
  for (const index of [3, 5]) backlog.add({ ...entry(index), from: 0 })
  assert.equal(
    take(backlog).map(({ index, from }) => [index, from]),
    [
      [5, 5],
      [3, 0],
    ],
  )
})

test('what a consumer has when the group is moved is its, and done when it says so; nothing else is', async ({
  use,
}) => {
  const { peer, pass } = await place()
  const a = peer(1)
  use(a.groups)
  const group = a.group({ type: 'failover' })
  const got: GroupRecord<number>[] = []
  const consume = async (count: number, settle: (record: GroupRecord<number>) => Promise<void>) => {
    for await (const record of group.consume()) {
      got.push(record)
      await settle(record)
      if (got.length === count) return
    }
  }
  void consume(12, (record) => record.ack())
  for (let i = 0; i < 11; i++) await a.publish(i)
  await pass(15_000)
  await a.publish(11)
  await pass(5_000)
  // By now one mark says that all of these are done: what is handed out next is told to follow on it.
  for (let i = 12; i < 16; i++) await a.publish(i)
  const held = Promise.withResolvers<void>()
  void consume(Number.POSITIVE_INFINITY, async (record) => {
    if (got.length === 13) await held.promise
    await record.ack()
  })
  await pass(5_000)
  assert.equal(
    got.map(({ value }) => value),
    upTo(13),
  )
  const seeking = group.seek('earliest')
  await pass(1_000)
  await seeking
  held.resolve()
  await pass(2_000)
  assert.equal(
    got.slice(13).map(({ value, attempt }) => [value, attempt]),
    [...upTo(12), 13, 14, 15].map((value) => [value, 1]),
  )
  assert.is((await group.status()).lag, 0)
})

test('of seeks that one member is asked for at once the last counts', async ({ use }) => {
  const { peer, pass, clock } = await place()
  const a = peer(1)
  use(a.groups)
  const group = a.group({ type: 'failover' })
  for (let i = 0; i < 5; i++) await a.publish(i)
  await pass(1_000)
  const later = new Date(clock.now() + 60_000)
  const lagAfter = async (...to: GroupPosition[]) => {
    const seeking = Promise.all(to.map((position) => group.seek(position)))
    await pass(1_000)
    await seeking
    return (await group.status()).lag
  }
  assert.is(await lagAfter(later, 'earliest'), 5)
  assert.is(await lagAfter('earliest', later), 0)
  assert.is(await lagAfter(later, 'earliest', later, 'earliest'), 5)
})

test('where a group may be moved to is checked', async ({ use }) => {
  const { peer } = await place()
  const a = peer(1)
  use(a.groups)
  for (const wrong of ['yesterday', 7, new Date(Number.NaN), undefined])
    assert.is((await refusal(a.group().seek(wrong as GroupPosition))).code, 'InvalidOption')
  assert.throws(() => a.groups.group(jobs, 'other', { from: new Date(Number.NaN) }, undefined as never), /from/)
})

test('a group that is moved to the earliest record hands out everything once more, whoever had it', () =>
  simulate({ peers: 4 }, async (world) => {
    const shift = new Shift(world)
    const [a, ...workers] = world.peers
    for (const one of workers) shift.begin(one)
    await topicOf(a).publishMany(numbers(100))
    await shift.over(world, a, 100)
    await shift.group(a).seek('earliest')
    assert.ok((await shift.status(a)).lag > 0)
    await world.until(async () => shift.handed.length === 200 && (await shift.status(a)).lag === 0)
    await world.sleep(10_000)
    assert.equal(sorted(shift.handed.map(({ value }) => value)), sorted([...upTo(100), ...upTo(100)]))
    for (const { deliveredTwice, lag } of await Promise.all(world.peers.map((one) => shift.status(one))))
      assert.equal([deliveredTwice, lag], [[], 0], 'once more is not twice')
  }))

test('moved to the latest it leaves out all that is there, and to a date what was published before', () =>
  simulate({ peers: 4, seed: 2 }, async (world) => {
    const shift = new Shift(world)
    const [a, b, c, d] = world.peers
    await topicOf(a).publishMany(numbers(30))
    await world.sleep(5_000)
    const between = new Date(Date.now())
    await world.sleep(5_000)
    await topicOf(d).publishMany(numbers(20, 30))
    const slowly: Handle = async (record) => {
      await world.sleep(500)
      await record.ack()
    }
    for (const one of [b, c]) shift.begin(one, slowly, 1)
    await world.until(() => shift.handed.length >= 6)
    await shift.group(c).seek('latest')
    const before = shift.handed.length
    await topicOf(a).publish(99)
    await world.until(() => shift.acked.has(99))
    await world.sleep(10_000)
    assert.ok(shift.handed.length <= before + 3, 'but what they had, or were about to get')
    assert.is((await shift.status(a)).lag, 0)
    const sought = shift.handed.length
    await shift.group(d).seek(between)
    await world.until(async () => (await shift.status(d)).lag === 0)
    await world.sleep(2_000)
    assert.equal(sorted(shift.handed.slice(sought).map(({ value }) => value)), [...upTo(20, 30), 99])
  }))

test('a new group may begin at a date', () =>
  simulate({ peers: 3, seed: 3 }, async (world) => {
    const [a, b, c] = world.peers
    await topicOf(a).publishMany(numbers(10))
    await world.sleep(5_000)
    const shift = new Shift(world, { from: new Date(Date.now()) })
    await world.sleep(5_000)
    await topicOf(b).publishMany(numbers(10, 10))
    shift.begin(c)
    await world.until(() => shift.acked.size === 10)
    await world.sleep(3_000)
    assert.equal(sorted(shift.of(c)), upTo(10, 10))
    assert.is((await shift.status(a)).lag, 0)
    const [group] = await b.groups('jobs')
    assert.is(group?.lag, 0)
  }))

test('who takes over after a seek goes on from there, and so does who comes back', () =>
  simulate({ peers: 4, seed: 4 }, async (world) => {
    const shift = new Shift(world, { type: 'key-shared' })
    const [a, b, c, d] = world.peers
    for (const one of [b, c]) shift.begin(one)
    await topicOf(a).publishMany(numbers(60, 0, (value) => `key ${value % 10}`))
    await shift.over(world, a, 60)
    await shift.group(b).seek('earliest')
    await world.until(() => shift.handed.length >= 80)
    await b.crash()
    await world.until(async () => (await shift.status(a)).lag === 0)
    const again = shift.handed.slice(60)
    assert.equal(sorted(new Set(again.map(({ value }) => value))), upTo(60))
    // What b had acknowledged and nobody had heard of.
    assert.ok(again.length <= 70, `${again.length} for 60`)
    const all = shift.handed.length
    shift.begin(d)
    await b.restart()
    await c.crash('power')
    await world.sleep(15_000)
    await c.restart()
    await world.sleep(15_000)
    assert.is(shift.handed.length, all)
    for (const one of [a, b, c, d]) assert.is((await shift.status(one)).lag, 0)
    await topicOf(a).publishMany(numbers(20, 60, (value) => `key ${value % 10}`))
    await shift.over(world, a, 80)
    assert.is(shift.handed.length, all + 20)
  }))

test('who sleeps through a seek, and through the takeover of its slots, changes nothing that was done since', () =>
  simulate({ peers: 4, seed: 8 }, async (world) => {
    const shift = new Shift(world)
    const [a, b, c, d] = world.peers
    const woken = Promise.withResolvers<void>()
    shift.begin(b, async (record) => {
      if (record.value >= 40) await woken.promise
      await record.ack()
    })
    shift.begin(c)
    await topicOf(a).publishMany(numbers(40))
    await shift.over(world, a, 40)
    await topicOf(a).publishMany(numbers(40, 40))
    await world.until(() => shift.of(b).some((value) => value >= 40))
    await b.pause()
    await world.sleep(500)
    await shift.group(d).seek('earliest')
    const sought = shift.handed.length
    await world.until(async () => (await shift.status(d)).lag === 0)
    await b.resume()
    woken.resolve()
    await world.sleep(15_000)
    assert.equal(sorted(shift.handed.slice(sought).map(({ value }) => value)), upTo(80))
    for (const one of world.peers) assert.is((await shift.status(one)).lag, 0)
    await topicOf(a).publishMany(numbers(20, 80))
    await shift.over(world, a, 100)
    assert.ok(
      shift.of(b).some((value) => value >= 80),
      'and takes part again',
    )
  }))

test('a seek lasts when all members were gone, and what was done after it', () =>
  simulate({ peers: 3, seed: 5 }, async (world) => {
    const shift = new Shift(world)
    const [a, b, c] = world.peers
    await topicOf(a).publishMany(numbers(20))
    shift.begin(b)
    await shift.over(world, b, 20)
    await shift.group(c).seek('latest')
    await topicOf(a).publishMany(numbers(5, 20))
    await shift.over(world, b, 25)
    await shift.group(c).seek('earliest')
    await world.until(() => shift.handed.length >= 30)
    for (const one of [a, b, c]) await one.crash()
    await world.sleep(20_000)
    for (const one of [a, c]) await one.restart()
    shift.begin(c)
    await world.until(async () => (await shift.status(c)).lag === 0)
    assert.equal(sorted(new Set(shift.handed.slice(25).map(({ value }) => value))), upTo(25))
    assert.ok(shift.handed.length <= 60, `${shift.handed.length}`)
  }))

test(
  'of seeks on both sides of a partition the latest counts for all members once they meet',
  () =>
    simulate({ peers: 4, seed: 6 }, async (world) => {
      const shift = new Shift(world)
      const [a, b, c, d] = world.peers
      for (const one of world.peers) shift.begin(one)
      await topicOf(a).publishMany(numbers(40))
      await shift.over(world, a, 40)
      for (const one of world.peers) await world.until(async () => (await shift.status(one)).lag === 0)
      await world.partition([a, b], [c, d])
      await world.sleep(10_000)
      await shift.group(c).seek('latest')
      await world.sleep(2_000)
      await shift.group(a).seek('earliest')
      await world.until(() => shift.handed.length === 80)
      const near = shift.handed.slice(40)
      assert.ok(near.every(({ by }) => by === a.name || by === b.name))
      await world.sleep(2_000)
      await world.heal()
      await world.converged()
      await world.sleep(20_000)
      assert.equal(sorted(near.map(({ value }) => value)), upTo(40))
      assert.is(shift.handed.length, 80, 'the side whose seek was earlier takes over what was done after the later one')
      for (const one of world.peers) assert.is((await shift.status(one)).lag, 0)

      await world.partition([a, b], [c, d])
      await world.sleep(10_000)
      await shift.group(b).seek('earliest')
      await world.until(() => shift.handed.length === 120)
      const between = new Date(Date.now())
      await topicOf(c).publishMany(numbers(10, 100), { confirm: 1 })
      await world.until(() => shift.handed.length === 130)
      await shift.group(d).seek(between)
      await world.until(() => shift.handed.length === 140)
      await world.heal()
      await world.converged()
      await world.sleep(20_000)
      // The near side hears of the far one's records before it hears that they are done: those alone may come twice, as in any partition.
      const twice = shift.handed.slice(140)
      assert.ok(
        twice.every(({ value, by }) => value >= 100 && (by === a.name || by === b.name)),
        JSON.stringify(twice),
      )
      for (const one of world.peers) assert.is((await shift.status(one)).lag, 0)
      await topicOf(a).publishMany(numbers(10, 200))
      await world.until(() => shift.handed.length === 150 + twice.length)
    }),
  slow,
)

test(
  'with a quorum the side that has it hears of a seek on the other when they meet',
  () =>
    simulate({ peers: 5, seed: 7 }, async (world) => {
      const shift = new Shift(world, { quorum: true })
      const [a, b, c, d, e] = world.peers
      for (const one of world.peers) shift.begin(one)
      await topicOf(a).publishMany(numbers(40))
      await shift.over(world, a, 40)
      await world.sleep(10_000)
      await world.partition([a, b], [c, d, e])
      await world.sleep(10_000)
      await shift.group(a).seek('earliest')
      await world.sleep(10_000)
      assert.is(shift.handed.length, 40, 'the minority hands nothing out')
      await world.heal()
      await world.until(async () => shift.handed.length === 80 && (await shift.status(e)).lag === 0)
      await world.sleep(10_000)
      assert.is(shift.handed.length, 80)
    }),
  slow,
)

test.run()
