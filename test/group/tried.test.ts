import fc from 'fast-check'
import * as assert from 'uvu/assert'
import { Indexes } from '../../node/group/indexes.ts'
import { Tried } from '../../node/group/tried.ts'
import { suite } from '../helper/suite.ts'

const test = suite('group')

const indexes = fc
  .uniqueArray(fc.nat({ max: 30 }), { minLength: 1, maxLength: 8 })
  .map((some) => some.sort((a, b) => a - b))

test('runs of records that were handed out hold what one number for each record would', () => {
  const step = fc.oneof(
    fc.record({ what: fc.constant('add' as const), indexes, count: fc.integer({ min: 1, max: 4 }) }),
    fc.record({ what: fc.constant('delete' as const), from: fc.nat({ max: 30 }), length: fc.nat({ max: 12 }) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const tried = new Tried()
      const model = new Map<number, number>()
      for (const one of steps) {
        if (one.what === 'add') {
          for (const some of Indexes.of(one.indexes)) tried.add(some, one.count)
          for (const index of one.indexes) model.set(index, Math.max(model.get(index) ?? 0, one.count))
        } else {
          tried.delete(one.from, one.from + one.length)
          for (const index of model.keys()) if (index >= one.from && index < one.from + one.length) model.delete(index)
        }
        assert.ok(tried.size >= model.size)
        for (let index = 0; index <= 30; index++) assert.is(tried.get(index), model.get(index) ?? 0)
        assert.equal([...tried.entries()].sort(byIndex), [...model].sort(byIndex))
      }
      tried.delete(0, 31)
      assert.is(tried.size, 0)
    }),
    { numRuns: 500 },
  )
})

function byIndex([one]: readonly [number, number], [other]: readonly [number, number]): number {
  return one - other
}

test.run()
