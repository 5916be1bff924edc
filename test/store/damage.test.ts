import * as fc from 'fast-check'
import * as assert from 'uvu/assert'
import { limits } from '../../node/limits.ts'
import { frameBytes, frameOf, voidOf } from '../../node/store/frame.ts'
import { memoryDisk } from '../../node/store/memory.ts'
import { type Batch, openHead } from '../../node/wire/head.ts'
import { suite } from '../helper/suite.ts'
import { bytesOf, feed, flipBit, folder, namesOf, readAll, rewrite, segments } from './fixture.ts'

const test = suite('store')

/** A closed folder with these batches in it, and where each frame begins. */
async function filled(batches: readonly Batch[], segmentBytesMax?: number) {
  const place = folder(memoryDisk(), segmentBytesMax)
  const { log, close } = await place.open()
  for (const batch of batches) await log.append([batch])
  await close()
  const paths = await segments(place.disk)
  const starts: number[] = []
  let at = 16
  for (const batch of batches) {
    starts.push(at)
    at += frameBytes(batch)
  }
  return { ...place, paths, path: paths[0] as string, starts, bytes: await bytesOf(place.disk, paths[0] as string) }
}

test('an end torn at any byte of the last frame is cut, and the log goes on', async () => {
  const a = feed(1)
  const batches = a.many(3)
  const place = await filled(batches)
  for (let size = (place.starts[2] as number) + 1; size < place.bytes.length; size++) {
    await rewrite(place.disk, place.path, place.bytes.slice(0, size))
    const { log, store, close } = await place.open()
    assert.equal(store.found, [
      {
        topic: log.topic,
        file: place.path,
        position: place.starts[2],
        bytes: size - (place.starts[2] as number),
        kind: 'torn-end',
      },
    ])
    assert.equal(await readAll(log), namesOf(batches.slice(0, 2)))
    assert.equal(log.holes(), [])
    await log.append([batches[2] as Batch])
    assert.equal(await readAll(log), namesOf(batches))
    await close()
    assert.equal(await bytesOf(place.disk, place.path), place.bytes)
  }
})

test('zeros that were written ahead are no damage, and are cut', async () => {
  const batches = feed(1).many(40)
  for (const zeros of [1, 23, 24, 5_000, limits.roomBytesMax]) {
    const place = await filled(batches.slice(0, 39), 4_000)
    assert.ok(place.paths.length > 2)
    const before = await Promise.all(place.paths.map((path) => bytesOf(place.disk, path)))
    for (const [i, path] of place.paths.entries())
      await rewrite(place.disk, path, Buffer.concat([before[i] as Uint8Array, Buffer.alloc(zeros)]))
    const { log, store, events, close } = await place.open()
    assert.equal(store.found, [])
    assert.equal(await readAll(log), namesOf(batches.slice(0, 39)))
    await log.append([batches[39] as Batch])
    assert.equal(await readAll(log), namesOf(batches))
    await close()
    assert.equal(events, [])
    assert.equal(
      await Promise.all(place.paths.slice(0, -1).map((path) => bytesOf(place.disk, path))),
      before.slice(0, -1),
    )
  }
})

test('an end torn before zeros that were written ahead is cut with them', async () => {
  const batches = feed(1).many(3)
  const place = await filled(batches)
  const last = place.starts[2] as number
  for (let size = last + 1; size < place.bytes.length; size += 7) {
    await rewrite(place.disk, place.path, Buffer.concat([place.bytes.slice(0, size), Buffer.alloc(3_000)]))
    const { log, store, close } = await place.open()
    assert.equal(
      store.found.map(({ kind, position }) => [kind, position]),
      [['torn-end', last]],
    )
    await log.append([batches[2] as Batch])
    assert.equal(await readAll(log), namesOf(batches))
    await close()
    assert.equal(await bytesOf(place.disk, place.path), place.bytes)
  }
})

test('one flipped bit anywhere in a middle frame costs that frame, and giving it back restores every byte', async () => {
  const [a, b] = [feed(1), feed(2)]
  const batches = [a.next(), b.next(), a.next(), b.next(1), a.next(), b.next()]
  const place = await filled(batches)
  const from = (place.starts[2] as number) * 8
  const to = (place.starts[3] as number) * 8
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: from, max: to - 1 }), async (bit) => {
      await rewrite(place.disk, place.path, place.bytes)
      await flipBit(place.disk, place.path, bit)
      const { log, store, events, close } = await place.open()
      assert.equal(
        store.found.map(({ kind, position }) => [kind, position]),
        [['damaged', place.starts[2]]],
      )
      const names = namesOf(batches)
      assert.equal(await readAll(log), names.with(2, 'damaged'))
      assert.equal(log.holes(), [{ feed: a.id, seq: 2 }])
      assert.is(await log.repair(batches[1] as Batch), false)
      assert.is(await log.repair(batches[2] as Batch), true)
      assert.equal(await readAll(log), names)
      assert.equal(log.holes(), [])
      assert.equal(
        events.map(({ type }) => type),
        ['damage-repaired'],
      )
      await close()
      assert.equal(await bytesOf(place.disk, place.path), place.bytes)
    }),
    { numRuns: 300 },
  )
})

test('one flipped bit anywhere in a file never yields a wrong batch, and what is lost can be given back', async () => {
  const [a, b] = [feed(1), feed(2)]
  const batches = [a.next(), b.next(), a.next(), b.next(1), a.next()]
  const place = await filled(batches)
  const genuine = new Map(batches.map((batch) => [`${batch.head.feed}/${batch.head.head.seq}`, batch]))
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: place.bytes.length * 8 - 1 }), async (bit) => {
      await rewrite(place.disk, place.path, place.bytes)
      await flipBit(place.disk, place.path, bit)
      place.loseState()
      const { log, store, close } = await place.open()
      assert.is(store.found.length, 1)
      for (const hole of log.holes()) assert.ok(await log.repair(genuine.get(`${hole.feed}/${hole.seq}`) as Batch))
      // What was the last of its feed is simply behind; sync brings it.
      for (const batch of batches) {
        if ((log.feeds.get(batch.head.feed)?.last ?? 0) < batch.head.head.seq) await log.append([batch])
      }
      assert.equal(log.holes(), [])
      assert.is((await readAll(log)).length, 5)
      for (const batch of batches) {
        const { feed, head } = batch.head
        assert.equal((await log.read(feed, head.seq))?.body, batch.body)
      }
      await close()
      const again = await place.open()
      assert.equal(again.store.found, [])
      assert.is((await readAll(again.log)).length, 5)
      await again.close()
    }),
    { numRuns: 300 },
  )
})

test('neighbouring damaged frames of two feeds are put back together, whichever comes first', async ({ use }) => {
  const [a, b] = [feed(1), feed(2)]
  const batches = [a.next(), b.next(), a.next(3, 40), b.next(1, 99), a.next(), b.next()]
  const place = await filled(batches)
  for (const frame of [2, 3]) await flipBit(place.disk, place.path, (place.starts[frame] as number) * 8 + 999)
  const { log, store } = use(await place.open())
  assert.equal(
    store.found.map(({ position, bytes }) => [position, bytes]),
    [[place.starts[2], (place.starts[4] as number) - (place.starts[2] as number)]],
  )
  assert.is(await log.repair(batches[3] as Batch), true)
  assert.equal(log.holes(), [{ feed: a.id, seq: 2 }])
  assert.is((await readAll(log)).filter((name) => name === 'damaged').length, 1)
  assert.is(await log.repair(batches[2] as Batch), true)
  assert.is(log.batches, 6)
  assert.is(log.records, 12)
  assert.is((await readAll(log)).length, 6)
  assert.equal(new Set(await readAll(log)).size, 6)
})

test('two places damaged are repaired each for itself, in any order', async ({ use }) => {
  const a = feed(1)
  const batches = a.many(7)
  const place = await filled(batches)
  for (const frame of [1, 4]) await flipBit(place.disk, place.path, (place.starts[frame] as number) * 8 + 1_000)
  const { log, close } = await place.open()
  assert.equal(await readAll(log), namesOf(batches).with(1, 'damaged').with(4, 'damaged'))
  await log.repair(batches[4] as Batch)
  assert.equal(await readAll(log), namesOf(batches).with(1, 'damaged'))
  await log.repair(batches[1] as Batch)
  assert.equal(await readAll(log), namesOf(batches))
  await close()
  const again = use(await place.open())
  assert.equal(again.store.found, [])
  assert.equal(await readAll(again.log), namesOf(batches))
})

test('the first batch of a feed is a hole too, and comes back to its place', async ({ use }) => {
  const [a, b] = [feed(1), feed(2)]
  const batches = [b.next(), a.next(), a.next(), a.next()]
  const place = await filled(batches)
  await flipBit(place.disk, place.path, (place.starts[1] as number) * 8 + 700)
  const { log } = use(await place.open())
  assert.equal(log.holes(), [{ feed: a.id, seq: 1 }])
  assert.is(log.feeds.get(a.id)?.base, 1, 'what is damaged is not told to be removed')
  assert.is(await log.repair(batches[1] as Batch), true)
  assert.is(log.feeds.get(a.id)?.base, 1)
  assert.equal(await readAll(log), namesOf(batches))
})

test('a place whose batch nothing tells of is voided at once, and not found again', async ({ use }) => {
  const [a, b] = [feed(1), feed(2)]
  const batches = [a.next(), b.next(), a.next()]
  const place = await filled(batches)
  await flipBit(place.disk, place.path, (place.starts[1] as number) * 8 + 700)
  const { log, store, close } = await place.open()
  assert.is(store.found.length, 1)
  assert.equal(log.holes(), [])
  assert.equal(await readAll(log), namesOf(batches).toSpliced(1, 1))
  await log.append([batches[1] as Batch])
  assert.is(log.feeds.get(b.id)?.last, 1)
  await close()
  const again = use(await place.open())
  assert.equal(again.store.found, [])
  assert.equal((await readAll(again.log)).length, 3)
  assert.is(again.log.endOffset, 8)
  const aside = await place.disk.list('topics/orders/damaged')
  assert.equal(aside, [`0-${place.starts[1]}`])
})

test('a place is voided once all that was known to be missing has found its own', async ({ use }) => {
  const [a, b, c] = [feed(1), feed(2), feed(3)]
  const batches = [a.next(), c.next(), a.next(), b.next(), c.next(5), a.next()]
  const place = await filled(batches)
  // The second of a and, elsewhere, the newest of c: that one nothing tells of, and the hole of a may be in either place.
  for (const frame of [2, 4]) await flipBit(place.disk, place.path, (place.starts[frame] as number) * 8 + 700)
  const { log } = use(await place.open())
  assert.equal(log.holes(), [{ feed: a.id, seq: 2 }])
  await log.repair(batches[2] as Batch)
  assert.equal(await readAll(log), namesOf(batches).toSpliced(4, 1))
  await log.append([batches[4] as Batch])
  assert.equal(await readAll(log), namesOf([...batches, batches[4] as Batch]).toSpliced(4, 1))
})

test('what nobody brings back is given up in time, and appended when it comes after all', async ({ use }) => {
  const a = feed(1)
  const batches = a.many(4)
  const place = await filled(batches)
  await flipBit(place.disk, place.path, (place.starts[1] as number) * 8 + 700)
  const { log, events, close } = await place.open()
  assert.is(await log.giveUp(place.clock.now() + limits.repairWaitMs - 1), 0)
  let changes = 0
  log.onChange(() => changes++)
  assert.is(await log.giveUp(place.clock.now() + limits.repairWaitMs), 1)
  assert.is(changes, 1)
  assert.equal(await readAll(log), namesOf(batches).toSpliced(1, 1))
  assert.equal(log.holes(), [{ feed: a.id, seq: 2 }])
  await close()
  const again = use(await place.open())
  assert.equal(again.store.found, [])
  assert.equal(again.log.holes(), [{ feed: a.id, seq: 2 }])
  assert.is(await again.log.repair(batches[1] as Batch), true)
  assert.equal(again.log.holes(), [])
  assert.equal((await again.log.read(a.id, 2))?.body, (batches[1] as Batch).body)
  assert.equal((await readAll(again.log)).at(-1)?.slice(4), '/2@8')
  assert.equal([again.log.feeds.get(a.id)?.last, again.log.endOffset], [4, 10])
  assert.equal(
    [...events, ...again.events].map(({ type }) => type),
    ['damage-lost', 'damage-repaired'],
  )
})

test('damage found when reading is never returned, and repaired like any other', async ({ use }) => {
  const a = feed(1)
  const batches = a.many(3)
  const place = await filled(batches)
  const { log, events } = use(await place.open())
  for (const frame of [1, 2]) await flipBit(place.disk, place.path, (place.starts[frame] as number) * 8 + 1_000)
  assert.is(await log.read(a.id, 2), undefined)
  assert.equal(await readAll(log), namesOf(batches).with(1, 'damaged').with(2, 'damaged'))
  assert.equal(
    log.holes().map(({ seq }) => seq),
    [2, 3],
  )
  assert.equal(
    events.map(({ type }) => type),
    ['damage-found', 'damage-found'],
  )
  const four = a.next()
  await log.append([four])
  await log.repair(batches[2] as Batch)
  await log.repair(batches[1] as Batch)
  assert.equal(await readAll(log), namesOf([...batches, four]))
  assert.equal((await log.read(a.id, 3))?.body, (batches[2] as Batch).body)
})

test('a lost segment file in the middle leaves a gap and holes', async ({ use }) => {
  const a = feed(1)
  const batches = a.many(20)
  const place = await filled(batches, 1_500)
  assert.ok(place.paths.length >= 3)
  const [from, to] = place.paths.slice(1, 3).map((path) => Number(/(\d+)\.seg/.exec(path)?.[1])) as [number, number]
  await place.disk.remove(place.paths[1] as string)
  const { log } = use(await place.open())
  const lost = batches.slice(from / 2, to / 2)
  assert.equal(
    log.holes().map(({ seq }) => seq),
    lost.map(({ head }) => head.head.seq),
  )
  assert.equal(await readAll(log), namesOf(batches).toSpliced(from / 2, lost.length))
  for (const batch of lost) assert.is(await log.repair(batch), true)
  assert.equal(log.holes(), [])
  assert.is((await readAll(log)).length, 20)
})

for (const [what, ruin] of Object.entries({
  emptied: () => new Uint8Array(0),
  'all garbage': (bytes: Uint8Array) => new Uint8Array(bytes.length).fill(0x47),
  'without its header': (bytes: Uint8Array) => bytes.slice(16),
  'with a bad header': (bytes: Uint8Array) => Uint8Array.from(bytes, (byte, at) => (at < 16 ? 0xff : byte)),
  'cut in the middle': (bytes: Uint8Array) => bytes.slice(0, bytes.length / 2),
  'cut between two frames': (bytes: Uint8Array) => bytes.slice(0, 16 + frameBytes(feed(1).next())),
  'shorter than a header': (bytes: Uint8Array) => bytes.slice(0, 7),
})) {
  for (const which of ['first', 'middle', 'last'] as const) {
    test(`a ${which} segment that is ${what} is told of, and all of it can be brought back`, async ({ use }) => {
      const a = feed(1)
      const batches = a.many(20)
      const place = await filled(batches, 1_500)
      const path = place.paths.at({ first: 0, middle: 1, last: -1 }[which]) as string
      await rewrite(place.disk, path, ruin(await bytesOf(place.disk, path)))
      const { log, store, events, close } = await place.open()
      await store.scrubbed
      // One event for each frame of it where an index tells of them, else one for all.
      const found = [...store.found, ...events.filter((event) => event.type === 'damage-found')]
      assert.equal(new Set(found.map(({ file }) => file)), new Set([path]))
      for (const { seq } of log.holes()) assert.is(await log.repair(batches[seq - 1] as Batch), true)
      await log.giveUp(place.clock.now() + limits.repairWaitMs)
      await log.append(batches.slice(log.feeds.get(a.id)?.last ?? 0))
      assert.equal(log.holes(), [])
      assert.is((await readAll(log)).length, 20)
      await close()
      const again = use(await place.open())
      await again.store.scrubbed
      assert.equal(again.events, [])
      if (what !== 'without its header') assert.equal(again.store.found, [])
      assert.equal(await readAll(again.log), namesOf(batches), 'each in its old place')
      for (const batch of batches) {
        assert.equal((await again.log.read(a.id, batch.head.head.seq))?.body, batch.body)
      }
    })
  }
}

for (const { what, ruin } of [
  { what: 'nothing', ruin: () => new Uint8Array(0) },
  { what: 'its header', ruin: (bytes: Uint8Array) => bytes.slice(0, 16) },
  { what: 'half of it', ruin: (bytes: Uint8Array) => bytes.slice(0, bytes.length / 2) },
  { what: 'a frame', ruin: (bytes: Uint8Array) => bytes.slice(0, 16 + frameBytes(feed(1).next())) },
]) {
  test(`what is missing of a segment that was cut to ${what} comes back to its place after any number of starts, or never`, async () => {
    const a = feed(1)
    const batches = a.many(20)
    const place = await filled(batches, 1_500)
    const path = place.paths[1] as string
    await rewrite(place.disk, path, ruin(await bytesOf(place.disk, path)))
    const lost: number[] = []
    for (let start = 0; start < 3; start++) {
      const { log, store, close } = await place.open()
      await store.scrubbed
      lost.splice(0, lost.length, ...log.holes().map(({ seq }) => seq))
      assert.ok(lost.length > 0)
      assert.is((await readAll(log)).filter((name) => name === 'damaged').length, 1)
      await close()
    }
    const half = lost.slice(0, Math.ceil(lost.length / 2))
    for (const [seqs, left] of [
      [lost, namesOf(batches)],
      [half, namesOf(batches).filter((_, i) => !lost.includes(i + 1))],
    ] as const) {
      const before = await Promise.all(place.paths.map((each) => bytesOf(place.disk, each)))
      const { log, close } = await place.open()
      for (const seq of seqs) await log.repair(batches[seq - 1] as Batch)
      await log.giveUp(place.clock.now() + limits.repairWaitMs)
      if (seqs === lost) assert.equal(await readAll(log), left)
      await close()
      const again = await place.open()
      await again.store.scrubbed
      assert.equal([again.store.found, again.events], [[], []])
      if (seqs === lost) assert.equal(await readAll(again.log), left)
      else assert.not((await readAll(again.log)).includes('damaged'))
      await again.close()
      for (const [i, each] of place.paths.entries()) await rewrite(place.disk, each, before[i] as Uint8Array)
    }
  })
}

test('frames inside a record, put there on purpose, are not taken for frames of the log', async ({ use }) => {
  const [a, b] = [feed(1), feed(2)]
  const one = a.next()
  const honest = b.next()
  const unsigned = openHead(honest.head.bytes.with(-1, (honest.head.bytes.at(-1) as number) ^ 1))
  const forged = Buffer.concat(frameOf({ head: unsigned, body: honest.body }, 3))
  const far = Buffer.concat(frameOf(honest, 2 ** 50))
  const bait = a.holding(Buffer.concat([forged, far, voidOf(300, 3, 1), new Uint8Array(50)]))
  const batches = [one, bait, a.next(), a.next()]
  const place = await filled(batches)
  await flipBit(place.disk, place.path, (place.starts[1] as number) * 8 + 8 * 12 + 1)
  const { log, store } = use(await place.open())
  assert.equal(
    store.found.map(({ position, bytes }) => [position, bytes]),
    [[place.starts[1], (place.starts[2] as number) - (place.starts[1] as number)]],
  )
  assert.not(log.feeds.has(b.id))
  await log.repair(bait)
  assert.equal(await readAll(log), namesOf(batches))
})

test('whatever happens to the bytes, opening works and only genuine batches are read', async () => {
  const [a, b] = [feed(1), feed(2)]
  const batches = [a.next(), b.next(), a.next(), a.next(), b.next(), a.next()]
  const place = await filled(batches, 900)
  const indexes = place.paths.slice(0, -1).map((path) => path.replace('.seg', '.idx'))
  const paths = [...place.paths, ...indexes]
  const files = await Promise.all(paths.map((path) => bytesOf(place.disk, path)))
  const names = new Set(batches.map(({ head }) => `${head.feed.slice(0, 4)}/${head.head.seq}`))
  const edit = fc.record({
    file: fc.nat(paths.length - 1),
    at: fc.nat(900),
    cut: fc.nat(200),
    insert: fc.uint8Array({ maxLength: 60 }),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 4 }), async (edits) => {
      const content = files.map((bytes) => Buffer.from(bytes))
      for (const { file, at, cut, insert } of edits) {
        const old = content[file] as Buffer
        content[file] = Buffer.concat([old.subarray(0, at), insert, old.subarray(at + cut)])
      }
      for (const [i, path] of paths.entries()) await rewrite(place.disk, path, content[i] as Buffer)
      const { log, store, close } = await place.open()
      await store.scrubbed
      for (const { feed, seq } of log.holes()) {
        const batch = batches.find(({ head }) => head.feed === feed && head.head.seq === seq)
        assert.ok(batch)
        await log.repair(batch as Batch)
      }
      await log.giveUp(place.clock.now() + limits.repairWaitMs)
      for (const batch of batches) {
        if ((log.feeds.get(batch.head.feed)?.last ?? 0) < batch.head.head.seq) await log.append([batch])
      }
      const check = async (from: typeof log) => {
        const seen = (await readAll(from)).map((name) => name.split('@')[0] as string)
        assert.is(seen.length, 6)
        assert.equal(new Set(seen), names)
      }
      await check(log)
      await close()
      const again = await place.open()
      await check(again.log)
      await again.close()
    }),
    { numRuns: 200 },
  )
})

test.run()
