import * as assert from 'uvu/assert'
import { isError } from '../../node/errors.ts'
import { FeedWriter } from '../../node/feed/writer.ts'
import { limits } from '../../node/limits.ts'
import type { TopicLog } from '../../node/store/topic-log.ts'
import { codecOf } from '../../node/topic/codec.ts'
import { Cursor } from '../../node/topic/cursor.ts'
import { type Reading, TopicSubscription } from '../../node/topic/subscription.ts'
import type { FeedId, Message } from '../../node/types.ts'
import { sha256 } from '../../node/wire/bytes.ts'
import { type Batch, signHead } from '../../node/wire/head.ts'
import { signingKeyOf } from '../../node/wire/key.ts'
import { take } from '../helper/mesh.ts'
import { suite, type TestTools } from '../helper/suite.ts'
import { folder, startTime, topic } from '../store/fixture.ts'

const test = suite('topic')
const key = signingKeyOf(new Uint8Array(32).fill(5))

function feedOf(nonce = 1) {
  const writer = new FeedWriter(key, topic, startTime, new Uint8Array(8).fill(nonce))
  return {
    id: writer.feed,
    seal: (values: string[], time = startTime) =>
      writer.seal(
        values.map((value) => ({ value: Buffer.from(value), time })),
        { time, tick: 0 },
      ),
  }
}

/** As many of the largest as hold so many records. */
const fullBatches = ({ seal }: ReturnType<typeof feedOf>, records: number) =>
  Array.from({ length: Math.ceil(records / limits.batchRecordsMax) }, () =>
    seal(Array.from({ length: limits.batchRecordsMax }, () => '')),
  )

interface Room {
  log: TopicLog
  cursor: Cursor
  acked: string[]
  subscribe(reading?: Partial<Reading>, signal?: AbortSignal): TopicSubscription<string>
  closed: () => number
}

async function room(use: TestTools['use']): Promise<Room> {
  const { log } = use(await folder().open())
  const cursor = new Cursor()
  const acked: string[] = []
  let closed = 0
  return {
    log,
    cursor,
    acked,
    closed: () => closed,
    subscribe: (reading = {}, signal = undefined) =>
      use(
        new TopicSubscription<string>(
          Promise.resolve({ log, cursor, offset: 0, ack: undefined, ...reading }),
          codecOf('text'),
          signal,
          async () => {
            closed++
          },
        ),
      ),
  }
}

const values = (messages: Message<string>[]) => messages.map(({ value }) => value)
const digits = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => String(from + i))

test('what is stored already and what comes later arrive the same way, in order, with offsets', async ({ use }) => {
  const { log, subscribe } = await room(use)
  const feed = feedOf()
  await log.append([feed.seal(['0', '1']), feed.seal(['2'])])
  const subscription = subscribe()
  const early = await take(subscription, 3)
  const waiting = take(subscription, 2)
  await log.append([feed.seal(['3', '4'])])
  const all = [...early, ...(await waiting)]
  assert.equal(values(all), digits(0, 5))
  assert.equal(
    all.map(({ offset }) => offset),
    [0, 1, 2, 3, 4],
  )
  assert.equal(
    all.map(({ id }) => id),
    digits(0, 5).map((index) => `${feed.id}/${index}`),
  )
})

test('a reader may begin in the middle of a batch', async ({ use }) => {
  const { log, subscribe } = await room(use)
  await log.append([feedOf().seal(['0', '1', '2'])])
  assert.equal(values(await take(subscribe({ offset: 1 }), 2)), ['1', '2'])
})

test('those who ask for several records at once get each of them once, in order', async ({ use }) => {
  const { log, subscribe } = await room(use)
  const feed = feedOf()
  await log.append([feed.seal(['0', '1', '2']), feed.seal(['3']), feed.seal(['4', '5'])])
  const iterator = subscribe()[Symbol.asyncIterator]()
  const results = await Promise.all(digits(0, 6).map(() => iterator.next()))
  assert.equal(
    results.map(({ value }) => value.value),
    digits(0, 6),
  )
})

test('two loops over one subscription share its records', async ({ use }) => {
  const { log, subscribe } = await room(use)
  const feed = feedOf()
  await log.append(digits(0, 20).map((value) => feed.seal([value])))
  const batches = subscribe().batches()
  const [one, two] = [batches[Symbol.asyncIterator](), batches[Symbol.asyncIterator]()]
  const results = await Promise.all(digits(0, 20).map((value) => (Number(value) % 2 ? one : two).next()))
  assert.equal(results.flatMap(({ value }) => values(value)).sort(), digits(0, 20).sort())
})

test('leaving the loop closes it, once, and it stays closed', async ({ use }) => {
  const { log, subscribe, closed } = await room(use)
  await log.append([feedOf().seal(['0', '1'])])
  const subscription = subscribe()
  for await (const { value } of subscription) {
    assert.is(value, '0')
    break
  }
  assert.is(closed(), 1)
  for await (const _ of subscription) assert.unreachable()
  await subscription.close()
  assert.is(closed(), 1)
})

test('a signal ends a loop that waits, and one that has not begun', async ({ use }) => {
  const { subscribe } = await room(use)
  const abort = new AbortController()
  const waiting = take(subscribe({}, abort.signal), 1).catch((error) => error.message)
  abort.abort()
  assert.match(await waiting, 'ended after 0')
  assert.match(await take(subscribe({}, abort.signal), 1).catch((error) => error.message), 'ended after 0')
})

test('a value that is not what the codec says fails when looked at, and the loop goes on', async ({ use }) => {
  const { log, subscribe } = await room(use)
  const writer = new FeedWriter(key, topic, startTime, new Uint8Array(8))
  const records = [new Uint8Array([0xff]), Buffer.from('fine')].map((value) => ({ value, time: startTime }))
  await log.append([writer.seal(records, { time: startTime, tick: 0 })])
  const seen: string[] = []
  for await (const message of subscribe()) {
    try {
      seen.push(message.value)
      break
    } catch (error) {
      assert.ok(isError(error, 'CodecFailed'))
      seen.push('unreadable')
    }
  }
  assert.equal(seen, ['unreadable', 'fine'])
})

test('a signed batch that holds no records is passed over', async ({ use }) => {
  const { log, subscribe } = await room(use)
  const feed = feedOf()
  const good = feed.seal(['0'])
  await log.append([good, nonsense(good), feedOf(2).seal(['1'])])
  assert.equal(values(await take(subscribe(), 2)), ['0', '1'])
})

/** Signed and chained, and yet not a record batch. */
function nonsense({ head }: Batch): Batch {
  const body = new Uint8Array(100).fill(0xee)
  const { hash } = head
  const fields = { seq: 2, firstIndex: 1, prev: hash, bodyHash: sha256(body), bodyBytes: 100, rawBytes: 100 }
  return { head: signHead({ ...head.head, ...fields, compression: 'none' }, key), body }
}

test('what was published before its time is left out, record by record', async ({ use }) => {
  const { log, cursor, subscribe } = await room(use)
  const feed = feedOf()
  cursor.since = startTime + 10
  await log.append([
    feed.seal(['old'], startTime),
    feed.seal(['young'], startTime + 10),
    feed.seal(['new'], startTime + 99),
  ])
  assert.equal(values(await take(subscribe(), 2)), ['young', 'new'])
})

test('what was done or never wanted is left out', async ({ use }) => {
  const { log, cursor, subscribe } = await room(use)
  const [one, two] = [feedOf(1), feedOf(2)]
  await log.append([one.seal(['0', '1', '2']), one.seal(['3']), two.seal(['a']), two.seal(['b'])])
  cursor.done(one.id, 1, 2)
  cursor.done(one.id, 3, 4)
  cursor.skip(two.id, 1)
  assert.equal(values(await take(subscribe(), 3)), ['0', '2', 'b'])
})

test('of a large batch so many records come at a time, each once', async ({ use }) => {
  const { log, subscribe } = await room(use)
  const count = 2 * limits.deliveredMax + 7
  await log.append([feedOf().seal(digits(0, count))])
  const sizes: number[] = []
  const seen: string[] = []
  for await (const messages of subscribe({ offset: 5 }).batches()) {
    sizes.push(messages.length)
    seen.push(...messages.map(({ value }) => value))
    if (seen.length === count - 5) break
  }
  assert.equal(sizes, [limits.deliveredMax, limits.deliveredMax, 2])
  assert.equal(seen, digits(5, count))
})

test('without acknowledgements delivery stops at its limit, and goes on by as many as are acknowledged', async ({
  use,
}) => {
  const { log, cursor, acked, subscribe } = await room(use)
  const feed = feedOf()
  const full = limits.unackedMax / limits.deliveredMax
  await log.append(fullBatches(feed, limits.unackedMax + 1))
  const ack = async (of: FeedId, index: number) => {
    cursor.done(of, index, index + 1)
    acked.push(`${of}/${index}`)
  }
  const batches = subscribe({ ack }).batches()[Symbol.asyncIterator]()
  let first: Message<string> | undefined
  for (let i = 0; i < full; i++) {
    const { value } = await batches.next()
    first ??= value?.[0]
  }
  let more = false
  const next = batches.next().then(() => {
    more = true
  })
  await new Promise((resolve) => setImmediate(resolve))
  assert.not.ok(more)
  await first?.ack()
  await next
})

test('acknowledging a record twice counts once', async ({ use }) => {
  const { log, cursor, subscribe } = await room(use)
  const feed = feedOf()
  const full = limits.unackedMax / limits.deliveredMax
  await log.append(fullBatches(feed, limits.unackedMax + limits.deliveredMax + 1))
  const ack = async (of: FeedId, index: number) => void cursor.done(of, index, index + 1)
  const batches = subscribe({ ack }).batches()[Symbol.asyncIterator]()
  const [first] = (await batches.next()).value as Message<string>[]
  for (let i = 0; i < limits.deliveredMax + 1; i++) await first?.ack()
  for (let i = 1; i < full + 1; i++) await batches.next()
  let more = false
  void batches.next().then(() => {
    more = true
  })
  await new Promise((resolve) => setImmediate(resolve))
  assert.not.ok(more)
})

test.run()
