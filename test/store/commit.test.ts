import * as assert from 'uvu/assert'
import { GroupCommit } from '../../node/store/commit.ts'
import type { Batch } from '../../node/wire/head.ts'
import { suite } from '../helper/suite.ts'
import { feed } from './fixture.ts'

const test = suite('store')

/** What was queued, whoever comes first: promises only, no timer. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve))

test('what is added in the very moment in which nothing is left to write is written as well', async () => {
  const [a, b] = feed(1).many(2) as [Batch, Batch]
  for (let turns = 0; turns < 20; turns++) {
    let written = 0
    const commit = new GroupCommit({
      write: async (batches) => {
        written += batches.length
      },
      onFailed: () => {},
    })
    void commit.add([a])
    for (let turn = 0; turn < turns; turn++) await null
    void commit.add([b])
    await settled()
    assert.is(written, 2, `after ${turns} turns`)
    assert.is(commit.isBusy, false)
  }
})

test.run()
