/** What a member tells of its work when its disk is full for a while. */
import * as assert from 'uvu/assert'
import type { Delivery } from '../../node/group/backlog.ts'
import { Indexes } from '../../node/group/indexes.ts'
import type { Notice, WorkNotice } from '../../node/group/notice.ts'
import { Progress } from '../../node/group/progress.ts'
import { Work } from '../../node/group/work.ts'
import { limits } from '../../node/limits.ts'
import type { FeedId } from '../../node/types.ts'
import { handClock } from '../helper/clock.ts'
import { suite } from '../helper/suite.ts'

const test = suite('group')

const feed = 'f'.repeat(32) as FeedId
const place = { slot: 3, feed, index: 0, from: 0, offset: 0, lane: 'a', seq: 1, time: 0 }
const delivery: Delivery = { ...place, attempt: 1, term: 1, round: 0 }

function begin() {
  const progress = new Progress()
  const told: Notice[] = []
  const disk = { full: true, slow: Promise.resolve() }
  const clock = handClock()
  const tell = async (notice: Notice) => {
    if (disk.full) throw new Error('no space left')
    told.push(notice)
    await disk.slow
    return true
  }
  return { progress, told, disk, clock, work: new Work({ progress, clock, tell }) }
}

const rejects = (promise: Promise<unknown>) =>
  promise.then(
    () => assert.unreachable('it resolved'),
    () => undefined,
  )

test('what could not be told was not handed out, and does not count as an attempt', async () => {
  const { progress, told, disk, work } = begin()
  await rejects(work.handedOut([delivery]).known)
  assert.is(progress.attempts(3, feed, 0), 0)
  disk.full = false
  assert.is(await work.handedOut([delivery]).known, true)
  assert.is(progress.attempts(3, feed, 0), 1)
  assert.equal(told, [{ type: 'work', feeds: [[feed, [[3, 1, new Indexes(0)]], []]] }])
})

test('an acknowledgement that could not be written is told as soon as it can, whatever else happens', async () => {
  const { told, disk, work } = begin()
  await rejects(work.acknowledged(delivery).known)
  await work.again()
  assert.equal(told, [])
  disk.full = false
  await work.again()
  await work.again()
  assert.equal(told, [{ type: 'work', feeds: [[feed, [], [[3, 0, new Indexes(0)]]]] }])
})

test('while one notice is on its way the next collects, but not for ever', async () => {
  const { told, disk, clock, work } = begin()
  const of = (index: number): Delivery => ({ ...delivery, index, from: index })
  const acks = () =>
    told.map((notice) =>
      (notice as WorkNotice).feeds.flatMap(([, , acked]) => acked.flatMap(([, , indexes]) => [...indexes])),
    )
  const slow = Promise.withResolvers<void>()
  disk.full = false
  disk.slow = slow.promise
  const first = work.acknowledged(of(0)).known
  await Promise.resolve()
  const rest = [1, 2].map((index) => work.acknowledged(of(index)).known)
  work.beforeNext(() => void work.handedOut([of(3)]))
  await Promise.resolve()
  assert.equal(acks(), [[0]])
  clock.pass(limits.groupCollectMs)
  assert.equal(acks(), [[0], [1, 2]])
  assert.equal(
    (told[1] as WorkNotice).feeds[0]?.[1],
    [[3, 1, new Indexes(3)]],
    'what was handed out before it was made goes along',
  )
  const last = work.acknowledged(of(4)).known
  slow.resolve()
  assert.equal(await Promise.all([first, ...rest, last]), [true, true, true, true])
  assert.equal(acks(), [[0], [1, 2], [4]], 'and goes as soon as nothing is on its way')
})

test.run()
