import { setTimeout as sleep } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { systemClock } from '../../node/host/system.ts'
import { suite } from '../helper/suite.ts'

const test = suite('host')

/** Works for so long without leaving its turn by itself, and pauses where it is told to. Returns how often it was. */
async function work(ms: number): Promise<number> {
  let pauses = 0
  for (const end = performance.now() + ms; performance.now() < end; ) {
    const pause = systemClock.breathe()
    if (pause === undefined) continue
    pauses++
    await pause
  }
  return pauses
}

test('long work lets timers have their turn, and short work is not interrupted', async () => {
  await sleep(1)
  assert.is(await work(2), 0)
  await sleep(1)
  let [ticks, done] = [0, false]
  const timer = setInterval(() => {
    if (!done) ticks++
  }, 20)
  const pauses = await work(300)
  done = true
  clearInterval(timer)
  assert.ok(pauses >= 3 && ticks >= 3, `${pauses} pauses, ${ticks} ticks`)
})

test('what was to be done before now is done at once, without a word on the terminal', async () => {
  const warnings: Error[] = []
  const onWarning = (warning: Error) => void warnings.push(warning)
  process.on('warning', onWarning)
  await new Promise<void>((resolve) => systemClock.after(-5, resolve))
  await sleep(1)
  process.off('warning', onWarning)
  assert.equal(warnings, [])
})

test.run()
