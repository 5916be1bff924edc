import * as assert from 'uvu/assert'
import { Coverage, Gathering, takesIn } from '../../node/group/coverage.ts'
import { limits } from '../../node/limits.ts'
import type { FeedId } from '../../node/types.ts'
import { suite } from '../helper/suite.ts'

const test = suite('group')
const feedOf = (number: number) => String(number).padStart(32, '0') as FeedId
const [a, b] = [feedOf(1), feedOf(2)]
const held = new Map([
  [a, 1],
  [b, 1],
])

test('what lies behind a gap is not taken in until somebody says what was there', () => {
  const coverage = new Coverage()
  coverage.read(a, 1)
  coverage.read(a, 2)
  assert.is(coverage.gaps, 0)
  coverage.read(a, 5)
  coverage.read(b, 7)
  assert.equal(coverage.of(held), { [a]: 2 })
  assert.is(coverage.gaps, 2)
  coverage.take({ [a]: 3, [b]: 6 })
  assert.equal(coverage.of(held), { [a]: 3, [b]: 7 })
  assert.is(coverage.gaps, 1)
  coverage.read(a, 4)
  assert.equal(coverage.of(held), { [a]: 5, [b]: 7 })
  assert.is(coverage.gaps, 0)
})

test('of many feeds those that are not held are forgotten, the oldest first', () => {
  const coverage = new Coverage()
  const last = feedOf(9_999_999)
  coverage.read(a, 1)
  coverage.read(b, 9)
  for (let i = 10; i < limits.emptiedFeedsMax + 10; i++) coverage.read(feedOf(i), 1)
  coverage.read(last, 1)
  const covers = coverage.of(new Map([[a, 1]]))
  assert.is(covers[a], 1)
  assert.is(covers[last], 1)
  assert.is(covers[feedOf(10)], undefined)
  assert.is(covers[feedOf(20)], 1)
  assert.is(coverage.gaps, 0)
})

test('a sum is whole when all its notices came one behind the other', () => {
  const gathering = new Gathering()
  const covers = { [a]: 4 }
  assert.equal(gathering.take(a, 7, { part: [0, 1], covers }), { offset: 7, covers })
  assert.is(gathering.take(a, 8, { part: [0, 3] }), undefined)
  assert.is(gathering.take(b, 9, { part: [0, 2] }), undefined)
  assert.is(gathering.take(a, 10, { part: [1, 3] }), undefined)
  assert.equal(gathering.take(a, 11, { part: [2, 3], covers }), { offset: 8, covers })
  assert.equal(gathering.take(b, 12, { part: [1, 2], covers: {} }), { offset: 9, covers: {} })
  // One is missing; one was begun anew; one says that it takes nothing in.
  gathering.take(a, 13, { part: [0, 3] })
  assert.is(gathering.take(a, 14, { part: [2, 3], covers }), undefined)
  gathering.take(a, 15, { part: [0, 2] })
  gathering.take(a, 16, { part: [0, 2] })
  assert.equal(gathering.take(a, 17, { part: [1, 2], covers }), { offset: 16, covers })
  assert.is(gathering.take(a, 18, { covers }), undefined)
  assert.is(gathering.take(a, 19, { part: [0, 1] }), undefined)
})

test('a sum that knows less of one feed does not take in what another does', () => {
  assert.ok(takesIn({ [a]: 2, [b]: 1 }, { [a]: 2 }))
  assert.not(takesIn({ [a]: 1, [b]: 1 }, { [a]: 2 }))
  assert.not(takesIn({ [b]: 1 }, { [a]: 2 }))
  assert.ok(takesIn({}, {}))
})

test.run()
