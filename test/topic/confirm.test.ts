import * as assert from 'uvu/assert'
import { limits } from '../../node/limits.ts'
import { Confirmations } from '../../node/topic/confirm.ts'
import type { FeedId, PeerId } from '../../node/types.ts'
import { handClock } from '../helper/clock.ts'
import { suite } from '../helper/suite.ts'

const test = suite('topic')
const feed = 'f' as FeedId
const [ann, ben] = ['ann', 'ben'] as [PeerId, PeerId]

function room(autoNeed: () => number = () => 1) {
  const clock = handClock()
  return { clock, confirmations: new Confirmations(clock, autoNeed) }
}

async function outcome(waiting: Promise<number>): Promise<unknown> {
  return waiting.catch((error) => error)
}

test('resolves as soon as enough others have it, with how many they are', async () => {
  const { confirmations } = room()
  const waiting = confirmations.wait(feed, 3, { confirm: 2, timeoutMs: 1000 })
  confirmations.onConfirmed(ann, feed, 3)
  confirmations.onConfirmed(ann, feed, 4)
  assert.is(confirmations.waiting, 1, 'one peer counts once')
  confirmations.onConfirmed(ben, feed, 9)
  assert.is(await waiting, 2)
  assert.is(await confirmations.wait(feed, 4, { confirm: 2, timeoutMs: 1000 }), 2, 'known already')
})

test('a peer that has an earlier batch does not count for a later one, nor one of another feed', () => {
  const { confirmations } = room()
  confirmations.onConfirmed(ann, feed, 2)
  confirmations.onConfirmed(ann, 'g' as FeedId, 7)
  assert.is(confirmations.copies(feed, 2), 1)
  assert.is(confirmations.copies(feed, 3), 0)
})

test('what was confirmed stays so when an older word comes later', () => {
  const { confirmations } = room()
  confirmations.onConfirmed(ann, feed, 5)
  confirmations.onConfirmed(ann, feed, 3)
  assert.is(confirmations.copies(feed, 5), 1)
})

test('nobody asked for is there at once, and says how many there happen to be', async () => {
  const { confirmations } = room()
  confirmations.onConfirmed(ann, feed, 1)
  assert.is(await confirmations.wait(feed, 1, { confirm: 0, timeoutMs: 1000 }), 1)
  assert.is(await confirmations.wait(feed, 2, { confirm: 0, timeoutMs: 1000 }), 0)
})

test('a timeout says how many have it and how many were wanted', async () => {
  const { clock, confirmations } = room()
  const waiting = outcome(confirmations.wait(feed, 1, { confirm: 2, timeoutMs: 1000 }))
  confirmations.onConfirmed(ann, feed, 1)
  clock.pass(1000)
  const error = (await waiting) as { code: string; data: unknown; message: string }
  assert.is(error.code, 'ConfirmTimeout')
  assert.equal(error.data, { wanted: 2, copies: 1, timeoutMs: 1000, feed, seq: 1 })
  assert.match(error.message, '1 of 2 other peers')
  assert.is(clock.timers, 0)
})

test('auto follows what makes sense while it waits', async () => {
  let need = 1
  const { confirmations, clock } = room(() => need)
  const waiting = confirmations.wait(feed, 1, { confirm: 'auto', timeoutMs: 1000 })
  confirmations.recheck()
  assert.is(confirmations.waiting, 1)
  need = 0
  confirmations.recheck()
  assert.is(await waiting, 0, 'the last other peer is gone')
  assert.is(clock.timers, 0)
})

test('closing ends all waits, and those that begin later', async () => {
  const { clock, confirmations } = room()
  const before = outcome(confirmations.wait(feed, 1, { confirm: 1, timeoutMs: limits.confirmTimeoutMs }))
  confirmations.close()
  const after = outcome(confirmations.wait(feed, 2, { confirm: 1, timeoutMs: limits.confirmTimeoutMs }))
  assert.is(((await before) as { code: string }).code, 'PeerClosed')
  assert.is(((await after) as { code: string }).code, 'PeerClosed')
  assert.is(clock.timers, 0)
})

test('where only some count, the copies of others do not', async () => {
  const { confirmations, clock } = room()
  const waiting = outcome(confirmations.wait(feed, 1, { confirm: 1, timeoutMs: 1_000, among: [ben] }))
  confirmations.onConfirmed(ann, feed, 1)
  assert.is(confirmations.waiting, 1)
  confirmations.onConfirmed(ben, feed, 1)
  clock.pass(0)
  assert.is(await waiting, 1)
})

test.run()
