/** The arithmetic of the report, and that its file needs nothing but itself. */
import * as assert from 'uvu/assert'
import type { FeedId, PeerId } from '../../node/index.ts'
import { Copies } from '../../sim/copies.ts'
import { History } from '../../sim/history.ts'
import { payloadOf } from '../../sim/payload.ts'
import { activityOf, histogramsOf } from '../../sim/report/gather.ts'
import { reportHtml } from '../../sim/report/report.ts'
import { runPlan } from '../../sim/run.ts'
import { parseScenario } from '../../sim/scenario/scenario.ts'
import { suite } from '../helper/suite.ts'

const test = suite('sim')
const feed = '0'.repeat(32) as FeedId
const publisher = 'a' as PeerId

/** Two records published at `a` in the first and second second; `b` reads both, and `c` from later on. */
function small(): { history: History; copies: Copies } {
  let now = 0
  const history = new History(() => now)
  const record = { topic: 't', peer: 'a', publisher, key: undefined, bytes: 100 }
  const reading = (peer: string, fresh = false) =>
    history.open({ peer, topic: 't', name: undefined, from: 'earliest', fresh })
  const deliver = (of: ReturnType<typeof reading>, id: number, at: number) => {
    now = at
    history.deliver(of, { id, feed, index: id, offset: id, publisher, wrong: undefined })
  }
  const b = reading('b')
  b.readyAt = 0
  now = 500
  history.publish(record)
  now = 1_500
  history.publish(record)
  deliver(b, 0, 503)
  deliver(b, 1, 1_620)
  now = 2_500
  const c = reading('c')
  c.readyAt = 2_500
  deliver(c, 0, 2_510)
  deliver(reading('c', true), 1, 3_100)
  const copies = new Copies()
  copies.onPublish(0, 'a')
  const bytes = payloadOf(1, 0, 100)
  for (const [from, to] of [
    ['a', 'b'],
    ['b', 'c'],
    ['a', 'c'],
  ] as const)
    copies.onArrive(from, to, bytes)
  return { history, copies }
}

test('activity counts by second who published, read and has what', () => {
  const { history } = small()
  const { published, delivered, peers } = activityOf(history, ['a', 'b', 'c'], 3_500)
  assert.equal(published, [1, 1, 0, 0, 0])
  assert.equal(delivered, [1, 1, 1, 0, 0])
  const [a, b, c] = peers
  assert.equal(a?.of, [0, 0, 0, 0, 0])
  assert.equal(
    [b?.have, b?.of],
    [
      [1, 2, 2, 2, 2],
      [1, 2, 2, 2, 2],
    ],
  )
  assert.equal(
    [c?.delivered, c?.have, c?.of],
    [
      [0, 0, 1, 0, 0],
      [0, 0, 1, 2, 2],
      [0, 0, 2, 2, 2],
    ],
  )
})

test('histograms count live deliveries by time, payloads by copies and by hops', () => {
  const { history, copies } = small()
  const { deliveryMs, ...others } = histogramsOf(history, copies)
  assert.equal(
    deliveryMs.filter(({ count }) => count > 0),
    [
      { label: '≤ 5 ms', count: 1 },
      { label: '≤ 200 ms', count: 1 },
    ],
  )
  assert.equal(others, {
    copies: [
      { label: '1', count: 1 },
      { label: '2', count: 1 },
    ],
    hops: [
      { label: '1', count: 1 },
      { label: '2', count: 1 },
    ],
  })
})

test('a report is one file with its data in it, which fetches nothing and runs nothing that was published', async () => {
  const { plan } = parseScenario(`
lasts: 5s
peers: { left: 2, right: 1 }
publish: [{ by: left-0, topic: t, every: 500ms }]
read: [{ by: all, topic: t }]
timeline: [{ at: 2s, for: 1s, partition: [left, right] }]
`)
  const result = await runPlan(plan)
  const html = reportHtml(result, { commit: 'abc', again: 'grapevine sim', about: '</script><b>$&' })
  assert.not.match(html, /(src|href)="(?!data:)|@import|url\(|fetch\(|\/\* page\./)
  const [, json = ''] = html.match(/<script type="application\/json" id="data">(.*)<\/script>/) ?? []
  const data = JSON.parse(json)
  assert.is(data.about, '</script><b>$&')
  assert.equal(data.faults[0].cuts, [
    ['left-0', 'right-0'],
    ['left-1', 'right-0'],
    ['right-0', 'left-0'],
    ['right-0', 'left-1'],
  ])
  assert.ok(data.samples.length > 5)
})

test.run()
