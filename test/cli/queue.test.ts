/** `grapevine queue` as its users run it, one command after the other against a peer that runs. */
import * as assert from 'uvu/assert'
import type { QueueSummary } from '../../node/index.ts'
import { Neighbourhood, ok } from '../helper/process.ts'
import { suite } from '../helper/suite.ts'

const test = suite('cli')
const alone = ['--no-discovery']
const linesOf = (text: string | Buffer) => text.toString().split('\n').slice(0, -1)
const slow = { deadlineMs: 240_000 }

test(
  'a queue is sent to, received from, settled by receipts, and looked after from the command line',
  async (tools) => {
    const here = new Neighbourhood(tools)
    const peer = await here.up('only', alone)
    const queue = (...words: string[]) => peer.run(['queue', ...words])
    const stats = async () => {
      const { stdout } = await ok(queue('stats', 'jobs', '--json'))
      const { ready, inFlight, delayed, dead } = JSON.parse(stdout.toString())
      return [ready, inFlight, delayed, dead]
    }
    // Whoever comes first sets it up, and later commands take it as it is.
    await ok(queue('stats', 'jobs', '--max-receives', '2', '--visibility', '5m'))
    const sent = await ok(peer.run(['queue', 'send', 'jobs', '--json'], 'one\ntwo\n'))
    assert.equal(JSON.parse(sent.stdout.toString()), { sent: 2, confirmed: 2, copies: 0 })
    await ok(queue('send', 'jobs', 'urgent', '--priority', '9', '--header', 'a=b'))
    await ok(queue('send', 'jobs', 'later', '--delay', '1h'))

    const listed: QueueSummary[] = JSON.parse((await ok(queue('list', '--json'))).stdout.toString())
    assert.equal(
      listed.map(({ name, records, dead }) => [name, records, dead]),
      [
        ['jobs', 4, 0],
        ['jobs.dead', 0, 0],
      ],
    )
    const first = await ok(queue('receive', 'jobs', '--max', '2', '--wait', '20s', '--json'))
    const [urgent, one] = linesOf(first.stdout).map((line) => JSON.parse(line))
    assert.equal([urgent.value, urgent.headers.a, urgent.attempt, one.value], ['urgent', 'b', 1, 'one'])
    assert.equal(await stats(), [1, 2, 1, 0])
    await ok(queue('ack', 'jobs', urgent.receipt))
    const again = await queue('ack', 'jobs', urgent.receipt)
    assert.is(again.code, 1)
    assert.match(again.stderr, 'was lost')
    await ok(queue('ack', 'jobs', one.receipt, '--nack'))
    assert.equal(linesOf((await ok(queue('browse', 'jobs'))).stdout).sort(), ['later', 'one', 'two'])

    // `one` has its second and last time here.
    const second = await ok(queue('receive', 'jobs', '--max', '2', '--wait', '20s', '--json'))
    for (const { receipt } of linesOf(second.stdout).map((line) => JSON.parse(line)))
      await ok(queue('ack', 'jobs', receipt, '--nack'))
    assert.equal(linesOf((await ok(queue('receive', 'jobs', '--wait', '20s', '--ack'))).stdout), ['two'])
    const nothing = await queue('receive', 'jobs', '--wait', '1s')
    assert.equal([nothing.code, nothing.stdout.toString()], [1, ''])
    assert.equal(await stats(), [0, 0, 1, 1])
    assert.match((await ok(queue('redrive', 'jobs'))).stderr, 'sent 1 again')
    assert.match((await ok(queue('purge', 'jobs'))).stderr, 'removed 2')

    const other = await queue('stats', 'jobs', '--fifo')
    assert.is(other.code, 1)
    assert.match(other.stderr, 'exists with')
    assert.is((await queue('send', 'jobs', 'x', '--priority', '10')).code, 2)
    assert.is((await queue('send', 'jobs', 'x', '--delay', 'soon')).code, 2)
  },
  slow,
)

test.run()
