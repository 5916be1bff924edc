import * as assert from 'uvu/assert'
import { Duplicates } from '../../node/group/duplicates.ts'
import { limits } from '../../node/limits.ts'
import type { FeedId } from '../../node/types.ts'
import { suite } from '../helper/suite.ts'

const test = suite('group')
const feed = 'aa'.repeat(16) as FeedId
const windowMs = limits.queueDedupMs

function sentAt(...times: number[]) {
  const duplicates = new Duplicates()
  for (const [index, time] of times.entries()) duplicates.add('id', feed, index, time)
  const done = new Set<number>()
  const is = (index: number) => duplicates.isDuplicate('id', feed, index, (_feed, other) => done.has(other))
  return { done, is }
}

test('what is sent again is a duplicate once another of its window is done, whichever that is', () => {
  const { done, is } = sentAt(0, 10, 20)
  assert.equal([is(0), is(1), is(2)], [false, false, false])
  done.add(1)
  assert.equal([is(0), is(1), is(2)], [true, false, true])
})

test('a window begins with the first that is in none, and duplicates do not prolong it', () => {
  const { done, is } = sentAt(0, windowMs - 1, windowMs, 2 * windowMs - 1)
  done.add(0).add(1)
  assert.equal([is(1), is(2), is(3)], [true, false, false])
  done.add(2)
  assert.equal([is(2), is(3)], [false, true])
})

test('what is not known is no duplicate, and the same record read twice is one', () => {
  const { done, is } = sentAt(0)
  done.add(0)
  assert.equal([is(0), is(7)], [false, false])
  const twice = new Duplicates()
  for (let i = 0; i < 2; i++) twice.add('id', feed, 0, 5)
  assert.not(twice.isDuplicate('id', feed, 0, () => true))
})

test.run()
