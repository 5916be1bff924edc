import { readFileSync } from 'node:fs'
import * as assert from 'uvu/assert'
import { drawPlan, type Plan, runMany, runPlan } from '../../sim/index.ts'
import { focuses } from '../../sim/plan.ts'
import { suite } from '../helper/suite.ts'

const test = suite('sim')

/** Plans that once failed, with what was wrong. */
const regressions: { story: string; plan: Plan }[] = JSON.parse(
  readFileSync(new URL('../../sim/regression.json', import.meta.url), 'utf8'),
)

test('the same seed is the same plan, and a plan is plain JSON', () => {
  for (let seed = 0; seed < 50; seed++) {
    const plan = drawPlan(seed)
    assert.equal(JSON.parse(JSON.stringify(plan)), plan)
    assert.equal(drawPlan(seed), plan)
    assert.ok(plan.peers.length >= 3 && plan.peers.length <= 20)
  }
  assert.not.equal(drawPlan(1), drawPlan(2))
})

test('a wish is granted, and changes nothing else', () => {
  const plan = drawPlan(3, { peers: 7, seconds: 20, faults: ['kill'], workload: ['pubsub'] })
  assert.is(plan.peers.length, 7)
  assert.is(plan.safetyMs, 20_000)
  assert.equal([...new Set(plan.timeline.map(({ kind }) => kind))], ['kill'])
  assert.equal(plan.workload.kinds, ['pubsub'])
  assert.equal(drawPlan(3, { faults: 'none' }).timeline, [])
  assert.equal(drawPlan(3, { faults: 'none' }).workload, drawPlan(3).workload)
})

test(
  'runs that bear on one thing show nothing wrong',
  async () => {
    const tasks = focuses.flatMap((focus) =>
      [1, 2].map((seed) => {
        const workload = [focus === 'loan' ? ('queue' as const) : ('group' as const)]
        return { seed, wish: { peers: 4, seconds: 30, workload, focus } }
      }),
    )
    const failed = (await runMany(tasks)).filter(({ ok }) => !ok)
    assert.equal(failed, [])
  },
  { deadlineMs: 280_000 },
)

test('groups are drawn where they are asked for, and change nothing else', () => {
  for (let seed = 0; seed < 50; seed++) assert.is(drawPlan(seed).workload.groups, undefined)
  const { workload } = drawPlan(3, { workload: ['pubsub', 'group', 'durable'] })
  const without = drawPlan(3, { workload: ['pubsub', 'durable'] }).workload
  assert.equal(workload.readers, without.readers)
  assert.equal(
    workload.publishers.filter(({ topic }) => topic !== 'jobs'),
    without.publishers,
  )
  assert.ok((workload.groups ?? []).length > 0)
  assert.equal(drawPlan(3, { workload: ['group'] }).workload.groups, workload.groups)
})

test('queues and requests are drawn where they are asked for, each from a stream of its own', () => {
  const only = (kind: 'group' | 'queue' | 'fifo' | 'request') => drawPlan(3, { workload: [kind] }).workload
  assert.is(only('group').requests, undefined)
  assert.equal(
    drawPlan(3, { workload: ['group', 'queue', 'fifo'] }).workload.groups,
    (['group', 'queue', 'fifo'] as const).flatMap((kind) => only(kind).groups ?? []),
  )
  assert.equal(
    only('fifo').groups?.map(({ topic, type }) => [topic, type]),
    [['steps', 'key-shared']],
  )
  assert.equal(drawPlan(3, { workload: ['queue', 'request'] }).workload.requests, only('request').requests)
})

test(
  'queues, message groups and requests under faults: no violation, and something done',
  async () => {
    const kinds = (['queue', 'fifo', 'request'] as const).flatMap((kind) => [kind, kind])
    const tasks = kinds.map((kind, seed) => ({ seed, wish: { peers: 3, seconds: 20, workload: [kind] } }))
    const done = new Map<string, number>()
    for (const result of await runMany(tasks)) {
      assert.ok(result.ok, JSON.stringify('violations' in result ? result.violations : result))
      const { queues, requests } = 'stats' in result ? result.stats : {}
      const count = (queues?.acked ?? 0) + (requests?.answered ?? 0)
      assert.ok(count > 0, `nothing is done in seed ${result.seed}`)
      const kind = kinds[result.seed] ?? ''
      done.set(kind, (done.get(kind) ?? 0) + count)
    }
    for (const [kind, count] of done) assert.ok(count > 10, `${count} of ${kind}`)
  },
  { deadlineMs: 280_000 },
)

test(
  'the same seed gives the same trace, in this process, again in it, and in another',
  async () => {
    const wish = { peers: 4, seconds: 10 }
    const plan = drawPlan(8, wish)
    const first = await runPlan(plan)
    await runPlan(drawPlan(9, { peers: 3, seconds: 5 }))
    const again = await runPlan(plan)
    const [elsewhere] = await runMany([{ seed: 8, wish }])
    assert.is(again.trace, first.trace)
    assert.is(elsewhere !== undefined && 'trace' in elsewhere && elsewhere.trace, first.trace)
    const { realMs, stats, ...rest } = first
    const { realMs: _, stats: statsAgain, ...restAgain } = again
    assert.equal(restAgain, rest)
    assert.equal({ ...statsAgain, memoryBytes: 0 }, { ...stats, memoryBytes: 0 })
  },
  { deadlineMs: 120_000 },
)

test(
  'fifty seeds, all faults: no violation',
  async () => {
    const tasks = Array.from({ length: 50 }, (_, seed) => ({ seed, wish: { peers: 3 + (seed % 3), seconds: 10 } }))
    const failed = (await runMany(tasks)).filter(({ ok }) => !ok)
    assert.equal(failed, [])
  },
  { deadlineMs: 280_000 },
)

test(
  'what once failed does not fail again',
  async () => {
    const failed = (await runMany(regressions.map(({ plan }) => ({ plan })))).filter(({ ok }) => !ok)
    assert.equal(failed, [])
  },
  { deadlineMs: 200_000 },
)

test.run()
