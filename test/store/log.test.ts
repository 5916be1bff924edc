import * as assert from 'uvu/assert'
import { suite } from '../helper/suite.ts'
import { feed, folder, namesOf, readAll } from './fixture.ts'

const test = suite('store')

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

test.run()
