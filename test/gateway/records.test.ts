import * as assert from 'uvu/assert'
import type { ShownRecords } from '../../node/gateway/records.ts'
import { startGateway } from '../../node/gateway/server.ts'
import { limits } from '../../node/limits.ts'
import type { Receipt } from '../../node/types.ts'
import { peerOf } from '../helper/mesh.ts'
import { suite } from '../helper/suite.ts'

const test = suite('gateway/records')

test('records are shown by position, time and key, and one may be published', async ({ use }) => {
  const peer = await peerOf(use)
  const { address, token } = use(await startGateway({ peer }))
  const ask = async (query: string, body?: object) => {
    const headers = { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) }
    const response = await fetch(`http://${address}/v1/records${query}`, {
      headers,
      ...(body && { method: 'POST', body: JSON.stringify(body) }),
    })
    return { status: response.status, answer: (await response.json()) as ShownRecords & Receipt & { message: string } }
  }
  const look = async (query: string) => (await ask(`?topic=orders&${query}`)).answer
  const orders = peer.topic<unknown>('orders')
  assert.equal(await look(''), { records: [], startOffset: 0, endOffset: 0 })
  await orders.publishMany(Array.from({ length: 120 }, (_, i) => ({ value: { i }, key: `k${i % 10}` })))

  const first = await look('')
  assert.equal([first.records.length, first.next, first.startOffset, first.endOffset], [50, 50, 0, 120])
  assert.equal(first.records[0]?.value, '{"i":0}')
  const { encoding, bytes, key, offset, publisher } = first.records[7] as ShownRecords['records'][0]
  assert.equal([encoding, bytes, key, offset, publisher], ['text', 7, 'k7', 7, peer.id])
  const last = await look('offset=110&max=500')
  assert.equal([last.records.length, last.next, last.records[0]?.offset], [10, undefined, 110])
  const ofKey = await look('key=k3&max=5&offset=10')
  assert.equal(
    ofKey.records.map((each) => each.offset),
    [13, 23, 33, 43, 53],
  )
  assert.is(ofKey.next, 54)
  assert.equal((await look(`time=${Date.now() + 60_000}`)).records, [])
  assert.equal((await look('offset=120')).records, [])

  const { answer } = await ask('', { topic: 'orders', value: 'ü by hand', key: 'me', headers: { from: 'page' } })
  assert.is(answer.index, 120)
  await ask('', { topic: 'orders', value: '/wA=', encoding: 'base64' })
  await orders.publish('x'.repeat(20_000))
  const shown = (await look('offset=120')).records
  assert.equal(
    shown.map((each) => [each.encoding, each.bytes, each.value.length]),
    [
      ['text', 10, 9],
      ['base64', 2, 4],
      ['text', 20_002, limits.apiShownBytes],
    ],
  )
  assert.equal(shown[0]?.headers, { from: 'page' })

  assert.equal((await ask('?topic=nowhere')).answer.records, [])
  assert.not((await peer.topics()).some(({ name }) => name === 'nowhere'))
  for (const wrong of ['?topic=a/b', '?topic=orders&offset=-1', '?topic=orders&max=501', '?topic=orders&who=1', ''])
    assert.is((await ask(wrong)).status, 400, wrong)
  for (const wrong of [
    { value: 'x' },
    { topic: 'orders' },
    { topic: '$own', value: 'x' },
    { topic: 'a', value: 'x', confirm: -1 },
  ])
    assert.is((await ask('', wrong)).status, 400, JSON.stringify(wrong))
})

test.run()
