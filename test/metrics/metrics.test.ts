import { spawnSync } from 'node:child_process'
import * as assert from 'uvu/assert'
import { connectPeer, createPeer, startGateway } from '../../node/index.ts'
import { suite } from '../helper/suite.ts'
import { until } from '../helper/until.ts'

const test = suite('metrics')

test('a peer tells Prometheus what it does, as that likes to be told', async ({ use, dir }) => {
  const mesh = `metrics ${process.pid}`
  const ann = use(await createPeer({ mesh, data: dir() }))
  const ben = use(await createPeer({ mesh }))
  await until(async () => (await ann.friends()).length === 1, 10_000)
  const orders = ann.topic<number>('orders')
  await orders.publish(1, { confirm: 1 })
  await ben.topic<number>('orders').publish(2, { confirm: 1 })
  const jobs = ann.queue<number>('jobs')
  await jobs.send(1)
  const [job] = await jobs.receive({ waitMs: 10_000 })
  const group = orders.group('billing', { from: 'earliest' })
  assert.is((await group.status()).lag, 2)

  // Nobody takes part in what it is only asked about.
  await ben.queue('mail').send(1)
  await ben.metrics()
  assert.equal((await ben.topics()).find(({ name }) => name === 'mail')?.because.includes('subscribed'), false)

  const gateway = use(await startGateway({ peer: ann }))
  const remote = use(await connectPeer({ api: gateway.address, token: gateway.token }))
  const text = await remote.metrics()
  const told = valuesOf(text)
  const about = (name: string) => told.get(`grapevine_${name}`)
  assert.is(about('friends'), 1)
  assert.is(about('peers_known'), 1)
  assert.is(about('topic_records{topic="orders"}'), 2)
  assert.is(about('topic_appended_records_total{topic="orders"}'), 2)
  assert.is(about('topic_carriers{topic="orders"}'), 2)
  assert.is(about('group_lag_records{topic="orders",group="billing"}'), 2)
  assert.is(about('queue_records{queue="jobs",state="in_flight"}'), 1)
  assert.is(about('events_total{type="friend-joined"}'), 1)
  for (const name of ['publish_confirm', 'disk_write']) assert.ok((about(`${name}_seconds_count`) ?? 0) > 0, name)
  assert.ok((about('arrival_delay_seconds_count') ?? 0) >= 1)
  for (const name of ['network_sent_bytes_total', 'stored_bytes', 'friend_round_trip_seconds'])
    assert.ok(
      [...told].some(([key, value]) => key.startsWith(`grapevine_${name}`) && value > 0),
      name,
    )
  assert.ok((told.get('process_cpu_seconds_total') ?? 0) > 0)
  await job?.ack()

  await orders.publish(3, { confirm: 1 })
  const later = valuesOf(await ann.metrics())
  assert.is(later.get('grapevine_topic_appended_records_total{topic="orders"}'), 3)
  assert.equal(
    [...told.keys()].filter((key) => !later.has(key)),
    [],
    'nothing that was told once is missing',
  )
})

const asPromtoolLikesIt = 'promtool finds nothing to complain about'
if (spawnSync('promtool', ['--version']).error) test.skip(asPromtoolLikesIt, 'promtool is not installed')
else
  test(asPromtoolLikesIt, async ({ use, dir }) => {
    const peer = use(await createPeer({ mesh: `promtool ${process.pid}`, data: dir() }))
    await peer.topic<number>('orders').publish(1)
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], {
      input: await peer.metrics(),
      encoding: 'utf8',
    })
    assert.equal([status, `${stdout}${stderr}`], [0, ''])
  })

/** By name and labels. */
function valuesOf(text: string): Map<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(lines.map((line) => [line.replace(/ [^ ]+$/, ''), Number(line.replace(/^.* /, ''))]))
}

test.run()
