/** Queues through the local API of a real peer. */
import * as assert from 'uvu/assert'
import { connectPeer, isError, type Peer, type QueueRecord, startGateway } from '../../node/index.ts'
import { peerOf } from '../helper/mesh.ts'
import { suite, type TestTools } from '../helper/suite.ts'
import { until } from '../helper/until.ts'

const test = suite('gateway')
const options = { visibilityMs: 3_000, maxReceives: 3 }
const slow = { deadlineMs: 60_000 }

/** A peer, and two clients of it. */
async function clients(use: TestTools['use']): Promise<[Peer, Peer, Peer]> {
  const peer = await peerOf(use)
  const gateway = use(await startGateway({ peer }))
  const connect = async () => use(await connectPeer({ api: gateway.address, token: gateway.token }))
  return [peer, await connect(), await connect()]
}

const codeOf = (act: Promise<unknown>) =>
  act.then(
    () => 'done',
    (error) => (isError(error) ? error.code : String(error)),
  )

test(
  'a queue through the local API is as one in the process',
  async ({ use }) => {
    const [peer, one, other] = await clients(use)
    const queue = one.queue<{ n: number }>('jobs', options)
    const [early] = [await queue.receive()]
    assert.equal(early, [])
    const waiting = queue.receive({ max: 10, waitMs: 20_000 })
    await queue.send({ n: 1 }, { headers: { a: 'b' } })
    const [first] = await waiting
    assert.equal([first?.value, first?.attempt, first?.headers], [{ n: 1 }, 1, { a: 'b' }])
    assert.is((await queue.stats()).inFlight, 1)
    // Whoever shows the receipt may settle it.
    await other
      .queue('jobs', options)
      .byReceipt(first?.receipt ?? '')
      .extend(10_000)
    await other
      .queue('jobs', options)
      .byReceipt(first?.receipt ?? '')
      .ack()
    assert.is(await codeOf(first?.ack() ?? Promise.resolve()), 'LeaseLost')
    assert.is(await codeOf(queue.byReceipt('nothing').ack()), 'LeaseLost')

    await queue.send({ n: 2 }, { priority: 9, delayMs: 300 })
    const [second] = await queue.receive({ waitMs: 5_000 })
    await second?.nack({ delayMs: 100 })
    const [again] = await queue.receive({ waitMs: 5_000 })
    assert.is(again?.attempt, 2)
    await again?.release()
    const [third] = await queue.receive({ waitMs: 5_000 })
    await third?.nack()
    assert.equal(await queue.receive({ waitMs: 500 }), [])
    await until(async () => (await queue.stats()).dead === 1, 5_000, 'a dead letter')
    assert.is(await queue.redrive(), 1)
    assert.equal(
      (await queue.browse()).map(({ value }) => value),
      [{ n: 2 }],
    )
    assert.is(await queue.purge(), 1)
    assert.is((await queue.stats()).records, 0)

    await peer.topic<string>('jobs', { codec: 'text' }).publish('no json')
    await queue.send({ n: 3 })
    const records: QueueRecord<{ n: number }>[] = []
    await until(
      async () => {
        records.push(...(await queue.receive({ max: 5 })))
        return records.length > 0
      },
      5_000,
      'what can be read',
    )
    assert.equal(records[0]?.value, { n: 3 })
    await records[0]?.ack()
  },
  slow,
)

test(
  'consumers of a queue share it, and a client that is gone gives back what it took',
  async ({ use }) => {
    const [, one, other] = await clients(use)
    const seen: number[] = []
    const queue = one.queue<number>('jobs', { visibilityMs: 30_000 })
    for (let i = 0; i < 6; i++) await queue.send(i)
    const taken = other
      .queue<number>('jobs', { visibilityMs: 30_000 })
      .consume({ concurrency: 3 })
      [Symbol.asyncIterator]()
    assert.is((await taken.next()).done, false)
    await other.close()
    for await (const record of queue.consume({ concurrency: 2 })) {
      seen.push(record.value)
      await record.ack()
      if (seen.length === 6) break
    }
    assert.equal(seen.sort(), [0, 1, 2, 3, 4, 5])
  },
  slow,
)

test(
  'what is asked of a queue the wrong way is refused as in the process',
  async ({ use }) => {
    const [peer, one] = await clients(use)
    await peer.queue('jobs', { fifo: true }).receive()
    assert.throws(
      () => one.queue('jobs', { visibilityMs: 1 }),
      (error: unknown) => isError(error, 'InvalidOption'),
    )
    assert.is(await codeOf(one.queue('jobs').receive()), 'GroupConflict')
    const fifo = one.queue('jobs', { fifo: true })
    assert.is(await codeOf(fifo.send(1)), 'InvalidOption')
    assert.is(await codeOf(fifo.receive({ max: 0 })), 'InvalidOption')
    const stop = new AbortController()
    const waiting = codeOf(fifo.receive({ waitMs: 60_000, signal: stop.signal }))
    stop.abort(new Error('enough'))
    assert.is(await waiting, 'Error: enough')
    await one.close()
    assert.is(await codeOf(fifo.receive()), 'PeerClosed')
  },
  slow,
)

test.run()
