/** A short chaos run with real processes; `grapevine sim --real` runs long ones. */
import * as assert from 'uvu/assert'
import { runReal } from '../../sim/chaos/run.ts'
import { parseScenario } from '../../sim/scenario/scenario.ts'
import { suite } from '../helper/suite.ts'

const test = suite('process')

test(
  'what real processes confirmed is there for all after one was killed, one stopped, links cut and a bit flipped',
  async () => {
    const { plan } = parseScenario(`
lasts: 12s
settles: 60s
peers: { left: 2, right: 2 }
publish: [{ by: [left-0, right-0], topic: t, every: 100ms, bytes: 100-2KiB }]
read: [{ by: all, topic: t, name: reader }]
timeline:
  - { at: 2s, for: 3s, partition: [left, right] }
  - { at: 4s, for: 1s, kill: left-0 }
  - { at: 6s, for: 2s, pause: right-1 }
  - { at: 8s, for: 1s, bitflip: { peer: left-1 } }
`)
    const { violations, stats, timeline } = await runReal(plan)
    assert.equal(violations, [])
    assert.ok(stats.confirmed > 50, `${stats.confirmed} confirmed`)
    assert.equal(
      timeline.faults.map(({ event }) => event.kind),
      ['partition', 'kill', 'pause', 'bitflip'],
    )
  },
  { deadlineMs: 150_000 },
)

test.run()
