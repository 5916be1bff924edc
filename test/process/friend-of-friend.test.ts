/** Peers that were told of one other become friends with those beyond it. */
import * as assert from 'uvu/assert'
import { Neighbourhood, ok } from '../helper/process.ts'
import { suite } from '../helper/suite.ts'
import { until } from '../helper/until.ts'

const test = suite('process')

test(
  'peers in a line become friends of friends within 10 s, and records pass when the middle one is killed',
  async (tools) => {
    const here = new Neighbourhood(tools)
    const first = await here.up('1', ['--no-discovery'])
    const joining = (address: string | undefined) => ['--no-discovery', '--join', address ?? '']
    const second = await here.up('2', joining(first.addresses[0]))
    const third = await here.up('3', joining(second.addresses[0]))
    const begun = performance.now()
    const friends = async () => (await first.client.friends()).map((friend) => String(friend.id))
    await until(async () => (await friends()).includes(third.id), 10_000, 'peer 1 has peer 3 as a friend')
    process.stdout.write(`friends of a friend after ${Math.round(performance.now() - begun)} ms\n`)

    const reader = third.start(['sub', 'orders', '--from', 'earliest'])
    await until(() => reader.errors().includes('subscribed'), 10_000, 'peer 3 is subscribed')
    await ok(first.run(['pub', 'orders', 'before']))
    await until(() => reader.output().toString() === 'before\n', 10_000, 'the first record came')

    await second.kill()
    await ok(first.run(['pub', 'orders', '--confirm', '1', 'after']))
    await until(() => reader.output().toString() === 'before\nafter\n', 10_000, 'the second record came')
    await reader.kill()
    assert.equal(await friends(), [third.id])
  },
  { deadlineMs: 60_000 },
)

test.run()
