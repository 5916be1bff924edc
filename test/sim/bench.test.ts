import * as assert from 'uvu/assert'
import { medianOf, ratioOf, turnsOf } from '../../sim/bench/rounds.ts'
import { suite } from '../helper/suite.ts'

const test = suite('sim')

test('systems take turns in one order and then in the other', () => {
  const table: [names: string[], rounds: number, turns: string][] = [
    [['a', 'b'], 2, 'ab ba'],
    [['a', 'b', 'c'], 3, 'abc cba abc'],
    [['a'], 2, 'a a'],
    [[], 1, ''],
    [['a', 'b'], 0, ''],
  ]
  for (const [names, rounds, turns] of table)
    assert.is(
      turnsOf(names, rounds)
        .map((round) => round.join(''))
        .join(' '),
      turns,
    )
})

test('a median lies in the middle', () => {
  const table: [values: number[], median: number][] = [
    [[], Number.NaN],
    [[7], 7],
    [[9, 1, 2], 2],
    [[4, 1, 3, 2], 2.5],
  ]
  for (const [values, median] of table) assert.ok(Object.is(medianOf(values), median), String(values))
})

test('a ratio is taken within a round, over the rounds in which both have a figure', () => {
  const table: [one: (number | null)[], other: (number | null)[], median: number | undefined, rounds: number][] = [
    [[10, 100, 30], [10, 50, 10], 2, 3],
    // The machine was slow in the second round, for both.
    [[10, 1, 10], [5, 0.5, 5], 2, 3],
    [[10, null, 9], [5, 5, null], 2, 1],
    [[null], [1], undefined, 0],
    [[], [], undefined, 0],
  ]
  for (const [one, other, median, rounds] of table) {
    const ratio = ratioOf(one, other)
    assert.is(ratio?.median, median)
    assert.is(ratio?.rounds ?? 0, rounds)
  }
})

test('the interval holds the median, is as wide as the ratios spread, and the same each time', () => {
  const ones = [1, 1, 1, 1, 1, 1]
  const same = ratioOf([2, 2, 2, 2, 2, 2], ones)
  assert.equal([same?.low, same?.high], [2, 2])
  const spread = [1.1, 0.9, 1.3, 0.8, 1, 1.2]
  const ratio = ratioOf(spread, ones)
  if (ratio === undefined) throw new Error('there is a ratio')
  assert.ok(0.8 <= ratio.low && ratio.low < ratio.median && ratio.median < ratio.high && ratio.high <= 1.3)
  assert.equal(ratioOf(spread, ones), ratio)
})

test.run()
