/**
 * Groups after what Apache Kafka publishes of its consumer groups: the documentation (KD, kafka.apache.org/documentation, Design and
 * Operations) and the page of KafkaConsumer in the javadoc (KC, kafka.apache.org/37/javadoc/org/apache/kafka/clients/consumer/KafkaConsumer.html).
 * A partition is a slot here, a committed offset the acknowledgements, the session timeout the lease. One peer publishes, three consume.
 */
import * as assert from 'uvu/assert'
import { isError } from '../../node/index.ts'
import type { SimulatedPeer, SimulatedWorld } from '../../sim/index.ts'
import { between, type Rule, testRules } from '../helper/rules.ts'
import { suite } from '../helper/suite.ts'
import { type Handle, numbers, Shift } from './shift.ts'

const test = suite('kafka')

const jobs = (one: SimulatedPeer) => one.topic<number>('jobs')
const keyOf = (value: number) => `key ${value % 10}`
const ascending = (values: readonly number[]) => values.toSorted((x, y) => x - y)
const keep: Handle = async () => 'kept'

/** Who holds each slot, as a peer sees it. */
async function holdersOf(shift: Shift, one: SimulatedPeer) {
  return (await shift.status(one)).slots.map(({ holder }) => holder)
}

/** How many slots each of these holds, all of which see it alike. */
async function sharesOf(shift: Shift, ...members: SimulatedPeer[]): Promise<number[]> {
  const views = await Promise.all(members.map((one) => holdersOf(shift, one)))
  for (const view of views) assert.equal(view, views[0])
  return members.map(({ id }) => views[0]?.filter((holder) => holder === id).length ?? 0)
}

/** The lag of the group comes to be so many, wherever one looks. */
async function lagIs(world: SimulatedWorld<4>, shift: Shift, lag: number): Promise<void> {
  for (const one of world.peers.filter(({ running }) => running))
    await world.until(async () => (await shift.status(one)).lag === lag, {
      withinMs: 10_000,
      what: `${one.name} sees a lag of ${lag}`,
    })
}

const rebalance: Rule<4>[] = [
  {
    rule: 'each partition is assigned to exactly one member of the group, a proportional share to each',
    published:
      'KC, Consumer Groups and Topic Subscriptions: each partition to exactly one consumer, balanced between all members',
    async holds(world) {
      const shift = new Shift(world)
      const [a, b, c, d] = world.peers
      for (const one of [b, c, d]) shift.begin(one)
      await jobs(a).publishMany(numbers(200))
      await world.until(() => shift.acked.size === 200)
      await world.sleep(10_000)
      assert.equal((await sharesOf(shift, b, c, d)).toSorted(), [21, 21, 22])
      const { members, lag, slots } = await shift.status(a)
      assert.equal(members.map((member) => member.slots).sort(), [21, 21, 22])
      assert.equal([lag, slots.length, shift.repeated], [0, 64, []])
    },
  },
  {
    rule: 'when a member joins, partitions move to it until the shares are alike, and no others; consuming goes on meanwhile',
    published:
      'KC: a new consumer gets partitions of the others; KD, sticky and cooperative assignment: no more move than must',
    seed: 2,
    async holds(world) {
      const shift = new Shift(world)
      const [a, b, c, d] = world.peers
      for (const one of [b, c])
        shift.begin(one, async (record) => {
          await world.sleep(50)
          await record.ack()
        })
      await world.sleep(10_000)
      assert.equal(await sharesOf(shift, b, c), [32, 32])
      const before = await holdersOf(shift, b)
      const publishing = (async () => {
        for (let i = 0; i < 200; i++) {
          await jobs(a).publish(i)
          await world.sleep(50)
        }
      })()
      shift.begin(d)
      await world.sleep(10_000)
      await publishing
      await world.until(() => shift.acked.size === 200)
      assert.equal((await sharesOf(shift, b, c, d)).toSorted(), [21, 21, 22])
      const after = await holdersOf(shift, b)
      for (const [slot, holder] of after.entries()) if (holder !== before[slot]) assert.is(holder, d.id, `slot ${slot}`)
      assert.equal(shift.repeated, [])
      const times = shift.handed.map(({ at }) => at)
      const gaps = times.map((at, i) => at - (times[i - 1] ?? at))
      between(Math.max(...gaps), 0, 1_000, 'the longest time in which nothing was consumed')
    },
  },
  {
    rule: 'a member that closes has its partitions reassigned at once, and nothing is consumed twice',
    published: 'KC, close(): leaves the group, whose partitions are assigned anew',
    seed: 8,
    async holds(world) {
      const shift = new Shift(world)
      const [a, b, c, d] = world.peers
      for (const one of [b, c, d])
        shift.begin(one, async (record) => {
          await world.sleep(100)
          await record.ack()
        })
      await world.sleep(10_000)
      const publishing = jobs(a).publishMany(numbers(300))
      await world.sleep(1_000)
      const begun = world.now
      await shift.group(b).drain()
      between(world.now - begun, 0, 2_000, 'draining')
      const drained = world.now
      await world.until(async () => (await holdersOf(shift, a)).every((holder) => holder === c.id || holder === d.id), {
        withinMs: 3_500,
        what: 'the others have the slots',
      })
      await publishing
      await world.until(() => shift.acked.size === 300)
      assert.equal(shift.repeated, [])
      assert.ok(shift.handed.every(({ by, at }) => by !== b.name || at <= drained))
      assert.equal(await sharesOf(shift, c, d), [32, 32])
    },
  },
  {
    rule: 'a member that is silent for the session timeout is removed and its partitions are reassigned; it gets some again when it is back',
    published: 'KC, Detecting Consumer Failures: no heartbeats for session.timeout.ms',
    seed: 3,
    async holds(world) {
      const shift = new Shift(world, { leaseMs: 4_000 })
      const [a, b, c, d] = world.peers
      for (const one of [b, c, d]) shift.begin(one)
      await world.sleep(10_000)
      await b.pause()
      const paused = world.now
      await world.sleep(2_500)
      assert.ok((await holdersOf(shift, c)).includes(b.id), 'not before')
      await world.until(async () => (await holdersOf(shift, c)).every((holder) => holder === c.id || holder === d.id))
      between(world.now - paused, 2_500, 4_000 + 2_200, 'the reassignment')
      await world.until(async () => (await shift.status(a)).members.every(({ peer }) => peer !== b.id))
      await b.resume()
      await world.until(async () => (await sharesOf(shift, b, c, d).catch(() => [])).every((share) => share >= 21))
    },
  },
  {
    rule: 'after a failure, what was committed is not consumed again, and what was consumed and not committed is',
    published: 'KC, Offsets and Consumer Position: after a failure it goes on at the committed position',
    seed: 7,
    async holds(world) {
      const shift = new Shift(world)
      const [a, b, c] = world.peers
      shift.begin(b, async (record) => (record.value % 3 === 0 ? 'kept' : record.ack()), 100)
      await world.sleep(5_000)
      await jobs(a).publishMany(numbers(60))
      await world.until(() => shift.of(b).length === 60)
      await world.sleep(1_500)
      await b.crash()
      shift.begin(c)
      await world.until(() => shift.acked.size === 60)
      assert.equal(
        ascending(shift.of(c)),
        numbers(20).map(({ value }) => 3 * value),
      )
      await world.sleep(10_000)
      assert.is(shift.of(c).length, 20)
    },
  },
  {
    rule: 'a member that was removed from the group cannot commit, and the new owner of the partition has a higher epoch',
    published: 'KC, CommitFailedException: a commit after the partitions were given to another member',
    seed: 10,
    async holds(world) {
      const shift = new Shift(world, { type: 'failover' })
      const [a, b, c] = world.peers
      const outcomes: string[] = []
      const slow: Handle = async (record, name) => {
        await world.sleep(500)
        await record.ack().then(
          () => outcomes.push(`${name} done`),
          (error) => {
            if (!isError(error, 'LeaseLost')) throw error
            outcomes.push(`${name} ${error.data.reason}`)
          },
        )
      }
      shift.begin(b, slow, 1)
      await world.sleep(4_000)
      shift.begin(c, slow, 1)
      await world.sleep(2_000)
      await jobs(a).publish(1)
      await world.until(() => shift.handed.length === 1)
      await b.pause()
      await world.until(() => outcomes.length === 1)
      await b.resume()
      await world.until(() => outcomes.length === 2)
      assert.equal(outcomes, [`${c.name} done`, `${b.name} taken`])
      const [first, second] = shift.handed
      assert.ok((second?.token ?? 0) > (first?.token ?? 0))
      assert.equal([first?.attempt, second?.attempt], [1, 2])
    },
  },
  {
    rule: 'members beyond the number of partitions are idle, and take over when others leave',
    published: 'KD, Design, The Consumer: no more members than partitions can work',
    async holds(world) {
      const shift = new Shift(world, { type: 'failover' })
      const [a, ...workers] = world.peers
      for (const one of workers) shift.begin(one)
      await world.sleep(10_000)
      assert.is((await shift.status(a)).slots.length, 1)
      await jobs(a).publishMany(numbers(20))
      await world.until(() => shift.acked.size === 20)
      assert.is(workers.filter((one) => shift.of(one).length > 0).length, 1)
      await workers.find((one) => shift.of(one).length > 0)?.close()
      await jobs(a).publish(20)
      await world.until(() => shift.acked.size === 21)
    },
  },
  {
    rule: 'records with one key are consumed in order by one member; a group of its own gets all records',
    published:
      'KC: one group is like a queue, groups of their own are like publish-subscribe; KD: order within a partition',
    async holds(world) {
      const [a, b, c, d] = world.peers
      const one = new Shift(world, { type: 'key-shared' }, 'one')
      const other = new Shift(world, { type: 'key-shared' }, 'other')
      for (const worker of [b, c]) one.begin(worker)
      other.begin(d)
      await world.sleep(8_000)
      await jobs(a).publishMany(numbers(100, 0, keyOf))
      await world.until(() => one.acked.size === 100 && other.acked.size === 100)
      for (const shift of [one, other]) {
        for (let key = 0; key < 10; key++) {
          const handed = shift.handed.filter(({ value }) => value % 10 === key)
          assert.is(new Set(handed.map(({ by }) => by)).size, 1)
          assert.equal(
            handed.map(({ value }) => value),
            ascending(handed.map(({ value }) => value)),
          )
        }
      }
      assert.ok(one.of(b).length > 0 && one.of(c).length > 0)
    },
  },
  {
    rule: 'earliest and latest are for a group without a position: one that has a position goes on from there',
    published: 'KC, auto.offset.reset: what to do when there is no initial offset; once there is one, it counts',
    seed: 20,
    async holds(world) {
      const [a, b, c] = world.peers
      await jobs(a).publishMany(numbers(10))
      const latest = new Shift(world, { from: 'latest' })
      latest.begin(b)
      await world.sleep(3_000)
      await jobs(c).publish(77)
      await world.until(() => latest.acked.size === 1)
      const late = new Shift(world, { from: 'earliest' })
      late.begin(c)
      await world.sleep(10_000)
      assert.equal([...latest.acked], [77])
      assert.is(late.handed.length, 0)
      assert.is((await latest.status(a)).lag, 0)
      await b.close()
      await c.close()
      await jobs(a).publish(78)
      const again = new Shift(world, { from: 'latest' })
      again.begin(world.peers[3])
      await world.until(() => again.acked.size === 1)
      assert.equal([...again.acked], [78], 'published while nobody consumed')
    },
  },
]

const lag: Rule<4>[] = [
  {
    rule: 'the lag is what is in the log and not committed, consumed or not; whoever describes the group sees it',
    published: 'KD, Operations, Managing Consumer Groups: LAG is LOG-END-OFFSET less CURRENT-OFFSET, the committed one',
    async holds(world) {
      const shift = new Shift(world, { leaseMs: 60_000 })
      const [a, b] = world.peers
      const held: (() => Promise<void>)[] = []
      shift.begin(
        b,
        async (record) => {
          if (record.value < 5) return record.ack()
          held.push(() => record.ack())
          return 'kept'
        },
        10,
      )
      await world.sleep(5_000)
      await lagIs(world, shift, 0)
      await jobs(a).publishMany(numbers(25))
      await world.until(() => shift.acked.size === 5 && held.length === 10)
      await lagIs(world, shift, 20)
      for (const ack of held.splice(0, 4)) await ack()
      await lagIs(world, shift, 16)
      const { slots, lag } = await shift.status(a)
      assert.is(
        slots.reduce((sum, slot) => sum + slot.lag, 0),
        lag,
      )
      while (held.length > 0 || shift.handed.length < 25) {
        for (const ack of held.splice(0)) await ack()
        await world.sleep(200)
      }
      await lagIs(world, shift, 0)
    },
  },
  {
    rule: 'the lag of a group of which no member is active goes on growing, and is worked off when one comes back',
    published: 'KD, Operations, Managing Consumer Groups: a group without active members is described with its lag',
    seed: 2,
    async holds(world) {
      const shift = new Shift(world)
      const [a, b, c] = world.peers
      shift.begin(b)
      await jobs(a).publishMany(numbers(10))
      await world.until(() => shift.acked.size === 10)
      await shift.group(b).drain()
      await b.close()
      await jobs(a).publishMany(numbers(15, 10))
      await lagIs(world, shift, 15)
      await jobs(a).publishMany(numbers(5, 25))
      await lagIs(world, shift, 20)
      assert.equal((await shift.status(a)).members, [])
      shift.begin(c)
      await world.until(() => shift.acked.size === 30)
      await lagIs(world, shift, 0)
      assert.equal(shift.repeated, [])
    },
  },
  {
    rule: 'any machine can list the groups and describe one: its members, their partitions, its lag',
    published: 'KD, Operations: kafka-consumer-groups.sh --list, --describe --members --verbose, --state',
    async holds(world) {
      const shift = new Shift(world)
      const [a, b, c, d] = world.peers
      for (const one of [b, c]) shift.begin(one, keep, 1)
      await world.sleep(10_000)
      await jobs(a).publishMany(numbers(12))
      for (const one of [a, d])
        await world.until(
          async () => {
            const [group, ...others] = await one.groups('jobs')
            // Unlike in Kafka, who does not carry the topic cannot count what is in it.
            const isCarried = (await one.topics()).some(({ name, held }) => name === 'jobs' && held === 'carry')
            if (group === undefined || others.length > 0) return false
            if (group.lag !== (isCarried ? 12 : undefined)) return false
            assert.equal([group.name, group.topic, group.slots], ['work', 'jobs', 64])
            return group.members.length === 2 && group.members.every(({ slots }) => slots === 32)
          },
          { withinMs: 20_000, what: `${one.name} describes the group` },
        )
    },
  },
]

testRules(test, 4, [...rebalance, ...lag])
test.run()
