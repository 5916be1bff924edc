import * as assert from 'uvu/assert'
import { Copies } from '../../sim/copies.ts'
import { distributionOf } from '../../sim/distribution.ts'
import { cutOf } from '../../sim/fault/network.ts'
import { drawPlan, type Plan, shrink } from '../../sim/index.ts'
import { PayloadCheck, payloadId, payloadOf } from '../../sim/payload.ts'
import { withPeers } from '../../sim/shrink.ts'
import { statsOf } from '../../sim/stats.ts'
import { suite } from '../helper/suite.ts'
import { Made } from './made.ts'

const test = suite('sim')

test('a distribution is by nearest rank', () => {
  const table: [number[], { p50: number; p99: number; max: number }][] = [
    [[], { p50: 0, p99: 0, max: 0 }],
    [[7], { p50: 7, p99: 7, max: 7 }],
    [[3, 1, 2], { p50: 2, p99: 3, max: 3 }],
    [[4, 3, 2, 1], { p50: 2, p99: 4, max: 4 }],
    [Array.from({ length: 200 }, (_, i) => i + 1), { p50: 100, p99: 198, max: 200 }],
  ]
  for (const [values, expected] of table) assert.equal(distributionOf(values), expected)
})

test('a run is counted: what came late, twice under one name, or out of order', () => {
  const made = new Made()
  const live = made.read()
  const first = made.read({ name: 'n', peer: 'a' })
  for (let i = 0; i < 3; i++) {
    made.publish()
    made.now += 10
    made.deliver(live, i)
  }
  made.deliver(first, 0)
  made.deliver(first, 2)
  made.deliver(first, 1)
  const again = made.read({ name: 'n', peer: 'b' })
  made.deliver(again, 0)
  made.deliver(made.read({ fresh: true }), 0)
  const stats = statsOf(made.evidence, 0, new Copies(), 5)
  assert.is(stats.published, 3)
  assert.is(stats.confirmed, 3)
  assert.is(stats.delivered, 7)
  assert.is(stats.duplicated, 1)
  assert.is(stats.outOfOrder, 1)
  assert.equal(stats.deliveryMs, { p50: 10, p99: 30, max: 30 })
  assert.is(stats.memoryBytes, 5)
})

test('copies are counted where a payload begins, and hops from whom it came', () => {
  const copies = new Copies()
  const payload = payloadOf(1, 0, 100)
  copies.onPublish(0, 'a')
  copies.onArrive('a', 'b', Buffer.concat([Buffer.alloc(5), payload, payload]))
  copies.onArrive('b', 'c', payload)
  copies.onArrive('a', 'c', payload)
  assert.is(copies.carried, 4)
  assert.equal(copies.histogram, [0, 1, 1])
})

test('one wrong byte anywhere in a payload is seen', () => {
  const check = new PayloadCheck(9)
  for (const length of [1, 24, 25, 26, 27, 1_000]) {
    const payload = payloadOf(9, 4, length)
    assert.is(payloadId(payload), 4)
    assert.ok(check.holds(payload))
    for (let at = 0; at < payload.length; at++) {
      const wrong = payload.slice()
      wrong[at] = (wrong[at] ?? 0) ^ 1
      assert.not.ok(check.holds(wrong), `byte ${at}`)
    }
    assert.not.ok(check.holds(payload.subarray(0, -1)))
  }
})

test('each shape of partition cuts what it should', () => {
  const event = { kind: 'partition' as const, at: 0, forMs: 1 }
  const halves = cutOf({ ...event, shape: 'halves', a: ['a', 'b'], b: ['c'] })
  assert.equal([halves('a', 'b'), halves('a', 'c'), halves('c', 'b')], [false, true, true])
  const oneway = cutOf({ ...event, shape: 'oneway', a: ['a'], b: ['c'] })
  assert.equal([oneway('a', 'c'), oneway('c', 'a')], [true, false])
  const ring = cutOf({ ...event, shape: 'ring', a: ['a', 'b', 'c', 'd'], b: [] })
  assert.equal([ring('a', 'b'), ring('a', 'c'), ring('a', 'd'), ring('b', 'd')], [false, true, false, true])
})

test('a plan without some peers has nothing left of them', () => {
  for (let seed = 0; seed < 30; seed++) {
    const plan = drawPlan(seed, { peers: 6, ...(seed % 2 === 0 ? { workload: ['pubsub', 'group'] } : {}) })
    const text = JSON.stringify(withPeers(plan, ['p1', 'p3', 'p5']))
    for (const gone of ['p0', 'p2', 'p4']) assert.not.ok(text.includes(`"${gone}"`), `seed ${seed} has ${gone}`)
  }
})

test('shrinking leaves what the failure needs, and little else', async () => {
  const plan = drawPlan(5, { peers: 9, faults: ['kill', 'delay', 'wipe'] })
  const culprit = plan.timeline.find(({ kind }) => kind === 'kill') ?? assert.unreachable()
  const has = ({ timeline }: Plan) => timeline.some((event) => JSON.stringify(event) === JSON.stringify(culprit))
  const run = async (candidate: Plan) => {
    const violations = has(candidate) ? [{ promise: 'G1' as const, at: 0, text: '', ids: [] }] : []
    return { ok: violations.length === 0, seed: 5, violations } as never
  }
  const { plan: small } = await shrink(plan, { run })
  assert.equal(small.timeline, [culprit])
  assert.ok(small.peers.length <= 2)
  assert.equal(small.workload.readers, [])
  assert.ok(small.safetyMs < plan.safetyMs)
})

test.run()
