import * as assert from 'uvu/assert'
import { isError } from '../../node/errors.ts'
import { createPeer, startMonitor } from '../../node/index.ts'
import { suite } from '../helper/suite.ts'
import { FakePeer } from './fake-peer.ts'

const test = suite('gateway/monitor')

test('a monitor tells how the peer is, to whoever asks, and nothing else', async ({ use }) => {
  const peer = use(await createPeer({ discover: false }))
  const { address } = use(await startMonitor({ peer, listen: '127.0.0.1:0' }))
  const get = async (path: string) => {
    const response = await fetch(`http://${address}${path}`)
    return { status: response.status, type: response.headers.get('content-type'), text: await response.text() }
  }
  const metrics = await get('/metrics')
  assert.is(metrics.status, 200)
  assert.match(metrics.type ?? '', 'text/plain; version=0.0.4')
  assert.match(metrics.text, /^grapevine_friends 0$/m)
  assert.equal(await get('/healthz').then(({ status, text }) => [status, text]), [200, '{"status":"ok"}'])
  assert.equal(await get('/readyz').then(({ status, text }) => [status, text]), [200, '{"state":"open","friends":0}'])
  for (const path of ['/', '/v1/status', '/v1/topics']) assert.is((await get(path)).status, 404, path)
  assert.is((await fetch(`http://${address}/metrics`, { method: 'POST' })).status, 404)

  await peer.drain()
  assert.equal(await get('/readyz').then(({ status, text }) => [status, text]), [
    503,
    '{"state":"draining","friends":0}',
  ])
  await peer.close()
  assert.is((await get('/readyz')).status, 503)
  assert.is((await get('/healthz')).status, 200, 'the process can answer')
})

test('a monitor that cannot listen says why', async ({ use }) => {
  const { address } = use(await startMonitor({ peer: new FakePeer(), listen: '127.0.0.1:0' }))
  const failure = (listen: string) =>
    startMonitor({ peer: new FakePeer(), listen }).then(
      () => undefined,
      (error: unknown) => (isError(error) ? [error.code, error.message] : error),
    )
  assert.equal(await failure('9464'), ['InvalidOption', 'monitor "9464" is not HOST:PORT, such as 127.0.0.1:0'])
  const [code, message] = (await failure(address)) as string[]
  assert.is(code, 'ListenFailed')
  assert.match(message ?? '', `the monitor cannot listen on ${address}`)
})

test.run()
