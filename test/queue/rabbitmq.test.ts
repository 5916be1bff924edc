/**
 * Queues after what RabbitMQ publishes of its own: "Consumer acknowledgements and publisher confirms" (CA, rabbitmq.com/docs/confirms),
 * "Consumer prefetch" (CP, …/docs/consumer-prefetch), "Negative acknowledgements" (NA, …/docs/nack), "Consumers" (C, …/docs/consumers),
 * "Work queues" (WQ, …/tutorials/tutorial-two-javascript). A record is sent on one peer and consumed on others.
 */
import * as assert from 'uvu/assert'
import type { Queue, QueueOptions, QueueRecord } from '../../node/index.ts'
import type { SimulatedPeer } from '../../sim/index.ts'
import { refusal } from '../helper/refusal.ts'
import { between, type Rule, testRules } from '../helper/rules.ts'
import { suite } from '../helper/suite.ts'

const test = suite('rabbitmq')

/** A consumer on a peer, which settles what it gets when it is told to, or as `settle` says. */
class Consumer {
  readonly had: QueueRecord<number>[] = []
  readonly #stop = new AbortController()
  readonly #ended: Promise<unknown>

  constructor(queue: Queue<number>, prefetch: number, settle: (record: QueueRecord<number>) => unknown = () => {}) {
    this.#ended = (async () => {
      for await (const record of queue.consume({ concurrency: prefetch, signal: this.#stop.signal })) {
        this.had.push(record)
        void Promise.resolve(settle(record)).catch(() => undefined)
      }
    })().catch(() => undefined)
  }

  get values(): number[] {
    return this.had.map(({ value }) => value)
  }

  cancel(): Promise<unknown> {
    this.#stop.abort()
    return this.#ended
  }
}

const queueOf = (peer: SimulatedPeer, options: QueueOptions = {}) => peer.queue<number>('jobs', options)

async function sendMany(queue: Queue<number>, count: number, from = 0): Promise<number[]> {
  const values = Array.from({ length: count }, (_, i) => from + i)
  for (const value of values) await queue.send(value)
  return values
}

async function one(queue: Queue<number>, waitMs = 15_000): Promise<QueueRecord<number>> {
  const [record] = await queue.receive({ waitMs })
  assert.ok(record !== undefined, `nothing within ${waitMs} ms`)
  return record
}

const ascending = (values: readonly number[]) => values.toSorted((x, y) => x - y)
const ack = (record: QueueRecord<number>) => record.ack()

const prefetch: Rule<3>[] = [
  {
    rule: 'a consumer has at most as many unacknowledged deliveries as its prefetch count; each that it settles lets one more in',
    published:
      'CP: the most deliveries that may be unacknowledged; CA, Channel Prefetch: stops there until at least one is acknowledged',
    async holds(world) {
      const [a, b] = world.peers
      await sendMany(queueOf(a), 20)
      const consumer = new Consumer(queueOf(b), 4)
      await world.until(() => consumer.had.length === 4)
      await world.sleep(5_000)
      assert.is(consumer.had.length, 4)
      await consumer.had[2]?.ack()
      await world.until(() => consumer.had.length === 5, { withinMs: 2_000 })
      await consumer.had[0]?.nack({ delayMs: 60_000 })
      await world.until(() => consumer.had.length === 6, { withinMs: 2_000 })
      await world.sleep(5_000)
      assert.is(consumer.had.length, 6)
      assert.is(new Set(consumer.values).size, 6)
    },
  },
  {
    rule: 'the prefetch count is of each consumer by itself, on one peer and on several',
    published: 'CP: applied separately to each consumer',
    async holds(world) {
      const [a, b, c] = world.peers
      await sendMany(queueOf(a), 40)
      const consumers = [new Consumer(queueOf(b), 3), new Consumer(queueOf(b), 5), new Consumer(queueOf(c), 7)]
      await world.until(() => consumers.every(({ had }, i) => had.length === [3, 5, 7][i]))
      await world.sleep(10_000)
      assert.equal(
        consumers.map(({ had }) => had.length),
        [3, 5, 7],
      )
      assert.is(new Set(consumers.flatMap(({ values }) => values)).size, 15)
    },
  },
  {
    rule: 'with a prefetch count of 1, what comes goes to a worker that is not busy',
    published:
      'WQ, Fair dispatch: prefetch 1 gives a worker nothing new until it is through; the next goes to one that is not busy',
    seed: 2,
    async holds(world) {
      const [a, b, c] = world.peers
      const busy = new Consumer(queueOf(b), 1)
      await sendMany(queueOf(a), 1)
      await world.until(() => busy.had.length === 1)
      const idle = new Consumer(queueOf(c), 1, ack)
      await world.sleep(6_000)
      await sendMany(queueOf(a), 30, 1)
      await world.until(() => idle.had.length === 30, { withinMs: 20_000, what: 'the idle one does all the rest' })
      assert.is(busy.had.length, 1)
      await busy.had[0]?.ack()
    },
  },
  {
    rule: 'consumers of one queue compete: each message goes to one of them, on average as many to each',
    published: 'WQ, Round-robin dispatching: each message to one of the consumers, on average as many to each',
    async holds(world) {
      const peers = world.peers
      const slowly = async (record: QueueRecord<number>) => {
        await world.sleep(20)
        await record.ack()
      }
      const consumers = peers.map((peer) => new Consumer(queueOf(peer), 2, slowly))
      await world.sleep(10_000)
      const sent = await sendMany(queueOf(peers[0]), 150)
      await world.until(() => consumers.reduce((sum, { had }) => sum + had.length, 0) >= 150)
      await world.sleep(5_000)
      assert.equal(ascending(consumers.flatMap(({ values }) => values)), sent)
      for (const { had } of consumers) assert.ok(had.length > 25 && had.length < 80, `${had.length} of 150`)
    },
  },
]

const requeue: Rule<3>[] = [
  {
    rule: 'a delivery that is rejected with requeue goes to the next consumer that is ready, marked as redelivered',
    published: 'NA; CA: basic.nack and basic.reject with requeue',
    async holds(world) {
      const [a, b, c] = world.peers
      await sendMany(queueOf(a), 1)
      const first = await one(queueOf(b))
      assert.is(first.attempt, 1, 'the first delivery is not marked')
      const waiting = one(queueOf(c))
      await world.sleep(2_000)
      await first.nack()
      const rejected = world.now
      const second = await waiting
      between(world.now - rejected, 0, 1_500)
      assert.equal([second.value, second.attempt], [0, 2])
    },
  },
  {
    rule: 'unlike RabbitMQ, a requeued message goes behind those that are ready, so that one which always fails holds up no others; with `fifo` it keeps its place',
    published: 'NA: placed at its original position, if possible',
    async holds(world) {
      const [a, b] = world.peers
      await sendMany(queueOf(a), 5)
      await world.until(async () => (await queueOf(b).stats()).records === 5)
      const first = await one(queueOf(b))
      await first.nack()
      const rest: number[] = []
      for (let i = 0; i < 5; i++) rest.push((await one(queueOf(b))).value)
      assert.is(rest.at(-1), first.value)
      assert.is(new Set(rest).size, 5)

      const ordered = a.queue<number>('ordered', { fifo: true })
      for (let i = 0; i < 3; i++) await ordered.send(i, { groupId: 'one' })
      const receiver = b.queue<number>('ordered', { fifo: true })
      await (await one(receiver)).nack()
      assert.is((await one(receiver)).value, 0)
    },
  },
  {
    rule: 'unlike RabbitMQ, there is no flag to reject without requeue: a queue with `maxReceives: 1` makes what is refused a dead letter when its turn comes again, and who wants to discard acknowledges',
    published: 'CA: requeue false discards or dead-letters',
    async holds(world) {
      const [a, b, c] = world.peers
      const options = { maxReceives: 1 }
      await sendMany(queueOf(a, options), 1)
      await (await one(queueOf(b, options))).nack()
      assert.equal(await queueOf(b, options).receive({ waitMs: 2_000 }), [])
      await world.until(async () => (await queueOf(c, options).stats()).dead === 1, { withinMs: 10_000 })
      const letter = await one(c.queue<number>('jobs.dead'))
      assert.equal([letter.value, letter.headers['grapevine-dead-reason']], [0, 'max-receives'])
    },
  },
  {
    rule: 'unlike RabbitMQ, what is given back untried counts as handed out too, so that a message which nobody can take does not go round for ever',
    published: 'NA (4.3): nack does not count as a failed delivery, reject does; quorum queues: x-delivery-limit',
    async holds(world) {
      const [a, b] = world.peers
      const options = { maxReceives: 3 }
      await sendMany(queueOf(a, options), 1)
      for (const attempt of [1, 2, 3]) {
        const record = await one(queueOf(b, options))
        assert.is(record.attempt, attempt)
        await record.release()
      }
      assert.equal(await queueOf(b, options).receive({ waitMs: 3_000 }), [])
      await world.until(async () => (await queueOf(b, options).stats()).dead === 1)
    },
  },
  {
    rule: 'when a consumer is lost, all it had not acknowledged is requeued and delivered to others as redelivered',
    published: 'CA, When Consumers Fail or Lose Connection: Automatic Requeueing',
    seed: 3,
    async holds(world) {
      const [a, b, c] = world.peers
      const sent = await sendMany(queueOf(a), 12)
      const lost = new Consumer(queueOf(b), 6)
      await world.until(() => lost.had.length === 6)
      await lost.had[0]?.ack()
      await lost.had[1]?.ack()
      await world.until(() => lost.had.length === 8)
      await world.sleep(1_500)
      await b.crash()
      const other = new Consumer(queueOf(c), 20, ack)
      await world.until(async () => (await queueOf(c).stats()).records === 0)
      const settled = lost.values.slice(0, 2)
      const pending = lost.values.slice(2)
      assert.equal(
        ascending(other.values),
        sent.filter((value) => !settled.includes(value)),
      )
      for (const { value, attempt } of other.had) assert.is(attempt, pending.includes(value) ? 2 : 1, `${value}`)
    },
  },
  {
    rule: 'a consumer that was cancelled gets nothing more, and may still settle what it has; what it does not settle is requeued when its time is over',
    published:
      'C, Cancelling: what was delivered before may still be acknowledged; CA: requeued when the channel is closed',
    async holds(world) {
      const [a, b, c] = world.peers
      const options = { visibilityMs: 8_000 }
      await sendMany(queueOf(a, options), 6)
      const first = new Consumer(queueOf(b, options), 4)
      await world.until(() => first.had.length === 4)
      await first.cancel()
      const cancelled = world.now
      await first.had[0]?.ack()
      const second = new Consumer(queueOf(c, options), 6, ack)
      await world.until(() => second.had.length === 2, { withinMs: 6_000, what: 'what it had not' })
      await world.until(() => second.had.length === 5)
      between(world.now - cancelled, 6_000, 12_000)
      assert.is(first.had.length, 4)
      assert.not(second.values.includes(first.had[0]?.value ?? -1))
      await world.until(async () => (await queueOf(a, options).stats()).records === 0)
    },
  },
  {
    rule: 'a delivery that is not acknowledged within the timeout is requeued, also while its consumer goes on',
    published: 'C, Acknowledgement Timeout: requeued when a delivery is not acknowledged in time',
    async holds(world) {
      const [a, b] = world.peers
      const options = { visibilityMs: 4_000 }
      await sendMany(queueOf(a, options), 3)
      const consumer = new Consumer(queueOf(b, options), 3, (record) => (record.attempt > 1 ? record.ack() : undefined))
      await world.until(() => consumer.had.length === 6)
      assert.equal(ascending(consumer.values), [0, 0, 1, 1, 2, 2])
      await world.until(async () => (await queueOf(a, options).stats()).records === 0)
    },
  },
]

const acknowledgement: Rule<3>[] = [
  {
    rule: 'a delivery is settled once: what is done to it again is an error, and does nothing',
    published: 'CA, Double acking and unknown tags',
    async holds(world) {
      const [a, b] = world.peers
      await sendMany(queueOf(a), 2)
      const acknowledged = await one(queueOf(b))
      await acknowledged.ack()
      const refused = await one(queueOf(b))
      await refused.nack({ delayMs: 3_000 })
      for (const record of [acknowledged, refused])
        for (const again of [
          () => record.ack(),
          () => record.nack(),
          () => record.extend(1_000),
          () => record.release(),
        ])
          assert.is((await refusal(again())).code, 'LeaseLost')
      const again = await one(queueOf(b))
      assert.equal([again.value, again.attempt], [refused.value, 2])
      await again.ack()
      await world.until(async () => (await queueOf(a).stats()).records === 0)
    },
  },
  {
    rule: 'deliveries may be acknowledged in any order',
    published: 'CA: acknowledgements in any order',
    async holds(world) {
      const [a, b, c] = world.peers
      await sendMany(queueOf(a), 20)
      const consumer = new Consumer(queueOf(b), 20)
      await world.until(() => consumer.had.length === 20)
      for (const record of consumer.had.toReversed()) await record.ack()
      for (const peer of [a, b, c]) await world.until(async () => (await queueOf(peer).stats()).records === 0)
      assert.equal(await queueOf(c).receive({ waitMs: 2_000 }), [])
    },
  },
  {
    rule: 'what was delivered too often is dead-lettered, and its headers tell why, from where and how often',
    published:
      'rabbitmq.com/docs/quorum-queues, Poison message handling: dead-lettered when the delivery count exceeds the limit',
    async holds(world) {
      const [a, b, c] = world.peers
      const options = { maxReceives: 2, deadLetter: 'jobs.poison' }
      const { feed, index } = await queueOf(a, options).send(7, { headers: { trace: 'x' } })
      for (const peer of [b, c]) await (await one(queueOf(peer, options))).nack()
      assert.equal(await queueOf(b, options).receive({ waitMs: 2_000 }), [])
      const { headers, value } = await one(a.queue<number>('jobs.poison'))
      assert.is(value, 7)
      assert.equal(
        ['trace', 'grapevine-dead-reason', 'grapevine-dead-topic', 'grapevine-dead-attempts'].map(
          (name) => headers[name],
        ),
        ['x', 'max-receives', 'jobs', '2'],
      )
      assert.equal([headers['grapevine-dead-feed'], headers['grapevine-dead-index']], [feed, String(index)])
    },
  },
]

const order: Rule<3>[] = [
  {
    rule: 'unlike RabbitMQ, only a queue with `fifo` promises the order of sending, and promises it to any number of consumers',
    published: `rabbitmq.com/docs/queues, Message Ordering: in the order of one channel's publishing, to one consumer`,
    async holds(world) {
      const [a, ...workers] = world.peers
      const options = { fifo: true }
      const got: number[] = []
      for (const peer of workers)
        new Consumer(queueOf(peer, options), 5, async (record) => {
          got.push(record.value)
          await world.sleep(30)
          await record.ack()
        })
      await world.sleep(8_000)
      for (let i = 0; i < 40; i++) await queueOf(a, options).send(i, { groupId: 'one' })
      await world.until(() => got.length === 40)
      assert.equal(
        got,
        Array.from({ length: 40 }, (_, i) => i),
      )
    },
  },
  {
    rule: 'unlike RabbitMQ, which starves them, less urgent messages get one turn in ten behind more urgent ones',
    published: 'rabbitmq.com/docs/priority: the higher ones first, always',
    async holds(world) {
      const [a, b] = world.peers
      await queueOf(a).send(0, { priority: 0 })
      for (let i = 0; i < 30; i++) await queueOf(a).send(9, { priority: 9 })
      await queueOf(a).send(4)
      await world.until(async () => (await queueOf(b).stats()).records === 32)
      await (await one(queueOf(b))).release()
      const got: number[] = []
      while (got.length < 32) {
        const record = await one(queueOf(b))
        got.push(record.value)
        await record.ack()
      }
      assert.ok(got.indexOf(0) < 12, `the oldest came as number ${got.indexOf(0)}`)
      assert.ok(got.slice(0, 8).every((priority) => priority > 0))
      assert.ok(got.indexOf(4) > 20, `the next one as number ${got.indexOf(4)}`)
    },
  },
  {
    rule: 'an expired message is delivered to nobody and removed; unlike in RabbitMQ it is no dead letter',
    published:
      'rabbitmq.com/docs/ttl, Per-Message TTL; there an expired message is dead-lettered where a queue for that is set',
    async holds(world) {
      const [a, b, c] = world.peers
      await queueOf(a).send(1, { expiresMs: 2_000 })
      await queueOf(a).send(2)
      await world.sleep(5_000)
      const stays = await one(queueOf(b))
      assert.is(stays.value, 2)
      await stays.ack()
      assert.equal(await queueOf(c).receive({ waitMs: 2_000 }), [])
      await world.until(async () => (await queueOf(c).stats()).records === 0)
      assert.is((await queueOf(c).stats()).dead, 0)
    },
  },
]

testRules(test, 3, [...prefetch, ...requeue, ...acknowledgement, ...order])
test.run()
