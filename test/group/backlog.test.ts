import fc from 'fast-check'
import * as assert from 'uvu/assert'
import { Backlog, type Delivery, type Entry } from '../../node/group/backlog.ts'
import type { FeedId } from '../../node/types.ts'
import { suite } from '../helper/suite.ts'

const test = suite('group')
const feed = 'aa'.repeat(16) as FeedId
const entry = (index: number, lane = `${index}`, slot = 0): Entry => ({
  slot,
  feed,
  index,
  from: index,
  offset: index,
  lane,
  seq: index + 1,
  time: index,
})
const ours = () => 7
const never = () => 0
const take = (backlog: Backlog, most = 100) => backlog.take(most, ours, never)
const indexes = (deliveries: readonly Delivery[]) => deliveries.map(({ index }) => index)

function filled(...entries: Entry[]): Backlog {
  const backlog = new Backlog()
  for (const one of entries) backlog.add(one)
  return backlog
}

test('records come in the order of the log, once, and with their term and attempt', () => {
  const backlog = filled(entry(0), entry(1), entry(2), entry(1))
  const [first] = backlog.take(1, ours, () => 3)
  assert.equal([first?.index, first?.attempt, first?.term], [0, 4, 7])
  assert.equal(indexes(take(backlog)), [1, 2])
  assert.equal(take(backlog), [])
})

test('of a lane one record is on its way, and the next comes when it is done', () => {
  const backlog = filled(entry(0, 'k'), entry(1, 'k'), entry(2, 'other'))
  const [first, other] = take(backlog)
  assert.equal([first?.index, other?.index], [0, 2])
  assert.equal(take(backlog), [])
  backlog.done(feed, 0)
  assert.equal(indexes(take(backlog)), [1])
})

test('what is given back comes again before what follows it in its lane', () => {
  const backlog = filled(entry(0, 'k'), entry(1, 'k'))
  const [first] = take(backlog) as [Delivery]
  assert.ok(backlog.handOut(first, 100))
  assert.ok(backlog.giveBack(first, 500))
  assert.equal(take(backlog), [], 'not before its time')
  assert.is(backlog.nextAt(), 500)
  backlog.expire(499)
  assert.equal(take(backlog), [])
  assert.equal(backlog.expire(500), [], 'nobody had it')
  assert.equal(indexes(take(backlog)), [0])
})

test('what somebody had goes first, and then what waited for its time', () => {
  const backlog = filled(entry(0), { ...entry(1), notBefore: 500 }, entry(2), entry(3), entry(4))
  const [returned, expired, refused] = backlog.take(3, ours, never) as [Delivery, Delivery, Delivery]
  for (const delivery of [returned, expired, refused]) backlog.handOut(delivery, 400)
  backlog.giveBack(returned)
  backlog.giveBack(refused, 0, true)
  backlog.expire(500)
  assert.equal(indexes(take(backlog)), [0, 2, 1, 4, 3], 'but what its consumer refused goes behind')
})

test('of a slot that is taken over, what its last holder had handed out goes first', () => {
  const backlog = filled(entry(6), entry(7))
  for (let index = 0; index < 6; index++) backlog.add({ ...entry(index), isTried: index > 3 })
  assert.equal(indexes(take(backlog)), [4, 5, 0, 1, 2, 3, 6, 7])
})

test('what is not settled in time goes back, and its delivery is worth nothing any more', () => {
  const backlog = filled(entry(0))
  const [first] = take(backlog) as [Delivery]
  backlog.handOut(first, 100)
  assert.ok(backlog.extend(first, 200))
  assert.equal(backlog.expire(150), [])
  assert.equal(indexes(backlog.expire(200)), [0])
  assert.not.ok(backlog.isOut(first))
  const [second] = backlog.take(1, ours, () => 1) as [Delivery]
  backlog.handOut(second, 400)
  assert.equal([backlog.isOut(first), backlog.isOut(second)], [false, true])
  assert.not.ok(backlog.giveBack(first))
})

test('a slot is busy while records of it are on their way, and dropping it drops all of them', () => {
  const backlog = filled(entry(0, 'a', 1), entry(1, 'b', 2), entry(2, 'a', 1))
  const both = take(backlog) as [Delivery, Delivery]
  const [one] = both
  assert.not.ok(backlog.isBusy(1), 'nobody has asked for it yet')
  for (const each of both) backlog.handOut(each, 100)
  assert.equal([backlog.isBusy(1), backlog.isBusy(2), backlog.isBusy(3)], [true, true, false])
  backlog.drop(1)
  assert.equal([backlog.isBusy(1), backlog.isBusy(2), backlog.isIdle, backlog.size], [false, true, false, 1])
  assert.not.ok(backlog.handOut(one, 100))
  backlog.done(feed, 1)
  assert.ok(backlog.isIdle)
})

test('a slot under no term gives nothing', () => {
  const backlog = filled(entry(0, 'a', 1), entry(1, 'b', 2))
  assert.equal(indexes(backlog.take(9, (slot) => (slot === 2 ? 1 : undefined), never)), [1])
})

test('whatever consumers do, each lane is in order, one at a time, and nothing is forgotten', () => {
  const step = fc.record({
    what: fc.constantFrom('take', 'out', 'done', 'back', 'delay', 'expire', 'shrink'),
    which: fc.nat({ max: 20 }),
  })
  fc.assert(
    fc.property(
      fc.array(fc.nat({ max: 3 }), { minLength: 1, maxLength: 25 }),
      fc.array(step, { maxLength: 80 }),
      (lanes, steps) => {
        const backlog = new Backlog()
        const done = new Set<number>()
        const read = () => {
          for (const [i, lane] of lanes.entries()) if (!done.has(i)) backlog.add(entry(i, `lane ${lane}`))
        }
        read()
        let held: Delivery[] = []
        let now = 0
        const look = () => {
          const seen = new Set<number | undefined>()
          for (const { index } of held) {
            const lane = lanes[index]
            assert.not.ok(seen.has(lane), 'two of one lane')
            seen.add(lane)
            assert.ok(
              lanes.every((other, i) => other !== lane || i >= index || done.has(i)),
              'out of order',
            )
          }
        }
        for (const { what, which } of steps) {
          now += 10
          const one = held[which % Math.max(1, held.length)]
          if (what === 'take') held.push(...take(backlog, which))
          else if (what === 'expire') {
            const gone = new Set(indexes(backlog.expire(now)))
            held = held.filter(({ index }) => !gone.has(index))
          } else if (what === 'shrink') {
            backlog.shrink(which)
            if (which % 2 === 0) read()
          } else if (one !== undefined && what === 'out') backlog.handOut(one, now + 30)
          else if (one !== undefined) {
            if (what === 'done') backlog.done(feed, one.index)
            else assert.ok(backlog.giveBack(one, what === 'delay' ? now + 50 : 0))
            if (what === 'done') done.add(one.index)
            held = held.filter((other) => other !== one)
          }
          look()
        }
        for (const one of held) backlog.giveBack(one)
        read()
        for (let rounds = 0; rounds <= lanes.length; rounds++) {
          backlog.expire(now + 1_000)
          for (const { index } of take(backlog)) {
            done.add(index)
            backlog.done(feed, index)
          }
        }
        assert.is(done.size, lanes.length)
        assert.equal([backlog.size, backlog.nextAt(), backlog.isIdle], [0, undefined, true])
      },
    ),
  )
})

test('what waits for its time takes no room, keeps its lane waiting, and is ready then', () => {
  const backlog = filled({ ...entry(0, 'k'), notBefore: 500 }, entry(1, 'k'), entry(2))
  assert.equal([backlog.size, backlog.delayed, backlog.nextAt()], [2, 1, 500])
  assert.equal(indexes(take(backlog)), [2])
  assert.equal(backlog.expire(500), [], 'nobody had it')
  assert.equal([backlog.size, backlog.delayed], [3, 0])
  assert.equal(indexes(take(backlog)), [0])
  backlog.done(feed, 0)
  assert.equal(indexes(take(backlog)), [1])
})

test('what waits for its time may get another, and nothing else does', () => {
  const backlog = filled({ ...entry(0), notBefore: 500 }, entry(1))
  assert.not(backlog.retime(feed, 1, 900), 'its time has come')
  assert.not(backlog.retime(feed, 2, 900), 'it is not here')
  const [other] = take(backlog) as [Delivery]
  backlog.handOut(other, 700)
  assert.not(backlog.retime(feed, 1, 900), 'somebody has it')
  assert.ok(backlog.retime(feed, 0, 100))
  assert.equal([backlog.nextAt(), backlog.delayed], [100, 1])
  backlog.expire(100)
  assert.equal([indexes(take(backlog)), backlog.delayed], [[0], 0])
})

test('a later record of a lane whose time comes does not pass the one before it', () => {
  const backlog = filled(entry(0, 'k'), { ...entry(1, 'k'), notBefore: 500 })
  assert.equal(indexes(take(backlog)), [0])
  backlog.expire(600)
  assert.equal(take(backlog), [])
  backlog.done(feed, 0)
  assert.equal(indexes(take(backlog)), [1])
})

test('what is furthest back in the log gives way, and what somebody has or had does not', () => {
  const backlog = filled(...Array.from({ length: 10 }, (_, i) => entry(i, `${i % 5}`)))
  const [one, other] = take(backlog, 2) as [Delivery, Delivery]
  backlog.giveBack(one)
  backlog.shrink(3)
  assert.is(backlog.size, 3)
  assert.ok([0, 1, 2].every((index) => backlog.has(feed, index)))
  backlog.shrink(0)
  assert.equal([backlog.has(feed, 0), backlog.has(feed, other.index), backlog.size], [true, true, 2])
  for (let i = 0; i < 10; i++) backlog.add(entry(i, `${i % 5}`))
  assert.equal(indexes(take(backlog)), [0, 2, 3, 4])
})

test('more urgent records go first, and every tenth is the one that waits longest', () => {
  const backlog = filled({ ...entry(0), priority: 0 }, ...Array.from({ length: 30 }, (_, i) => entry(i + 1)))
  for (let i = 31; i < 50; i++) backlog.add({ ...entry(i), priority: 9 })
  const order = indexes(take(backlog))
  assert.equal(order.slice(0, 12), [31, 32, 33, 34, 35, 36, 37, 38, 39, 0, 40, 41])
  assert.is(new Set(order).size, 50)
  // One at a time is no different.
  const other = filled({ ...entry(0), priority: 0 })
  for (let i = 1; i < 20; i++) other.add({ ...entry(i), priority: 9 })
  assert.is(Array.from({ length: 20 }, () => take(other, 1)[0]?.index).indexOf(0), 9)
})

test.run()
