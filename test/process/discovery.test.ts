/** Peers on one machine find each other without being told anything. */
import * as assert from 'uvu/assert'
import { Neighbourhood, ok, type PeerProcess } from '../helper/process.ts'
import { suite } from '../helper/suite.ts'
import { until } from '../helper/until.ts'

const test = suite('process')
const foundMs = 5_000

async function friendsOf(peer: PeerProcess): Promise<string[]> {
  const { stdout } = await ok(peer.run(['friends', '--json']))
  return JSON.parse(stdout.toString()).map((friend: { id: string }) => friend.id)
}

test('a second peer finds the first without any option within 5 s, and each lists the other', async (tools) => {
  const here = new Neighbourhood(tools)
  const first = await here.up('first')
  const begun = performance.now()
  const second = await here.up('second', ['--ephemeral'])
  await second.event('friend-joined', foundMs)
  assert.ok(performance.now() - begun < foundMs, `found after ${Math.round(performance.now() - begun)} ms`)
  assert.equal(await friendsOf(first), [second.id])
  assert.equal(await friendsOf(second), [first.id])
})

test('the default data folder serves commands without any option, and refuses a second peer by pid', async (tools) => {
  const here = new Neighbourhood(tools)
  const peer = here.start(['up', '--json'])
  const ready = await until(() => /"pid":(\d+)/.exec(peer.output().toString()), 20_000)
  const status = JSON.parse((await here.run(['status', '--json'])).stdout.toString())
  assert.is(status.data, `${here.root}/data/grapevine/default`)

  const second = await here.run(['up', '--json'])
  assert.is(second.code, 1)
  assert.match(second.stderr, new RegExp(`\\b${ready[1]}\\b`))
})

test.run()
