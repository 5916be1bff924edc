import { randomBytes } from 'node:crypto'
import * as assert from 'uvu/assert'
import { isError } from '../../node/errors.ts'
import { Indexes } from '../../node/group/indexes.ts'
import { encodeNotice, type SumNotice } from '../../node/group/notice.ts'
import { checkGroupOptions } from '../../node/group/settings.ts'
import { Sweep } from '../../node/group/sweep.ts'
import { limits } from '../../node/limits.ts'
import type { FeedId, GroupRecord } from '../../node/types.ts'
import { suite } from '../helper/suite.ts'
import { control, jobs, place, settle } from './members.ts'

const test = suite('group')

/** A kind of notice that only a newer member would know, and that does not compress. */
const noise = (bytes: number) => `{"type":"newer","text":"${randomBytes((bytes * 3) / 4).toString('base64')}"}`

/** Acknowledges what comes, and counts it. */
function worker(records: AsyncIterable<GroupRecord<number>>): number[] {
  const got: number[] = []
  void (async () => {
    for await (const record of records) {
      got.push(record.value)
      await record.ack()
    }
  })()
  return got
}

test('old notices go, and what is left tells a newcomer everything', async ({ use }) => {
  const { peer, pass, log, clock } = await place()
  const [a, b, c] = [peer(1), peer(2), peer(3)]
  for (const { groups } of [a, b, c]) use(groups)
  const got = worker(a.group({ leaseMs: 2_000 }).consume())
  for (let i = 0; i < 120; i++) await a.publish(i)
  await pass(4_000)
  assert.is(got.length, 120)
  const board = await log(control)
  while (board.bytes < limits.groupNoticeBytes * 1.2) {
    await b.say(control, noise(100_000))
    await pass(500)
  }
  await new Sweep(board, clock).run()
  assert.ok(board.startOffset > 100, 'the oldest have gone')
  const first = await b
    .group({ leaseMs: 9_000 })
    .status()
    .catch((error) => error)
  assert.is(first.code, 'GroupConflict', 'how it is set up is still known')
  const { lag, slots } = await c.group({ leaseMs: 2_000 }).status()
  assert.is(lag, 0, 'and what is done')
  assert.ok(
    slots.every(({ term, holder }) => term === 1 && holder === a.id),
    'and the terms',
  )
  assert.equal(b.blamed, [])
})

test('what a member did before it was killed, and only its own sum tells of, is found when another does it again', async ({
  use,
}) => {
  const { peer } = await place()
  const [a, b] = [peer(1), peer(2)]
  use(a.groups)
  const feed = '0123456789abcdef0123456789abcdef' as FeedId
  const { settings } = checkGroupOptions(jobs, 'work', {})
  const sum: SumNotice = {
    type: 'sum',
    opened: { settings, start: { since: 0, skip: {} }, created: 1, by: a.id },
    terms: [],
    progress: { feeds: { [feed]: { all: 5, slots: [] } }, attempts: [] },
    part: [0, 1],
    covers: {},
    had: [[a.id, feed, [[0, new Indexes(3)]]]],
  }
  await a.say(control, encodeNotice(sum))
  const group = a.group({})
  assert.equal((await group.status()).deliveredTwice, [])
  await b.say(control, encodeNotice({ type: 'work', feeds: [[feed, [], [[0, 3, new Indexes(3)]]]] }))
  await settle()
  assert.equal((await group.status()).deliveredTwice, [`${feed}/3`])
  assert.equal(a.blamed, [])
})

test('who leaves says so once for all its slots', async ({ use }) => {
  const { peer, pass, log } = await place()
  const a = peer(1)
  use(a.groups)
  // A voter goes on after it has given all away, so each slot that goes could be told of.
  const b = peer(2)
  use(b.groups)
  const [group, other] = [a.group({ leaseMs: 1_000, quorum: true }), b.group({ leaseMs: 1_000, quorum: true })]
  worker(group.consume())
  worker(other.consume())
  await pass(6_000, 50)
  const { slots } = await group.status()
  assert.is(slots.filter(({ holder }) => holder === a.id).length, 32)
  const board = await log(control)
  const before = board.endOffset
  const drained = group.drain()
  await settle()
  assert.ok(board.endOffset - before <= 2, `${board.endOffset - before} notices`)
  await pass(2_000, 50)
  await drained
})

test('what is done in all slots is kept as one mark', async ({ use }) => {
  const { peer, pass, log } = await place()
  const a = peer(1)
  use(a.groups)
  const got = worker(a.group({ leaseMs: 1_000 }).consume())
  for (let i = 0; i < 300; i++) await a.publish(i)
  await pass(10_000)
  assert.is(got.length, 300)
  for (let i = 0; i < 8; i++) await a.say(control, noise(800_000))
  await pass(2_000)
  const board = await log(control)
  const said: string[] = []
  for (let offset = board.startOffset; offset < board.endOffset; ) {
    const at = await board.at(offset)
    if (at === undefined || 'damaged' in at) break
    const text = Buffer.from(at.batch.body).toString()
    if (text.includes('"type":"sum"')) said.push(text)
    offset = at.offset + at.batch.head.head.count
  }
  const [feed] = (await log(jobs)).feeds.keys()
  assert.ok(said[0]?.includes(`"${feed}":{"all":300,"slots":[]}`), said[0])
})

test('what is no notice is blamed on who said it, and a notice that lies is of no use', async ({ use }) => {
  const { peer, pass } = await place()
  const [a, liar] = [peer(1), peer(2)]
  use(a.groups)
  const group = a.group({ leaseMs: 1_000 })
  const got = worker(group.consume())
  await pass(2_000)
  await liar.say(control, 'nonsense')
  const beat = (term: number) => `{"type":"beat","run":1,"n":${term},"leaving":false,"held":[[5,${term}]],"claims":[]}`
  await liar.say(control, beat(Number.MAX_SAFE_INTEGER))
  await settle()
  assert.equal(a.blamed, [liar.id])
  const holder = async () => (await group.status()).slots[5]
  assert.equal([(await holder())?.holder, (await holder())?.term], [a.id, 1])
  // A term that could be: then it is a member like any other, and loses the slot when it falls silent.
  await liar.say(control, `{"type":"beat","run":2,"n":9,"leaving":false,"held":[[5,7]],"claims":[]}`)
  await settle()
  assert.equal([(await holder())?.holder, (await holder())?.term], [liar.id, 7])
  await pass(5_000)
  assert.equal([(await holder())?.holder, (await holder())?.term], [a.id, 8])
  for (let i = 0; i < 100; i++) await a.publish(i)
  await pass(2_000)
  assert.is(got.length, 100)
})

test('a consumer that does not ask for what waits for it keeps nobody waiting', async ({ use }) => {
  const { peer, pass } = await place()
  const [a, b] = [peer(1), peer(2)]
  for (const { groups } of [a, b]) use(groups)
  const options = { leaseMs: 2_000, maxReceives: 9 }
  const hanging = a.group(options).consume({ concurrency: 20 })[Symbol.asyncIterator]()
  for (let i = 0; i < 100; i++) await a.publish(i)
  const first = hanging.next()
  await pass(2_000)
  const { value: record } = await first
  const got = worker(b.group(options).consume())
  await pass(15_000)
  assert.is(got.length, 100, 'all, with what it works on for too long')
  const { members, slots } = await b.group(options).status()
  assert.equal(members.length, 1)
  assert.ok(slots.every(({ holder }) => holder === b.id))
  const error = await record.ack().catch((error: unknown) => error)
  assert.ok(isError(error, 'LeaseLost') && error.data.holder === b.id, String(error))
  const next = hanging.next()
  await pass(6_000)
  for (let i = 100; i < 200; i++) await a.publish(i)
  await pass(1_000)
  assert.ok((await next).value.value >= 100, 'it takes part again when it asks')
})

test('a consumer that often does not ask gets as much as ever when it does', async ({ use }) => {
  const { peer, pass } = await place()
  const a = peer(1)
  use(a.groups)
  const records = a.group({ leaseMs: 2_000, maxReceives: 99 }).consume({ concurrency: 2 })[Symbol.asyncIterator]()
  for (let i = 0; i < 20; i++) await a.publish(i)
  for (let turn = 0; turn < 4; turn++) {
    let got: GroupRecord<number> | undefined
    void records.next().then(({ value }) => {
      got = value
    })
    for (let i = 0; i < 40 && got === undefined; i++) await pass(250)
    assert.ok(got !== undefined, `turn ${turn}`)
    await got.extend(60_000)
    // Long enough that what waited for it goes back.
    await pass(12_000)
    await got.ack()
  }
})

test('each consumer gets what it gets in the order of the log, however long the disk takes for some of it', async ({
  use,
}) => {
  const { peer, pass, log } = await place()
  const a = peer(1)
  use(a.groups)
  const jobsLog = await log(jobs)
  const at = jobsLog.at.bind(jobsLog)
  const slow = Promise.withResolvers<void>()
  let looked = 0
  jobsLog.at = async (offset) => {
    const found = await at(offset)
    // It was read once before, to see what it is.
    if (offset === 1 && found !== undefined && ++looked === 2) await slow.promise
    return found
  }
  const got = worker(a.group({ type: 'failover' }).consume({ concurrency: 4 }))
  await pass(5_000)
  for (let i = 0; i < 4; i++) {
    await a.publish(i)
    await pass(250)
  }
  assert.equal(got, [0])
  slow.resolve()
  await pass(250)
  assert.equal(got, [0, 1, 2, 3])
})

test('a backlog larger than is kept in memory is worked off', async ({ use }) => {
  const { peer, pass, log } = await place()
  const a = peer(1)
  use(a.groups)
  for (let i = 0; i < limits.groupBacklogMax + 500; i++) void a.publish(i)
  await a.publish(-1)
  const group = a.group()
  const got = worker(group.consume({ concurrency: 1_000 }))
  await pass(2_500)
  while (got.length < (await log(jobs)).endOffset) await settle()
  assert.is((await group.status()).lag, 0)
})

test.run()
