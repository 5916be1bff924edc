import { globSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import * as assert from 'uvu/assert'
import { runPlan } from '../../sim/run.ts'
import { loadScenario, parseScenario, ScenarioError } from '../../sim/scenario/scenario.ts'
import { suite } from '../helper/suite.ts'

const test = suite('sim')
const folder = join(import.meta.dirname, '../../sim/scenario')

function parseError(text: string): ScenarioError {
  try {
    parseScenario(text, 'x.yaml')
  } catch (error) {
    if (error instanceof ScenarioError) return error
    throw error
  }
  throw new Error('it was taken')
}

for (const path of globSync(`${folder}/*.yaml`)) {
  test(`the example ${basename(path)} is right`, () => {
    const { about, plan } = loadScenario(path)
    assert.ok(about.length > 20 && plan.peers.length > 3 && plan.workload.publishers.length > 0)
  })
}

test('the example in the README is right', () => {
  const readme = readFileSync(join(folder, '../../README.md'), 'utf8')
  const [, text = ''] = /```yaml\n(.*?)```/s.exec(readme) ?? []
  assert.is(parseScenario(text).plan.timeline.length, 2)
})

test('a scenario becomes a plan: groups, quantities, one event for each peer of a list', () => {
  const { plan } = parseScenario(`
seed: 4
lasts: 1m
network: { delay: 10ms, bandwidth: 2MB/s }
peers:
  a: 2
  b: { count: 1, skew: -3s, guest: true }
publish:
  - { by: [a, b-0], topic: t, every: 0.5s, bytes: 100-2KiB, confirm: 2, count: 20 }
amnesic: b
freshReaders: 2
read:
  - { by: all, topic: t, name: n }
timeline:
  - { at: 40s, for: 5s, partition: [a, b] }
  - { at: 10s, for: 1s, kill: a, stagger: 2s }
  - { at: 50s, for: 1m, slowdisk: { peer: b, sync: 2s } }
`)
  assert.equal(plan.peers, [
    { name: 'a-0', join: ['a-1'] },
    { name: 'a-1', join: ['a-0'] },
    { name: 'b-0', join: ['a-1', 'a-0'], role: 'guest', skewMs: -3_000 },
  ])
  assert.equal(plan.quality, { delayMs: 10, jitterMs: 20, bytesPerSecond: 2e6 })
  assert.equal(
    plan.workload.publishers.map(({ peer, everyMs, bytesMax, confirm, count }) => [
      peer,
      everyMs,
      bytesMax,
      confirm,
      count,
    ]),
    ['a-0', 'a-1', 'b-0'].map((peer) => [peer, 500, 2048, 2, 20]),
  )
  assert.equal([plan.workload.amnesic, plan.freshReaders], [['b-0'], 2])
  assert.is(plan.workload.readers.length, 3)
  assert.equal(plan.timeline, [
    { at: 10_000, forMs: 1_000, kind: 'kill', peer: 'a-0' },
    { at: 12_000, forMs: 1_000, kind: 'kill', peer: 'a-1' },
    { at: 40_000, forMs: 5_000, kind: 'partition', shape: 'halves', a: ['a-0', 'a-1'], b: ['b-0'] },
    { at: 50_000, forMs: 10_000, kind: 'slowdisk', peer: 'b-0', operationMs: 1, syncMs: 2_000 },
  ])
})

const wrong: [text: string, line: number, field: string, sentence: RegExp][] = [
  ['peers:\n  a: 3\n b: 2', 3, '', /is not YAML/],
  ['lasts: 10s', 1, 'peers', /groups of peers/],
  ['peers:\n  a: 3\nlast: 10s', 3, 'last', /is not known here/],
  ['peers:\n  a: many', 2, 'peers.a', /takes a number of peers/],
  ['peers:\n  A: 1', 2, 'peers.A', /small letters/],
  ['peers: { a: 1 }\nlasts: 10', 2, 'lasts', /a time such as/],
  [
    'peers: { a: 1 }\ntimeline:\n  - at: 1s\n    kill: a\n  - at: 2s\n    for: soon\n    kill: a',
    6,
    'timeline[1].for',
    /a time/,
  ],
  ['peers: { a: 1 }\ntimeline:\n  - at: 1s', 3, 'timeline[0]', /takes one of partition/],
  ['peers: { a: 1 }\ntimeline:\n  - at: 1s\n    kill: c', 4, 'timeline[0].kill', /names c, and there is only a, all/],
  ['peers: { a: 1 }\ntimeline:\n  - at: 1s\n    partition: [a, c]', 4, 'timeline[0].partition[1]', /names c/],
  ['peers: { a: 1 }\ntimeline:\n  - { at: 1s, slowdisk: { peer: a } }', 3, 'timeline[0].slowdisk.sync', /takes a time/],
  [
    'peers: { a: 1 }\npublish:\n  - { by: a, topic: t, every: 1s, bytes: 9-1 }',
    3,
    'publish[0].bytes',
    /the smaller first/,
  ],
  [
    'peers: { a: 1 }\npublish:\n  - { by: a, topic: t, every: 1s, confirm: 99 }',
    3,
    'publish[0].confirm',
    /from 0 to 16/,
  ],
  ['peers: { a: 1 }\ngroups:\n  - { by: a, topic: t, name: n, lease: 10ms }', 3, 'groups[0].lease', /from 1s/],
  ['peers: { a: 1 }\ngroups:\n  - { by: a, topic: t, name: n, type: queue }', 3, 'groups[0].type', /one of shared/],
  [
    'peers: { a: 1 }\ngroups: [{ by: a, topic: t, name: n }, { by: a, topic: t, name: n }]',
    2,
    'groups',
    /names a group twice/,
  ],
  ['peers: { a: 1 }\nexpect:\n  lost: none', 3, 'expect.lost', /a comparison/],
]
for (const [text, line, field, sentence] of wrong) {
  test(`${JSON.stringify(text.split('\n').at(-1))} is refused with line ${line} and ${field || 'no field'}`, () => {
    const error = parseError(text)
    assert.match(error.message, sentence)
    assert.equal([error.line, error.field], [line, field], error.message)
    assert.ok(error.message.startsWith(`x.yaml:${line}: `))
  })
}

test('a group in a scenario is a group in the plan, with what is usual where nothing is said', () => {
  const { plan } = parseScenario(`
peers: { a: 2 }
publish:
  - { by: a-0, topic: jobs, every: 1s, keys: 4 }
groups:
  - { by: a, topic: jobs, name: work, type: key-shared, lease: 2s, quorum: true, drains: [10s], poison: 7 }
`)
  assert.is(plan.workload.publishers[0]?.keys, 4)
  const consumer = { startMs: 1_000, concurrency: 8, workMs: 20, nacks: 0, hangs: 0, extends: 0, poison: 7 }
  const consumers = ['a-0', 'a-1'].map((peer) => ({ peer, ...consumer, drains: [10_000], awayMs: 2_000 }))
  const settings = { type: 'key-shared', leaseMs: 2_000, maxReceives: 5, quorum: true, from: 'earliest' }
  assert.equal(plan.workload.groups, [{ topic: 'jobs', name: 'work', ...settings, consumers }])
})

test('expectations are compared with the figures of the run', () => {
  const { judge } = parseScenario(
    'peers: { a: 1 }\nexpect: { lost: 0, confirmed: ">= 100", deliveryP99: "< 5s", copies: "<= 2" }',
  )
  const zero = { p50: 0, p99: 0, max: 0 }
  const stats = {
    peers: 1,
    published: 100,
    confirmed: 100,
    delivered: 0,
    lost: 0,
    duplicated: 0,
    outOfOrder: 0,
    repaired: 0,
    copiesPerPayload: 2,
    deliveryMs: { ...zero, p99: 4_999 },
    hops: zero,
    memoryBytes: 0,
    faults: 0,
  }
  assert.equal(judge(stats, 7), [])
  const told = judge({ ...stats, lost: 1, confirmed: 99, deliveryMs: { ...zero, p99: 5_000 } }, 7)
  assert.equal(
    told.map(({ text }) => text),
    [
      'expected lost = 0, and it is 1',
      'expected confirmed >= 100, and it is 99',
      'expected deliveryP99 < 5000, and it is 5000',
    ],
  )
})

test(
  'the example of a partition runs as it says',
  async () => {
    const { plan, judge } = loadScenario(join(folder, 'partition-and-heal.yaml'))
    const { violations, stats, virtualMs } = await runPlan(plan)
    assert.equal([...violations, ...judge(stats, virtualMs)], [])
  },
  { deadlineMs: 120_000 },
)

test.run()
