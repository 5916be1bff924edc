import * as fc from 'fast-check'
import * as assert from 'uvu/assert'
import { limits } from '../../node/limits.ts'
import type { Disk } from '../../node/ports.ts'
import { fileHeaderBytes } from '../../node/store/frame.ts'
import { memoryDisk } from '../../node/store/memory.ts'
import type { TopicLog } from '../../node/store/topic-log.ts'
import type { Batch } from '../../node/wire/head.ts'
import { suite } from '../helper/suite.ts'
import { feed, flipBit, folder, namesOf, readAll, segments, startTime, topic } from './fixture.ts'

const test = suite('store')

const indexOf = (segment: string) => segment.replace(/seg$/, 'idx')

async function indexes(disk: Disk): Promise<string[]> {
  return (await disk.list(`topics/${topic}`)).filter((name) => name.endsWith('.idx'))
}

/** A closed folder with some segments of one feed. */
async function filled() {
  const batches = feed(1).many(20)
  const place = folder(memoryDisk(), 1_500)
  const { log, close } = await place.open()
  for (const batch of batches) await log.append([batch])
  await close()
  return { place, batches }
}

/** Everything a log says of itself. */
async function saidBy(log: TopicLog) {
  const feeds = [...log.feeds].map(([id, { base, last, hash, nextIndex, author, started, forked }]) => {
    return { id, base, last, hash: Buffer.from(hash).toString('hex'), nextIndex, author, started, forked }
  })
  const { startOffset, endOffset, batches, records, bytes } = log
  const times = Array.from({ length: 40 }, (_, i) => log.offsetAt(startTime + limits.batchSpanMsMax + i * 2))
  return { feeds, startOffset, endOffset, batches, records, bytes, times, holes: log.holes(), all: await readAll(log) }
}

test('a log opened by its indexes is the one that is read through', async () => {
  const step = fc.oneof(
    { weight: 12, arbitrary: fc.record({ act: fc.constant('append' as const), feed: fc.nat(2), count: fc.nat(3) }) },
    { weight: 3, arbitrary: fc.record({ act: fc.constant('skip' as const), feed: fc.nat(2), count: fc.nat(2) }) },
    { weight: 1, arbitrary: fc.record({ act: fc.constant('drop' as const), feed: fc.nat(8), count: fc.nat(2) }) },
    { weight: 1, arbitrary: fc.record({ act: fc.constant('open' as const), feed: fc.nat(2), count: fc.nat(2) }) },
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60 }), async (steps) => {
      const place = folder(memoryDisk(), 1_500)
      const feeds = [feed(1), feed(2), feed(3)] as const
      let opened = await place.open()
      for (const { act, feed: which, count } of steps) {
        const source = feeds[which as 0 | 1 | 2] ?? feeds[0]
        if (act === 'append') await opened.log.append([source.next(count + 1)])
        if (act === 'skip') source.many(count + 1)
        if (act === 'drop') await opened.log.retain({ maxBytes: 1_500 * (which + 1) }, place.clock.now())
        if (act === 'open') {
          await opened.close()
          opened = await place.open()
        }
      }
      await opened.close()
      assert.is((await indexes(place.disk)).length, Math.max(0, (await segments(place.disk)).length - 1))
      const byIndex = await place.open()
      const told = await saidBy(byIndex.log)
      await byIndex.store.scrubbed
      await byIndex.close()
      assert.equal([...byIndex.store.found, ...byIndex.events], [])
      for (const name of await indexes(place.disk)) await place.disk.remove(`topics/${topic}/${name}`)
      const readThrough = await place.open()
      assert.equal(told, await saidBy(readThrough.log))
      await readThrough.close()
    }),
    { numRuns: 100 },
  )
})

test('opening reads the last segment and the indexes of the others', async ({ use }) => {
  const { disk, reads } = readCounting(memoryDisk())
  const place = folder(disk, 20_000)
  const first = await place.open()
  const batches = feed(1).many(300, 1, 1_000)
  await first.log.append(batches)
  for (const batch of feed(2).many(300, 1, 1_000)) await first.log.append([batch])
  await first.close()
  const paths = await segments(disk)
  assert.ok(paths.length > 15)
  reads.clear()
  const { log, store } = use(await place.open())
  assert.is(log.batches, 600)
  // Looking at the others has begun with a header.
  const read = [...reads].filter(([path, bytes]) => path.endsWith('.seg') && bytes > fileHeaderBytes)
  assert.equal(
    read.map(([path]) => path),
    paths.slice(-1),
  )
  await store.scrubbed
  for (const path of paths) assert.ok((reads.get(path) ?? 0) > 0, `${path} is looked at afterwards`)
})

test('damage under an index is told without being read, repaired in place, and the index is made anew', async ({
  use,
}) => {
  const { place, batches } = await filled()
  const [, path] = (await segments(place.disk)) as [string, string]
  const names = await indexes(place.disk)
  await flipBit(place.disk, path, 8 * 800)
  const { log, store, events, close } = await place.open()
  assert.equal(store.found, [])
  await store.scrubbed
  const [found, ...more] = events
  assert.equal(more, [])
  assert.is(found?.type === 'damage-found' && found.file, path)
  assert.not((await place.disk.list(`topics/${topic}`)).includes(indexOf(path).split('/').at(-1) as string))
  const seq = log.holes()[0]?.seq as number
  assert.is(await log.repair(batches[seq - 1] as Batch), true)
  assert.equal(await readAll(log), namesOf(batches))
  await close()
  const again = await place.open()
  assert.equal(await readAll(again.log), namesOf(batches))
  await again.store.scrubbed
  assert.equal([...again.store.found, ...again.events], [])
  await again.close()
  assert.equal(await indexes(place.disk), names)
  const third = use(await place.open())
  assert.equal(await readAll(third.log), namesOf(batches))
})

test('what is brought back at the end is there once, although an index knew it at its old place', async ({ use }) => {
  const { place, batches } = await filled()
  const [path] = (await segments(place.disk)) as [string]
  await flipBit(place.disk, path, 8 * 800)
  const { log, store, close } = await place.open()
  await store.scrubbed
  const seq = log.holes()[0]?.seq as number
  await log.giveUp(place.clock.now() + limits.repairWaitMs)
  assert.is(await log.repair(batches[seq - 1] as Batch), true)
  const expected = await readAll(log)
  assert.is(expected.length, 20)
  await close()
  for (let i = 0; i < 2; i++) {
    const again = await place.open()
    await again.store.scrubbed
    assert.equal([...again.store.found, ...again.events], [])
    assert.equal(await readAll(again.log), expected)
    await again.close()
  }
  use(await place.open())
})

test('a log that is closed while it is looked at again stays closed', async () => {
  const { place } = await filled()
  const before = await place.disk.list(`topics/${topic}`)
  const again = await place.open()
  await again.store.remove(topic)
  await again.store.scrubbed
  await again.close()
  assert.ok(before.length > 4)
  assert.equal(await place.disk.list(`topics/${topic}`), [])
})

function readCounting(inner: Disk) {
  const reads = new Map<string, number>()
  const disk: Disk = {
    ...inner,
    async open(path) {
      const file = await inner.open(path)
      return {
        size: () => file.size(),
        async read(into, position) {
          reads.set(path, (reads.get(path) ?? 0) + into.length)
          return file.read(into, position)
        },
        write: (pieces, position) => file.write(pieces, position),
        truncate: (size) => file.truncate(size),
        sync: () => file.sync(),
        close: () => file.close(),
      }
    },
  }
  return { disk, reads }
}

test.run()
