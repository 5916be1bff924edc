/** What a member tells of its work when its disk is full for a while. */
import * as assert from 'uvu/assert'
import type { Delivery } from '../../node/group/backlog.ts'
import type { Notice } from '../../node/group/notice.ts'
import { Progress } from '../../node/group/progress.ts'
import { Work } from '../../node/group/work.ts'
import type { FeedId } from '../../node/types.ts'
import { suite } from '../helper/suite.ts'

const test = suite('group')

const feed = 'f'.repeat(32) as FeedId
const place = { slot: 3, feed, index: 0, from: 0, offset: 0, lane: 'a', seq: 1, time: 0 }
const delivery: Delivery = { ...place, attempt: 1, term: 1, round: 0 }

function begin() {
  const progress = new Progress()
  const told: Notice[] = []
  const disk = { full: true }
  const work = new Work(progress, async (notice) => {
    if (disk.full) throw new Error('no space left')
    told.push(notice)
    return true
  })
  return { progress, told, disk, work }
}

const rejects = (promise: Promise<unknown>) =>
  promise.then(
    () => assert.unreachable('it resolved'),
    () => undefined,
  )

test('what could not be told was not handed out, and does not count as an attempt', async () => {
  const { progress, told, disk, work } = begin()
  await rejects(work.handedOut([delivery]))
  assert.is(progress.attempts(feed, 0), 0)
  disk.full = false
  assert.is(await work.handedOut([delivery]), true)
  assert.is(progress.attempts(feed, 0), 1)
  assert.equal(told, [{ type: 'work', attempts: [[3, feed, 0, 1]], acks: [] }])
})

test('an acknowledgement that could not be written is told as soon as it can, whatever else happens', async () => {
  const { told, disk, work } = begin()
  await rejects(work.acknowledged(delivery))
  await work.again()
  assert.equal(told, [])
  disk.full = false
  await work.again()
  await work.again()
  assert.equal(told, [{ type: 'work', attempts: [], acks: [[3, feed, 0, 1]] }])
})

test.run()
