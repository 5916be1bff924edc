import fc from 'fast-check'
import * as assert from 'uvu/assert'
import { Indexes } from '../../node/group/indexes.ts'
import { Twice } from '../../node/group/twice.ts'
import type { FeedId, PeerId } from '../../node/types.ts'
import { suite } from '../helper/suite.ts'

const test = suite('group')
const feed = 'aa'.repeat(16) as FeedId

const ascending = (index: fc.Arbitrary<number>) =>
  fc.uniqueArray(index, { minLength: 1, maxLength: 20 }).map((some) => some.sort((one, other) => one - other))

test('indexes are the same however far apart they are, and when they were told', () => {
  const near = fc.nat({ max: 40 })
  fc.assert(
    fc.property(ascending(fc.oneof(near, fc.maxSafeNat())), near, near, (indexes, from, length) => {
      const all = Indexes.of(indexes)
      const told = all.map((some) => new Indexes(...(JSON.parse(JSON.stringify(some)) as [number, number, string])))
      const parts = [some(all), some(told)]
      for (const part of parts) assert.equal(part, indexes)
      const isIn = (index: number) => index >= from && index < from + length
      assert.ok(all.some((part) => part.touches(from, from + length)) || !indexes.some(isIn))
      for (let index = 0; index < 40; index++)
        assert.is(
          told.some((part) => part.has(index)),
          indexes.includes(index),
        )
    }),
  )
})

test('an index that is named twice in a row is one', () => {
  const indexes = new Indexes(3)
  assert.ok(indexes.grow(3) && indexes.grow(4) && indexes.grow(4))
  assert.equal([...indexes], [3, 4])
})

test('of steps that somebody invented none goes back or beyond the last', () => {
  fc.assert(
    fc.property(fc.nat(), fc.nat({ max: 1_000 }), fc.string({ unit: 'binary' }), (first, length, steps) => {
      const indexes = [...new Indexes(first, first + length, steps)]
      indexes.forEach((index, i) => {
        assert.ok(i === 0 ? index === first : index > (indexes[i - 1] as number) && index <= first + length)
      })
    }),
  )
})

test('what two had is told once, in whatever sets they had it', () => {
  const peers = ['ann', 'bob', 'cem'] as PeerId[]
  const had = fc.record({ by: fc.constantFrom(...peers), indexes: ascending(fc.nat({ max: 30 })) })
  fc.assert(
    fc.property(fc.array(had, { maxLength: 12 }), (all) => {
      const twice = new Twice()
      const owners = new Map<number, PeerId>()
      const told = new Set<number>()
      for (const { by, indexes } of all) {
        const news: [number, PeerId][] = []
        for (const index of indexes) {
          const other = owners.get(index)
          if (other === undefined) owners.set(index, by)
          else if (other !== by && !told.has(index)) news.push([index, other])
        }
        for (const [index] of news) told.add(index)
        assert.equal(
          Indexes.of(indexes).flatMap((some) => twice.had(1, feed, some, by)),
          news,
        )
      }
      assert.equal(twice.found.sort(), [...told].map((index) => `${feed}/${index}`).sort())
    }),
  )
})

function some(all: readonly Indexes[]): number[] {
  return all.flatMap((part) => [...part])
}

test.run()
