import * as assert from 'uvu/assert'
import { type GroupRecord, isError } from '../../node/index.ts'
import { type SimulatedPeer, type SimulatedWorld, simulate } from '../../sim/index.ts'
import { suite } from '../helper/suite.ts'
import { numbers, Shift } from './shift.ts'

const test = suite('group')
/** Those with much virtual time. */
const slow = { deadlineMs: 90_000 }

test('members share the records of a topic alike, and each record is handed out once', () =>
  simulate({ peers: 3 }, async (world) => {
    const shift = new Shift(world)
    for (const one of world.peers) shift.begin(one)
    const [a] = world.peers
    const jobs = a.topic<number>('jobs')
    await jobs.publishMany(numbers(200))
    await world.until(() => shift.acked.size === 200)
    await world.sleep(10_000)
    const { members, lag, slots } = await shift.status(a)
    assert.equal(members.map((member) => member.slots).sort(), [21, 21, 22])
    assert.equal([lag, slots.length, shift.repeated], [0, 64, []])
    await jobs.publishMany(numbers(300, 200))
    await world.until(() => shift.acked.size === 500)
    for (const { name } of world.peers) {
      const share = shift.handed.filter(({ by, value }) => by === name && value >= 200).length
      assert.ok(share > 60 && share < 140, `${name} got ${share} of 300`)
    }
  }))

test('consumers of one member take turns, also where there is never enough for all', () =>
  simulate({ peers: 1 }, async (world) => {
    const [a] = world.peers
    const jobs = a.topic<number>('jobs')
    const counts = [0, 0, 0]
    const consume = async (which: number) => {
      for await (const record of jobs.group('workers').consume({ concurrency: 100 })) {
        counts[which] = (counts[which] ?? 0) + 1
        await record.ack()
      }
    }
    for (const which of counts.keys()) void consume(which)
    await world.sleep(5_000)
    for (const { value } of numbers(90)) {
      await jobs.publish(value)
      await world.sleep(20)
    }
    assert.equal(counts, [30, 30, 30])
  }))

test(
  'members that begin at the same moment hand nothing out twice, though it takes long until they hear each other',
  async () => {
    for (const delayMs of [20, 100, 150, 200])
      await simulate({ peers: 4, seed: delayMs }, async (world) => {
        const shift = new Shift(world)
        const [met, ...others] = world.peers
        for (const one of others) {
          await one.crash()
          await world.link(one, met, { delayMs })
          for (const other of others) await world.link(one, other, { delayMs: 500 })
        }
        for (const one of others) shift.begin(one)
        await Promise.all([shift.status(met), ...others.map((one) => one.restart())])
        await met.topic<number>('jobs').publishMany(numbers(400))
        await shift.over(world, met, 400)
        assert.equal(shift.repeated, [], `${delayMs} ms to the one they meet at`)
      })
  },
  slow,
)

test('a member that crashes in the middle loses nothing: others have its slots within a lease and a little', () =>
  simulate({ peers: 3, seed: 7 }, async (world) => {
    const shift = new Shift(world)
    const [a, b, c] = world.peers
    for (const one of world.peers)
      shift.begin(one, async (record) => {
        await world.sleep(20)
        await record.ack()
      })
    await world.sleep(12_000)
    const publishing = a.topic<number>('jobs').publishMany(numbers(600))
    await world.sleep(800)
    await c.crash()
    const crashed = world.now
    await publishing
    await shift.over(world, a, 600)
    // The acknowledgement of what it had at the time may not have been heard of.
    const again = shift.handed.filter(({ at, value }) => at > crashed && shift.repeated.includes(value))
    assert.ok(again.length <= 8, `${again.length} were handed out again`)
    assert.ok(again.every(({ attempt, by }) => attempt === 2 && by !== c.name))
    const first = shift.handed.filter(({ at, attempt }) => at > crashed && attempt === 2)[0]
    assert.ok(first === undefined || first.at - crashed <= 7_500, `after ${(first?.at ?? 0) - crashed} ms`)
    await c.restart()
    await world.until(async () => (await shift.status(b)).members.every((member) => member.slots >= 21))
    assert.equal((await shift.status(b)).deliveredTwice, [])
  }))

test('tokens of a slot never go back, whoever dies and comes', () =>
  simulate({ peers: 3, seed: 3 }, async (world) => {
    const shift = new Shift(world, { type: 'key-shared' })
    for (const one of world.peers) shift.begin(one)
    const highest = new Map<number, number>()
    for (const [round, victim] of world.peers.entries()) {
      await world.peers[(round + 1) % 3]?.topic<number>('jobs').publishMany(numbers(64, 0, (value) => `key ${value}`))
      await world.sleep(9_000)
      await victim.crash()
      await world.sleep(9_000)
      await victim.restart()
    }
    for (const { value, token } of shift.handed) {
      assert.ok(token >= (highest.get(value) ?? 0), `the token of key ${value} went back to ${token}`)
      highest.set(value, token)
    }
    assert.ok([...highest.values()].some((token) => token > 2))
  }))

test('a consumer that is fast never has more than it may have, and keeps nothing that others wait for when it turns slow', () =>
  simulate({ peers: 2, seed: 12 }, async (world) => {
    const shift = new Shift(world)
    const [a, b] = world.peers
    const most = 64
    const kept = new Set<number>()
    const slow: GroupRecord<number>[] = []
    let hasMost = 0
    shift.begin(
      a,
      async (record) => {
        slow.push(record)
        hasMost = Math.max(hasMost, slow.length)
        if (record.value >= 1_000) {
          kept.add(record.value)
          return 'kept'
        }
        record.ack()
        slow.pop()
      },
      most,
    )
    await b.topic<number>('jobs').publishMany(numbers(4_000))
    await world.until(() => kept.size > 0)
    shift.begin(a, async (record) => void record.ack(), most)
    await world.sleep(3_500)
    assert.is(hasMost, most)
    assert.is(kept.size, most)
    // What was told ahead, and nobody had, was not tried.
    for (const { value, attempt } of shift.handed) assert.is(attempt, 1, String(value))
    assert.is(shift.acked.size, 4_000 - most)
  }))

test('attempts are counted across members: a record that kills its consumer ends as a dead letter', () =>
  simulate({ peers: 4, seed: 5 }, async (world) => {
    const shift = new Shift(world, { maxReceives: 2, leaseMs: 2_000 })
    const [a, ...workers] = world.peers
    for (const one of workers) shift.begin(one, (record) => (record.value === 13 ? one.crash() : record.ack()), 1)
    await world.sleep(5_000)
    await a.topic<number>('jobs').publishMany(numbers(20))
    await world.until(async () => (await a.read('jobs.dead')).length === 1)
    await shift.over(world, a, 20)
    assert.equal(
      shift.handed.filter(({ value }) => value === 13).map(({ attempt }) => attempt),
      [1, 2],
    )
    assert.is(workers.filter(({ running }) => running).length, 1)
  }))

test('a value that no consumer can decode goes to the dead letters and holds nobody up', () =>
  simulate({ peers: 2, seed: 6 }, async (world) => {
    const shift = new Shift(world, { type: 'failover' })
    const [a, b] = world.peers
    shift.begin(b)
    await a.topic<string>('jobs', { codec: 'text' }).publish('{nonsense')
    await a.topic<number>('jobs').publish(1)
    await world.until(() => shift.acked.has(1))
    await world.until(async () => (await a.topics()).some(({ name }) => name === 'jobs.dead'))
    const dead = a.topic<string>('jobs.dead', { codec: 'text' }).subscribe({ from: 'earliest' })
    for await (const { value, headers } of dead) {
      assert.equal([value, headers['grapevine-dead-reason']], ['{nonsense', 'undecodable'])
      break
    }
  }))

test('who drains hands its slots over at once, and nothing is handed out twice', () =>
  simulate({ peers: 3, seed: 8 }, async (world) => {
    const shift = new Shift(world)
    const [a, b] = world.peers
    for (const one of world.peers)
      shift.begin(one, async (record) => {
        await world.sleep(100)
        await record.ack()
      })
    await world.sleep(10_000)
    const publishing = a.topic<number>('jobs').publishMany(numbers(300))
    await world.sleep(1_000)
    const begun = world.now
    await shift.group(b).drain()
    assert.ok(world.now - begun < 2_000, `draining took ${world.now - begun} ms`)
    const drained = world.now
    await publishing
    await world.until(() => shift.acked.size === 300)
    assert.equal(shift.repeated, [])
    assert.ok(shift.handed.every(({ by, at }) => by !== b.name || at <= drained))
    const { members } = await shift.status(a)
    assert.equal(
      members.map(({ slots }) => slots),
      [32, 32],
    )
  }))

/** Crashes one worker after the other, while keys are published to. Says which records were in the hands of one that crashed. */
async function churn(world: SimulatedWorld<4>, shift: Shift, crash: 'killed' | 'power'): Promise<Set<string>> {
  const [publisher, ...workers] = world.peers
  const inHands = new Set<string>()
  for (const one of workers)
    shift.begin(one, async (record) => {
      await world.sleep(10)
      await (world.random() < 0.05 ? record.nack() : record.ack())
    })
  const jobs = publisher.topic<number>('jobs')
  for (let round = 0; round < 6; round++) {
    await jobs.publishMany(numbers(100, round * 100, (value) => `key ${value % 10}`))
    await world.sleep(2_000)
    const victim = workers[round % 3] as SimulatedPeer
    await victim.crash(crash)
    for (const { id, by, acked } of shift.handed) if (by === victim.name && !acked) inHands.add(id)
    await world.sleep(3_000)
    await victim.restart()
  }
  await shift.over(world, publisher, 600)
  return inHands
}

function inOrder(shift: Shift): void {
  for (let key = 0; key < 10; key++) {
    let highest = -1
    for (const { value, acked } of shift.handed.filter(({ value }) => value % 10 === key)) {
      assert.ok(value >= highest, `${value} came after ${highest} of its key was done`)
      if (acked) highest = value
    }
    const firsts = [...new Set(shift.handed.map(({ value }) => value).filter((value) => value % 10 === key))]
    assert.equal(
      firsts,
      firsts.toSorted((x, y) => x - y),
      `key ${key}`,
    )
  }
}

test(
  'with key-shared, the records of each key come one at a time and in order, while members are killed and come back',
  () =>
    simulate({ peers: 4, seed: 9 }, async (world) => {
      const shift = new Shift(world, { type: 'key-shared', leaseMs: 3_000, maxReceives: 100 })
      await churn(world, shift, 'killed')
      inOrder(shift)
    }),
  slow,
)

// Of the last three seeds a member that took slots over knew less of their last holder than who voted for it.
for (const seed of [9, 56, 96, 99]) {
  test(
    `with a quorum they do so even where power cuts leave members without friends for a while (seed ${seed})`,
    () =>
      simulate({ peers: 4, seed }, async (world) => {
        const shift = new Shift(world, { type: 'key-shared', leaseMs: 3_000, maxReceives: 100, quorum: true })
        const inHands = await churn(world, shift, 'power')
        inOrder(shift)
        // An acknowledgement that its consumer did not live to see may have gone as far as its own disk.
        const { deliveredTwice } = await shift.status(world.peers[0])
        assert.equal(
          deliveredTwice.filter((id) => !inHands.has(id)),
          [],
        )
      }),
    slow,
  )
}

test('a consumer that takes too long loses the record, unless it asks for more time', () =>
  simulate({ peers: 2, seed: 11 }, async (world) => {
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
    await a.topic<number>('jobs').publishMany(numbers(2, 1))
    await world.sleep(30_000)
    assert.equal(reasons, ['1 expired'])
    assert.equal(shift.handed.filter(({ value }) => value === 2).length, 1)
    assert.equal(
      shift.handed.filter(({ value }) => value === 1).map(({ attempt }) => attempt),
      [1, 2],
    )
    assert.is((await shift.status(a)).lag, 0)
  }))

test(
  'by default both sides of a partition of 30 s work on, and the report after it names each record both delivered',
  () =>
    simulate({ peers: 6, seed: 12 }, async (world) => {
      const shift = new Shift(world)
      const [a, b, c, d] = world.peers
      const work = (record: GroupRecord<number>) => world.sleep(1_000).then(() => record.ack())
      for (const one of world.peers) shift.begin(one, work)
      await a.topic<number>('jobs').publishMany(numbers(500))
      // Many are not done yet when the network is cut: what the other side holds, both deliver.
      await world.sleep(10_000)
      await world.partition([a, b])
      const cut = world.now
      await world.sleep(10_000)
      await a.topic<number>('jobs').publishMany(numbers(40, 1_000), { confirm: 1 })
      await c.topic<number>('jobs').publishMany(numbers(40, 2_000), { confirm: 1 })
      await world.sleep(cut + 30_000 - world.now)
      const sides = [true, false].map((near) =>
        shift.handed.filter(({ by }) => (by === a.name || by === b.name) === near),
      )
      const [few, many] = sides.map((each) => each.filter(({ at }) => at > cut + 15_000).length) as [number, number]
      assert.ok(few > 20 && many > 40, `both work on: ${few} and ${many}`)
      await world.heal()
      await shift.over(world, a, 580)
      await world.sleep(10_000)
      const [near, far] = sides.map((each) => new Set(each.map(({ value }) => value))) as [Set<number>, Set<number>]
      const both = [...near].filter((value) => far.has(value))
      assert.ok(both.length > 10, `both had ${both.length}`)
      // Two had it as the same attempt: neither knew of the other, also where one of them had only begun when it heard of that.
      const had = Map.groupBy(shift.handed, ({ value, attempt }) => `${value} for the ${attempt}th time`)
      const unknowingly = [...had.values()].flatMap((each) =>
        new Set(each.map(({ by }) => by)).size > 1 ? each.slice(0, 1).map(({ value }) => value) : [],
      )
      for (const one of [a, d]) {
        const { deliveredTwice, lag, members } = await shift.status(one)
        assert.equal([lag, members.length], [0, 6])
        const reported = deliveredTwice.map((id) => shift.valueOf(id))
        assert.ok(reported.every((value) => value !== undefined && shift.repeated.includes(value)))
        assert.equal(
          [...both, ...unknowingly].filter((value) => !reported.includes(value)),
          [],
          one.name,
        )
      }
      const again = shift.handed.length
      await d.topic<number>('jobs').publishMany(numbers(40, 3_000))
      await shift.over(world, a, 620)
      assert.is(shift.handed.length, again + 40, 'one group again')
    }),
  slow,
)

test('a record that both sides of a partition had is reported after the healing', () =>
  simulate({ peers: 4, seed: 13 }, async (world) => {
    const shift = new Shift(world)
    const [a, b, c, d] = world.peers
    const told: string[] = []
    a.run(async (peer) => {
      for await (const event of shift.group(peer).events()) if (event.type === 'delivered-twice') told.push(event.id)
    })
    // Nobody consumes yet: the records reach both sides first.
    await a.topic<number>('jobs').publishMany(numbers(30))
    for (const one of [b, c, d]) await one.read('jobs')
    await world.partition([a, b], [c, d])
    for (const one of [a, c]) shift.begin(one)
    await world.until(() => shift.repeated.length === 30)
    await world.heal()
    const twice = async () => (await shift.status(c)).deliveredTwice
    await world.until(async () => told.length === 30 && (await twice()).length === 30)
    assert.equal((await twice()).sort(), told.sort())
    await world.sleep(10_000)
    assert.is(shift.handed.length, 60)
  }))

test('with a quorum the minority stops within a lease, and nothing is delivered twice', () =>
  simulate({ peers: 6, seed: 14 }, async (world) => {
    const shift = new Shift(world, { quorum: true })
    const [a, b, , , e, f] = world.peers
    for (const one of world.peers) shift.begin(one)
    const jobs = (one: SimulatedPeer) => one.topic<number>('jobs')
    await jobs(a).publishMany(numbers(60))
    await world.until(() => shift.acked.size === 60)
    await world.until(async () => (await shift.status(a)).members.filter(({ slots }) => slots >= 10).length === 6)
    await world.sleep(10_000)
    await world.partition([a, b])
    const cut = world.now
    await jobs(e).publishMany(numbers(100, 100), { confirm: 1 })
    await jobs(a).publishMany(numbers(40, 300), { confirm: 0 })
    await world.sleep(30_000)
    const late = shift.handed.filter(({ by, at }) => (by === a.name || by === b.name) && at > cut + 5_000)
    assert.equal(late, [])
    assert.ok(numbers(100, 100).every(({ value }) => shift.acked.has(value)))
    await world.heal()
    await world.until(() => shift.acked.size === 200)
    await world.sleep(10_000)
    assert.equal(shift.repeated, [])
    assert.equal((await shift.status(f)).deliveredTwice, [])
  }))

test('an exclusive group refuses a second member, until the first has left', () =>
  simulate({ peers: 3, seed: 15 }, async (world) => {
    const shift = new Shift(world, { type: 'exclusive' })
    const [a, b, c] = world.peers
    shift.begin(b)
    await world.sleep(5_000)
    const refused = async () => {
      for await (const _ of shift.group(c).consume()) return undefined
      return undefined
    }
    const error = await refused().catch((error) => error)
    assert.ok(isError(error, 'GroupInUse'), String(error))
    assert.is(error.data.holder, b.id)
    await a.topic<number>('jobs').publishMany(numbers(20))
    await world.until(() => shift.acked.size === 20)
    assert.equal(
      shift.handed.map(({ value }) => value),
      numbers(20).map(({ value }) => value),
      'in order',
    )
    await shift.group(b).drain()
    shift.begin(c)
    await a.topic<number>('jobs').publish(99)
    await world.until(() => shift.acked.has(99))
    // One that has died is no member: whoever comes next waits for its lease to end.
    await c.crash()
    shift.begin(b)
    await a.topic<number>('jobs').publish(100)
    await world.until(() => shift.acked.has(100))
    assert.is(shift.handed.at(-1)?.by, b.name)
  }))

test('in a failover group one member works, and another goes on when it dies', () =>
  simulate({ peers: 3, seed: 16 }, async (world) => {
    const shift = new Shift(world, { type: 'failover' })
    const [a, b, c] = world.peers
    shift.begin(b)
    await world.sleep(4_000)
    shift.begin(c)
    await a.topic<number>('jobs').publishMany(numbers(50))
    await world.until(() => shift.acked.size === 50)
    assert.ok(shift.handed.every(({ by }) => by === b.name))
    await b.crash()
    const crashed = world.now
    await a.topic<number>('jobs').publishMany(numbers(50, 50))
    await world.until(() => shift.acked.size === 100)
    const took = (shift.handed.find(({ value }) => value === 50)?.at ?? 0) - crashed
    assert.ok(took < 7_000, `within a lease and 2 s, not ${took} ms`)
    assert.equal(
      shift.handed.map(({ value }) => value),
      numbers(100).map(({ value }) => value),
      'in order',
    )
  }))

test('a group that is opened with other settings says so and shows both', () =>
  simulate({ peers: 2, seed: 17 }, async (world) => {
    const [a, b] = world.peers
    await a.topic('jobs').group('work', { leaseMs: 4_000 }).status()
    assert.throws(
      () => a.topic('jobs').group('work', { leaseMs: 6_000 }),
      (error: unknown) => isError(error, 'GroupConflict') && error.data.has.leaseMs === 4_000,
    )
    const elsewhere = b.topic('jobs').group('work', { leaseMs: 6_000, type: 'key-shared' })
    const conflict = await elsewhere.status().catch((error) => error)
    assert.ok(isError(conflict, 'GroupConflict'), String(conflict))
    assert.equal([conflict.data.has.type, conflict.data.asked.type], ['shared', 'key-shared'])
    assert.is((await b.topic('jobs').group('work', { leaseMs: 4_000 }).status()).settings.leaseMs, 4_000)
  }))

test('each delivery is settled once', () =>
  simulate({ peers: 2, seed: 18 }, async (world) => {
    const [a] = world.peers
    const group = a.topic<number>('jobs').group('work')
    const records = group.consume()[Symbol.asyncIterator]()
    await a.topic<number>('jobs').publish(1)
    const { value: record } = await records.next()
    await record.ack()
    for (const again of [() => record.ack(), () => record.nack(), () => record.extend(1_000)]) {
      const error = await again().catch((error: unknown) => error)
      assert.ok(isError(error, 'LeaseLost') && error.data.reason === 'settled', String(error))
    }
    assert.match(await record.extend(50_000_000).catch((error: Error) => error.message), 'ms is 50000000')
  }))

test('a group goes on where it was when all its members were gone', () =>
  simulate({ peers: 3, seed: 19 }, async (world) => {
    const shift = new Shift(world)
    const [a, b, c] = world.peers
    shift.begin(b)
    await a.topic<number>('jobs').publishMany(numbers(30))
    await world.until(() => shift.acked.size === 30)
    await b.crash()
    await a.topic<number>('jobs').publishMany(numbers(30, 30))
    await world.sleep(60_000)
    shift.begin(c)
    await world.until(() => shift.acked.size === 60)
    assert.equal(shift.repeated, [])
    await b.restart()
    await world.sleep(10_000)
    assert.is(shift.handed.length, 60)
  }))

test('a new group begins where it is told to, and with what is published from the call on', () =>
  simulate({ peers: 3, seed: 20 }, async (world) => {
    const [a, b, c] = world.peers
    await a.topic<number>('jobs').publishMany(numbers(10))
    const latest = new Shift(world, { from: 'latest' })
    latest.begin(b)
    await world.sleep(3_000)
    await c.topic<number>('jobs').publish(77)
    await world.until(() => latest.acked.size === 1)
    const late = new Shift(world, { from: 'earliest' })
    late.begin(c)
    await world.sleep(10_000)
    assert.equal([...latest.acked], [77], 'the group is there already, and where it begins is settled')
    assert.is((await latest.status(a)).lag, 0)
  }))

test.run()
