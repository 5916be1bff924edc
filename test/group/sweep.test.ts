/** Old notices go, and nobody who reads what is left knows less than those who have read them. */
import * as assert from 'uvu/assert'
import { HybridClock } from '../../node/feed/hlc.ts'
import { FeedWriter } from '../../node/feed/writer.ts'
import { Board } from '../../node/group/board.ts'
import type { SumPart } from '../../node/group/coverage.ts'
import { Indexes } from '../../node/group/indexes.ts'
import { Ledger } from '../../node/group/ledger.ts'
import { encodeNotice, type Notice } from '../../node/group/notice.ts'
import type { Roster } from '../../node/group/roster.ts'
import { Sweep } from '../../node/group/sweep.ts'
import { memoryDisk } from '../../node/store/memory.ts'
import { openState } from '../../node/store/state.ts'
import { openStore } from '../../node/store/store.ts'
import type { FeedId, PeerId } from '../../node/types.ts'
import type { Batch } from '../../node/wire/head.ts'
import { peerIdOf, signingKeyOf } from '../../node/wire/key.ts'
import { handClock } from '../helper/clock.ts'
import { random } from '../helper/random.ts'
import { suite } from '../helper/suite.ts'
import { control, settle } from './members.ts'

const test = suite('group')
const jobs = 'ab'.repeat(16) as FeedId
const segmentBytesMax = 2_000
const keepBytes = 6_000
const roster = { allTerms: () => [], voters: undefined } as unknown as Roster
const settings = { type: 'shared', leaseMs: 1, visibilityMs: 1, maxReceives: 1, deadLetter: '', quorum: false } as const

/** Somebody who holds the control topic of a group, and reads it. */
async function reader(number: number, sumsOf = (ledger: Ledger) => [...ledger.sums(roster)]) {
  const clock = handClock()
  const disk = memoryDisk()
  const store = await openStore({ clock, disk, openState: () => openState(null) }, { data: null, segmentBytesMax })
  const log = await store.open(control)
  const key = signingKeyOf(new Uint8Array(32).fill(number))
  const writer = new FeedWriter(key, control, 1, new Uint8Array(8))
  const hybrid = new HybridClock(() => clock.now())
  const me = peerIdOf(key.publicKey)
  const ledger = new Ledger({ me, onDone: () => [], onTwice: () => undefined })
  const onNotice = (notice: Notice, by: PeerId) => {
    if (notice.type === 'open') ledger.onOpening({ ...notice, by })
    else if (notice.type === 'work') ledger.onWork(notice, by)
    else if (notice.type === 'sum') {
      ledger.onOpening(notice.opened)
      ledger.onSum(notice)
    }
  }
  const board = new Board({
    control,
    topics: {},
    sync: { hasGap: () => false },
    clock,
    onNotice,
    onBad: () => {},
  } as never)
  await board.open(log)
  const say = async (notice: Notice) => {
    await log.append([writer.seal([{ value: encodeNotice(notice), time: 1 }], hybrid.stamp())])
    await settle()
  }
  const sweep = new Sweep(log, clock, keepBytes)
  return {
    log,
    board,
    sweep,
    say,
    open: () => say({ type: 'open', settings, start: { since: 0, skip: {} }, created: 1 }),
    /** This job is done. */
    done: (index: number) => say({ type: 'work', feeds: [[jobs, [], [[0, index, new Indexes(index)]]]] }),
    async sumUp() {
      const covers = board.covers()
      const sums = sumsOf(ledger)
      for (const [i, sum] of sums.entries()) {
        const part: SumPart['part'] = [i, sums.length]
        await say({ ...sum, part, ...(i + 1 === sums.length && { covers }) })
      }
      board.summed()
    },
    /** What `other` has left of some of its feeds, as far as it is not here. */
    async take(other: { log: typeof log }, draw?: () => number) {
      for (const [feed, { base, last }] of [...other.log.feeds].sort(() => (draw?.() ?? 1) - 0.5)) {
        const from = Math.max(base, (log.feeds.get(feed)?.last ?? 0) + 1)
        const to = draw === undefined ? last : from - 1 + Math.floor(draw() * (last - from + 3))
        const batches: Batch[] = []
        for (let seq = from; seq <= Math.min(to, last); seq++) {
          const batch = await other.log.read(feed, seq)
          if (batch !== undefined) batches.push(batch)
        }
        await log.append(batches)
      }
      await settle()
    },
    known: (count: number) =>
      Array.from({ length: count }, (_, i) => i).filter((i) => ledger.progress.isDone(0, jobs, i)),
  }
}

type Reader = Awaited<ReturnType<typeof reader>>

for (const seed of [1, 2, 3, 4, 5, 6, 7, 8])
  test(`whoever reads what somebody has left knows all that this one knows, seed ${seed}`, async () => {
    const draw = random(seed)
    const below = (count: number) => Math.floor(draw() * count)
    const some: Reader[] = await Promise.all([1, 2, 3, 4].map((number) => reader(number)))
    const any = () => some[below(some.length)] as Reader
    let [count, number, gone] = [0, 4, 0]
    await any().open()
    for (let step = 0; step < 800; step++) {
      const [one, what] = [any(), draw()]
      if (what < 0.4) await one.done(count++)
      else if (what < 0.7) await one.take(any(), draw)
      else if (what < 0.8) await one.sumUp()
      else if (what < 0.93) await one.sweep.run()
      else if (what < 0.94) some[some.indexOf(one)] = await reader(++number)
      else {
        const newcomer = await reader(200)
        await newcomer.take(one)
        const isSure = !newcomer.board.hasGaps()
        if (isSure) assert.equal(newcomer.known(count), one.known(count), `step ${step}`)
        else assert.ok(one.board.hasGaps(), `step ${step}: it misses something that the other one does not`)
        if (one.log.startOffset > 0) gone++
      }
    }
    assert.ok(gone > 0, 'some of it had gone')
  })

test('what no sum takes in stays, and what one does goes when there is much', async () => {
  const [a, b] = [await reader(1), await reader(2)]
  await a.open()
  for (let i = 0; i < 10; i++) await a.done(i)
  await b.take(a)
  for (let i = 10; i < 40; i++) await a.done(i)
  await a.sweep.run()
  assert.is(a.log.startOffset, 0, 'nobody has summed up')
  await b.sumUp()
  await a.take(b)
  await a.sweep.run()
  const { startOffset } = a.log
  assert.ok(startOffset > 0 && startOffset <= 11, `${startOffset} are in the sum of one who knew 11 of them`)
  await a.sumUp()
  await a.sweep.run()
  assert.ok(a.log.startOffset > startOffset)
  assert.ok(a.log.bytes > keepBytes - segmentBytesMax && a.log.bytes <= keepBytes, 'and no more than that')
})

test('of a sum in several notices all stay, and one that is not whole takes nothing in', async () => {
  const twice = (ledger: Ledger) => [...ledger.sums(roster), ...ledger.sums(roster)]
  const a = await reader(1, twice)
  await a.open()
  for (let i = 0; i < 40; i++) await a.done(i)
  const { endOffset } = a.log
  await a.sumUp()
  await a.sweep.run()
  assert.ok(a.log.startOffset > 0 && a.log.startOffset <= endOffset)
  const b = await reader(2)
  const [feed] = a.log.feeds.keys() as Iterable<FeedId>
  const { last = 0 } = a.log.feeds.get(feed as FeedId) ?? {}
  // Only the second half of it.
  await b.log.append([(await a.log.read(feed as FeedId, last)) as Batch])
  await settle()
  assert.equal(b.board.covers(), {})
  assert.ok(b.board.hasGaps())
})

test('somebody who knows less than others did before sums up for itself alone', async () => {
  const [a, b] = [await reader(1), await reader(2)]
  await a.open()
  await b.take(a)
  for (let i = 0; i < 20; i++) await a.done(i)
  await a.sumUp()
  assert.is(a.board.bytesSinceSum, 0)
  await b.done(20)
  await b.sumUp()
  await a.take(b)
  assert.ok(a.board.bytesSinceSum > 0, 'what was known here is in no sum')
  await b.take(a)
  await b.sumUp()
  await a.take(b)
  assert.is(a.board.bytesSinceSum, 0)
})

test.run()
