import * as assert from 'uvu/assert'
import { Loans } from '../../node/group/loans.ts'
import { Members } from '../../node/group/members.ts'
import type { FeedId, PeerId } from '../../node/types.ts'
import { handClock } from '../helper/clock.ts'
import { suite } from '../helper/suite.ts'

const test = suite('group')
const feed = 'ab'.repeat(16) as FeedId
const [ann, ben] = ['ann', 'ben'] as [PeerId, PeerId]

function loans() {
  const clock = handClock()
  const all = new Loans({ clock, mayLend: () => true, onRetimed: () => {} })
  /** Ann lends Ben the record of this index. */
  const lend = (index: number, visibilityMs: number) =>
    all.onLend(ann, { type: 'lend', to: ben, id: 1, visibilityMs, records: [[3, feed, 1, index, index, 1, 1]] })
  return { all, clock, lend }
}

test('what is lent is summed up for as long as it is, and not where it is done', () => {
  const { all, clock, lend } = loans()
  lend(1, 1_000)
  lend(2, 5_000)
  lend(3, 5_000)
  all.onReturn(ben, { type: 'return', to: ann, nacks: [[feed, 3, 1, 1, 7_000]], extensions: [] })
  clock.pass(2_000)
  const isDone = (_slot: number, _feed: FeedId, index: number) => index === 2
  assert.equal(all.state(isDone), [[3, feed, 3, null, 5_000]])
  assert.equal(
    all.state(() => false),
    [
      [3, feed, 2, ben, 3_000],
      [3, feed, 3, null, 5_000],
    ],
  )
})

test('whoever reads of it in a sum leaves it to its borrower, and goes by what it heard itself', () => {
  const { all, clock, lend } = loans()
  lend(1, 1_000)
  const now = clock.now()
  all.merge([
    [3, feed, 1, ben, 9_000],
    [3, feed, 2, ben, 4_000],
  ])
  assert.is(all.heldUntil(feed, 1), now + 1_000)
  assert.is(all.heldUntil(feed, 2), now + 4_000)
  clock.pass(4_000)
  assert.is(all.heldUntil(feed, 2), undefined)
})

test('what a sum says that somebody said is known, and is no sign of life', () => {
  const members = new Members(5_000, 1_000)
  members.onBeat(ann, { run: 1, n: 5, leaving: false }, 0)
  members.onSummed(ann, 3)
  members.onSummed(ben, 7)
  assert.equal([members.knownOf(ann), members.knownOf(ben)], [5, 7])
  members.onSummed(ann, 9)
  assert.equal([members.knownOf(ann), members.lastBeatOf(ann)], [9, 5])
  assert.equal(members.active(1_000), [ann])
})

test.run()
