import * as assert from 'uvu/assert'
import { FeedWriter } from '../../node/feed/writer.ts'
import type { FrameBytes, Link } from '../../node/host/link.ts'
import { limits } from '../../node/limits.ts'
import type { Clock } from '../../node/ports.ts'
import type { TopicLog } from '../../node/store/topic-log.ts'
import { Fetch } from '../../node/sync/fetch.ts'
import { WantServer } from '../../node/sync/serve.ts'
import type { PeerId, TopicName } from '../../node/types.ts'
import { decodeFrame } from '../../node/wire/frame.ts'
import type { Batch } from '../../node/wire/head.ts'
import { signingKeyOf } from '../../node/wire/key.ts'
import { suite } from '../helper/suite.ts'

const test = suite('sync')

const topic = 'orders' as TopicName
const friend = 'friend' as PeerId

/** One end of a link on which nothing waits: what is sent is with the other end at once. */
function end(take: (frame: ReturnType<typeof decodeFrame>) => void): Link {
  const sendMany = (frames: readonly FrameBytes[]) => {
    for (const frame of frames) take(decodeFrame(frame.subarray()))
    return true
  }
  const link = { peer: friend, open: true, send: (frame: FrameBytes) => sendMany([frame]), sendMany, close: () => {} }
  return { ...link, writable: async () => {} } as Link
}

for (const mib of [1, 3, 10, 16]) {
  test(`batches of ${mib} MiB come one after the other, and none of them waits for a timer`, async () => {
    const writer = new FeedWriter(signingKeyOf(new Uint8Array(32).fill(1)), topic, 1, new Uint8Array(8))
    const value = crypto.getRandomValues(new Uint8Array(65_536))
    const batches = Array.from({ length: 5 }, (_, time) => {
      const large = Buffer.concat(Array.from({ length: mib * 16 - (mib === 16 ? 1 : 0) }, () => value))
      return writer.seal([{ value: large, time }], { time, tick: 0 })
    })
    const log = { read: async (_: unknown, seq: number) => batches[seq - 1], feeds: new Map() } as unknown as TopicLog
    const here: Batch[] = []
    const fetch = new Fetch({
      clock: { now: () => 0 } as Clock,
      linkOf: () => wanting,
      knownHead: () => undefined,
      onBatch(_topic, batch) {
        here.push(batch)
        const bytes = batch.body.length + batch.head.bytes.length
        setImmediate(() => fetch.onStored(topic, writer.feed, bytes, batch.head.head.seq))
      },
    })
    const serving = end((frame) => {
      if (frame?.type === 'batch') fetch.onBatchFrame(friend, frame)
      if (frame?.type === 'chunk') fetch.onChunkFrame(friend, frame)
      if (frame?.type === 'end') fetch.onEndFrame(friend, frame)
    })
    const server = new WantServer(serving, () => log)
    let most = 0
    const wanting: Link = end((frame) => {
      if (frame?.type === 'want') server.onWant(frame)
      if (frame?.type === 'more') server.onMore(frame)
      if (frame?.type === 'more') most = Math.max(most, frame.budget)
    })
    fetch.input({ type: 'offered', peer: friend, topic, feed: writer.feed, base: 1, last: 5, held: 0 })
    for (let turn = 0; turn < 100 && here.length < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
    assert.equal(
      here.map(({ head, body }) => [head.head.seq, body.length]),
      batches.map(({ head, body }) => [head.head.seq, body.length]),
    )
    assert.ok(most <= limits.wantBytes + limits.bodyBytesMax, 'no more than was stored is asked for')
  })
}

test.run()
