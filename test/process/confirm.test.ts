/** Confirmations come by gossip, within milliseconds; by the comparison of frontiers they would take a second each. */
import * as assert from 'uvu/assert'
import { Neighbourhood, type PeerProcess } from '../helper/process.ts'
import { suite } from '../helper/suite.ts'

const test = suite('process')
/** Half of `limits.digestMs` is what comparing takes on average. */
const soonMs = 500

async function medianMs(publisher: PeerProcess): Promise<number> {
  const orders = publisher.client.topic<number>('orders')
  await orders.publish(0, { confirm: 1 })
  const took: number[] = []
  for (let i = 0; i < 15; i++) {
    const begun = performance.now()
    await orders.publish(i, { confirm: 1 })
    took.push(performance.now() - begun)
  }
  return took.sort((a, b) => a - b)[7] ?? Number.POSITIVE_INFINITY
}

test(
  'a carrier that was there before the publisher, or was killed and came back, confirms at once',
  async (tools) => {
    const here = new Neighbourhood(tools)
    const carrier = await here.up('carrier', ['--carry', 'orders'])
    const publisher = await here.up('publisher')
    await publisher.event('friend-joined')
    const first = await medianMs(publisher)
    assert.ok(first < soonMs, `${first} ms`)

    await carrier.kill()
    const back = await here.up('carrier')
    await back.event('friend-joined')
    const second = await medianMs(publisher)
    assert.ok(second < soonMs, `after the restart ${second} ms`)
    process.stdout.write(`confirmed within ${first.toFixed(1)} ms and ${second.toFixed(1)} ms\n`)
  },
  { deadlineMs: 60_000 },
)

test.run()
