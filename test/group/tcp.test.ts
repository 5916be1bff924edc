import * as assert from 'uvu/assert'
import { type GroupOptions, isError } from '../../node/index.ts'
import { meshOf } from '../helper/mesh.ts'
import { suite } from '../helper/suite.ts'
import { until } from '../helper/until.ts'

const test = suite('group')
const options: GroupOptions = { from: 'earliest', leaseMs: 1_000 }

test(
  'peers over TCP share the work, one that is closed is replaced, and one that drains passes its slots on',
  async ({ use }) => {
    const peers = await meshOf(use, 3)
    const [a, b, c] = peers
    const by = new Map<number, string[]>()
    const reading = peers.map(async (peer) => {
      for await (const record of peer.topic<number>('jobs').group('work', options).consume({ concurrency: 16 })) {
        by.set(record.value, [...(by.get(record.value) ?? []), peer.id])
        await record.ack().catch((error) => {
          if (!isError(error, 'LeaseLost') && !isError(error, 'PeerClosed')) throw error
        })
      }
    })
    const status = () => a.topic('jobs').group('work', options).status()
    await until(async () => (await status()).members.every(({ slots }) => slots >= 21), 15_000, 'three shares')
    const jobs = a.topic<number>('jobs')
    await jobs.publishMany(Array.from({ length: 300 }, (_, value) => ({ value })))
    await until(() => by.size === 300, 10_000, '300 records')
    assert.is(new Set([...by.values()].flat()).size, 3)
    assert.ok([...by.values()].every((each) => each.length === 1))

    await c.close()
    await b.drain()
    await jobs.publishMany(Array.from({ length: 100 }, (_, i) => ({ value: 300 + i })))
    await until(() => by.size === 400, 15_000, '400 records')
    assert.ok([...by].filter(([value]) => value >= 300).every(([, each]) => each.join() === a.id))
    await until(async () => (await status()).lag === 0, 5_000, 'all done')
    await a.drain()
    await Promise.all(reading)
  },
  { deadlineMs: 60_000 },
)

test('what is asked of a group the wrong way is refused with what to do', async ({ use }) => {
  const [peer] = await meshOf(use, 1)
  const topic = peer.topic('jobs')
  assert.throws(() => topic.group('a.b'), /name/)
  assert.throws(() => topic.group('work', { type: 'anycast' as never }), /shared, key-shared, exclusive, failover/)
  assert.throws(() => topic.group('work').consume({ concurrency: 0 }), /concurrency is 0/)
  const { signal } = new AbortController()
  const records = topic.group('work').consume({ signal })[Symbol.asyncIterator]()
  const next = records.next()
  await peer.close()
  assert.equal(await next, { done: true, value: undefined })
  assert.throws(() => topic.group('work'), /the peer is closed/)
})

test('an aborted consumer ends, and its slots are free for the next', async ({ use }) => {
  const [peer] = await meshOf(use, 1)
  const topic = peer.topic<number>('jobs')
  const group = topic.group('work', options)
  const abort = new AbortController()
  const first = group.consume({ signal: abort.signal })[Symbol.asyncIterator]()
  await topic.publish(1)
  const { value: record } = await first.next()
  abort.abort()
  assert.is((await first.next()).done, true)
  await record.ack()
  await topic.publish(2)
  for await (const { value, attempt } of group.consume()) {
    assert.equal([value, attempt], [2, 1])
    break
  }
})

test.run()
