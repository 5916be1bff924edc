import fc from 'fast-check'
import * as assert from 'uvu/assert'
import { Indexes } from '../../node/group/indexes.ts'
import { Progress, type ProgressState } from '../../node/group/progress.ts'
import { limits } from '../../node/limits.ts'
import type { FeedId } from '../../node/types.ts'
import { suite } from '../helper/suite.ts'

const test = suite('group')
const feeds = ['aa', 'bb'].map((text) => text.repeat(16) as FeedId)
const [feed] = feeds as [FeedId]

/** One thing that becomes known. */
type Fact =
  | { what: 'done'; slot: number; feed: FeedId; from: number; length: number }
  | { what: 'before'; feed: FeedId; index: number }
  | { what: 'attempted'; slot: number; feed: FeedId; index: number; count: number }

const slot = fc.nat({ max: 2 })
const index = fc.nat({ max: 30 })
const fact: fc.Arbitrary<Fact> = fc.oneof(
  fc.record({
    what: fc.constant('done' as const),
    slot,
    feed: fc.constantFrom(...feeds),
    from: index,
    length: fc.integer({ min: 1, max: 6 }),
  }),
  fc.record({ what: fc.constant('before' as const), feed: fc.constantFrom(...feeds), index }),
  fc.record({
    what: fc.constant('attempted' as const),
    // A record is in one slot.
    slot: fc.constant(0),
    feed: fc.constantFrom(...feeds),
    index,
    count: fc.integer({ min: 1, max: 9 }),
  }),
)

function learn(facts: readonly Fact[], isOurs = false): Progress {
  const progress = new Progress()
  for (const known of facts) {
    if (isOurs && known.what === 'done') progress.acknowledged({ ...known, index: known.from + known.length - 1 })
    else if (known.what === 'done') progress.done(known.slot, known.feed, known.from, known.from + known.length)
    else if (known.what === 'before') progress.doneBefore(known.feed, known.index)
    else progress.attempted(known.slot, known.feed, new Indexes(known.index), known.count)
  }
  return progress
}

/** In one form, whatever came first. */
function shown(progress: Progress): unknown {
  const { feeds, attempts } = progress.state()
  const known = Object.entries(feeds).filter(([, { all, slots }]) => all > 0 || slots.length > 0)
  return { feeds: known.sort(), attempts: attempts.map((attempt) => attempt.join()).sort() }
}

function merged(...states: ProgressState[]): unknown {
  const progress = new Progress()
  for (const state of states) progress.merge(state)
  return shown(progress)
}

test('what is acknowledged here is known as what was heard is', () => {
  const ofBoth = { what: 'done', slot: 2, feed } as const
  const sameTwice: Fact[] = [
    { ...ofBoth, from: 1, length: 1 },
    { ...ofBoth, from: 0, length: 2 },
  ]
  fc.assert(
    fc.property(fc.array(fact, { maxLength: 40 }), (facts) => {
      assert.equal(shown(learn(facts, true)), shown(learn(facts)))
    }),
    { examples: [[sameTwice]] },
  )
})

test('an acknowledgement covers its slot only, and folds to a low-water mark', () => {
  const progress = new Progress()
  progress.done(3, feed, 0, 5)
  progress.done(3, feed, 9, 12)
  assert.equal(
    [progress.isDone(3, feed, 4), progress.isDone(3, feed, 5), progress.isDone(4, feed, 4)],
    [true, false, false],
  )
  progress.done(3, feed, 5, 9)
  assert.equal(progress.state().feeds[feed], { all: 0, slots: [[3, 12, []]] })
  progress.doneBefore(feed, 12)
  assert.equal(progress.state().feeds[feed], { all: 12, slots: [] })
  assert.ok(progress.isDone(63, feed, 11))
})

test('attempts are the most that anybody told, and go when the record is done', () => {
  const progress = new Progress()
  progress.attempted(1, feed, new Indexes(7), 2)
  progress.attempted(1, feed, new Indexes(7), 1)
  assert.is(progress.attempts(1, feed, 7), 2)
  progress.done(1, feed, 0, 8)
  assert.is(progress.attempts(1, feed, 7), 0)
  progress.attempted(1, feed, new Indexes(7), 3)
  assert.is(progress.attempts(1, feed, 7), 0)
})

test('attempts of more open records than are remembered: the oldest count anew', () => {
  const progress = new Progress()
  for (let i = 0; i <= limits.groupAttemptsMax; i++) progress.attempted(0, feed, new Indexes(i), 1)
  assert.equal([progress.attempts(0, feed, 0), progress.attempts(0, feed, 1)], [0, 1])
})

test('in whatever order and however often it is told, all come to know the same', () => {
  fc.assert(
    fc.property(fc.array(fact, { maxLength: 30 }), fc.array(fact, { maxLength: 30 }), (some, others) => {
      const together = shown(learn([...some, ...others]))
      assert.equal(shown(learn([...others, ...some])), together)
      assert.equal(shown(learn([...some, ...others, ...some].reverse())), together)
    }),
  )
})

test('merging is commutative, associative and idempotent, and the same as having heard it all', () => {
  const facts = fc.array(fact, { maxLength: 20 })
  fc.assert(
    fc.property(facts, facts, facts, (one, two, three) => {
      const [a, b, c] = [one, two, three].map((each) => learn(each).state()) as [
        ProgressState,
        ProgressState,
        ProgressState,
      ]
      const all = shown(learn([...one, ...two, ...three]))
      assert.equal(merged(a, b, c), all)
      assert.equal(merged(c, b, a, a), all)
      const ab = learn([...one, ...two]).state()
      assert.equal(merged(ab, c), all)
    }),
  )
})

test('what is told is what is known, after JSON too', () => {
  fc.assert(
    fc.property(fc.array(fact, { maxLength: 30 }), (facts) => {
      const progress = learn(facts)
      assert.equal(merged(JSON.parse(JSON.stringify(progress.state()))), shown(progress))
    }),
  )
})

test.run()
