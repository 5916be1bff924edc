import * as assert from 'uvu/assert'
import { isError } from '../../node/errors.ts'
import { limits } from '../../node/limits.ts'
import { memoryDisk } from '../../node/store/memory.ts'
import type { TopicName } from '../../node/types.ts'
import type { Batch } from '../../node/wire/head.ts'
import { suite } from '../helper/suite.ts'
import { until } from '../helper/until.ts'
import { faultyDisk } from './faulty.ts'
import { bytesOf, feed, folder, namesOf, readAll, rewrite, segments, startTime } from './fixture.ts'

const test = suite('store')

async function rejectsWith(act: () => Promise<unknown>, code: Parameters<typeof isError>[1]) {
  const error = await act().then(
    () => undefined,
    (error) => error,
  )
  assert.ok(isError(error, code), `${code} was expected, not ${error}`)
}

async function rejectsSaying(act: () => Promise<unknown>, text: RegExp) {
  const message = await act().then(
    () => 'nothing',
    (error) => String(error),
  )
  assert.match(message, text)
}

test('what was appended is read back, before and after reopening', async ({ use }) => {
  const place = folder()
  const [a, b] = [feed(1), feed(2)]
  const batches = [a.next(), b.next(3), a.next(1), a.next(2, 70_000)]
  const first = await place.open()
  for (const batch of batches) await first.log.append([batch])
  const check = async ({ log }: typeof first) => {
    assert.equal(await readAll(log), namesOf(batches))
    assert.is(log.endOffset, 8)
    assert.is(log.records, 8)
    assert.is(log.batches, 4)
    const range = log.feeds.get(a.id)
    assert.equal([range?.base, range?.last, range?.nextIndex, range?.forked], [1, 3, 5, false])
    assert.equal(range?.hash, batches[3]?.head.hash)
    assert.equal((await log.read(a.id, 3))?.body, batches[3]?.body)
    assert.equal((await log.head(a.id, 3))?.bytes, batches[3]?.head.bytes)
    assert.equal((await log.head(b.id, 1))?.bytes, batches[1]?.head.bytes)
    assert.is(await log.read(b.id, 2), undefined)
  }
  await check(first)
  await first.close()
  const second = use(await place.open())
  assert.equal(second.store.found, [])
  await check(second)
})

test('what waits while a write is under way shares the next sync', async ({ use }) => {
  const { disk, counts } = faultyDisk(memoryDisk())
  const { log } = use(await folder(disk).open())
  const a = feed(1)
  await log.append([a.next()])
  const before = counts.syncs
  let changes = 0
  const stop = log.onChange(() => changes++)
  await Promise.all(a.many(50).map((batch) => log.append([batch])))
  assert.is(counts.syncs - before, 1)
  assert.is(changes, 1)
  assert.is(log.endOffset, 102)
  stop()
  await log.append([a.next()])
  assert.is(changes, 1)
})

test('nothing is visible before it is durable', async ({ use }) => {
  const { disk, gate } = faultyDisk(memoryDisk())
  const { log } = use(await folder(disk).open())
  const a = feed(1)
  await log.append([a.next()])
  const sync = Promise.withResolvers<void>()
  gate.closed = sync.promise
  const appended = log.append([a.next()])
  await new Promise((resolve) => setImmediate(resolve))
  assert.is(log.feeds.get(a.id)?.last, 1)
  assert.is(log.endOffset, 2)
  assert.is(await log.at(2), undefined)
  sync.resolve()
  await appended
  assert.is(log.feeds.get(a.id)?.last, 2)
})

test('a batch that does not follow is a mistake, also while its predecessor waits', async ({ use }) => {
  const { log } = use(await folder().open())
  const a = feed(1)
  const [one, two, three] = a.many(3) as [Batch, Batch, Batch]
  const both = [log.append([one]), log.append([two])]
  await rejectsSaying(() => log.append([two]), /does not follow 2/)
  await Promise.all(both)
  await rejectsSaying(() => log.append([one]), /does not follow 2/)
  await rejectsSaying(() => log.append([three, one]), /does not follow 3/)
  await log.append([three])
})
test('a full disk in the middle of a group leaves nothing behind, and works again with space', async ({ use }) => {
  const { disk, faults } = faultyDisk(memoryDisk())
  const place = folder(disk)
  const { log, close } = await place.open()
  const [a, b] = [feed(1), feed(2)]
  const good = a.next()
  await log.append([good])
  const size = (await bytesOf(disk, (await segments(disk))[0] as string)).length
  faults.quota = 500
  const lost = [a.next(), b.next(), b.next()]
  const results = await Promise.allSettled(lost.map((batch) => log.append([batch])))
  assert.equal(
    results.map(({ status }) => status),
    ['rejected', 'rejected', 'rejected'],
  )
  for (const result of results) assert.ok(result.status === 'rejected' && isError(result.reason, 'StorageFull'))
  assert.is((await bytesOf(disk, (await segments(disk))[0] as string)).length, size)
  assert.equal(await readAll(log), namesOf([good]))
  assert.not(log.feeds.has(b.id))
  faults.quota = Number.POSITIVE_INFINITY
  await Promise.all(lost.map((batch) => log.append([batch])))
  assert.equal(await readAll(log), namesOf([good, ...lost]))
  await close()
  const again = use(await place.open())
  assert.equal(again.store.found, [])
  assert.equal(await readAll(again.log), namesOf([good, ...lost]))
})

for (const fault of ['failTruncate', 'failSync'] as const) {
  test(`a segment that cannot be put right (${fault}) is left, and the next write begins a new one`, async ({
    use,
  }) => {
    const { disk, faults } = faultyDisk(memoryDisk())
    const place = folder(disk)
    const { log, close } = await place.open()
    const a = feed(1)
    const good = a.next()
    await log.append([good])
    faults[fault] = true
    if (fault === 'failTruncate') faults.quota = 300
    const [two, three] = a.many(2) as [Batch, Batch]
    await rejectsWith(() => log.append([two, three]), fault === 'failTruncate' ? 'StorageFull' : 'StorageFailed')
    faults[fault] = false
    faults.quota = Number.POSITIVE_INFINITY
    await log.append([two])
    await log.append([three])
    assert.is((await segments(disk)).length, 2)
    assert.equal(await readAll(log), namesOf([good, two, three]))
    await close()
    const again = use(await place.open())
    assert.equal(
      again.store.found.map(({ kind }) => kind),
      fault === 'failTruncate' ? ['torn-end'] : [],
    )
    assert.equal(await readAll(again.log), namesOf([good, two, three]))
    assert.equal(again.log.holes(), [])
  })
}

test('what waits behind a failing write fails with it, and nothing of it comes later', async ({ use }) => {
  const { disk, faults, gate } = faultyDisk(memoryDisk())
  const { log } = use(await folder(disk).open())
  const [a, b] = [feed(1), feed(2)]
  const [one, two] = a.many(2) as [Batch, Batch]
  const sync = Promise.withResolvers<void>()
  gate.closed = sync.promise
  const first = rejectsWith(() => log.append([one]), 'StorageFailed')
  await new Promise((resolve) => setImmediate(resolve))
  const behind = [two, b.next()].map((batch) => rejectsWith(() => log.append([batch]), 'StorageFailed'))
  faults.failSync = true
  sync.resolve()
  await Promise.all([first, ...behind])
  faults.failSync = false
  assert.is(log.endOffset, 0)
  await log.append([one, two])
  assert.equal(await readAll(log), namesOf([one, two]))
})

test('whole frames of a failed write that could not be cut never come back', async ({ use }) => {
  const { disk, faults } = faultyDisk(memoryDisk())
  const place = folder(disk)
  const { log, close } = await place.open()
  const [a, twin] = [feed(1), feed(1)]
  const [one, lost] = a.many(2) as [Batch, Batch]
  await log.append([one])
  Object.assign(faults, { failSync: true, failTruncate: true })
  await rejectsWith(() => log.append([lost]), 'StorageFailed')
  Object.assign(faults, { failSync: false, failTruncate: false })
  twin.next()
  const other = twin.next(5)
  await log.append([other])
  await close()
  const again = await place.open()
  assert.equal(await readAll(again.log), namesOf([one, other]))
  assert.equal((await again.log.read(a.id, 2))?.body, other.body)
  assert.is(again.log.endOffset, 7)
  await again.close()
  const third = use(await place.open())
  assert.equal(third.store.found, [])
})

test('an empty segment that cannot be written is made anew', async ({ use }) => {
  const { disk, faults } = faultyDisk(memoryDisk())
  const place = folder(disk)
  const a = feed(1)
  const one = a.next()
  const first = await place.open()
  await first.log.append([one])
  await first.close()
  const path = (await segments(disk))[0] as string
  await rewrite(disk, path, (await bytesOf(disk, path)).slice(0, 30))
  const { log, close } = await place.open()
  faults.failSync = true
  await rejectsWith(() => log.append([one]), 'StorageFailed')
  faults.failSync = false
  await log.append([one])
  await log.append([a.next()])
  assert.is(log.bytes, (await bytesOf(disk, path)).length)
  await close()
  const again = use(await place.open())
  assert.equal(again.store.found, [])
  assert.is(again.log.endOffset, 4)
})

test('a write that fails on a new topic leaves no segment', async ({ use }) => {
  const { disk, faults } = faultyDisk(memoryDisk())
  const { log } = use(await folder(disk).open())
  const a = feed(1)
  const one = a.next()
  faults.quota = 10
  await rejectsWith(() => log.append([one]), 'StorageFull')
  assert.equal(await segments(disk), [])
  assert.is(log.feeds.size, 0)
  faults.quota = Number.POSITIVE_INFINITY
  await log.append([one])
  assert.equal(await readAll(log), namesOf([one]))
})

test('a disk that cannot be read rejects, and nothing counts as damaged', async ({ use }) => {
  const { disk, faults } = faultyDisk(memoryDisk())
  const place = folder(disk)
  const first = await place.open()
  const a = feed(1)
  const batches = a.many(3)
  await first.log.append(batches)
  await first.close()
  const before = await bytesOf(disk, (await segments(disk))[0] as string)
  faults.failRead = true
  await rejectsWith(() => place.open(), 'StorageFailed')
  faults.failRead = false
  const { log, events } = use(await place.open())
  faults.failRead = true
  await rejectsWith(() => log.read(a.id, 1), 'StorageFailed')
  faults.failRead = false
  assert.equal(await readAll(log), namesOf(batches))
  assert.equal(events, [])
  assert.equal(await bytesOf(disk, (await segments(disk))[0] as string), before)
})

test('a log says that it is writing until what it was given is visible', async () => {
  const { log, close } = await folder(memoryDisk()).open()
  const [batch] = feed(1).many(1) as [ReturnType<ReturnType<typeof feed>['next']>]
  assert.not(log.isWriting)
  const written = log.append([batch])
  assert.equal([log.isWriting, log.batches], [true, 0])
  await written
  await until(() => !log.isWriting, 1_000)
  assert.is(log.batches, 1)
  await close()
})

test('segments that end before an offset go, and no others', async () => {
  const { log, close } = await folder(memoryDisk(), 2_000).open()
  const batches = feed(1).many(30)
  for (const batch of batches) await log.append([batch])
  const dropped = await log.retain({ beforeOffset: 20 }, startTime)
  assert.ok(dropped > 0 && dropped <= 10, `${dropped} batches of two records`)
  assert.equal(await readAll(log), namesOf(batches).slice(dropped))
  assert.is(await log.retain({ beforeOffset: 20 }, startTime), 0)
  assert.is(await log.retain({ beforeOffset: 2 * dropped }, startTime), 0)
  await close()
})

test('segments end at their size, and retention drops whole ones from the oldest, for good', async ({ use }) => {
  const place = folder(memoryDisk(), 2_000)
  const { log, close } = await place.open()
  const [a, b] = [feed(1), feed(2)]
  const only = b.next()
  const batches = a.many(30)
  for (const batch of [only, ...batches]) await log.append([batch])
  const files = await segments(place.disk)
  assert.ok(files.length > 3)
  assert.is(await log.retain({ maxBytes: log.bytes, maxAgeMs: 1_000 }, startTime + 1), 0)
  const dropped = await log.retain({ maxBytes: 5_000 }, startTime)
  assert.ok(dropped > 0 && log.bytes <= 5_000)
  const kept = await segments(place.disk)
  assert.equal(kept, files.slice(-kept.length))
  const check = async (from: typeof log) => {
    assert.equal(await readAll(from), namesOf([only, ...batches]).slice(dropped))
    assert.is(from.startOffset, 2 * dropped)
    assert.is(((await from.at(0)) as { offset: number }).offset, 2 * dropped)
    assert.is(from.feeds.get(a.id)?.base, dropped)
    assert.is(await from.read(a.id, dropped - 1), undefined)
    const gone = from.feeds.get(b.id)
    assert.equal([gone?.base, gone?.last, gone?.nextIndex], [2, 1, 2])
    assert.equal(gone?.hash, only.head.hash)
    assert.equal(from.holes(), [])
  }
  await check(log)
  await close()
  const again = await place.open()
  await check(again.log)
  const second = b.next()
  await again.log.append([second])
  await again.close()
  const third = use(await place.open())
  assert.equal([third.log.feeds.get(b.id)?.base, third.log.feeds.get(b.id)?.last], [2, 2])
  assert.ok((await third.log.retain({ maxAgeMs: 1_000 }, startTime + 100_000)) > 0)
  assert.is((await segments(place.disk)).length, 1)
})

test('a feed may begin in its middle, and what came before is not missing', async ({ use }) => {
  const place = folder()
  const { log, close } = await place.open()
  const a = feed(1)
  const [, , three, four] = a.many(4) as [Batch, Batch, Batch, Batch]
  await log.append([three, four])
  await close()
  const again = use(await place.open())
  assert.equal([again.log.feeds.get(a.id)?.base, again.log.feeds.get(a.id)?.last], [3, 4])
  assert.equal(again.log.holes(), [])
})

test('a time is found as an offset, early enough for records later than their head', async ({ use }) => {
  const place = folder()
  place.pass(10 * limits.batchSpanMsMax)
  const { log } = use(await place.open())
  const a = feed(1)
  for (let i = 0; i < 5; i++) await log.append([a.next(1, 10, startTime + i * limits.batchSpanMsMax)])
  assert.is(log.offsetAt(0), 0)
  assert.is(log.offsetAt(startTime + 3 * limits.batchSpanMsMax), 2)
  assert.is(log.offsetAt(startTime + 5 * limits.batchSpanMsMax), 4)
  assert.is(log.offsetAt(startTime + 5 * limits.batchSpanMsMax + 1), 5)
})

test('an offset inside a batch finds that batch, and the end nothing', async ({ use }) => {
  const { log } = use(await folder().open())
  const a = feed(1)
  await log.append([a.next(3), a.next(2)])
  const offsets = []
  for (let offset = 0; offset < 6; offset++) {
    const found = await log.at(offset)
    offsets.push(found && 'batch' in found ? found.offset : undefined)
  }
  assert.equal(offsets, [0, 0, 0, 3, 3, undefined])
})

test('what a killed process wrote and had yet to sync is durable before it counts', async ({ use }) => {
  const { disk, counts, gate } = faultyDisk(memoryDisk())
  const place = folder(disk, 300)
  const { log } = await place.open()
  for (let i = 0; i < 3; i++) await log.append([feed(i + 1).next()])
  gate.closed = new Promise(() => {})
  void log.append([feed(9).next()])
  const written = async () => (await segments(place.disk)).length === 4
  await until(written, 1_000)
  // A later run, of which the power may be cut before it writes to that file.
  gate.closed = undefined
  const { syncs } = counts
  const again = use(await place.open())
  assert.is(again.log.batches, 4)
  assert.is(counts.syncs - syncs, 1, 'the others were synced before this one was begun')
})

test('a thousand topics keep few files open', async ({ use }) => {
  const { disk, counts } = faultyDisk(memoryDisk())
  const place = folder(disk)
  const { store, close } = await place.open()
  for (let i = 0; i < 300; i++) {
    const name = `t.${i}` as TopicName
    const log = await store.open(name)
    await log.append([feed(1, name).next()])
  }
  assert.ok(counts.openMost <= limits.openFilesMax + 8, `${counts.openMost} files were open`)
  await close()
  assert.is(counts.open, 0)
  const again = use(await place.open())
  assert.is(again.store.topics().length, 301)
  assert.ok(counts.openMost <= limits.openFilesMax + 8)
})

test('a removed topic is gone from disk, and begins anew', async ({ use }) => {
  const place = folder()
  const { store, log } = use(await place.open())
  await log.append(feed(1).many(3))
  await store.remove(log.topic)
  assert.equal(store.topics(), [])
  assert.equal(await segments(place.disk), [])
  const anew = await store.open(log.topic)
  assert.is(anew.endOffset, 0)
  await rejectsWith(async () => log.append(feed(2).many(1)), 'PeerClosed')
})

test.run()
