import fc from 'fast-check'
import * as assert from 'uvu/assert'
import { HybridClock, type Stamp } from '../../node/feed/hlc.ts'
import { limits } from '../../node/limits.ts'
import { suite } from '../helper/suite.ts'

const test = suite('feed/hlc')

const isLater = (a: Stamp, b: Stamp) => a.time > b.time || (a.time === b.time && a.tick > b.tick)

test('stamps follow the wall clock, and tick when it stands or goes back', () => {
  let now = 1_000
  const clock = new HybridClock(() => now)
  const stamps = [clock.stamp(), clock.stamp()]
  now = 1_005.7
  stamps.push(clock.stamp())
  now = 900
  stamps.push(clock.stamp(), clock.stamp())
  now = 2_000
  stamps.push(clock.stamp())
  assert.equal(
    stamps.map(({ time, tick }) => [time, tick]),
    [
      [1_000, 0],
      [1_000, 1],
      [1_005, 0],
      [1_005, 1],
      [1_005, 2],
      [2_000, 0],
    ],
  )
})

test('stamps come after what was observed', () => {
  const clock = new HybridClock(() => 1_000)
  clock.observe({ time: 1_500, tick: 7 })
  assert.equal(clock.stamp(), { time: 1_500, tick: 8 })
  clock.observe({ time: 1_400, tick: 99 })
  assert.equal(clock.stamp(), { time: 1_500, tick: 9 })
})

test('a clock too far ahead is not followed', () => {
  const clock = new HybridClock(() => 1_000)
  clock.observe({ time: 1_000 + limits.clockAheadMsMax + 1, tick: 0 })
  assert.equal(clock.stamp(), { time: 1_000, tick: 0 })
  clock.observe({ time: 1_000 + limits.clockAheadMsMax, tick: 0 })
  assert.equal(clock.stamp(), { time: 1_000 + limits.clockAheadMsMax, tick: 1 })
})

test('a millisecond that has used up its ticks runs over into the next', () => {
  const clock = new HybridClock(() => 1_000)
  clock.observe({ time: 1_000, tick: 0xffff_ffff })
  assert.equal(clock.stamp(), { time: 1_001, tick: 0 })
})

test('whatever is observed, stamps only grow and stay within the bound', () => {
  const step = fc.oneof(
    fc.record({ type: fc.constant('wait' as const), ms: fc.integer({ min: -5_000, max: 5_000 }) }),
    fc.record({ type: fc.constant('stamp' as const) }),
    fc.record({
      type: fc.constant('observe' as const),
      aheadMs: fc.integer({ min: -200_000, max: 200_000 }),
      tick: fc.oneof(fc.nat(5), fc.constant(0xffff_ffff)),
    }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      let now = 1_000_000
      let newest = now
      let last: Stamp = { time: 0, tick: 0 }
      let stamps = 0
      const clock = new HybridClock(() => now)
      for (const step of steps) {
        if (step.type === 'wait') now += step.ms
        newest = Math.max(newest, now)
        if (step.type === 'observe') {
          const seen = { time: now + step.aheadMs, tick: step.tick }
          clock.observe(seen)
          const next = clock.stamp()
          if (step.aheadMs <= limits.clockAheadMsMax) assert.ok(isLater(next, seen))
          assert.ok(isLater(next, last))
          last = next
        }
        if (step.type === 'stamp') {
          const next = clock.stamp()
          assert.ok(isLater(next, last))
          last = next
        }
        stamps++
        // A stamp may run over into the next millisecond, one at most.
        assert.ok(last.time <= newest + limits.clockAheadMsMax + stamps)
      }
    }),
    { numRuns: 300 },
  )
})

test.run()
