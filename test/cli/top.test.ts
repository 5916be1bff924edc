/** `grapevine top` as people see it: in a terminal, and once for scripts. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { Neighbourhood, ok } from '../helper/process.ts'
import { suite } from '../helper/suite.ts'
import { until } from '../helper/until.ts'

const test = suite('cli')
const slow = { deadlineMs: 120_000 }
const main = join(import.meta.dirname, '../../cli/main.ts')

test(
  'top prints peers, topics, groups and queues once, ordered by what was asked for, or all as JSON',
  async (tools) => {
    const here = new Neighbourhood(tools)
    const [first, second] = await Promise.all([here.up('first'), here.up('second')])
    await until(async () => (await first.client.friends()).length === 1, 20_000)
    await first.client.topic('a.few').publish(1)
    await first.client.topic('many').publishMany([{ value: 1 }, { value: 2 }, { value: 3 }])
    await ok(first.run(['queue', 'send', 'jobs', 'one']))
    const lines = async (...args: string[]) =>
      (await ok(first.run(['top', '--once', ...args]))).stdout.toString().split('\n')
    const order = (text: string[]) => ['a.few', 'many'].toSorted((a, b) => at(text, a) - at(text, b))
    const at = (text: string[], name: string) => text.findIndex((line) => line.startsWith(name))
    const byRecords = await lines('--sort', 'records')
    assert.equal(order(byRecords), ['many', 'a.few'])
    for (const head of ['PEER', 'TOPIC', 'GROUP', 'QUEUE']) assert.ok(at(byRecords, head) >= 0, head)
    assert.equal(order(await lines('--sort', 'topic')), ['a.few', 'many'])
    const wrong = await first.run(['top', '--once', '--sort', 'colour'])
    assert.is(wrong.code, 2)
    assert.match(wrong.stderr, /no table has a column COLOUR/)
    const seen = JSON.parse((await ok(first.run(['top', '--once', '--json']))).stdout.toString())
    assert.equal(seen.mesh.map(({ id }: { id: string }) => id).sort(), [first.id, second.id].sort())
    assert.equal(
      seen.queues.map(({ name }: { name: string }) => name),
      ['jobs'],
    )
    const nowhere = await first.run(['top'])
    assert.is(nowhere.code, 2)
    assert.match(nowhere.stderr, /--once/)
  },
  slow,
)

const drawn = 'top draws itself anew in a terminal, changes tables and ends when it is told'
if (!existsSync('/usr/bin/script')) test.skip(drawn, 'there is no script(1) to make a terminal')
else
  test(
    drawn,
    async (tools) => {
      const here = new Neighbourhood(tools)
      const peer = await here.up('only', ['--no-discovery'])
      await peer.client.topic('orders').publish(1)
      const command = [process.execPath, main, 'top', '--data', peer.data].join(' ')
      // Where it takes itself to be in CI, the library draws nothing before its end.
      const env = { ...process.env, TERM: 'xterm', CI: 'false' }
      const terminal = spawn('script', ['-qec', command, '/dev/null'], { env })
      tools.use(() => terminal.kill('SIGKILL'))
      let seen = ''
      terminal.stdout.on('data', (bytes) => {
        seen += bytes
      })
      await until(() => seen.includes('RECEIVED'), 20_000, 'the peers are shown')
      terminal.stdin.write('2')
      await until(() => seen.includes('CARRIERS') && seen.includes('orders'), 10_000, 'the topics are shown')
      terminal.stdin.write('q')
      const [code] = await once(terminal, 'exit')
      assert.is(code, 0)
    },
    slow,
  )

test.run()
