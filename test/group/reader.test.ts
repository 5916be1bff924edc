import * as assert from 'uvu/assert'
import { Backlog, type Delivery } from '../../node/group/backlog.ts'
import { Duplicates } from '../../node/group/duplicates.ts'
import { Progress } from '../../node/group/progress.ts'
import { Reader } from '../../node/group/reader.ts'
import { Slots } from '../../node/group/slots.ts'
import { limits } from '../../node/limits.ts'
import { suite } from '../helper/suite.ts'
import { jobs, place, settle } from './members.ts'

const test = suite('group')

test('of slots that are taken over, records are there at once, also beside more than is kept in memory', async () => {
  const { peer, log, clock } = await place()
  const author = peer(1)
  const count = 2 * limits.groupBacklogMax + 500
  for (let i = 1; i < count; i++) void author.publish(i)
  await author.publish(count)
  const backlog = new Backlog()
  const progress = new Progress()
  let ours = 32
  const reader = new Reader({
    log: await log(jobs),
    clock,
    slots: new Slots('shared'),
    progress,
    backlog,
    byKey: false,
    sort: undefined,
    duplicates: new Duplicates(),
    heldUntil: () => undefined,
    start: () => ({ since: 0, skip: {} }),
    isOurs: (slot) => slot < ours,
    onAdded: () => undefined,
  })
  const read = async () => {
    while (reader.isReading) await settle()
  }
  reader.read()
  await read()
  assert.is(backlog.size, limits.groupBacklogMax, 'it is full')

  ours = 64
  reader.restart()
  await read()
  assert.ok(backlog.size <= limits.groupBacklogMax)
  const termOf = (slot: number) => (slot < 32 ? undefined : 1)
  const taken = backlog.take(1_000, termOf, () => 0)
  assert.is(taken.length, 1_000)
  for (const delivery of taken) backlog.giveBack(delivery)

  const seen = new Set<number>()
  for (let some: Delivery[]; ; ) {
    some = backlog.take(
      500,
      () => 1,
      () => 0,
    )
    if (some.length === 0) break
    for (const delivery of some) {
      seen.add(delivery.index)
      progress.done(delivery.slot, delivery.feed, delivery.from, delivery.index + 1)
      backlog.finish(delivery)
    }
    reader.onRoom()
    await read()
  }
  assert.is(seen.size, count, 'and what gave way to them comes later')
  reader.close()
})

test.run()
