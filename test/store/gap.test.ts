import * as assert from 'uvu/assert'
import type { TopicLog } from '../../node/store/topic-log.ts'
import type { FeedId } from '../../node/types.ts'
import { type Batch, signHead } from '../../node/wire/head.ts'
import { signingKeyOf } from '../../node/wire/key.ts'
import { suite } from '../helper/suite.ts'
import { feed, folder, namesOf, readAll } from './fixture.ts'

const test = suite('store')

const rangeOf = (log: TopicLog, id: FeedId) => {
  const range = log.feeds.get(id)
  return [range?.base, range?.last, range?.nextIndex]
}

test('a feed may go on after a gap, which is not missing, now and after a restart', async ({ use }) => {
  const place = folder()
  const { log, close } = await place.open()
  const [a, b] = [feed(1), feed(2)]
  const [one, two, , , five, six, , , nine, ten] = a.many(10) as Batch[] & { length: 10 }
  const other = b.many(3)
  const stored = [one, two, ...other, five, six, nine, ten] as Batch[]
  await log.append([one, two, ...other] as Batch[])
  await log.append([five] as Batch[])
  assert.equal(rangeOf(log, a.id), [5, 5, 10])
  // Two in one commit, the second after another gap.
  await Promise.all([log.append([six] as Batch[]), log.append([nine, ten] as Batch[])])
  const check = async (checked: TopicLog) => {
    assert.equal(rangeOf(checked, a.id), [9, 10, 20])
    assert.equal(rangeOf(checked, b.id), [1, 3, 6])
    assert.equal(checked.holes(), [])
    assert.equal(await readAll(checked), namesOf(stored), 'all of it is still read in the order of arrival')
    assert.is((await checked.read(a.id, 9))?.head.head.seq, 9)
    assert.is(await checked.read(a.id, 7), undefined)
  }
  await check(log)
  await close()
  const again = use(await place.open())
  await check(again.log)
  assert.equal(again.events, [])
  await again.log.append([a.next()])
  assert.equal(rangeOf(again.log, a.id), [9, 11, 22])
})

test('a gap larger than any table is no damage after a restart', async ({ use }) => {
  const place = folder()
  const { log, close } = await place.open()
  const a = feed(1)
  await log.append(a.many(2))
  const [next] = a.many(1) as [Batch]
  const far: Batch = {
    head: signHead({ ...next.head.head, seq: 2 ** 40 }, signingKeyOf(new Uint8Array(32).fill(7))),
    body: next.body,
  }
  await log.append([far])
  await close()
  const again = use(await place.open())
  assert.equal(again.store.found, [])
  assert.equal(rangeOf(again.log, a.id).slice(0, 2), [2 ** 40, 2 ** 40])
})

test.run()
