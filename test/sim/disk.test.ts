import * as fc from 'fast-check'
import * as assert from 'uvu/assert'
import { SimDisk } from '../../sim/world/disk.ts'
import { Rng } from '../../sim/world/random.ts'
import { VirtualTime } from '../../sim/world/time.ts'
import { acceptDisk } from '../accept/disk.ts'
import { suite, type TestTools } from '../helper/suite.ts'

const test = suite('sim')

/** A disk whose operations take virtual time, which passes by itself. */
function diskOf(use: TestTools['use'], seed: number | string = 1): SimDisk {
  const time = new VirtualTime()
  const passing = setInterval(() => {
    while (time.step());
  }, 1)
  use({ close: () => clearInterval(passing) })
  return new SimDisk(time, new Rng(seed))
}

acceptDisk(test, 'the simulated disk', ({ use }) => diskOf(use))

async function contentOf(disk: SimDisk, path: string): Promise<Buffer> {
  const file = await disk.open(path)
  const all = Buffer.alloc(await file.size())
  await file.read(all, 0)
  return all
}

/** Resolves when a write that is under way has reached the cache. */
async function written(disk: SimDisk, path: string, size: number): Promise<void> {
  while (disk.size(path) < size) await new Promise((resolve) => setImmediate(resolve))
}

test('a file is what was written to it, wherever its pages end', async ({ use }) => {
  const page = 64 * 1024
  const near = fc.tuple(fc.nat(3), fc.integer({ min: -3, max: 3 })).map(([pages, by]) => Math.max(0, pages * page + by))
  const edit = fc.oneof(
    fc.record({ at: near, bytes: near.map((size) => Math.min(size, page + 7)) }),
    fc.record({ cut: near }),
  )
  const disk = diskOf(use)
  let files = 0
  await fc.assert(
    fc.asyncProperty(fc.array(edit, { maxLength: 6 }), async (edits) => {
      const path = `f${files++}`
      const file = await disk.open(path)
      let model = Buffer.alloc(0)
      for (const [i, each] of edits.entries()) {
        if ('cut' in each) {
          await file.truncate(each.cut)
          model = Buffer.concat([model, Buffer.alloc(Math.max(0, each.cut - model.length))]).subarray(0, each.cut)
        } else {
          const bytes = Buffer.alloc(each.bytes, i + 1)
          await file.write([bytes], each.at)
          if (bytes.length > 0) {
            const grown = Buffer.alloc(Math.max(model.length, each.at + bytes.length))
            model.copy(grown)
            bytes.copy(grown, each.at)
            model = grown
          }
        }
      }
      assert.ok(model.equals(await contentOf(disk, path)))
    }),
    { numRuns: 60 },
  )
})

test('a disk that was slow for several reasons is as fast as before when all are over', ({ use }) => {
  const disk = diskOf(use)
  const before = disk.timing
  const [first, second] = [
    { operationMs: 10, syncMs: 700 },
    { operationMs: 6, syncMs: 200 },
  ].map((timing) => disk.slow(timing))
  assert.is(disk.timing.syncMs, 200)
  first?.()
  assert.is(disk.timing.syncMs, 200)
  second?.()
  assert.equal(disk.timing, before)
})

test('a killed process leaves what it wrote; a power cut what was synced, and of the rest each write whole, in part or not at all', async ({
  use,
}) => {
  const fates = new Set<string>()
  for (let seed = 0; seed < 60; seed++) {
    const disk = diskOf(use, seed)
    const file = await disk.open('f')
    await file.write([Buffer.from('safe')], 0)
    void file.write([Buffer.from('12345678')], 4)
    await written(disk, 'f', 12)
    disk.crash('killed')
    assert.is((await contentOf(disk, 'f')).toString(), 'safe12345678')
    disk.crash('power')
    const left = (await contentOf(disk, 'f')).toString()
    assert.match(left, /^safe1?2?3?4?5?6?7?8?$/)
    assert.ok('safe12345678'.startsWith(left))
    fates.add(left.length === 4 ? 'lost' : left.length === 12 ? 'kept' : 'torn')
  }
  assert.equal([...fates].sort(), ['kept', 'lost', 'torn'])
})

test('a full disk takes what fits and says ENOSPC; one flipped bit is one flipped bit', async ({ use }) => {
  const disk = diskOf(use)
  const file = await disk.open('f')
  disk.capacity = 5
  const error = await file.write([Buffer.from('1234567')], 0).catch((thrown: NodeJS.ErrnoException) => thrown)
  assert.is(error instanceof Error && error.code, 'ENOSPC')
  assert.is((await contentOf(disk, 'f')).toString(), '12345')
  const at = disk.flipBit('f')?.position ?? -1
  const [before, after] = [Buffer.from('12345'), await contentOf(disk, 'f')]
  const bits = ((before[at] as number) ^ (after[at] as number)).toString(2).replaceAll('0', '')
  assert.is(bits, '1')
  after[at] = before[at] as number
  assert.ok(after.equals(before))
})

test.run()
