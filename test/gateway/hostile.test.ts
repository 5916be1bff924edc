/** A client that holds the token can still be broken: whatever it sends, it loses its connection and nothing else happens. */
import { EventEmitter } from 'node:events'
import * as assert from 'uvu/assert'
import WebSocket from 'ws'
import { Channel } from '../../node/gateway/channel.ts'
import { startGateway } from '../../node/gateway/server.ts'
import { limits } from '../../node/limits.ts'
import { meshOf } from '../helper/mesh.ts'
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
  ['no group', '/v1/consume', [open]],
  ['options that are none', '/v1/consume', ['{"topic":"a","group":"g","options":[]}']],
  ['records from a consumer', '/v1/consume', [frame('{"count":1}')]],
  ['no group to tell events of', '/v1/group-events', [open]],
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

const consume = '{"topic":"a","group":"g","options":{},"concurrency":2}'
const badWords: [title: string, words: string[]][] = [
  ['a word nobody knows', ['{"type":"hello"}']],
  ['taking what has no number', ['{"type":"taken","numbers":[1e300]}']],
  ['taking more than there can be', [JSON.stringify({ type: 'taken', numbers: new Array(1_001).fill(0) })]],
  ['a time that is text', ['{"type":"extend","id":0,"number":0,"ms":"9"}']],
]
for (const [title, words] of badWords) {
  test(`${title} ends a consumer's connection`, async ({ use }) => {
    const [peer] = await meshOf(use, 1)
    const gateway = use(await startGateway({ peer }))
    const heard = await say(gateway.address, gateway.token, '/v1/consume', [consume, ...words])
    assert.match(heard.join('\n'), '"type":"error"')
    assert.is(heard.at(-1), '1000')
    // The next gets the group at once.
    const records = peer.topic('a').group('g').consume()[Symbol.asyncIterator]()
    const first = records.next()
    await peer.topic('a').publish(1)
    await (await first).value?.ack()
  })
}

test('settling what was never handed out is answered, and does nothing', async ({ use }) => {
  const [peer] = await meshOf(use, 1)
  const gateway = use(await startGateway({ peer }))
  const words = ['ack', 'nack'].map((type, id) => JSON.stringify({ type, id, number: 9 }))
  words.unshift('{"type":"taken","numbers":[9]}', '{"type":"ask"}')
  const heard = await say(gateway.address, gateway.token, '/v1/consume', [consume, ...words, '{"type":"end"}'])
  assert.equal(heard, [
    '{"type":"gone","id":0}',
    '{"type":"gone","id":1}',
    '{"type":"back","numbers":[]}',
    '{"type":"end"}',
    '1000',
  ])
})

test('whoever asks and does not read the answers is cut off', () => {
  const said: string[] = []
  const socket = Object.assign(new EventEmitter(), {
    OPEN: 1,
    readyState: 1,
    bufferedAmount: limits.apiUnreadBytesMax,
    send: (text: string) => said.push(text),
    terminate: () => said.push('cut'),
  })
  const nothing = () => {}
  const channel = new Channel(socket as never, { onText: nothing, onFrame: nothing, onClose: nothing })
  channel.send({ answer: 1 })
  assert.equal(said, ['{"answer":1}'])
  socket.bufferedAmount++
  channel.send({ answer: 2 })
  assert.ok(said.includes('cut'))
})

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
