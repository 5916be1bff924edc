import * as assert from 'uvu/assert'
import { FeedWriter } from '../../node/feed/writer.ts'
import { limits } from '../../node/limits.ts'
import type { StateDb } from '../../node/ports.ts'
import { openState } from '../../node/store/state.ts'
import type { CursorState } from '../../node/topic/cursor.ts'
import { CursorKeeper } from '../../node/topic/cursors.ts'
import type { FeedId } from '../../node/types.ts'
import { signingKeyOf } from '../../node/wire/key.ts'
import { handClock } from '../helper/clock.ts'
import { codeOf } from '../helper/mesh.ts'
import { suite } from '../helper/suite.ts'
import { until } from '../helper/until.ts'
import { folder, startTime, topic } from '../store/fixture.ts'

const test = suite('topic')
const feed = 'aa'.repeat(16) as FeedId

async function room(db?: StateDb, name = 'billing') {
  const state = db ?? (await openState(null))
  const clock = handClock()
  const shared: CursorState[] = []
  const keeper = new CursorKeeper({
    topic,
    name,
    db: state,
    clock,
    share: async (_name, told) => void shared.push(told),
  })
  return { db: state, clock, shared, keeper }
}

test('what was acknowledged is known after a restart, by its name alone', async () => {
  const { db, keeper } = await room()
  assert.not.ok(await keeper.load())
  await keeper.begin()
  await Promise.all([keeper.ack(feed, 0), keeper.ack(feed, 2)])
  const again = await room(db)
  assert.ok(await again.keeper.load())
  assert.equal(again.keeper.cursor.state().feeds[feed], { low: 1, ranges: [[2, 3]], skip: 0 })
  assert.not.ok(await (await room(db, 'bill')).keeper.load())
})

test('a new subscription is remembered though nothing was acknowledged', async () => {
  const { db, keeper } = await room()
  keeper.cursor.since = 77
  await keeper.begin()
  const again = await room(db)
  assert.ok(await again.keeper.load())
  assert.is(again.keeper.cursor.since, 77)
})

test('acknowledgements are told to others within their time, once for all', async () => {
  const { clock, shared, keeper } = await room()
  await Promise.all([0, 1, 2].map((index) => keeper.ack(feed, index)))
  assert.is(shared.length, 0)
  clock.pass(limits.cursorShareMs)
  assert.equal(shared, [{ since: 0, feeds: { [feed]: { low: 3, ranges: [], skip: 0 } } }])
  clock.pass(limits.cursorShareMs * 5)
  assert.is(shared.length, 1)
})

test('closing tells the last acknowledgements', async () => {
  const { clock, shared, keeper } = await room()
  await keeper.ack(feed, 0)
  await keeper.close()
  assert.is(shared.length, 1)
  assert.is(clock.timers, 0)
})

test('what others acknowledged is taken over as it comes, and is not theirs alone', async ({ use }) => {
  const { log } = use(await folder().open())
  const { keeper, db } = await room()
  assert.not.ok(await keeper.follow(log))
  const told: CursorState = { since: 0, feeds: { [feed]: { low: 5, ranges: [[7, 9]], skip: 0 } } }
  const writer = new FeedWriter(signingKeyOf(new Uint8Array(32).fill(1)), topic, startTime, new Uint8Array(8))
  const records = [
    { key: 'billing', value: Buffer.from(JSON.stringify(told)), time: 0 },
    {
      key: 'other',
      value: Buffer.from(JSON.stringify({ since: 0, feeds: { [feed]: { low: 50, ranges: [], skip: 0 } } })),
      time: 0,
    },
    { key: 'billing', value: Buffer.from('{nonsense'), time: 0 },
  ]
  await log.append([writer.seal(records, { time: startTime, tick: 0 })])
  await until(() => keeper.cursor.isDone(feed, 4))
  assert.equal(keeper.cursor.state().feeds[feed], told.feeds[feed])
  await keeper.close()
  const again = await room(db)
  await again.keeper.load()
  assert.ok(again.keeper.cursor.isDone(feed, 8), 'saved here too')
  assert.ok(await again.keeper.follow(log), 'and found by whoever reads from the start')
})

test('acknowledgements beyond the gaps that are kept wait for older ones, and none is lost', async () => {
  const { db, keeper } = await room()
  const late: Promise<void>[] = []
  for (let i = 0; i < limits.ackRangesMax + 100; i++) late.push(keeper.ack(feed, 2 * i + 1))
  let early = 0
  for (const ack of late.slice(limits.ackRangesMax)) void ack.then(() => early++)
  await late[0]
  assert.is(early, 0)
  for (let i = 0; i < limits.ackRangesMax + 100; i++) late.push(keeper.ack(feed, 2 * i))
  await Promise.all(late)
  const again = await room(db)
  await again.keeper.load()
  assert.equal(again.keeper.cursor.state().feeds[feed], { low: 2 * (limits.ackRangesMax + 100), ranges: [], skip: 0 })
})

test('an acknowledgement that still waits when the subscription closes says so', async () => {
  const { keeper } = await room()
  const acks: Promise<void>[] = []
  for (let i = 0; i <= limits.ackRangesMax; i++) acks.push(keeper.ack(feed, 2 * i + 1))
  const last = codeOf(acks.at(-1) as Promise<void>)
  await keeper.close()
  assert.is(await last, 'PeerClosed')
})

test('what could not be saved is saved with the next', async () => {
  const { db, keeper } = await room()
  const other = 'bb'.repeat(16) as FeedId
  const batch = db.batch
  db.batch = (() => Promise.reject(new Error('no'))) as never
  assert.ok((await codeOf(keeper.ack(feed, 0))) instanceof Error)
  db.batch = batch
  await keeper.ack(other, 0)
  const again = await room(db)
  await again.keeper.load()
  assert.ok(again.keeper.cursor.isDone(feed, 0))
})

test.run()
