import * as assert from 'uvu/assert'
import type { GroupOptions, Peer } from '../../node/index.ts'
import { simulate } from '../../sim/index.ts'
import { suite } from '../helper/suite.ts'

const test = suite('group')

test('members share the records of a topic, and each record is handed out once', () =>
  simulate({ peers: 3 }, async (world) => {
    const got = new Map<number, string[]>()
    const options: GroupOptions = { from: 'earliest' }
    for (const one of world.peers) {
      one.run(async (peer: Peer) => {
        for await (const record of peer.topic<number>('jobs').group('work', options).consume({ concurrency: 4 })) {
          got.set(record.value, [...(got.get(record.value) ?? []), one.name])
          await record.ack()
        }
      })
    }
    const [a] = world.peers
    await a.topic<number>('jobs').publishMany(Array.from({ length: 200 }, (_, value) => ({ value })))
    await world.until(() => got.size === 200)
    await world.sleep(10_000)
    assert.ok([...got.values()].every((by) => by.length === 1))
  }))

test.run()
