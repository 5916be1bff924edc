import * as fc from 'fast-check'
import * as assert from 'uvu/assert'
import { limits } from '../../node/limits.ts'
import { Cursor, type CursorState, parseCursorState } from '../../node/topic/cursor.ts'
import type { FeedId } from '../../node/types.ts'
import { suite } from '../helper/suite.ts'

const test = suite('topic')
const [a, b] = ['aa', 'bb'].map((byte) => byte.repeat(16) as FeedId) as [FeedId, FeedId]

/** The same as plain sets. */
class Model {
  readonly done = new Map<FeedId, Set<number>>()
  readonly skips = new Map<FeedId, number>()
  since = 0

  mark(feed: FeedId, from: number, to: number): void {
    const set = this.done.get(feed) ?? new Set()
    this.done.set(feed, set)
    for (let i = from; i < to; i++) set.add(i)
  }

  has(feed: FeedId, from: number, to = from + 1): boolean {
    for (let i = from; i < to; i++) if (!this.done.get(feed)?.has(i)) return false
    return true
  }

  lacks(feed: FeedId, from: number, to: number): boolean {
    for (let i = from; i < to; i++) if (this.done.get(feed)?.has(i)) return false
    return true
  }
}

const feed = fc.constantFrom(a, b)
const step = fc.oneof(
  fc.record({ do: fc.constant('done' as const), feed, from: fc.nat(60), count: fc.integer({ min: 1, max: 9 }) }),
  fc.record({ do: fc.constant('skip' as const), feed, seq: fc.nat(5) }),
)
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

function apply(steps: readonly Step[], cursor: Cursor, models: readonly Model[]): void {
  for (const each of steps) {
    if (each.do === 'done') assert.ok(cursor.done(each.feed, each.from, each.from + each.count))
    else cursor.skip(each.feed, each.seq)
    for (const model of models) {
      if (each.do === 'done') model.mark(each.feed, each.from, each.from + each.count)
      else model.skips.set(each.feed, Math.max(each.seq, model.skips.get(each.feed) ?? 0))
    }
  }
}

function compare(cursor: Cursor, model: Model): void {
  for (const feed of [a, b]) {
    const skip = model.skips.get(feed) ?? 0
    for (let i = 0; i < 72; i++) {
      assert.is(cursor.isDone(feed, i), model.has(feed, i), `record ${i}`)
      assert.is(cursor.isOpen(feed, i, 4), model.lacks(feed, i, i + 4), `4 records from ${i}`)
      for (const count of [1, 4])
        for (const seq of [Math.max(1, skip), skip + 1])
          assert.is(
            cursor.coversBatch(feed, seq, i, count),
            seq <= skip || model.has(feed, i, i + count),
            `batch ${seq}`,
          )
    }
    assert.is(cursor.knowsStart(feed), skip > 0)
  }
  for (const { low, ranges } of Object.values(cursor.state(undefined, 1e6).feeds)) {
    let before = low
    for (const [from, to] of ranges) {
      assert.ok(from > before && to > from, `${JSON.stringify(ranges)} above ${low}`)
      before = to
    }
  }
}

test('a cursor knows the same as a set of everything that was done', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const [cursor, model] = [new Cursor(), new Model()]
      apply(steps, cursor, [model])
      compare(cursor, model)
    }),
    { numRuns: 100 },
  )
})

test('two cursors of one name merge to what either has done, in any order and as often as they like', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), fc.array(step, { maxLength: 20 }), (mine, theirs) => {
      const [left, right, model] = [new Cursor(), new Cursor(), new Model()]
      apply(mine, left, [model])
      apply(theirs, right, [model])
      const [leftState, rightState] = [left.state(), right.state()]
      left.merge(rightState)
      assert.equal(left.merge(rightState), [], 'a second time changes nothing')
      right.merge(leftState)
      compare(left, model)
      compare(right, model)
    }),
    { numRuns: 60 },
  )
})

test('a state survives being written and read', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.nat(), (steps, since) => {
      const cursor = new Cursor()
      apply(steps, cursor, [])
      cursor.since = since
      const state = parseCursorState(JSON.stringify(cursor.state())) as CursorState
      const copy = new Cursor()
      copy.merge(state)
      assert.equal(copy.state(), cursor.state())
    }),
    { numRuns: 50 },
  )
})

test('more ranges than are kept are refused, and what closes gaps is not', () => {
  const cursor = new Cursor()
  for (let i = 0; i < limits.ackRangesMax; i++) assert.ok(cursor.done(a, 2 * i + 1, 2 * i + 2))
  const beyond = 2 * limits.ackRangesMax + 1
  assert.not.ok(cursor.done(a, beyond, beyond + 1))
  assert.not.ok(cursor.isDone(a, beyond))
  assert.ok(cursor.done(a, 2, 3), 'joins two ranges')
  assert.ok(cursor.done(a, beyond, beyond + 1), 'now there is room')
  assert.ok(cursor.done(a, 0, 1))
  assert.is(cursor.state([a]).feeds[a]?.low, 4)
})

test('what is told to others is bounded and leaves out the newest ranges', () => {
  const cursor = new Cursor()
  for (let i = 0; i < 500; i++) cursor.done(a, 2 * i + 1, 2 * i + 2)
  const told = cursor.state([a]).feeds[a]?.ranges ?? []
  assert.is(told.length, 100)
  assert.equal(told[0], [1, 2])
})

const bad: [what: string, state: unknown][] = [
  ['nothing', null],
  ['a list', []],
  ['no time', { feeds: {} }],
  ['a negative time', { since: -1, feeds: {} }],
  ['no feeds', { since: 0 }],
  ['a feed id that is none', { since: 0, feeds: { __proto__x: { low: 0, ranges: [], skip: 0 } } }],
  ['a low-water mark that is no number', { since: 0, feeds: { [a]: { low: '1', ranges: [], skip: 0 } } }],
  ['a fraction', { since: 0, feeds: { [a]: { low: 0.5, ranges: [], skip: 0 } } }],
  ['an empty range', { since: 0, feeds: { [a]: { low: 0, ranges: [[3, 3]], skip: 0 } } }],
  ['half a range', { since: 0, feeds: { [a]: { low: 0, ranges: [[3]], skip: 0 } } }],
  ['a number beyond all', { since: 0, feeds: { [a]: { low: 2 ** 60, ranges: [], skip: 0 } } }],
]
for (const [what, state] of bad) {
  test(`a state with ${what} is not taken`, () => {
    assert.is(parseCursorState(JSON.stringify(state)), undefined)
  })
}

test('text that is no JSON is no state', () => {
  assert.is(parseCursorState('{"since":0,'), undefined)
})

test.run()
