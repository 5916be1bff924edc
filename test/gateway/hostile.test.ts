/** A client that holds the token can still be broken: whatever it sends, it loses its connection and nothing else happens. */
import * as assert from 'uvu/assert'
import WebSocket from 'ws'
import { startGateway } from '../../node/gateway/server.ts'
import { limits } from '../../node/limits.ts'
import { suite } from '../helper/suite.ts'
import { FakePeer } from './fake-peer.ts'

const test = suite('gateway hostile')

/** Sends these messages and returns what the server said before it closed. */
function say(address: string, token: string, path: string, messages: (string | Uint8Array)[]): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://${address}${path}`, { headers: { authorization: `Bearer ${token}` } })
    const heard: string[] = []
    socket.on('open', () => {
      for (const message of messages) socket.send(message)
    })
    socket.on('message', (data) => heard.push(data.toString()))
    socket.on('error', reject)
    socket.on('close', (code) => resolve([...heard, String(code)]))
  })
}

const open = '{"topic":"a"}'
const many = '{"topic":"a","many":{}}'
const frame = (head: string, body: number[] = []) => {
  const bytes = Buffer.alloc(4 + head.length + body.length)
  bytes.writeUInt32BE(head.length)
  bytes.write(head, 4)
  bytes.set(body, 4 + head.length)
  return bytes
}

const bad: [title: string, path: string, messages: (string | Uint8Array)[]][] = [
  ['no JSON', '/v1/publish', ['{']],
  ['no topic', '/v1/publish', ['{}']],
  ['a topic of wrong characters', '/v1/publish', ['{"topic":"a/../b"}']],
  ['a field nobody knows', '/v1/publish', ['{"topic":"a","sudo":true}']],
  ['records before the opening', '/v1/publish', [frame('{"count":1}')]],
  ['an empty frame', '/v1/publish', [open, new Uint8Array(0)]],
  ['a head longer than the frame', '/v1/publish', [open, Uint8Array.of(255, 255, 255, 255, 1)]],
  ['no records', '/v1/publish', [open, frame('{"count":0}')]],
  ['records that are not there', '/v1/publish', [many, frame('{"count":5}', [1, 5, 2])]],
  ['a count beyond all bounds', '/v1/publish', [many, frame('{"count":9007199254740991}', [1, 5, 2])]],
  ['a negative confirm', '/v1/publish', ['{"topic":"a","many":{"confirm":-1}}']],
  ['records from a reader', '/v1/subscribe', [open, frame('{"count":1}')]],
  ['a word nobody knows', '/v1/subscribe', [open, '{"type":"hello"}']],
  ['an endless range of acknowledgements', '/v1/subscribe', [open, '{"type":"ack","id":0,"ranges":[[0,1e300]]}']],
  ['words to the events', '/v1/events', ['hello']],
]

for (const [title, path, messages] of bad) {
  test(`${title} ends the connection`, async ({ use }) => {
    const fake = new FakePeer()
    const gateway = use(await startGateway({ peer: fake }))
    const heard = await say(gateway.address, gateway.token, path, messages)
    assert.ok(['1000', '1008'].includes(heard.at(-1) ?? ''), heard.join('\n'))
    if (path !== '/v1/events') assert.match(heard.join('\n'), '"type":"error"')
    assert.is(fake.records('a').length, 0)
  })
}

test('a message beyond the limit ends the connection', async ({ use }) => {
  const gateway = use(await startGateway({ peer: new FakePeer() }))
  const large = new Uint8Array(limits.bodyBytesMax + limits.apiFrameBytes + 1)
  const code = (await say(gateway.address, gateway.token, '/v1/publish', [open, large]).catch(() => ['1009'])).at(-1)
  assert.is(code, '1009')
})

test('an acknowledgement of what was never sent does nothing', async ({ use }) => {
  const fake = new FakePeer()
  const gateway = use(await startGateway({ peer: fake }))
  const words = ['{"topic":"a","name":"n"}', '{"type":"ack","id":0,"ranges":[[0,100000000]]}', '{"type":"close"}']
  const heard = await say(gateway.address, gateway.token, '/v1/subscribe', words)
  assert.ok(heard.includes('{"type":"acked","id":0}'), heard.join('\n'))
  assert.equal(fake.acked, [])
})

test('more connections than the limit are refused', async ({ use }) => {
  const gateway = use(await startGateway({ peer: new FakePeer() }))
  const headers = { authorization: `Bearer ${gateway.token}` }
  const outcomes = await Promise.all(
    Array.from({ length: limits.apiSocketsMax + 5 }, () => {
      const socket = new WebSocket(`ws://${gateway.address}/v1/events`, { headers })
      use(() => socket.terminate())
      return new Promise<string>((resolve) => {
        socket.on('open', () => resolve('open'))
        socket.on('error', (error) => resolve(error.message))
      })
    }),
  )
  assert.is(outcomes.filter((outcome) => outcome.includes('503')).length >= 1, true, outcomes.slice(-6).join('\n'))
  assert.ok(outcomes.filter((outcome) => outcome === 'open').length <= limits.apiSocketsMax)
})

test.run()
