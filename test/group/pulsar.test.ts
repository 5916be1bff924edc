/**
 * Groups after what Apache Pulsar publishes of its subscriptions: "Messaging concepts" (MC, pulsar.apache.org/docs/concepts-messaging) and
 * "Work with consumer" (WC, pulsar.apache.org/docs/client-libraries-consumers). One peer publishes, the other three consume.
 */
import * as assert from 'uvu/assert'
import { type Group, type GroupRecord, isError } from '../../node/index.ts'
import type { SimulatedPeer } from '../../sim/index.ts'
import { refusal } from '../helper/refusal.ts'
import { between, type Rule, testRules } from '../helper/rules.ts'
import { suite } from '../helper/suite.ts'
import { type Handle, numbers, Shift } from './shift.ts'

const test = suite('pulsar')

const jobs = (one: SimulatedPeer) => one.topic<number>('jobs')
const upTo = (count: number, from = 0) => numbers(count, from).map(({ value }) => value)
const ascending = (values: readonly number[]) => values.toSorted((x, y) => x - y)
const keep: Handle = async () => 'kept'

/** What subscribing is refused with. */
async function subscribing(group: Group<number>) {
  const first = async () => {
    for await (const _ of group.consume()) return
  }
  return refusal(first())
}

const exclusive: Rule<4>[] = [
  {
    rule: 'exclusive: one consumer is attached and has all messages in order, and who else subscribes gets an error',
    published: 'MC, Subscription types, Exclusive: an error for whoever subscribes beside the one consumer',
    seed: 15,
    async holds(world) {
      const shift = new Shift(world, { type: 'exclusive' })
      const [a, b, c, d] = world.peers
      shift.begin(b)
      await world.sleep(5_000)
      for (const one of [c, d]) {
        const error = await subscribing(shift.group(one))
        assert.ok(isError(error, 'GroupInUse'), String(error))
        assert.is(error.data.holder, b.id)
      }
      await jobs(a).publishMany(numbers(20))
      await world.until(() => shift.acked.size === 20)
      assert.equal(shift.of(b), upTo(20))
    },
  },
  {
    rule: 'exclusive: when the consumer closes, another may attach at once; when it died, as soon as that is known',
    published: 'MC, Subscription types, Exclusive: one consumer at a time',
    seed: 15,
    async holds(world) {
      const shift = new Shift(world, { type: 'exclusive' })
      const [a, b, c] = world.peers
      shift.begin(b)
      await jobs(a).publishMany(numbers(20))
      await world.until(() => shift.acked.size === 20)
      await shift.group(b).drain()
      shift.begin(c)
      await jobs(a).publish(99)
      await world.until(() => shift.acked.has(99))
      await c.crash()
      shift.begin(b)
      await jobs(a).publish(100)
      await world.until(() => shift.acked.has(100))
      assert.is(shift.handed.at(-1)?.by, b.name)
      assert.equal(shift.repeated, [])
    },
  },
  {
    rule: 'exclusive: the next consumer gets all that was not acknowledged and all that follows, in order',
    published: 'MC, Subscriptions: what is not acknowledged stays in the subscription',
    async holds(world) {
      const shift = new Shift(world, { type: 'exclusive' })
      const [a, b, c] = world.peers
      shift.begin(b, async (record) => (record.value < 5 ? record.ack() : 'kept'), 10)
      await jobs(a).publishMany(numbers(10))
      await world.until(() => shift.of(b).includes(5))
      await b.crash()
      shift.begin(c)
      await world.until(() => shift.acked.size === 10)
      await jobs(a).publishMany(numbers(5, 10))
      await world.until(() => shift.acked.size === 15)
      assert.equal(shift.of(c), upTo(10, 5))
    },
  },
]

const failover: Rule<4>[] = [
  {
    rule: 'failover: several consumers attach, and only the active one receives, in order; who joins does not take over',
    published: 'MC, Subscription types, Failover',
    seed: 16,
    async holds(world) {
      const shift = new Shift(world, { type: 'failover' })
      const [a, b, c, d] = world.peers
      shift.begin(b)
      await world.sleep(4_000)
      for (const one of [c, d]) shift.begin(one)
      await jobs(a).publishMany(numbers(30))
      await world.until(() => shift.acked.size === 30)
      await world.sleep(15_000)
      await jobs(a).publishMany(numbers(20, 30))
      await world.until(() => shift.acked.size === 50)
      assert.equal(shift.of(b), upTo(50))
    },
  },
  {
    rule: 'failover: when the active consumer is lost, all that is not acknowledged and all that follows goes to one other, in order',
    published: 'MC: all non-acknowledged and subsequent messages are delivered to the next consumer in line',
    seed: 16,
    async holds(world) {
      const shift = new Shift(world, { type: 'failover' })
      const [a, b, c, d] = world.peers
      shift.begin(b, async (record) => (record.value < 50 ? record.ack() : 'kept'))
      await world.sleep(4_000)
      for (const one of [c, d]) shift.begin(one)
      await jobs(a).publishMany(numbers(53))
      await world.until(() => shift.of(b).includes(50))
      await b.crash()
      const crashed = world.now
      await jobs(a).publishMany(numbers(47, 53))
      await world.until(() => shift.acked.size === 100)
      const [next, idle] = shift.of(c).length > 0 ? [c, d] : [d, c]
      assert.equal(shift.of(next), upTo(50, 50))
      assert.equal(shift.of(idle), [])
      const first = shift.handed.find(({ by }) => by === next.name)
      assert.is(first?.attempt, 2)
      between((first?.at ?? 0) - crashed, 0, 7_200, 'a lease and two beats: the takeover')
    },
  },
  {
    rule: 'failover: when the active consumer closes, the next one goes on without waiting',
    published: 'MC, Subscription types, Failover: the next consumer in line, when the active one disconnects',
    seed: 4,
    async holds(world) {
      const shift = new Shift(world, { type: 'failover' })
      const [a, b, c] = world.peers
      shift.begin(b)
      await world.sleep(4_000)
      shift.begin(c)
      await world.sleep(4_000)
      await jobs(a).publishMany(numbers(10))
      await world.until(() => shift.acked.size === 10)
      await shift.group(b).drain()
      const drained = world.now
      await jobs(a).publish(10)
      await world.until(() => shift.acked.has(10))
      between(world.now - drained, 0, 3_500)
      assert.equal(shift.of(c), [10])
    },
  },
  {
    rule: 'failover: the next consumer is the one that subscribed next',
    published: 'MC, Failover, non-partitioned topics: consumers are picked in the order in which they subscribed',
    seed: 5,
    async holds(world) {
      const shift = new Shift(world, { type: 'failover' })
      const [a, b, c, d] = world.peers
      for (const one of [d, b, c]) {
        shift.begin(one)
        await world.sleep(6_000)
      }
      await jobs(a).publish(1)
      await world.until(() => shift.acked.size === 1)
      await d.crash()
      await jobs(a).publish(2)
      await world.until(() => shift.acked.size === 2)
      await b.crash()
      await jobs(a).publish(3)
      await world.until(() => shift.acked.size === 3)
      assert.equal(
        [d, b, c].map((one) => shift.of(one)),
        [[1], [2], [3]],
      )
    },
  },
]

const shared: Rule<4>[] = [
  {
    rule: 'shared: messages are spread over all consumers, each delivered to only one of them',
    published: 'MC, Subscription types, Shared: round robin, any given message to one consumer only',
    async holds(world) {
      const shift = new Shift(world)
      const [a, ...workers] = world.peers
      for (const one of workers) shift.begin(one)
      await world.sleep(10_000)
      await jobs(a).publishMany(numbers(300))
      await world.until(() => shift.acked.size === 300)
      await world.sleep(10_000)
      assert.equal(shift.repeated, [])
      for (const one of workers) {
        const share = shift.of(one).length
        assert.ok(share > 60 && share < 140, `${one.name} got ${share} of 300`)
      }
    },
  },
  {
    rule: 'shared: what a consumer had and did not acknowledge when it was lost is sent to the others, and nothing else again',
    published:
      'MC, Shared: sent to a consumer that disconnects and not acknowledged: rescheduled for the remaining consumers',
    seed: 2,
    async holds(world) {
      const shift = new Shift(world)
      const [a, b, c, d] = world.peers
      for (const one of [b, c, d]) shift.begin(one, async (record, by) => (by === b.name ? 'kept' : record.ack()), 8)
      await world.sleep(10_000)
      await jobs(a).publishMany(numbers(60))
      await world.until(() => shift.of(b).length === 8)
      await b.crash()
      await world.until(() => shift.acked.size === 60)
      assert.equal(ascending(shift.repeated), ascending(shift.of(b)))
      for (const { value, attempt, by } of shift.handed)
        if (by !== b.name) assert.is(attempt, shift.of(b).includes(value) ? 2 : 1)
    },
  },
  {
    rule: 'unlike Pulsar, what a consumer had when its iteration ends is still its to settle until the lease is over; what it did not settle goes to the others then, with what waits in its slots',
    published: 'MC, Shared: as of a consumer that disconnects',
    seed: 3,
    async holds(world) {
      const shift = new Shift(world, { leaseMs: 8_000 })
      const [a, b, c] = world.peers
      const had: GroupRecord<number>[] = []
      let ended = false
      b.run(async (peer) => {
        for await (const record of shift.group(peer).consume({ concurrency: 5 })) {
          had.push(record)
          if (had.length === 5) break
        }
        ended = true
        await had[0]?.ack()
      })
      shift.begin(c)
      await world.sleep(10_000)
      await jobs(a).publishMany(numbers(40))
      await world.until(() => ended)
      const at = world.now
      await world.until(() => shift.acked.size >= 30, { withinMs: 5_000, what: 'others have what it had not' })
      await world.until(() => shift.acked.size === 39)
      between(world.now - at, 6_000, 12_000, 'what it had')
      assert.not(shift.of(c).includes(had[0]?.value ?? -1))
    },
  },
]

const keyOf = (value: number) => `key ${value % 10}`

/** By key: each value once and in order, and who had it. */
function orderOf(shift: Shift) {
  return upTo(10).map((key) => {
    const handed = shift.handed.filter(({ value }) => value % 10 === key)
    assert.equal(
      handed.map(({ value }) => value),
      ascending(handed.map(({ value }) => value)),
      `the order of key ${key}`,
    )
    return new Set(handed.map(({ by }) => by))
  })
}

const keyShared: Rule<4>[] = [
  {
    rule: 'key-shared: messages with one key go to one consumer, in order; the keys are spread over all',
    published: 'MC, Subscription types, Key_Shared: messages with the same key are delivered to only one consumer',
    async holds(world) {
      const shift = new Shift(world, { type: 'key-shared' })
      const [a, ...workers] = world.peers
      for (const one of workers) shift.begin(one)
      await world.sleep(10_000)
      await jobs(a).publishMany(numbers(200, 0, keyOf))
      await world.until(() => shift.acked.size === 200)
      const holders = orderOf(shift)
      assert.ok(holders.every(({ size }) => size === 1))
      assert.is(new Set(holders.flatMap((names) => [...names])).size, 3)
    },
  },
  {
    rule: 'key-shared: a redelivered message comes to the same consumer, before those behind it of its key and without holding up other keys',
    published: 'MC, Key_Shared: however often it is redelivered, to the same consumer',
    async holds(world) {
      const shift = new Shift(world, { type: 'key-shared' })
      const [a, ...workers] = world.peers
      for (const one of workers)
        shift.begin(one, (record) =>
          record.value === 17 && record.attempt < 4 ? record.nack({ delayMs: 2_000 }) : record.ack(),
        )
      await world.sleep(10_000)
      await jobs(a).publishMany(numbers(100, 0, keyOf))
      await world.until(() => shift.acked.size === 100)
      const tries = shift.handed.filter(({ value }) => value === 17)
      assert.equal(
        tries.map(({ attempt }) => attempt),
        [1, 2, 3, 4],
      )
      assert.is(orderOf(shift)[7]?.size, 1)
      const done = shift.handed.findLast(({ value }) => value % 10 !== 7)?.at ?? Infinity
      assert.ok(done < (tries[1]?.at ?? 0), 'the other keys were through by then')
    },
  },
  {
    rule: 'key-shared: when a consumer joins or closes, keys move without a message coming twice or before those of its key',
    published:
      'MC, Key_Shared, preserving order: a new consumer gets no message of a key of which the old one has some unacknowledged',
    seed: 7,
    async holds(world) {
      const shift = new Shift(world, { type: 'key-shared' })
      const [a, b, c, d] = world.peers
      const slowly: Handle = async (record) => {
        await world.sleep(100)
        await record.ack()
      }
      for (const one of [b, c]) shift.begin(one, slowly)
      await world.sleep(8_000)
      const publishing = (async () => {
        for (let i = 0; i < 300; i++) {
          await jobs(a).publish(i, { key: keyOf(i) })
          await world.sleep(50)
        }
      })()
      await world.sleep(3_000)
      shift.begin(d, slowly)
      await world.sleep(9_000)
      await shift.group(b).drain()
      await publishing
      await world.until(() => shift.acked.size === 300)
      orderOf(shift)
      assert.equal(shift.repeated, [])
      assert.ok(shift.of(d).length > 0)
    },
  },
  {
    rule: 'key-shared: when a consumer is lost, its keys go to the others with what it had not acknowledged, in order',
    published: 'MC, Key_Shared, preserving order: redelivered messages before those behind them',
    seed: 8,
    async holds(world) {
      const shift = new Shift(world, { type: 'key-shared' })
      const [a, b, c, d] = world.peers
      for (const one of [b, c, d]) shift.begin(one, async (record, by) => (by === b.name ? 'kept' : record.ack()))
      await world.sleep(10_000)
      await jobs(a).publishMany(numbers(100, 0, keyOf))
      await world.sleep(2_000)
      await b.crash()
      await world.until(() => shift.acked.size === 100)
      orderOf(shift)
      assert.ok(shift.of(b).length > 0)
      assert.equal(ascending(shift.repeated), ascending(shift.of(b)))
    },
  },
  {
    rule: 'unlike Pulsar, key-shared spreads messages without a key over all consumers, since nothing says that they belong together',
    published: 'MC, Key_Shared: messages without a key all go to one consumer',
    async holds(world) {
      const shift = new Shift(world, { type: 'key-shared' })
      const [a, ...workers] = world.peers
      for (const one of workers) shift.begin(one)
      await world.sleep(10_000)
      await jobs(a).publishMany(numbers(90))
      await world.until(() => shift.acked.size === 90)
      for (const one of workers) assert.ok(shift.of(one).length > 10, one.name)
    },
  },
]

const redelivery: Rule<4>[] = [
  {
    rule: 'a message acknowledged negatively is redelivered after the delay asked for, and not before; others are not held up and not redelivered',
    published: 'MC, Negative acknowledgment: redelivered after a delay (1 minute unless told otherwise; here 0)',
    seed: 2,
    async holds(world) {
      const shift = new Shift(world)
      const [a, ...workers] = world.peers
      for (const one of workers)
        shift.begin(one, async (record) => {
          if (record.attempt > 1) return record.ack()
          if (record.value === 5) return record.nack({ delayMs: 8_000 })
          return record.value === 6 ? record.nack() : record.ack()
        })
      await world.sleep(10_000)
      const begun = world.now
      await jobs(a).publishMany(numbers(20))
      await world.until(() => shift.acked.has(6))
      between(world.now - begun, 0, 2_000, 'without a delay')
      await world.until(() => shift.handed.filter(({ value }) => value === 5).length === 2)
      const [first, second] = shift.handed.filter(({ value }) => value === 5)
      between((second?.at ?? 0) - (first?.at ?? 0), 8_000, 9_500)
      assert.is(shift.acked.size, 20)
      await world.sleep(8_000)
      assert.equal(ascending(shift.repeated), [5, 6])
    },
  },
  {
    rule: 'in a failover or exclusive group a message acknowledged negatively comes again after those that are ready, which keep their order',
    published:
      'MC, Negative acknowledgment: on exclusive and failover it can break the order; ask for one at a time to keep it',
    async holds(world) {
      const [a, b] = world.peers
      await jobs(a).publishMany(numbers(6))
      for (const type of ['failover', 'exclusive'] as const) {
        const shift = new Shift(world, { type }, type)
        shift.begin(b, (record) => (record.value === 2 && record.attempt === 1 ? record.nack() : record.ack()))
        await world.until(() => shift.handed.length === 7)
        assert.equal(
          shift.of(b).filter((value, i, all) => all.indexOf(value) === i),
          [0, 1, 2, 3, 4, 5],
        )
        assert.equal(shift.repeated, [2])
      }
    },
  },
  {
    rule: 'a message that is not acknowledged within the timeout is redelivered, unless more time was asked for; who is late is told',
    published: 'MC, Acknowledgment timeout',
    seed: 11,
    async holds(world) {
      const shift = new Shift(world, { leaseMs: 2_000 })
      const [a, b] = world.peers
      const reasons: string[] = []
      shift.begin(b, async (record) => {
        if (record.value === 2) await record.extend(10_000)
        if (record.attempt === 1) await world.sleep(3_000)
        await record.ack().catch((error) => {
          reasons.push(isError(error, 'LeaseLost') ? `${record.value} ${error.data.reason}` : String(error))
        })
      })
      await jobs(a).publishMany(numbers(2, 1))
      await world.sleep(30_000)
      assert.equal(reasons, ['1 expired'])
      assert.equal(shift.handed.filter(({ value }) => value === 2).length, 1)
      assert.equal(
        shift.handed.filter(({ value }) => value === 1).map(({ attempt }) => attempt),
        [1, 2],
      )
      assert.is((await shift.status(a)).lag, 0)
    },
  },
  {
    rule: 'a message that was redelivered as often as allowed goes to the dead letter topic with its properties, and the rest is consumed',
    published:
      'MC, Dead letter topic: after `maxRedeliverCount` redeliveries, one less than `maxReceives`; consumers go on with the rest',
    seed: 2,
    async holds(world) {
      const shift = new Shift(world, { maxReceives: 3, deadLetter: 'jobs.lost' })
      const [a, b, c, d] = world.peers
      for (const one of [b, c, d])
        shift.begin(one, (record) => (record.value === 5 ? record.nack({ delayMs: 1_000 }) : record.ack()))
      await jobs(a).publishMany(numbers(5))
      const receipt = await jobs(a).publish(5, { key: 'k', headers: { origin: 'test' } })
      await world.until(async () => (await b.read('jobs.lost')).length === 1)
      const [dead] = await b.read<number>('jobs.lost')
      assert.equal([dead?.value, dead?.key], [5, 'k'])
      assert.equal(dead?.headers, {
        origin: 'test',
        'grapevine-dead-reason': 'max-receives',
        'grapevine-dead-group': 'work',
        'grapevine-dead-topic': 'jobs',
        'grapevine-dead-feed': receipt.feed,
        'grapevine-dead-index': String(receipt.index),
        'grapevine-dead-publisher': a.id,
        'grapevine-dead-time': dead?.headers['grapevine-dead-time'],
        'grapevine-dead-attempts': '3',
      })
      const tries = shift.handed.filter(({ value }) => value === 5)
      assert.equal(
        tries.map(({ attempt }) => attempt),
        [1, 2, 3],
      )
      assert.ok(tries.every(({ at }, i) => i === 0 || at - (tries[i - 1]?.at ?? 0) >= 1_000))
      await world.until(async () => (await shift.status(a)).lag === 0)
      assert.equal(shift.repeated, [5])
    },
  },
]

const subscription: Rule<4>[] = [
  {
    rule: 'each subscription gets every message, however far the others are',
    published: 'MC, Subscriptions: each subscription has all messages of the topic',
    async holds(world) {
      const [a, b, c, d] = world.peers
      const types = ['shared', 'key-shared', 'failover'] as const
      const shifts = types.map((type) => new Shift(world, { type }, type))
      for (const shift of shifts) for (const one of [b, c, d]) shift.begin(one, shift === shifts[0] ? keep : undefined)
      await jobs(a).publishMany(numbers(40, 0, keyOf))
      await world.until(() => shifts.slice(1).every(({ acked }) => acked.size === 40))
      assert.is(shifts[0]?.acked.size, 0)
    },
  },
  {
    rule: 'a subscription goes on where it was when all its consumers were disconnected, with what was published meanwhile',
    published: 'MC: retained while the subscription exists, also when its consumers are disconnected',
    seed: 19,
    async holds(world) {
      const shift = new Shift(world)
      const [a, b, c] = world.peers
      shift.begin(b)
      await jobs(a).publishMany(numbers(30))
      await world.until(() => shift.acked.size === 30)
      await b.crash()
      await jobs(a).publishMany(numbers(30, 30))
      await world.sleep(60_000)
      shift.begin(c)
      await world.until(() => shift.acked.size === 60)
      assert.equal(shift.repeated, [])
      await b.restart()
      await world.sleep(10_000)
      assert.is(shift.handed.length, 60)
    },
  },
  {
    rule: 'unlike Pulsar, a subscription keeps its type when all consumers have gone, and who asks for another is told which it is',
    published: 'WC: a subscription has one type at a time; stop all consumers first to change it',
    async holds(world) {
      const [, b, c] = world.peers
      const shift = new Shift(world, { type: 'failover' })
      shift.begin(b)
      await world.sleep(5_000)
      const other = () => subscribing(jobs(c).group('work', { type: 'shared', from: 'earliest' }))
      for (const when of ['beside another', 'alone']) {
        const error = await other()
        assert.ok(isError(error, 'GroupConflict'), String(error))
        assert.equal([error.data.has.type, error.data.asked.type], ['failover', 'shared'], when)
        if (when === 'beside another') await b.close()
      }
    },
  },
  {
    rule: 'a new subscription begins with what is published from then on, or with the earliest message if asked to',
    published: 'WC, subscriptionInitialPosition: Latest (default) or Earliest',
    seed: 20,
    async holds(world) {
      const [a, b, c, d] = world.peers
      await jobs(a).publishMany(numbers(10))
      const latest = new Shift(world, { from: 'latest' }, 'latest')
      const earliest = new Shift(world, { from: 'earliest' }, 'earliest')
      latest.begin(b)
      earliest.begin(d)
      await world.sleep(3_000)
      await jobs(c).publish(77)
      await world.until(() => latest.acked.size === 1 && earliest.acked.size === 11)
      assert.equal([...latest.acked], [77])
    },
  },
]

testRules(test, 4, [...exclusive, ...failover, ...shared, ...keyShared, ...redelivery, ...subscription])
test.run()
