/** A real data set goes from one process to another, byte for byte. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { Neighbourhood, ok } from '../helper/process.ts'
import { suite } from '../helper/suite.ts'

const test = suite('process')
const count = 200_000
const source = join(import.meta.dirname, '../../node_modules/vega-datasets/data/flights-200k.json')

const hashOf = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

test(
  '200,000 flights arrive at another peer complete, once each, in order, byte for byte',
  async (tools) => {
    const flights: object[] = JSON.parse(readFileSync(source, 'utf8')).slice(0, count)
    assert.is(flights.length, count)
    const input = Buffer.from(flights.map((flight) => `${JSON.stringify(flight)}\n`).join(''))

    const here = new Neighbourhood(tools)
    const [writer, reader] = await Promise.all([here.up('writer'), here.up('reader')])
    await writer.event('friend-joined')

    const begun = performance.now()
    const published = await ok(writer.run(['pub', 'flights', '--json'], input))
    const written = performance.now()
    assert.equal(JSON.parse(published.stdout.toString()), { published: count, confirmed: count, copies: 1 })

    const read = await ok(reader.run(['sub', 'flights', '--from', 'earliest', '--count', String(count)]))
    const seconds = (ms: number) => (ms / 1000).toFixed(1)
    process.stdout.write(`pub ${seconds(written - begun)} s, sub ${seconds(performance.now() - written)} s\n`)
    assert.is(read.stdout.length, input.length)
    assert.is(hashOf(read.stdout), hashOf(input))
  },
  { deadlineMs: 60_000 },
)

test.run()
