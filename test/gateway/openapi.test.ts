import { request } from 'node:http'
import { Validator } from '@seriousme/openapi-schema-validator'
import * as assert from 'uvu/assert'
import WebSocket from 'ws'
import { startGateway } from '../../node/gateway/server.ts'
import { suite } from '../helper/suite.ts'
import { FakePeer } from './fake-peer.ts'

const test = suite('gateway/openapi')

interface Operation {
  summary: string
  security?: object[]
  responses: Record<string, object>
}

interface Description {
  openapi: string
  paths: Record<string, Record<string, Operation>>
}

async function described(address: string, token: string): Promise<Description> {
  const response = await fetch(`http://${address}/v1/openapi.json`, { headers: { authorization: `Bearer ${token}` } })
  return (await response.json()) as Description
}

/** Every operation of the API, from its own description. */
async function operations(address: string, token: string) {
  const { paths } = await described(address, token)
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { security, responses }]) => ({
      method: method.toUpperCase(),
      path,
      isOpen: security?.length === 0,
      isSocket: '101' in responses,
    })),
  )
}

function statusOf(address: string, method: string, path: string, headers: Record<string, string>) {
  return new Promise<number | undefined>((resolve, reject) => {
    request(`http://${address}${path}`, { method, headers }, (response) => {
      response.resume()
      resolve(response.statusCode)
    })
      .on('error', reject)
      .end(method === 'POST' ? '{}' : undefined)
  })
}

/** What a WebSocket is answered: 101, or the status it is refused with. */
function upgrade(address: string, path: string, headers: Record<string, string>, protocols: string[] = []) {
  return new Promise<number>((resolve, reject) => {
    const socket = new WebSocket(`ws://${address}${path}`, protocols, { headers })
    socket.on('open', () => {
      resolve(101)
      socket.terminate()
    })
    socket.on('unexpected-response', (asked, response) => {
      resolve(response.statusCode ?? 0)
      asked.destroy()
    })
    socket.on('error', reject)
  })
}

test('the description is one, and has all that can be asked', async ({ use }) => {
  const { address, token } = use(await startGateway({ peer: new FakePeer() }))
  const description = await described(address, token)
  const { valid, errors } = await new Validator().validate(
    structuredClone(description) as unknown as Record<string, unknown>,
  )
  assert.ok(valid, JSON.stringify(errors))
  assert.is(description.openapi, '3.1.0')
  const all = await operations(address, token)
  assert.ok(all.length > 25, `${all.length} operations`)
  for (const path of ['/v1/mesh', '/v1/records', '/v1/queue/redrive', '/metrics'])
    assert.ok(
      all.some((each) => each.path === path),
      path,
    )
  assert.equal(
    all.filter(({ isOpen }) => isOpen).map(({ path }) => path),
    ['/v1/session'],
  )
})

test('every endpoint refuses a wrong token, a foreign origin and a rebound host', async ({ use }) => {
  const { address, token } = use(await startGateway({ peer: new FakePeer() }))
  const right = { authorization: `Bearer ${token}` }
  const json = { 'content-type': 'application/json' }
  for (const { method, path, isOpen, isSocket } of await operations(address, token)) {
    const ask = (headers: Record<string, string>) =>
      isSocket ? upgrade(address, path, headers) : statusOf(address, method, path, { ...json, ...headers })
    const name = `${method} ${path}`
    if (!isOpen) {
      assert.is(await ask({}), 401, name)
      assert.is(await ask({ authorization: 'Bearer wrong' }), 401, name)
      assert.is(await ask({ authorization: token }), 401, name)
    }
    for (const origin of ['https://evil.example', 'http://127.0.0.1:1', 'http://localhost', 'null'])
      assert.is(await ask({ ...right, origin }), 403, `${name} from ${origin}`)
    for (const host of ['evil.example', '127.0.0.1.evil.example', 'localhost.evil.example:80'])
      assert.is(await ask({ ...right, host }), 403, `${name} as ${host}`)
    if (isSocket) assert.is(await ask(right), 101, name)
    else assert.not.ok([401, 403, 404].includes((await ask(right)) ?? 0) && !isOpen, name)
  }
})

test('a link lets one browser in, once', async ({ use }) => {
  const gateway = use(await startGateway({ peer: new FakePeer() }))
  const { address, token } = gateway
  const link = gateway.link()
  assert.match(link, new RegExp(`^http://${address}/#.{32}$`))
  const enter = async (word: string) => {
    const response = await fetch(`http://${address}/v1/session`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ word }),
    })
    return { status: response.status, ...((await response.json()) as { token?: string; message?: string }) }
  }
  const word = link.replace(/.*#/, '')
  const entered = await enter(word)
  assert.is(entered.status, 200)
  const again = await enter(word)
  assert.is(again.status, 401)
  assert.match(again.message ?? '', 'grapevine open')
  assert.is((await enter('')).status, 401)
  const bearer = { authorization: `Bearer ${entered.token}` }
  assert.is(await statusOf(address, 'GET', '/v1/status', bearer), 200)
  assert.is(await upgrade(address, '/v1/events', {}, ['grapevine', `token.${entered.token}`]), 101)
  assert.is(await upgrade(address, '/v1/events', {}, ['grapevine', 'token.wrong']), 401)
  assert.is(await upgrade(address, '/v1/events', {}, ['grapevine']), 401)

  // Of many links the oldest is forgotten.
  const made = await fetch(`http://${address}/v1/link`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
  })
  const { path } = (await made.json()) as { path: string }
  for (let i = 0; i < 100; i++) gateway.link()
  assert.is((await enter(path.replace(/.*#/, ''))).status, 401)
})

test.run()
