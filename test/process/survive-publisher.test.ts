/** What was confirmed outlives the publisher's process and its disk. */
import { rmSync } from 'node:fs'
import * as assert from 'uvu/assert'
import { Neighbourhood, ok } from '../helper/process.ts'
import { suite } from '../helper/suite.ts'
import { until } from '../helper/until.ts'

const test = suite('process')
const count = 20_000

test(
  'records confirmed by two others survive the death of the publishing peer and the loss of its folder',
  async (tools) => {
    const here = new Neighbourhood(tools)
    const peers = await Promise.all(['1', '2', '3', '4', '5'].map((name) => here.up(name)))
    const [publisher] = peers
    assert.ok(publisher)
    await until(async () => (await publisher.status()).friends >= 3, 10_000, 'the publisher has friends')

    const input = Array.from({ length: count }, (_, i) => `{"order":${i}}\n`).join('')
    const published = await ok(publisher.run(['pub', 'orders', '--confirm', '2', '--json'], input))
    await publisher.kill()
    rmSync(publisher.data, { recursive: true })
    assert.equal(JSON.parse(published.stdout.toString()), { published: count, confirmed: count, copies: 2 })

    const sixth = await here.up('6')
    const args = ['sub', 'orders', '--from', 'earliest', '--count', String(count), '--timeout', '30s']
    const read = await ok(sixth.run(args))
    assert.ok(read.stdout.equals(Buffer.from(input)), 'all lines, once each, in order')
  },
  { deadlineMs: 90_000 },
)

test.run()
