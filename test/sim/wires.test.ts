import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import * as assert from 'uvu/assert'
import { Wires } from '../../sim/chaos/wires.ts'
import { suite, type TestTools } from '../helper/suite.ts'
import { until } from '../helper/until.ts'

const test = suite('sim')

/** A caller `a` and a listener `b` with a wire between them, and what each has got. */
async function call({ use }: Pick<TestTools, 'use'>) {
  const wires = await Wires.open()
  use(() => wires.close())
  const got = { a: '', b: '' }
  const ended: string[] = []
  const listen = (name: 'a' | 'b', socket: Socket) => {
    socket.on('data', (piece) => {
      got[name] += piece
    })
    socket.on('error', () => ended.push(`${name} broken`))
    socket.on('close', () => ended.push(`${name} closed`))
  }
  const server = createServer()
  use(() => new Promise((resolve) => server.close(resolve)))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  wires.name(port, 'b')
  const arrived = once(server, 'connection')
  const a = connect(wires.port, '127.0.0.1')
  listen('a', a)
  a.write(`a ${port}\nhello`)
  const [b] = (await arrived) as [Socket]
  listen('b', b)
  use(() => {
    a.destroy()
    b.destroy()
  })
  await until(() => got.b === 'hello')
  return { wires, a, b, got, ended }
}

test('a wire carries both ways, and says who is connected to whom', async (tools) => {
  const { wires, b, got } = await call(tools)
  assert.equal(wires.connections(), [['a', 'b']])
  b.write('hello too')
  await until(() => got.a === 'hello too')
})

test('a cut holds what is sent, one way or both, until it ends; the end of a process as well', async (tools) => {
  const { wires, a, b, got, ended } = await call(tools)
  wires.setCut((from, to) => from === 'a' && to === 'b')
  a.write(' 1')
  b.write('back')
  await until(() => got.a === 'back')
  assert.is(got.b, 'hello')
  a.write(' 2')
  a.destroy()
  await until(() => ended.includes('a closed'))
  assert.equal([got.b, ended], ['hello', ['a closed']])
  wires.setCut(() => false)
  await until(() => got.b === 'hello 1 2' && ended.includes('b closed'))
})

test('a reset breaks both ends, and a silent connection tells neither', async (tools) => {
  const { wires, ended } = await call(tools)
  wires.reset('b', 'a')
  await until(() => ended.filter((text) => text.endsWith('broken')).length === 2)
  const other = await call(tools)
  other.wires.silence('a', 'b')
  other.a.write('nothing')
  other.a.destroy()
  await until(() => other.ended.includes('a closed'))
  assert.equal([other.got.b, other.ended], ['hello', ['a closed']])
})

test.run()
