/** Queues between simulated peers, after what Amazon SQS, RabbitMQ and ActiveMQ say of theirs. */
import * as assert from 'uvu/assert'
import { isError, type Queue, type QueueRecord } from '../../node/index.ts'
import { type SimulatedPeer, type SimulatedWorld, simulate } from '../../sim/index.ts'
import { refusal } from '../helper/refusal.ts'
import { suite } from '../helper/suite.ts'

const test = suite('queue')
const slow = { deadlineMs: 90_000 }

const byNumber = (x: number, y: number) => x - y
const valuesOf = <T>(records: readonly { value: T }[]) => records.map(({ value }) => value)

/** Receives until there is nothing more. */
async function drainOf<T>(queue: Queue<T>, settle = (record: QueueRecord<T>) => record.ack()): Promise<T[]> {
  const values: T[] = []
  for (;;) {
    const records = await queue.receive({ max: 10, waitMs: 1_000 })
    if (records.length === 0) return values
    for (const record of records) {
      values.push(record.value)
      await settle(record)
    }
  }
}

/** `b` has thirty jobs in hands, for as long as it likes, of a queue that `a` and `c` have open as well. */
async function borrowAll(world: SimulatedWorld<3>) {
  const [a, b, c] = world.peers
  const open = (peer: SimulatedPeer) => peer.queue<number>('jobs', { visibilityMs: 300_000 })
  await Promise.all([a, c].map((peer) => open(peer).receive()))
  for (let i = 0; i < 30; i++) await open(a).send(i)
  const had: number[] = []
  b.run(async () => {
    for await (const { value } of open(b).consume({ concurrency: 30 })) had.push(value)
  })
  await world.until(() => had.length === 30)
  return { a, b, c, open, had }
}

test('what is sent is received once, acknowledged, and gone', () =>
  simulate({ peers: 1 }, async (world) => {
    const [a] = world.peers
    const queue = a.queue<number>('jobs')
    for (let i = 0; i < 25; i++) await queue.send(i)
    const first = await queue.receive({ max: 10 })
    assert.is(first.length, 10)
    assert.equal((await queue.stats()).inFlight, 10)
    for (const record of first) await record.ack()
    const rest = await drainOf(queue)
    assert.equal(
      [...valuesOf(first), ...rest].sort((x, y) => x - y),
      Array.from({ length: 25 }, (_, i) => i),
    )
    const { records, ready, inFlight, delayed, dead } = await queue.stats()
    assert.equal(
      { records, ready, inFlight, delayed, dead },
      { records: 0, ready: 0, inFlight: 0, delayed: 0, dead: 0 },
    )
  }))

test('a long poll returns with the first record that comes, a short one at once', () =>
  simulate({ peers: 1 }, async (world) => {
    const [a] = world.peers
    const queue = a.queue<string>('jobs')
    assert.equal(await queue.receive(), [])
    const begun = world.now
    assert.equal(await queue.receive({ waitMs: 0 }), [])
    assert.ok(world.now - begun < 100)
    const waiting = queue.receive({ max: 10, waitMs: 20_000 })
    await world.sleep(3_000)
    const sent = world.now
    await queue.send('one')
    assert.equal(valuesOf(await waiting), ['one'])
    assert.ok(world.now - sent < 500, `${world.now - sent} ms`)
    const empty = world.now
    assert.equal(await queue.receive({ waitMs: 2_000 }), [])
    assert.ok(Math.abs(world.now - empty - 2_000) < 100)
    const stop = new AbortController()
    const aborted = queue.receive({ waitMs: 60_000, signal: stop.signal }).then(
      () => 'returned',
      () => 'rejected',
    )
    await world.sleep(100)
    stop.abort()
    assert.is(await aborted, 'rejected')
  }))

test('a record that is not acknowledged is visible again after the timeout, and not before; `extend` moves that', () =>
  simulate({ peers: 1 }, async (world) => {
    const [a] = world.peers
    const queue = a.queue<string>('jobs', { visibilityMs: 4_000 })
    await queue.send('one')
    const [first] = await queue.receive({ waitMs: 1_000 })
    const received = world.now
    assert.is(first?.attempt, 1)
    assert.equal(await queue.receive({ waitMs: 3_500 }), [])
    const [second] = await queue.receive({ waitMs: 5_000 })
    assert.ok(world.now - received >= 4_000 && world.now - received < 4_600, `${world.now - received} ms`)
    assert.is(second?.attempt, 2)
    const late = await refusal(first?.ack() ?? Promise.resolve())
    assert.is(late.code, 'LeaseLost', 'a receipt is worth nothing after a new receive')
    await second?.extend(9_000)
    assert.equal(await queue.receive({ waitMs: 8_500 }), [])
    assert.is((await queue.receive({ waitMs: 1_000 })).length, 1)
    const beyond = await refusal(second?.extend(13 * 3_600_000) ?? Promise.resolve())
    assert.is(beyond.code, 'InvalidOption')
  }))

test('refused and released records come again, at once or after a while', () =>
  simulate({ peers: 1 }, async (world) => {
    const [a] = world.peers
    const queue = a.queue<string>('jobs')
    await queue.send('one')
    const [first] = await queue.receive({ waitMs: 1_000 })
    await first?.release()
    const [second] = await queue.receive({ waitMs: 100 })
    assert.is(second?.attempt, 2)
    await second?.nack({ delayMs: 5_000 })
    const refused = world.now
    const [third] = await queue.receive({ waitMs: 20_000 })
    assert.is(third?.attempt, 3)
    assert.ok(world.now - refused >= 5_000 && world.now - refused < 5_500)
    await third?.ack()
  }))

test('delayed records wait for their time without keeping others waiting', () =>
  simulate({ peers: 1 }, async (world) => {
    const [a] = world.peers
    const queue = a.queue<string>('jobs')
    await queue.receive()
    const sent = world.now
    await queue.send('later', { delayMs: 6_000 })
    await queue.send('now')
    assert.equal(valuesOf(await queue.receive({ max: 10, waitMs: 1_000 })), ['now'])
    await world.sleep(1_500)
    const { delayed, inFlight, ready } = await queue.stats()
    assert.equal([delayed, inFlight, ready], [1, 1, 0])
    assert.equal(valuesOf(await queue.receive({ max: 10, waitMs: 20_000 })), ['later'])
    assert.ok(world.now - sent >= 6_000 && world.now - sent < 6_500, `${world.now - sent} ms`)
  }))

test('the more urgent go first, and the least urgent are not starved', () =>
  simulate({ peers: 1 }, async (world) => {
    const [a] = world.peers
    const queue = a.queue<number>('jobs')
    await queue.send(0, { priority: 0 })
    for (let i = 0; i < 30; i++) await queue.send(9, { priority: 9 })
    await queue.send(4)
    await queue.receive({ max: 1 }).then(([record]) => record?.release())
    const order: number[] = []
    for (;;) {
      const [record] = await queue.receive({ waitMs: 200 })
      if (record === undefined) break
      order.push(record.value)
      await record.ack()
    }
    assert.is(order.length, 32)
    assert.ok(order.indexOf(0) < 12, `the oldest came as number ${order.indexOf(0)}`)
    assert.ok(order.slice(0, 8).every((priority) => priority > 0))
  }))

test('what expires while it waits to be asked for is not handed out', () =>
  simulate({ peers: 1 }, async (world) => {
    const [a] = world.peers
    const queue = a.queue<string>('jobs')
    await queue.send('first')
    const got: string[] = []
    for await (const job of queue.consume({ concurrency: 3 })) {
      got.push(job.value)
      if (job.value === 'first') {
        await queue.send('short', { expiresMs: 1_000 })
        await queue.send('long')
      }
      await world.sleep(2_000)
      await job.ack()
      if (job.value === 'long') break
    }
    assert.equal(got, ['first', 'long'])
    assert.is((await queue.stats()).records, 0)
  }))

test('what has expired is removed instead of received', () =>
  simulate({ peers: 1 }, async (world) => {
    const [a] = world.peers
    const queue = a.queue<string>('jobs')
    await queue.send('soon over', { expiresMs: 2_000 })
    await queue.send('stays')
    await world.sleep(5_000)
    assert.equal(await drainOf(queue), ['stays'])
    assert.is((await queue.stats()).records, 0)
  }))

test(
  'of what is sent twice under one id within five minutes one is received, on whatever peers',
  () =>
    simulate({ peers: 3, seed: 6 }, async (world) => {
      const [a, b, c] = world.peers
      const [qa, qb, qc] = [a, b, c].map((peer) => peer.queue<string>('jobs')) as [
        Queue<string>,
        Queue<string>,
        Queue<string>,
      ]
      await Promise.all([qa.receive(), qb.receive(), qc.receive()])
      for (let i = 0; i < 20; i++)
        await Promise.all([qa.send(`a${i}`, { dedupId: `${i}` }), qb.send(`b${i}`, { dedupId: `${i}` })])
      const first = await drainOf(qc)
      assert.equal(new Set(first.map((value) => value.slice(1))).size, 20)
      assert.is(first.length, 20)
      await qa.send('a0 again', { dedupId: '0' })
      assert.equal(await drainOf(qb), [])
      await b.crash()
      await world.sleep(10_000)
      await qa.send('a1 again', { dedupId: '1' })
      assert.equal(await drainOf(qc), [], 'also when its holder is another by now')
      await world.sleep(300_000)
      await qa.send('a2 later', { dedupId: '2' })
      assert.equal(await drainOf(qc), ['a2 later'])
      await world.until(async () => (await qa.stats()).records === 0)
    }),
  slow,
)

test('with fifo, ids are those of a message group', () =>
  simulate({ peers: 1 }, async (world) => {
    const [a] = world.peers
    const queue = a.queue<string>('jobs', { fifo: true })
    for (const groupId of ['x', 'y', 'x']) await queue.send(groupId, { groupId, dedupId: 'same' })
    assert.equal((await drainOf(queue)).sort(), ['x', 'y'])
    await world.until(async () => (await queue.stats()).records === 0)
  }))

test('with fifo, one record of a message group at a time and in order, groups beside each other', () =>
  simulate({ peers: 1 }, async (world) => {
    const [a] = world.peers
    const queue = a.queue<string>('jobs', { fifo: true, visibilityMs: 5_000 })
    const missing = await refusal(queue.send('x'))
    assert.match(missing.message, /groupId/)
    for (const value of ['a1', 'a2', 'b1', 'a3']) await queue.send(value, { groupId: value.slice(0, 1) })
    const first = await queue.receive({ max: 10, waitMs: 1_000 })
    assert.equal(valuesOf(first).sort(), ['a1', 'b1'])
    assert.equal(await queue.receive({ max: 10, waitMs: 500 }), [], 'blocked while one of each group is in flight')
    await first.find(({ value }) => value === 'a1')?.nack({ delayMs: 1_000 })
    assert.equal(valuesOf(await queue.receive({ max: 10, waitMs: 2_000 })), ['a1'], 'not a2 before it')
    await world.sleep(5_500)
    const order: string[] = await drainOf(queue)
    assert.equal(
      order.filter((value) => value.startsWith('a')),
      ['a1', 'a2', 'a3'],
    )
  }))

test('what was received too often is a dead letter with its story, and `redrive` brings it back', () =>
  simulate({ peers: 1 }, async (world) => {
    const [a] = world.peers
    const queue = a.queue<string>('jobs', { maxReceives: 2 })
    await queue.send('bad', { headers: { trace: '7' } })
    for (let i = 0; i < 2; i++) await queue.receive({ waitMs: 1_000 }).then(([record]) => record?.nack())
    assert.equal(await queue.receive({ waitMs: 1_000 }), [])
    assert.is((await queue.stats()).dead, 1)
    const [letter] = await a.queue<string>('jobs.dead').browse()
    assert.is(letter?.value, 'bad')
    assert.is(letter?.headers['grapevine-dead-reason'], 'max-receives')
    assert.is(letter?.headers['grapevine-dead-attempts'], '2')
    assert.is(await queue.redrive(), 1)
    const [again] = await queue.receive({ waitMs: 1_000 })
    assert.equal([again?.value, again?.attempt, again?.headers], ['bad', 1, { trace: '7' }])
    await again?.ack()
    const { records, dead } = await queue.stats()
    assert.equal([records, dead], [0, 0])
  }))

test('a list of all queues opens none of them', () =>
  simulate({ peers: 2 }, async (world) => {
    const [a, b] = world.peers
    const counted = async (peer: SimulatedPeer) =>
      (await peer.queues()).map(({ name, records, ready, inFlight, dead }) => [name, records, ready, inFlight, dead])
    const jobs = a.queue<string>('jobs', { maxReceives: 1 })
    await jobs.send('one')
    await jobs.send('two')
    assert.is((await jobs.receive({ waitMs: 1_000 })).length, 1)
    await world.sleep(2_000)
    for (let i = 0; i < 5; i++)
      for (const peer of [a, b]) assert.equal(await counted(peer), [['jobs', 2, 1, 1, 0]], 'nothing is opened by it')
    const [record] = await jobs.receive({ waitMs: 1_000 })
    await record?.nack()
    assert.equal(await jobs.receive({ waitMs: 1_000 }), [])
    await world.sleep(2_000)
    for (const peer of [a, b]) assert.equal(await counted(peer), [['jobs', 1, 0, 1, 1]], 'nobody has opened jobs.dead')
    const [letter] = await b.queue('jobs.dead').receive({ waitMs: 5_000 })
    await letter?.ack()
    await world.sleep(2_000)
    assert.equal(await counted(a), [
      ['jobs', 1, 0, 1, 0],
      ['jobs.dead', 0, 0, 0, 0],
    ])
  }))

test('what cannot be decoded goes to the dead letters and blocks nobody', () =>
  simulate({ peers: 1 }, async (world) => {
    const [a] = world.peers
    await a.topic<string>('jobs', { codec: 'text' }).publish('{ no json')
    const queue = a.queue<string>('jobs')
    await queue.send('good')
    assert.equal(await drainOf(queue), ['good'])
    assert.is((await queue.stats()).dead, 1)
  }))

test('browsing receives nothing, and purging removes everything for everybody', () =>
  simulate({ peers: 2 }, async (world) => {
    const [a, b] = world.peers
    const queue = a.queue<number>('jobs')
    const other = b.queue<number>('jobs')
    for (let i = 0; i < 20; i++) await queue.send(i)
    const held = await queue.receive({ max: 3, waitMs: 1_000 })
    assert.is((await queue.browse()).length, 20)
    assert.is((await queue.browse({ max: 5 })).length, 5)
    const refused = await refusal((await queue.browse())[0]?.ack() ?? Promise.resolve())
    assert.match(refused.message, /browsing/)
    assert.is(await queue.purge(), 20)
    await world.sleep(1_000)
    assert.equal(await drainOf(queue), [])
    assert.equal(await drainOf(other), [])
    await held[0]?.ack().catch(() => undefined)
    await queue.send(99)
    assert.equal(await drainOf(other), [99])
  }))

test('a queue opened with other settings is refused, with both', () =>
  simulate({ peers: 2 }, async (world) => {
    const [a, b] = world.peers
    const queue = a.queue('jobs', { visibilityMs: 5_000 })
    await queue.receive()
    assert.throws(() => a.queue('jobs', { visibilityMs: 6_000 }), /visibilityMs 5000.*visibilityMs 6000/s)
    const conflict = await refusal(b.queue('jobs', { fifo: true }).receive())
    assert.is(conflict.code, 'GroupConflict')
    assert.equal(await b.queue('jobs', { visibilityMs: 5_000 }).receive(), [])
    for (const wrong of [{ visibilityMs: 1 }, { fifo: 'yes' }, { maxReceive: 3 }, { codec: 'xml' }])
      assert.throws(
        () => a.queue('other', wrong as never),
        (error: unknown) => isError(error, 'InvalidOption'),
      )
    for (const wrong of [{ delayMs: -1 }, { priority: 10 }, { expiresMs: 0 }, { groupId: '' }, { dely: 1 }])
      assert.is((await refusal(queue.send(1, wrong as never))).code, 'InvalidOption')
    for (const wrong of [{ max: 0 }, { waitMs: -1 }])
      assert.is((await refusal(queue.receive(wrong))).code, 'InvalidOption')
  }))

test(
  'any peer receives, a crash in the middle loses nothing, and what the dead one had comes again',
  () =>
    simulate({ peers: 3, seed: 5 }, async (world) => {
      const [a, b, c] = world.peers
      const queues = world.peers.map((peer) => peer.queue<number>('jobs', { visibilityMs: 8_000 }))
      await Promise.all(queues.map((queue) => queue.receive()))
      for (let i = 0; i < 90; i++) await queues[i % 3]?.send(i)
      const done = new Set<number>()
      const work = async (peer: typeof a) => {
        const queue = peer.queue<number>('jobs', { visibilityMs: 8_000 })
        for (;;) {
          for (const record of await queue.receive({ max: 5, waitMs: 5_000 })) {
            await world.sleep(50)
            await record.ack().then(
              () => done.add(record.value),
              () => undefined,
            )
          }
        }
      }
      for (const peer of [a, b, c]) void work(peer).catch(() => undefined)
      await world.sleep(500)
      await c.crash()
      await world.until(() => done.size === 90, { withinMs: 60_000, what: 'all are done' })
      await world.until(async () => (await a.queue('jobs', { visibilityMs: 8_000 }).stats()).records === 0)
    }),
  slow,
)

test(
  'whoever has nothing to do borrows from who has more than it can work off',
  () =>
    simulate({ peers: 3, seed: 2 }, async (world) => {
      const [a, b, c] = world.peers
      const queues = [a, b, c].map((peer) => peer.queue<number>('jobs', { visibilityMs: 6_000, maxReceives: 100 }))
      const [qa, qb, qc] = queues as [Queue<number>, Queue<number>, Queue<number>]
      const twice: string[] = []
      for (const peer of world.peers)
        peer.run(async (running) => {
          for await (const event of running.queue('jobs', { visibilityMs: 6_000, maxReceives: 100 }).events())
            if (event.type === 'delivered-twice') twice.push(event.id)
        })
      // All three hold slots; only b receives.
      await Promise.all(queues.map((queue) => queue.receive()))
      for (let i = 0; i < 60; i++) await qa.send(i)
      const got = await qb.receive({ max: 60, waitMs: 1_000 })
      const seen = new Set(valuesOf(got))
      const more: QueueRecord<number>[] = []
      while (seen.size < 60) {
        const records = await qb.receive({ max: 60, waitMs: 5_000 })
        assert.ok(records.length > 0, `${seen.size} of 60 after 5 s`)
        for (const record of records) {
          assert.ok(!seen.has(record.value), `${record.value} came twice`)
          seen.add(record.value)
          more.push(record)
        }
      }
      assert.is(
        more.every(({ attempt, offset }) => attempt === 1 && offset >= 0 && offset < 60),
        true,
      )
      const [refused, left, ...rest] = more as [QueueRecord<number>, QueueRecord<number>, ...QueueRecord<number>[]]
      for (const record of [...got, ...rest.slice(1)]) await record.ack()
      await refused.nack()
      await rest[0]?.extend(20_000)
      const [again] = await qc.receive({ max: 1, waitMs: 5_000 })
      assert.equal([again?.value, again?.attempt], [refused.value, 2])
      await again?.ack()
      // What was neither acknowledged nor extended comes again after its time, the other stays with its borrower.
      await world.sleep(10_000)
      const timedOut = await refusal(left.ack())
      assert.is(timedOut.code, 'LeaseLost')
      assert.equal(valuesOf(await qa.receive({ max: 10, waitMs: 3_000 })), [left.value])
      await rest[0]?.ack()
      await world.sleep(2_000)
      assert.is((await qc.stats()).records, 1)
      assert.equal((await qc.stats()).inFlight, 1)
      assert.equal(twice, [], 'only its borrower has what was lent')
    }),
  slow,
)

test(
  'a borrower keeps what it has when who lent it dies',
  () =>
    simulate({ peers: 3, seed: 4 }, async (world) => {
      const [a, b, c] = world.peers
      const options = { visibilityMs: 30_000 }
      const queues = [a, b, c].map((peer) => peer.queue<number>('jobs', options))
      const [qa, qb] = queues as [Queue<number>, Queue<number>]
      await Promise.all(queues.map((queue) => queue.receive()))
      for (let i = 0; i < 30; i++) await qb.send(i)
      const got: QueueRecord<number>[] = []
      while (got.length < 30) got.push(...(await qb.receive({ max: 30, waitMs: 5_000 })))
      await c.crash()
      await world.sleep(12_000)
      assert.equal(await qa.receive({ max: 30, waitMs: 1_000 }), [], 'all of it is with the borrower')
      for (const record of got) await record.ack()
      await world.until(async () => (await qa.stats()).records === 0)
    }),
  slow,
)

test(
  'a borrower keeps what it has when who lent it dies and comes back',
  () =>
    simulate({ peers: 3, seed: 5 }, async (world) => {
      const { a, c, open, had } = await borrowAll(world)
      for (const peer of [a, c]) await peer.crash()
      await world.sleep(1_000)
      for (const peer of [a, c]) await peer.restart()
      for (const end = world.now + 15_000; world.now < end; await world.sleep(500))
        for (const peer of [a, c]) assert.equal(valuesOf(await open(peer).receive({ max: 10, waitMs: 500 })), [])
      assert.is(had.length, 30)
    }),
  slow,
)

test(
  'what a borrower had comes again a lease after it died, however long it might have had it',
  () =>
    simulate({ peers: 3, seed: 5 }, async (world) => {
      const { a, b, c, open, had } = await borrowAll(world)
      await b.crash()
      const crashed = world.now
      const again: number[] = []
      await world.until(async () => {
        for (const peer of [a, c]) again.push(...(await drainOf(open(peer))))
        return again.length >= 30
      })
      assert.equal(again.sort(byNumber), had.sort(byNumber))
      assert.ok(world.now - crashed < 15_000, `after ${world.now - crashed} ms`)
    }),
  slow,
)

test(
  'what was borrowed of somebody who died is left to its borrower, and comes again a lease after that died as well',
  () =>
    simulate({ peers: 3, seed: 5 }, async (world) => {
      const { a, b, c, open, had } = await borrowAll(world)
      await a.crash()
      const again: number[] = []
      const lookFor = async (ms: number) => {
        for (const end = world.now + ms; world.now < end && again.length < 30; await world.sleep(200))
          again.push(...(await drainOf(open(c))))
      }
      await lookFor(12_000)
      assert.equal(again, [])
      await b.crash()
      await lookFor(15_000)
      assert.equal(again.sort(byNumber), had.sort(byNumber))
    }),
  slow,
)

test(
  'a borrower whose lender has died gives back and extends as before',
  () =>
    simulate({ peers: 3, seed: 5 }, async (world) => {
      const [a, b, c] = world.peers
      const open = (peer: typeof a) => peer.queue<number>('jobs', { visibilityMs: 40_000 })
      await Promise.all([a, b, c].map((peer) => open(peer).receive()))
      for (let i = 0; i < 30; i++) await open(a).send(i)
      const had: QueueRecord<number>[] = []
      await world.until(async () => had.push(...(await open(b).receive({ max: 10 }))) === 30)
      await a.crash()
      await world.sleep(10_000)
      const [refused, extended] = [had.slice(0, 15), had.slice(15)]
      for (const record of refused) await record.nack()
      for (const record of extended) await record.extend(120_000)
      assert.equal((await drainOf(open(c))).sort(byNumber), valuesOf(refused).sort(byNumber))
      await world.sleep(50_000)
      assert.equal(await drainOf(open(c)), [])
      for (const record of extended) await record.ack()
      await world.until(async () => (await open(c).stats()).records === 0)
    }),
  slow,
)

test(
  'a consumer borrows what others cannot work off, no more than it may have at once, and returns what it has not looked at',
  () =>
    simulate({ peers: 3, seed: 3 }, async (world) => {
      const [a, b, c] = world.peers
      const open = (peer: typeof a) => peer.queue<number>('jobs', { visibilityMs: 300_000 })
      const consume = (peer: typeof a, concurrency: number, settle: (record: QueueRecord<number>) => unknown) => {
        const had: QueueRecord<number>[] = []
        const stop = new AbortController()
        void (async () => {
          for await (const record of open(peer).consume({ concurrency, signal: stop.signal })) {
            had.push(record)
            await settle(record)
          }
        })()
        return { had, stop: () => stop.abort() }
      }
      const busy = consume(b, 1, () => {})
      for (let i = 0; i < 40; i++) await open(a).send(i)
      await world.until(() => busy.had.length === 1)
      const other = consume(c, 4, () => {})
      await world.until(() => other.had.length === 4)
      await world.sleep(5_000)
      assert.equal([busy.had.length, other.had.length], [1, 4])
      for (const record of other.had.slice(0, 3)) await record.ack()
      await world.until(() => other.had.length === 7)
      const first = consume(c, 1, () => new Promise(() => {}))
      await world.until(() => first.had.length === 1)
      const hanging = consume(a, 5, () => new Promise(() => {}))
      await world.until(() => hanging.had.length === 1)
      await world.sleep(2_000)
      for (const { stop } of [hanging, busy, other]) stop()
      for (const record of [busy, first, hanging].flatMap(({ had }) => had).concat(other.had.slice(3)))
        await record.ack()
      const rest = consume(a, 8, (record) => record.ack())
      await world.until(() => rest.had.length >= 30)
      await world.sleep(2_000)
      const all = [busy, other, first, hanging, rest].flatMap(({ had }) => valuesOf(had))
      assert.equal([all.length, new Set(all).size], [40, 40])
    }),
  slow,
)

test('consume hands out as receive does', () =>
  simulate({ peers: 1 }, async (world) => {
    const [a] = world.peers
    const queue = a.queue<number>('jobs')
    for (let i = 0; i < 10; i++) await queue.send(i)
    const seen: number[] = []
    for await (const record of queue.consume({ concurrency: 4 })) {
      seen.push(record.value)
      await record.ack()
      if (seen.length === 10) break
    }
    assert.is(new Set(seen).size, 10)
  }))

test.run()
