import * as assert from 'uvu/assert'
import { GrapevineError } from '../../node/errors.ts'
import { HybridClock } from '../../node/feed/hlc.ts'
import { FeedWriter } from '../../node/feed/writer.ts'
import { limits } from '../../node/limits.ts'
import type { TopicLog } from '../../node/store/topic-log.ts'
import { codecOf } from '../../node/topic/codec.ts'
import { Confirmations } from '../../node/topic/confirm.ts'
import { Publisher } from '../../node/topic/publisher.ts'
import { PublicTopic } from '../../node/topic/topic.ts'
import type { Outgoing, Topic, TopicName } from '../../node/types.ts'
import type { Batch } from '../../node/wire/head.ts'
import { signingKeyOf } from '../../node/wire/key.ts'
import { handClock } from '../helper/clock.ts'
import { codeOf } from '../helper/mesh.ts'
import { suite } from '../helper/suite.ts'
import { until } from '../helper/until.ts'

const test = suite('topic')
const name = 'orders' as TopicName
const key = signingKeyOf(new Uint8Array(32).fill(3))

/** A publisher over a log whose commits end when the test says so. */
function room() {
  const clock = handClock()
  const hybrid = new HybridClock(() => clock.now())
  const commits: { batch: Batch; done: () => void; failed: (error: unknown) => void }[] = []
  const announced: Batch[] = []
  let feeds = 0
  const newLog = () =>
    ({
      append: ([batch]: readonly Batch[]) =>
        new Promise<void>((done, failed) => {
          commits.push({ batch: batch as Batch, done, failed })
        }),
    }) as unknown as TopicLog
  let log = newLog()
  /** The log is handed to its keepers, and the next publish opens a new one. */
  const giveAway = () => {
    log = newLog()
  }
  const confirmations = new Confirmations(clock, () => 0)
  const publisher = new Publisher({
    openLog: async () => log,
    newWriter: () => new FeedWriter(key, name, clock.now(), new Uint8Array(8).fill(++feeds)),
    stamp: () => hybrid.stamp(),
    announce: (batch) => announced.push(batch),
    confirmations,
    meter: undefined,
    onFailed: () => {},
    seekCarriers: () => {},
  })
  const topic: Topic<Uint8Array> = new PublicTopic<Uint8Array>({
    name,
    codec: codecOf('bytes'),
    publisher: () => publisher,
    confirmTimeoutMs: 1000,
    now: () => clock.now(),
    breathe: () => clock.breathe(),
    assertOpen: () => {},
    subscribe: () => {
      throw new Error('not here')
    },
    respond: () => {
      throw new Error('there are no responders here')
    },
    group: () => {
      throw new Error('not here')
    },
  })
  /** Resolves with the commit under way. */
  const commit = (number: number) => until(() => commits[number - 1], 2000, `commit ${number}`)
  /** Lets every commit through as it comes. */
  const flow = () => {
    let open = true
    const next = async () => {
      for (let at = commits.length; open; at++)
        ((await until(() => commits[at] ?? !open, 10_000)) as { done?: () => void }).done?.()
    }
    for (const { done } of commits) done()
    void next().catch(() => undefined)
    return () => {
      open = false
    }
  }
  return { clock, commits, commit, announced, publisher, confirmations, topic, flow, giveAway }
}

const bytes = (count: number) => new Uint8Array(count)

test('the first record goes alone and at once; what comes meanwhile forms the next batch', async () => {
  const { topic, commit, commits, announced } = room()
  const first = topic.publish(bytes(1))
  const one = await commit(1)
  assert.is(one.batch.head.head.count, 1)
  const rest = [topic.publish(bytes(1)), topic.publish(bytes(1)), topic.publish(bytes(1))]
  assert.is(commits.length, 1)
  assert.is(announced.length, 0, 'nothing is announced before it is on disk')
  one.done()
  assert.equal(await first, { feed: one.batch.head.feed, seq: 1, index: 0, copies: 0 })
  const two = await commit(2)
  assert.is(two.batch.head.head.count, 3)
  two.done()
  assert.equal(
    (await Promise.all(rest)).map(({ seq, index }) => [seq, index]),
    [
      [2, 1],
      [2, 2],
      [2, 3],
    ],
  )
  assert.equal(announced, [one.batch, two.batch])
})

test('records published in one turn travel together', async () => {
  const { topic, commit } = room()
  const all = [topic.publish(bytes(1)), topic.publish(bytes(1))]
  const { batch, done } = await commit(1)
  assert.is(batch.head.head.count, 2)
  done()
  await Promise.all(all)
})

test('a batch ends at its limit of bytes, and at its limit of records', async () => {
  const { topic, commit } = room()
  const all: Promise<unknown>[] = []
  for (let i = 0; i < 5; i++) all.push(topic.publish(bytes(Math.floor(0.29 * limits.batchBytesMax))))
  for (let i = 0; i < limits.batchRecordsMax + 5; i++) all.push(topic.publish(bytes(1)))
  const counts: number[] = []
  for (let number = 1; number <= 3; number++) {
    const { batch, done } = await commit(number)
    counts.push(batch.head.head.count)
    assert.ok(batch.head.head.rawBytes <= limits.batchBytesMax)
    done()
  }
  assert.equal(counts, [3, limits.batchRecordsMax, 7])
  await Promise.all(all)
})

test('publishMany takes a thousand of what is there at a time, without a promise for each', async () => {
  const { topic, commit } = room()
  const done = topic.publishMany(Array.from({ length: 2_500 }, () => ({ value: bytes(1) })))
  const counts: number[] = []
  for (let number = 1; number <= 2; number++) {
    const { batch, done } = await commit(number)
    counts.push(batch.head.head.count)
    done()
  }
  assert.equal(counts, [1_000, 1_500])
  assert.equal(await done, { published: 2_500, confirmed: 2_500, copies: 0 })
})

test('a failed commit fails its records and no others, and the next publish begins a new feed', async () => {
  const { topic, commit, announced } = room()
  const first = topic.publish(bytes(1))
  ;(await commit(1)).done()
  const { feed } = await first
  const lost = codeOf(topic.publish(bytes(1)))
  const failing = await commit(2)
  const next = topic.publish(bytes(1))
  failing.failed(new GrapevineError('StorageFull', 'full', { path: 'x' }))
  assert.is(await lost, 'StorageFull')
  const third = await commit(3)
  assert.is(third.batch.head.head.seq, 1, 'a number is never used twice')
  third.done()
  assert.is.not((await next).feed, feed)
  assert.is(announced.length, 2)
})

test('a feed is not continued in a log that lacks its beginning', async () => {
  const { topic, commit, giveAway } = room()
  const feeds: string[] = []
  const seqs: number[] = []
  for (let number = 1; number <= 3; number++) {
    if (number === 3) giveAway()
    const published = topic.publish(bytes(1))
    ;(await commit(number)).done()
    const { feed, seq } = await published
    feeds.push(feed)
    seqs.push(seq)
  }
  assert.equal(seqs, [1, 2, 1])
  assert.is(feeds[1], feeds[0])
  assert.not.equal(feeds[2], feeds[0])
})

test('more than the queue holds is refused, until some of it is written', async () => {
  const { topic, publisher, flow } = room()
  const all: Promise<unknown>[] = []
  const piece = bytes(8 * 1024 * 1024)
  for (let queued = 0; queued < limits.publishQueueBytesMax; queued += piece.length) all.push(topic.publish(piece))
  assert.not.ok(publisher.hasRoom)
  assert.is(await codeOf(topic.publish(bytes(1))), 'QueueFull')
  const stop = flow()
  await publisher.room()
  all.push(topic.publish(bytes(1)))
  await Promise.all(all)
  stop()
})

test('a record of the largest size is a batch of its own; one byte more is refused and disturbs nobody', async () => {
  const { topic, commit } = room()
  const before = topic.publish(bytes(1))
  const large = topic.publish(bytes(limits.recordBytesMax))
  const refused = topic.publish(bytes(limits.recordBytesMax + 1)).catch((error) => error)
  const after = topic.publish(bytes(1))
  const counts: number[] = []
  for (let number = 1; number <= 3; number++) {
    const { batch, done } = await commit(number)
    counts.push(batch.head.head.count)
    done()
  }
  assert.equal(counts, [1, 1, 1])
  assert.equal(
    (await Promise.all([before, large, after])).map(({ seq }) => seq),
    [1, 2, 3],
  )
  const error = (await refused) as GrapevineError<'RecordTooLarge'>
  assert.is(error.code, 'RecordTooLarge')
  assert.equal(error.data, { bytes: limits.recordBytesMax + 1, limitBytes: limits.recordBytesMax })
  assert.match(error.message, String(limits.recordBytesMax))
})

test('a key or headers beyond their limits are refused', async () => {
  const { topic } = room()
  assert.is(await codeOf(topic.publish(bytes(1), { key: 'k'.repeat(limits.keyBytesMax + 1) })), 'RecordTooLarge')
  assert.is(
    await codeOf(topic.publish(bytes(1), { headers: { a: 'x'.repeat(limits.headerBytesMax) } })),
    'RecordTooLarge',
  )
  assert.is(await codeOf(topic.publish(bytes(1), { headers: { a: 1 as unknown as string } })), 'InvalidOption')
})

test('a wish that makes no sense is refused', async () => {
  const { topic } = room()
  for (const confirm of [-1, 0.5, Number.NaN, 'all' as 'auto'])
    assert.is(await codeOf(topic.publish(bytes(1), { confirm })), 'InvalidOption')
  for (const timeoutMs of [0, -1, Number.NaN])
    assert.is(await codeOf(topic.publish(bytes(1), { timeoutMs })), 'InvalidOption')
})

test('publishMany waits by itself, tells how far it is, and counts once for each record', async () => {
  const { topic, flow, commits, publisher } = room()
  const stop = flow()
  const piece = bytes(500_000)
  let mostWaiting = 0
  function* many(): Generator<Outgoing<Uint8Array>> {
    for (let i = 0; i < 100; i++) {
      mostWaiting = Math.max(mostWaiting, i - commits.reduce((sum, { batch }) => sum + batch.head.head.count, 0))
      yield { value: piece }
    }
  }
  const told: number[] = []
  const result = await topic.publishMany(many(), { onProgress: ({ published }) => told.push(published) })
  stop()
  assert.equal(result, { published: 100, confirmed: 100, copies: 0 })
  assert.is(told.at(-1), 100)
  assert.equal(
    told,
    [...told].sort((a, b) => a - b),
  )
  assert.ok(mostWaiting <= 20, `${mostWaiting} waited at once`)
  await publisher.idle()
})

test('publishMany of nothing is done at once', async () => {
  assert.equal(await room().topic.publishMany([]), { published: 0, confirmed: 0, copies: 0 })
})

test('publishMany ends with the first failure, after what was queued is dealt with', async () => {
  const { topic, commit } = room()
  async function* broken(): AsyncGenerator<Outgoing<Uint8Array>> {
    yield { value: bytes(1) }
    throw new Error('the source broke')
  }
  const ending = topic.publishMany(broken()).catch((error) => error.message)
  ;(await commit(1)).done()
  assert.is(await ending, 'the source broke')
})

test('stopping fails what is queued, finishes what is being written, and does not wait for confirmations', async () => {
  const { topic, commit, publisher, confirmations } = room()
  const writing = codeOf(topic.publish(bytes(1), { confirm: 1, timeoutMs: 60_000 }))
  const { done } = await commit(1)
  const queued = codeOf(topic.publish(bytes(1)))
  confirmations.close()
  const stopped = publisher.stop()
  assert.is(await queued, 'PeerClosed')
  done()
  assert.is(await writing, 'PeerClosed')
  await stopped
})

test.run()
