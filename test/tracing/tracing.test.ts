/** What a program that has registered an OpenTelemetry SDK gets to see of its records, over real connections. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { propagation, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node'
import * as assert from 'uvu/assert'
import { createPeer, type Peer } from '../../node/index.ts'
import { Neighbourhood, ok } from '../helper/process.ts'
import { suite, type TestTools } from '../helper/suite.ts'
import { until } from '../helper/until.ts'

const exporter = new InMemorySpanExporter()
new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }).register()

const test = suite('tracing')

async function pair(use: TestTools['use'], tracing = true): Promise<[Peer, Peer]> {
  exporter.reset()
  const first = await createPeer({ discover: false, tracing })
  use(() => first.close())
  const join = (await first.status()).addresses
  const second = await createPeer({ discover: false, tracing, join })
  use(() => second.close())
  await until(async () => (await second.friends()).length === 1)
  return [first, second]
}

const spans = () => exporter.getFinishedSpans()
const named = (name: string) => spans().filter((span) => span.name === name)

test('a publish, its way to another peer and the handling there are one trace', async ({ use }) => {
  const [here, there] = await pair(use)
  const records = there.topic('orders').subscribe()
  await records.ready
  const { feed, index } = await here.topic('orders').publish({ sum: 3 }, { key: 'k', headers: { shop: 'A' } })
  const handling = records[Symbol.asyncIterator]()
  const message = (await handling.next()).value
  await until(() => named('hop orders').length === 1)
  const [sent] = named('send orders')
  const [hop] = named('hop orders')
  assert.is(sent?.kind, SpanKind.PRODUCER)
  assert.is(sent?.attributes['messaging.message.id'], `${feed}/${index}`)
  assert.is(sent?.attributes['messaging.destination.name'], 'orders')
  assert.is(hop?.parentSpanContext?.spanId, sent?.spanContext().spanId)
  assert.is(hop?.attributes['grapevine.from'], here.id)
  assert.is(message?.headers.shop, 'A')
  assert.is(named('process orders').length, 0)
  await handling.return?.()
  assert.is(named('process orders')[0]?.parentSpanContext?.spanId, sent?.spanContext().spanId)
  assert.is(
    trace.getSpanContext(propagation.extract(ROOT_CONTEXT, message?.headers))?.traceId,
    sent?.spanContext().traceId,
  )
})

test('what a group hands out is a span until it is settled', async ({ use }) => {
  const [here, there] = await pair(use)
  const records = there
    .topic('jobs')
    .group('work', { from: 'earliest' })
    .consume({ concurrency: 2 })
    [Symbol.asyncIterator]()
  await here.topic('jobs').publishMany([{ value: 1 }, { value: 2 }])
  const [one, two] = [(await records.next()).value, (await records.next()).value]
  assert.is(named('process jobs').length, 0)
  await one?.ack()
  await two?.nack()
  const [sent] = named('send jobs')
  const handled = named('process jobs')
  assert.equal(
    handled.map(({ attributes }) => attributes['grapevine.settled']),
    ['ack', 'nack'],
  )
  for (const span of handled) assert.is(span.parentSpanContext?.spanId, sent?.spanContext().spanId)
})

test('a consumer that is ended while it waits takes nothing with it', async ({ use }) => {
  const [here] = await pair(use)
  const group = here.topic('jobs').group('work', { from: 'earliest' })
  const ended = group.consume()[Symbol.asyncIterator]()
  const waiting = ended.next()
  await ended.return?.()
  assert.is((await waiting).done, true)
  await here.topic('jobs').publish(1)
  const record = (await group.consume()[Symbol.asyncIterator]().next()).value
  assert.is(record?.attempt, 1)
  await record?.ack()
})

test('a handler of requests works inside its span, and what it fails with is told', async ({ use }) => {
  const [here, there] = await pair(use)
  let inside: string | undefined
  there.topic<number>('double').respond((value) => {
    inside = trace.getActiveSpan()?.spanContext().traceId
    if (value < 0) throw new Error('not that')
    return 2 * value
  })
  assert.is(await until(() => here.request('double', 4).catch(() => undefined), 10_000), 8)
  const sent = named('send double').at(-1)
  assert.is(inside, sent?.spanContext().traceId)
  await here.request('double', -1).catch(() => undefined)
  assert.is(named('process double').at(-1)?.status.code, SpanStatusCode.ERROR)
})

test('queues are traced as well', async ({ use }) => {
  const [here, there] = await pair(use)
  await here.queue('mail').send('hello')
  const [record] = await there.queue('mail').receive({ waitMs: 10_000 })
  await record?.ack()
  assert.is(named('process mail')[0]?.parentSpanContext?.spanId, named('send mail')[0]?.spanContext().spanId)
})

test('whoever does not ask for it has no spans and no headers', async ({ use }) => {
  const [here, there] = await pair(use, false)
  const records = there.topic('orders').subscribe()
  await records.ready
  await here.topic('orders').publish(1)
  const message = (await records[Symbol.asyncIterator]().next()).value
  assert.equal(message?.headers, {})
  assert.equal(spans(), [])
})

test(
  'peers that are started with `up --tracing` tell their parts of one trace, each to its own SDK',
  async (tools) => {
    const here = new Neighbourhood(tools)
    const spansOf = (name: string) => join(here.root, `${name}.spans`)
    const up = (name: string) =>
      here.up(name, ['--tracing'], {
        node: ['--import', join(import.meta.dirname, 'register.ts')],
        env: { SPANS: spansOf(name) },
      })
    const [first, second] = await Promise.all([up('first'), up('second')])
    await until(async () => (await second.client.friends()).length === 1, 20_000)
    await ok(first.run(['pub', 'orders', 'one']))
    await until(() => existsSync(spansOf('first')) && existsSync(spansOf('second')), 10_000)
    const [sent, hop] = ['first', 'second'].map((name) => JSON.parse(readFileSync(spansOf(name), 'utf8')))
    assert.equal([sent.name, hop.name], ['send orders', 'hop orders'])
    assert.equal([hop.traceId, hop.parent], [sent.traceId, sent.spanId])
  },
  { deadlineMs: 120_000 },
)

test.run()
