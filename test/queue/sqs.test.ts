/**
 * Queues after what Amazon publishes of SQS: the Developer Guide (DG, docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/…)
 * and the API Reference (API, …/latest/APIReference/…). A record is sent on one peer and received on others.
 */
import * as assert from 'uvu/assert'
import { limits, type Queue, type QueueOptions, type QueueRecord } from '../../node/index.ts'
import type { SimulatedWorld } from '../../sim/index.ts'
import { refusal } from '../helper/refusal.ts'
import { between, type Rule, testRules } from '../helper/rules.ts'
import { suite } from '../helper/suite.ts'

const test = suite('sqs')

/**
 * How late a message may be visible again, ms: a receiver may have borrowed it from whoever holds its slot, who gives it that much longer than it is
 * told, so that no two have it at once whatever their clocks say; and then it has to be heard of. SQS promises no bound.
 */
const lateMs = limits.groupLoanGraceMs + 1_500

type Three = SimulatedWorld<3>
type Queues = [Queue<string>, Queue<string>, Queue<string>]

const open = ({ peers }: Three, options: QueueOptions = {}): Queues =>
  peers.map((peer) => peer.queue<string>('jobs', options)) as Queues

/** With all three taking part, as where each has received before. */
async function openedByAll(world: Three, options: QueueOptions = {}): Promise<Queues> {
  const queues = open(world, options)
  await Promise.all(queues.map((queue) => queue.receive()))
  await world.sleep(10_000)
  return queues
}

async function one(queue: Queue<string>, waitMs = 15_000): Promise<QueueRecord<string>> {
  const [record] = await queue.receive({ waitMs })
  assert.ok(record !== undefined, `nothing within ${waitMs} ms`)
  return record
}

/** All there is until a poll of `waitMs` comes back empty, acknowledged at once. */
async function all(queue: Queue<string>, waitMs = 3_000): Promise<string[]> {
  const values: string[] = []
  for (;;) {
    const records = await queue.receive({ max: 10, waitMs })
    if (records.length === 0) return values
    for (const record of records) {
      values.push(record.value)
      await record.ack()
    }
  }
}

const valuesOf = (records: readonly { value: string }[]) => records.map(({ value }) => value)
const countsOf = async (queue: Queue<string>) => {
  const { records, ready, inFlight, delayed, dead } = await queue.stats()
  return { records, ready, inFlight, delayed, dead }
}

const visibility: Rule<3>[] = [
  {
    rule: 'a received message stays in the queue, hidden from other consumers until its visibility timeout is over, and is then received again',
    published: 'DG sqs-visibility-timeout.html',
    async holds(world) {
      const [a, b, c] = open(world, { visibilityMs: 8_000 })
      await a.send('one')
      const first = await one(b)
      const received = world.now
      assert.is(first.attempt, 1)
      assert.equal(await c.receive({ waitMs: 7_000 }), [])
      assert.is((await b.stats()).records, 1)
      const again = await one(c)
      between(world.now - received, 8_000, 8_000 + lateMs)
      assert.equal([again.value, again.attempt, again.id], ['one', 2, first.id])
    },
  },
  {
    rule: 'a message that is deleted before its timeout is over is not received again, by anybody',
    published: 'DG sqs-visibility-timeout.html: delete it within the timeout',
    async holds(world) {
      const [a, b, c] = open(world, { visibilityMs: 3_000 })
      await a.send('one')
      await (await one(b)).ack()
      for (const queue of [a, b, c]) assert.equal(await queue.receive({ waitMs: 5_000 }), [])
      for (const queue of [a, b, c]) assert.is((await queue.stats()).records, 0)
    },
  },
  {
    rule: 'a changed visibility timeout counts from the call, and is not added to what was left',
    published: 'API_ChangeMessageVisibility.html: "the 10 seconds begin to count from the time that you make the call"',
    async holds(world) {
      const [a, b, c] = open(world, { visibilityMs: 20_000 })
      await a.send('one')
      const record = await one(b)
      await world.sleep(5_000)
      await record.extend(6_000)
      const changed = world.now
      assert.equal(await c.receive({ waitMs: 5_500 }), [])
      await one(c)
      between(world.now - changed, 6_000, 6_000 + lateMs)
    },
  },
  {
    rule: 'a consumer that needs longer extends the timeout again and again and keeps the message, whose handle stays good',
    published: 'DG sqs-visibility-timeout.html: extend it',
    async holds(world) {
      const [a, b, c] = open(world, { visibilityMs: 3_000 })
      await a.send('one')
      const record = await one(b)
      for (let i = 0; i < 5; i++) {
        await world.sleep(2_000)
        await record.extend(3_000)
      }
      assert.equal(await c.receive({ waitMs: 2_500 }), [])
      await record.ack()
      assert.equal(await c.receive({ waitMs: 4_000 }), [])
    },
  },
  {
    rule: 'after the extended timeout, the next receive has the default of the queue',
    published: `API_ChangeMessageVisibility.html: not saved for the message; the next receive reverts to the queue's`,
    async holds(world) {
      const [a, b, c] = open(world, { visibilityMs: 3_000 })
      await a.send('one')
      await (await one(b)).extend(9_000)
      await one(c)
      const received = world.now
      await one(b)
      between(world.now - received, 3_000, 3_000 + lateMs)
    },
  },
  {
    rule: 'ending the timeout makes the message visible at once, and it counts as received',
    published: 'DG sqs-visibility-timeout.html, terminating it: set it to 0',
    async holds(world) {
      const [a, b, c] = open(world)
      await a.send('one')
      await (await one(b)).release()
      const released = world.now
      const again = await one(c)
      between(world.now - released, 0, 1_500)
      assert.is(again.attempt, 2)
    },
  },
  {
    rule: 'unlike SQS, the 12 hours that a timeout may have at most count from each extension, so that work without an end can be done',
    published: 'API_ChangeMessageVisibility.html: 0 to 43,200 seconds',
    async holds(world) {
      const [a, b] = open(world)
      await a.send('one')
      const record = await one(b)
      assert.is((await refusal(record.extend(12 * 3_600_000 + 1))).code, 'InvalidOption')
      await world.sleep(5_000)
      await record.extend(12 * 3_600_000)
      await record.ack()
    },
  },
  {
    rule: 'each receive has a handle of its own, and an old one does not delete what was received again',
    published: 'API_DeleteMessage.html: a different handle each time; the one of the most recent receive deletes',
    async holds(world) {
      const [a, b, c] = open(world, { visibilityMs: 3_000 })
      await a.send('one')
      const first = await one(b)
      const second = await one(c)
      assert.is.not(first.receipt, second.receipt)
      // SQS takes it in silence for a standard queue; here whoever is late is told.
      assert.is((await refusal(first.ack())).code, 'LeaseLost')
      assert.is((await refusal(b.byReceipt(first.receipt).extend(10_000))).code, 'LeaseLost')
      await second.extend(10_000)
      assert.is((await c.stats()).records, 1)
      await c.byReceipt(second.receipt).ack()
      await world.until(async () => (await a.stats()).records === 0)
    },
  },
  {
    rule: 'a handle is no good once its timeout is over, even where nobody has received the message again',
    published: 'API_DeleteMessage.html, of a FIFO queue: refused once the timeout is over',
    async holds(world) {
      const [a, b] = open(world, { visibilityMs: 3_000 })
      await a.send('one')
      const record = await one(b)
      await world.sleep(4_000)
      assert.is((await refusal(record.ack())).code, 'LeaseLost')
      assert.is((await one(b)).attempt, 2)
    },
  },
  {
    rule: 'a message is in flight from its receive to its delete or its timeout, and counts neither as visible nor as delayed; every consumer sees that',
    published:
      'DG sqs-visibility-timeout.html, in-flight messages; API_GetQueueAttributes.html: the three approximate numbers',
    async holds(world) {
      const [a, b, c] = await openedByAll(world, { visibilityMs: 20_000 })
      for (const value of ['1', '2', '3', '4', '5']) await a.send(value)
      await a.send('later', { delayMs: 60_000 })
      const held: QueueRecord<string>[] = []
      await world.until(async () => (await b.stats()).records === 6)
      while (held.length < 3) held.push(...(await b.receive({ max: 3 - held.length, waitMs: 5_000 })))
      const counts = async (expected: Awaited<ReturnType<typeof countsOf>>) => {
        for (const queue of [a, b, c]) {
          let seen: unknown
          await world
            .until(
              async () => {
                seen = await countsOf(queue)
                return JSON.stringify(seen) === JSON.stringify(expected)
              },
              { withinMs: 10_000, what: `${JSON.stringify(expected)} everywhere` },
            )
            .catch((error) => {
              throw new Error(`${error.message}, but ${JSON.stringify(seen)}`)
            })
        }
      }
      await counts({ records: 6, ready: 2, inFlight: 3, delayed: 1, dead: 0 })
      await held[0]?.ack()
      await counts({ records: 5, ready: 2, inFlight: 2, delayed: 1, dead: 0 })
      await held[1]?.release()
      await counts({ records: 5, ready: 3, inFlight: 1, delayed: 1, dead: 0 })
      await world.sleep(20_000)
      await counts({ records: 5, ready: 4, inFlight: 0, delayed: 1, dead: 0 })
    },
  },
  {
    rule: 'a receive returns one message unless asked for more, never more than asked for, and fewer where there are fewer',
    published: 'API_ReceiveMessage.html, MaxNumberOfMessages',
    async holds(world) {
      const [a, b] = open(world)
      for (const value of ['1', '2', '3', '4', '5']) await a.send(value)
      assert.is((await b.receive({ waitMs: 10_000 })).length, 1)
      assert.is((await b.receive({ max: 3, waitMs: 10_000 })).length, 3)
      assert.is((await b.receive({ max: 3, waitMs: 10_000 })).length, 1)
    },
  },
]

const polling: Rule<3>[] = [
  {
    rule: 'a short poll answers right away, also where nothing is found',
    published: 'DG sqs-short-and-long-polling.html',
    async holds(world) {
      const [a, b] = await openedByAll(world)
      const asked = world.now
      assert.equal(await b.receive(), [])
      between(world.now - asked, 0, 100)
      await a.send('one')
      await world.sleep(1_000)
      const again = world.now
      await Promise.all([a, b].map((queue) => queue.receive({ max: 10 })))
      between(world.now - again, 0, 100)
    },
  },
  {
    rule: 'a long poll waits until a message comes and answers with it right away, wherever it was sent',
    published: 'DG sqs-short-and-long-polling.html: returns as soon as any message is there',
    async holds(world) {
      const [a, b, c] = await openedByAll(world)
      for (const [by, to] of [
        [a, b],
        [b, c],
        [c, a],
        [a, a],
      ] as const) {
        const waiting = to.receive({ max: 10, waitMs: 20_000 })
        await world.sleep(3_000)
        const sent = world.now
        await by.send('one')
        const records = await waiting
        assert.equal(valuesOf(records), ['one'])
        between(world.now - sent, 0, 2_000)
        await records[0]?.ack()
      }
    },
  },
  {
    rule: 'a long poll comes back empty only when its time is over',
    published: 'DG sqs-short-and-long-polling.html: an empty answer only when the wait is over',
    async holds(world) {
      const [, b] = await openedByAll(world)
      const asked = world.now
      assert.equal(await b.receive({ waitMs: 7_000 }), [])
      between(world.now - asked, 7_000, 7_200)
    },
  },
  {
    rule: 'a long poll finds every message there is, whichever server has it',
    published: 'DG sqs-short-and-long-polling.html: asks all servers, so that there are no false empty answers',
    async holds(world) {
      const [a, b, c] = await openedByAll(world)
      const sent = Array.from({ length: 30 }, (_, i) => `${i}`)
      for (const value of sent) await (Number(value) % 2 === 0 ? a : b).send(value)
      const got: string[] = []
      while (got.length < 30) {
        const records = await c.receive({ max: 10, waitMs: 5_000 })
        assert.ok(records.length > 0, `an empty answer after ${got.length} of 30`)
        got.push(...valuesOf(records))
        for (const record of records) await record.ack()
      }
      assert.equal(got.toSorted(), sent.toSorted())
    },
  },
  {
    rule: 'a message that becomes visible while a long poll waits, by its delay or by its timeout, is its answer',
    published: 'DG sqs-short-and-long-polling.html: a response as soon as a message is available',
    async holds(world) {
      const [a, b, c] = await openedByAll(world, { visibilityMs: 6_000 })
      await a.send('delayed', { delayMs: 5_000 })
      const delayed = await b.receive({ waitMs: 20_000 })
      assert.equal(valuesOf(delayed), ['delayed'])
      const received = world.now
      assert.equal(valuesOf(await c.receive({ waitMs: 20_000 })), ['delayed'])
      between(world.now - received, 6_000, 6_000 + lateMs)
    },
  },
  {
    rule: 'two consumers that poll at once do not get the same message',
    published: 'DG sqs-visibility-timeout.html: hidden from other consumers as soon as it is received',
    async holds(world) {
      const [a, b, c] = await openedByAll(world)
      const polls = [b, b, c, c].map((queue) => queue.receive({ waitMs: 10_000 }))
      await a.send('one')
      await a.send('two')
      const got = (await Promise.all(polls)).flatMap(valuesOf)
      assert.equal(got.toSorted(), ['one', 'two'])
    },
  },
]

const delay: Rule<3>[] = [
  {
    rule: 'a delayed message is invisible for its time from its sending on, while others pass it',
    published: 'DG sqs-message-timers.html, sqs-delay-queues.html',
    async holds(world) {
      const [a, b] = await openedByAll(world)
      const sent = world.now
      await a.send('later', { delayMs: 8_000 })
      await a.send('now')
      const records = await b.receive({ max: 10, waitMs: 2_000 })
      assert.equal(valuesOf(records), ['now'])
      await records[0]?.ack()
      // The number is approximate there too: whoever holds it says so with its next beat.
      await world.until(async () => (await countsOf(b)).delayed === 1, { withinMs: 3_000 })
      assert.equal(valuesOf(await b.receive({ max: 10, waitMs: 20_000 })), ['later'])
      between(world.now - sent, 8_000, 9_000)
    },
  },
  {
    rule: 'a delay hides a message when it is first added, and not again after it was received',
    published: 'DG sqs-delay-queues.html: hidden when it is new, and by the visibility timeout after it was received',
    async holds(world) {
      const [a, b, c] = open(world)
      await a.send('one', { delayMs: 6_000 })
      await (await one(b)).release()
      const released = world.now
      await one(c)
      between(world.now - released, 0, 2_000)
    },
  },
  {
    rule: 'a delay goes on where the consumers die',
    published: 'DG sqs-delay-queues.html: invisible for the delay, whatever becomes of consumers',
    async holds(world) {
      const [a, b, c] = await openedByAll(world)
      const sent = world.now
      await a.send('one', { delayMs: 15_000 })
      await world.peers[1].crash()
      assert.equal(valuesOf(await c.receive({ waitMs: 30_000 })), ['one'])
      between(world.now - sent, 15_000, 16_500)
      assert.ok(b)
    },
  },
  {
    rule: 'unlike SQS, messages of a FIFO queue may be delayed one by one: their message group waits for them, since its order is kept',
    published: 'DG sqs-message-timers.html: no timers on single messages of a FIFO queue',
    async holds(world) {
      const [a, b] = open(world, { fifo: true })
      const sent = world.now
      await a.send('a1', { groupId: 'a', delayMs: 6_000 })
      await a.send('a2', { groupId: 'a' })
      await a.send('b1', { groupId: 'b' })
      const first = await one(b)
      assert.is(first.value, 'b1')
      await first.ack()
      assert.equal(await all(b, 10_000), ['a1', 'a2'])
      assert.ok(world.now - sent > 6_000)
    },
  },
]

const fifo: Rule<3>[] = [
  {
    rule: 'a message group id is required',
    published: 'DG FIFO-queues-understanding-logic.html: without a group id the sending fails',
    async holds(world) {
      const [a] = open(world, { fifo: true })
      const missing = await refusal(a.send('x'))
      assert.is(missing.code, 'InvalidOption')
      assert.match(missing.message, /groupId/)
    },
  },
  {
    rule: 'messages of one message group are received one at a time and in the order they were sent, groups beside each other',
    published:
      'DG FIFO-key-terms.html: one at a time, in strict order; FIFO-queues-understanding-logic.html: other groups meanwhile',
    async holds(world) {
      const [a, b, c] = await openedByAll(world, { fifo: true })
      for (const value of ['a1', 'a2', 'b1', 'a3', 'b2', 'c1']) await a.send(value, { groupId: value.slice(0, 1) })
      const held: QueueRecord<string>[] = []
      await world.until(
        async () => {
          for (const queue of [b, c]) held.push(...(await queue.receive({ max: 10, waitMs: 1_000 })))
          return held.length >= 3
        },
        { withinMs: 10_000 },
      )
      assert.equal(valuesOf(held).toSorted(), ['a1', 'b1', 'c1'])
      for (const queue of [a, b, c]) assert.equal(await queue.receive({ max: 10, waitMs: 1_500 }), [], 'blocked')
      for (const record of held) await record.ack()
      const rest = await all(b)
      assert.equal(
        rest.filter((value) => value.startsWith('a')),
        ['a2', 'a3'],
      )
      assert.equal(
        rest.filter((value) => value.startsWith('b')),
        ['b2'],
      )
      assert.is(rest.length, 3)
    },
  },
  {
    rule: 'unlike SQS, not even one answer has two messages of one group: each may be refused without the next one having begun',
    published: 'DG FIFO-queues-understanding-logic.html: as many of one group as fit are in one answer',
    async holds(world) {
      const [a, b] = open(world, { fifo: true })
      for (const value of ['a1', 'a2', 'a3']) await a.send(value, { groupId: 'a' })
      const records = await b.receive({ max: 10, waitMs: 10_000 })
      assert.equal(valuesOf(records), ['a1'])
      await records[0]?.nack()
      assert.equal(await all(b), ['a1', 'a2', 'a3'])
    },
  },
  {
    rule: 'a message in flight blocks its group until it is deleted or visible again, and then it comes first',
    published: 'DG FIFO-queues-understanding-logic.html: nothing of the group until it is deleted or visible again',
    async holds(world) {
      const [a, b, c] = await openedByAll(world, { fifo: true, visibilityMs: 6_000 })
      for (const value of ['a1', 'a2']) await a.send(value, { groupId: 'a' })
      assert.is((await one(b)).value, 'a1')
      const received = world.now
      const again = await one(c)
      between(world.now - received, 6_000, 6_000 + lateMs)
      assert.equal([again.value, again.attempt], ['a1', 2])
      assert.equal(await b.receive({ waitMs: 2_000 }), [])
      await again.nack({ delayMs: 3_000 })
      const refused = world.now
      const third = await one(b)
      between(world.now - refused, 3_000, 4_500)
      assert.equal([third.value, third.attempt], ['a1', 3])
      await third.ack()
      assert.is((await one(c)).value, 'a2')
    },
  },
  {
    rule: 'the order of a group holds where the peer dies that had a message of it',
    published: 'DG FIFO-queues-understanding-logic.html: nothing of the group until it is deleted or visible again',
    seed: 3,
    async holds(world) {
      const [a, b, c] = await openedByAll(world, { fifo: true, visibilityMs: 6_000 })
      const sent = Array.from({ length: 8 }, (_, i) => `${i}`)
      for (const value of sent) await a.send(value, { groupId: 'a' })
      const first = await one(c)
      assert.is(first.value, '0')
      await first.ack()
      assert.is((await one(c)).value, '1')
      await world.peers[2].crash()
      assert.equal(await all(b, 20_000), sent.slice(1))
    },
  },
  {
    rule: 'unlike SQS, a message group has the order of each sender, and no order between senders, since no server sees them all',
    published: 'DG FIFO-queues-understanding-logic.html: of several producers, in the order of arrival',
    async holds(world) {
      const [a, b, c] = await openedByAll(world, { fifo: true })
      const sent = Array.from({ length: 10 }, (_, i) => i)
      await Promise.all(
        [a, b].map(async (queue, who) => {
          for (const i of sent) await queue.send(`${who} ${i}`, { groupId: 'g' })
        }),
      )
      const got = await all(c)
      for (const who of ['0', '1'])
        assert.equal(
          got.filter((value) => value.startsWith(who)),
          sent.map((i) => `${who} ${i}`),
        )
      assert.is(got.length, 20)
    },
  },
  {
    rule: 'a message that goes to the dead letters lets its group go on with the next',
    published: 'DG sqs-dead-letter-queues.html: breaks the order of the group',
    async holds(world) {
      const [a, b, c] = open(world, { fifo: true, maxReceives: 2 })
      for (const value of ['a1', 'a2']) await a.send(value, { groupId: 'a' })
      await (await one(b)).nack()
      await (await one(c)).nack()
      const next = await one(b)
      assert.equal([next.value, next.attempt], ['a2', 1])
    },
  },
]

const deduplication: Rule<3>[] = [
  {
    rule: 'a message sent again under a deduplication id within 5 minutes is accepted and not delivered, whoever sends it',
    published:
      'API_SendMessage.html, MessageDeduplicationId: accepted successfully but not delivered, within 5 minutes',
    seed: 6,
    async holds(world) {
      const [a, b, c] = await openedByAll(world)
      for (let i = 0; i < 20; i++)
        await Promise.all([a.send(`a${i}`, { dedupId: `${i}` }), b.send(`b${i}`, { dedupId: `${i}` })])
      const got = await all(c)
      assert.is(got.length, 20)
      assert.is(new Set(got.map((value) => value.slice(1))).size, 20)
      await world.until(async () => (await a.stats()).records === 0)
    },
  },
  {
    rule: 'an id is tracked for 5 minutes from the first sending, also after its message was deleted and its consumer died; then it is new',
    published: 'DG FIFO-key-terms.html: goes on tracking the id after the message was received and deleted',
    seed: 6,
    async holds(world) {
      const [a, b, c] = await openedByAll(world)
      const sent = world.now
      for (let i = 0; i < 12; i++) await a.send(`first ${i}`, { dedupId: `${i}` })
      assert.is((await all(c)).length, 12)
      await a.send('again 0', { dedupId: '0' })
      assert.equal(await all(b), [])
      await world.peers[1].crash()
      await world.sleep(10_000)
      for (let i = 0; i < 12; i++) await a.send(`again ${i}`, { dedupId: `${i}` })
      assert.equal(await all(c), [], 'with another holder')
      await world.sleep(295_000 - (world.now - sent))
      await a.send('just in time', { dedupId: '1' })
      assert.equal(await all(c, 1_000), [])
      await world.sleep(301_000 - (world.now - sent))
      await a.send('later', { dedupId: '1' })
      assert.equal(await all(c), ['later'])
    },
  },
  {
    rule: 'a duplicate is no answer where the first is in flight or waits for its redelivery',
    published: 'DG FIFO-queues-exactly-once-processing.html: not delivered, also while the first is in flight',
    async holds(world) {
      const [a, b, c] = open(world, { visibilityMs: 6_000 })
      await a.send('first', { dedupId: 'x' })
      await one(b)
      await a.send('second', { dedupId: 'x' })
      const again = await one(c)
      assert.equal([again.value, again.attempt], ['first', 2])
      await again.ack()
      assert.equal(await all(b, 8_000), [])
    },
  },
  {
    rule: 'with FIFO, an id counts within its message group (SQS: deduplication scope `messageGroup`), since each group is at one peer',
    published: 'DG high-throughput-fifo.html, DeduplicationScope: `queue` or `messageGroup`',
    async holds(world) {
      const [a, b] = open(world, { fifo: true })
      for (const groupId of ['x', 'y', 'x']) await a.send(groupId, { groupId, dedupId: 'same' })
      assert.equal((await all(b)).toSorted(), ['x', 'y'])
      await world.until(async () => (await a.stats()).records === 0)
    },
  },
]

const redrive: Rule<3>[] = [
  {
    rule: 'a message is received as often as the maximum says, by whomever, and moved to the dead-letter queue when the count exceeds that',
    published: 'DG sqs-dead-letter-queues.html: moved when its receive count exceeds maxReceiveCount',
    async holds(world) {
      const [a, b, c] = open(world, { maxReceives: 3, visibilityMs: 3_000 })
      const { feed, index } = await a.send('bad', { headers: { trace: '7' } })
      // Refused, released and timed out: each receive counts.
      for (const [attempt, queue] of [
        [1, b],
        [2, c],
        [3, b],
      ] as const) {
        const record = await one(queue)
        assert.is(record.attempt, attempt)
        assert.is((await a.stats()).dead, 0, `${attempt} do not exceed 3`)
        if (attempt === 1) await record.nack()
        if (attempt === 2) await record.release()
      }
      assert.equal(await c.receive({ waitMs: 8_000 }), [])
      await world.until(async () => (await a.stats()).dead === 1)
      assert.is((await a.stats()).records, 0)
      const letters = world.peers[2].queue<string>('jobs.dead')
      const letter = await one(letters)
      assert.equal([letter.value, letter.attempt], ['bad', 1])
      const { trace, ...headers } = letter.headers
      assert.is(trace, '7')
      assert.is(headers['grapevine-dead-reason'], 'max-receives')
      assert.is(headers['grapevine-dead-attempts'], '3')
      assert.equal([headers['grapevine-dead-feed'], headers['grapevine-dead-index']], [feed, String(index)])
    },
  },
  {
    rule: 'a message that is deleted in the last receive it has is no dead letter',
    published: 'DG sqs-dead-letter-queues.html: moved only when the count exceeds the maximum',
    async holds(world) {
      const [a, b] = open(world, { maxReceives: 2 })
      await a.send('one')
      await (await one(b)).nack()
      const last = await one(b)
      await world.sleep(5_000)
      await last.ack()
      assert.equal(await b.receive({ waitMs: 3_000 }), [])
      assert.equal(await countsOf(b), { records: 0, ready: 0, inFlight: 0, delayed: 0, dead: 0 })
    },
  },
  {
    rule: 'with a maximum of 1, a message that failed once is moved',
    published: 'DG sqs-dead-letter-queues.html: a maximum of 1 moves it after one failure',
    async holds(world) {
      const [a, b] = open(world, { maxReceives: 1, visibilityMs: 3_000 })
      for (const value of ['refused', 'forgotten']) await a.send(value)
      const records: QueueRecord<string>[] = []
      while (records.length < 2) records.push(...(await b.receive({ max: 2, waitMs: 10_000 })))
      await records.find(({ value }) => value === 'refused')?.nack()
      assert.equal(await b.receive({ waitMs: 6_000 }), [])
      await world.until(async () => (await a.stats()).dead === 2)
    },
  },
  {
    rule: 'redrive moves dead letters to the queue they came from, on whatever peer it is asked for, where they are new messages',
    published: 'DG sqs-configure-dead-letter-queue-redrive.html: new messages, moved to the source queue',
    async holds(world) {
      const [a, b, c] = open(world, { maxReceives: 1 })
      const { feed, index } = await a.send('bad', { headers: { trace: '7' } })
      await a.send('worse')
      for (let i = 0; i < 2; i++) await (await one(b)).nack()
      assert.equal(await b.receive({ waitMs: 2_000 }), [])
      await world.until(async () => (await c.stats()).dead === 2)
      assert.is(await c.redrive({ max: 1 }), 1)
      const again = await one(b)
      assert.is(again.attempt, 1)
      assert.is.not(again.id, `${feed}/${index}`)
      await again.ack()
      assert.is(await c.redrive(), 1)
      const other = await one(a)
      assert.equal([again, other].map(({ value }) => value).toSorted(), ['bad', 'worse'])
      assert.equal([again, other].find(({ value }) => value === 'bad')?.headers, { trace: '7' })
      await other.ack()
      await world.until(async () => (await c.stats()).records === 0)
      assert.is((await c.stats()).dead, 0)
      assert.is(await c.redrive(), 0)
    },
  },
  {
    rule: 'purging deletes all that was sent before, in flight or not, for every consumer, and nothing that is sent later',
    published: 'API_PurgeQueue.html: also those in flight; those sent afterwards stay',
    async holds(world) {
      const [a, b, c] = open(world, { visibilityMs: 3_000 })
      for (const value of ['1', '2', '3', '4']) await a.send(value)
      await a.send('delayed', { delayMs: 4_000 })
      await one(b)
      await world.until(async () => (await c.stats()).records === 5)
      assert.is(await c.purge(), 5)
      await a.send('after')
      assert.equal(await all(b, 8_000), ['after'])
      assert.equal(await all(c, 3_000), [])
    },
  },
]

testRules(test, 3, [...visibility, ...polling, ...delay, ...fifo, ...deduplication, ...redrive])
test.run()
