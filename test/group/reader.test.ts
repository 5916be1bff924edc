import * as assert from 'uvu/assert'
import { Backlog, type Delivery } from '../../node/group/backlog.ts'
import { Duplicates } from '../../node/group/duplicates.ts'
import { Progress } from '../../node/group/progress.ts'
import { Reader, type ReaderOptions } from '../../node/group/reader.ts'
import { Slots } from '../../node/group/slots.ts'
import { limits } from '../../node/limits.ts'
import { suite } from '../helper/suite.ts'
import { jobs, place, settle } from './members.ts'

const test = suite('group')

function readerOf(options: Pick<ReaderOptions, 'log' | 'clock' | 'backlog' | 'progress' | 'isOurs'>): Reader {
  return new Reader({
    slots: new Slots('shared'),
    byKey: false,
    sort: undefined,
    duplicates: new Duplicates(),
    heldUntil: () => undefined,
    start: () => ({ since: 0, skip: {} }),
    onAdded: () => undefined,
    ...options,
  })
}

test('what is new in the very moment in which all was read is read as well', async () => {
  const { log, clock } = await place()
  for (let turns = 0; turns < 20; turns++) {
    const jobsLog = await log(jobs)
    let looked = 0
    const empty = Object.assign(jobsLog, {
      at: async () => {
        looked++
        return undefined
      },
    })
    const reader = readerOf({ log: empty, clock, backlog: new Backlog(), progress: new Progress(), isOurs: () => true })
    reader.read()
    for (let turn = 0; turn < turns; turn++) await null
    const before = looked
    reader.read()
    await settle()
    assert.ok(looked > before, `after ${turns} turns`)
    reader.close()
  }
})

test('of slots that are taken over, records are there at once, also beside more than is kept in memory', async () => {
  const { peer, log, clock } = await place()
  const author = peer(1)
  const count = 2 * limits.groupBacklogMax + 500
  for (let i = 1; i < count; i++) void author.publish(i)
  await author.publish(count)
  const backlog = new Backlog()
  const progress = new Progress()
  let ours = 32
  const reader = readerOf({ log: await log(jobs), clock, progress, backlog, isOurs: (slot) => slot < ours })
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
