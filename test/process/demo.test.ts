/** `grapevine demo`, shorter than people see it: minutes of it are for whoever measures. */
import { existsSync, readdirSync } from 'node:fs'
import * as assert from 'uvu/assert'
import { Neighbourhood, ok } from '../helper/process.ts'
import { suite } from '../helper/suite.ts'
import { until } from '../helper/until.ts'

const test = suite('process')
const slow = { deadlineMs: 240_000 }
const short = ['demo', '--peers', '4', '--kill-every', '2s', '--json']

test(
  'the demonstration kills peers, loses nothing, and leaves nothing behind',
  async (tools) => {
    const here = new Neighbourhood(tools)
    const { stdout } = await ok(here.run([...short, '--seconds', '10']))
    const lines = stdout.toString().trimEnd().split('\n')
    const { event, kills, confirmed, delivered, lost } = JSON.parse(lines.at(-1) ?? '')
    assert.is(event, 'done')
    assert.ok(kills >= 2, `${kills} kills`)
    assert.ok(confirmed > 100, `${confirmed} confirmed`)
    assert.equal([delivered, lost], [confirmed, 0])
    assert.ok(lines.length > 10, 'it tells how far it is')
    assert.equal(
      readdirSync(here.root).filter((name) => name.startsWith('grapevine-demo')),
      [],
    )
  },
  slow,
)

test(
  'Ctrl-C ends the demonstration with its sum, and with all its processes',
  async (tools) => {
    const here = new Neighbourhood(tools)
    const lines: string[] = []
    const running = here.start(short, (line) => lines.push(line))
    await until(() => lines.length > 4, 60_000)
    const folders = readdirSync(here.root).filter((name) => name.startsWith('grapevine-demo'))
    assert.is(folders.length, 1)
    process.kill(running.pid, 'SIGINT')
    const { code } = await running.ended
    assert.is(code, 0)
    assert.is(JSON.parse(lines.at(-1) ?? '').event, 'done')
    assert.not(existsSync(`${here.root}/${folders[0]}`))
  },
  slow,
)

test.run()
