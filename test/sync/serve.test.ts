import * as assert from 'uvu/assert'
import type { FrameBytes, Link } from '../../node/host/link.ts'
import { WantServer } from '../../node/sync/serve.ts'
import type { FeedId, TopicName } from '../../node/types.ts'
import { decodeFrame, type FrameOf } from '../../node/wire/frame.ts'
import { suite } from '../helper/suite.ts'

const test = suite('sync')

/** A link that takes all that it is given. */
function listening() {
  const frames: FrameBytes[] = []
  const link = {
    open: true,
    sendMany: (some: readonly FrameBytes[]) => frames.push(...some) > 0,
    writable: async () => {},
    close: () => {},
  } as unknown as Link
  return { link, answers: () => frames.map((frame) => decodeFrame(frame.subarray())) }
}

function want(id: number): FrameOf<'want'> {
  const feed = '00'.repeat(16) as FeedId
  return { type: 'want', id, topic: 'orders' as TopicName, feed, from: 1, to: 9, budget: 1_000 }
}

test('a want that comes in the very moment in which the last one is answered is answered as well', async () => {
  for (let turns = 0; turns < 20; turns++) {
    const { link, answers } = listening()
    const server = new WantServer(link, () => undefined)
    server.onWant(want(1))
    for (let turn = 0; turn < turns; turn++) await null
    server.onWant(want(2))
    await new Promise((resolve) => setImmediate(resolve))
    const ended = answers().map((frame) => frame?.type === 'end' && frame.id)
    assert.equal(ended, [1, 2], `after ${turns} turns`)
  }
})

test.run()
