import * as assert from 'uvu/assert'
import { Backoff } from '../../node/friends/backoff.ts'
import { Circle } from '../../node/friends/circle.ts'
import type { Dialler } from '../../node/friends/dialler.ts'
import { decodeFriendFrame, encodeFriendFrame } from '../../node/friends/frame.ts'
import { Ties } from '../../node/friends/tie.ts'
import type { Host } from '../../node/host/host.ts'
import type { Link } from '../../node/host/link.ts'
import { limits } from '../../node/limits.ts'
import type { Presence } from '../../node/presence/presence.ts'
import type { PeerId } from '../../node/types.ts'
import { handClock } from '../helper/clock.ts'
import { suite } from '../helper/suite.ts'

const test = suite('friends')
const peer = 'p' as PeerId

function scene(options: { dials?: boolean } = {}) {
  const clock = handClock()
  const hungUp: PeerId[] = []
  const forgotten: PeerId[] = []
  const lost: string[] = []
  const sent: Uint8Array[] = []
  const dialled: PeerId[] = []
  const host = {
    clock,
    connectionOf: () => undefined,
    hangUp: async (one: PeerId) => void hungUp.push(one),
  } as unknown as Host
  const random = { float: () => 0.5, bytes: (count: number) => new Uint8Array(count) }
  const circle = new Circle(host, random)
  const dialler = {
    backoff: new Backoff(() => 0),
    dial: async (one: PeerId) => {
      dialled.push(one)
      return options.dials ?? false
    },
  } as unknown as Dialler
  const cards = { forget: (one: PeerId) => void forgotten.push(one) } as unknown as Presence
  const onLost = (one: PeerId, reason: string) => void lost.push(`${one}: ${reason}`)
  const ties = new Ties({ host, cards, circle, dialler, onLost })
  const link = {
    peer,
    open: true,
    send: (frame: Uint8Array) => {
      sent.push(frame)
      return true
    },
  } as unknown as Link
  circle.opened(link)
  return { clock, circle, ties, dialler, link, hungUp, forgotten, lost, sent, dialled }
}

/** Lets promises that are settled already be acted upon. */
const settled = () => new Promise((resolve) => setImmediate(resolve))

test('a friend that is silent is hung up, one that says anything is not', () => {
  const { clock, circle, hungUp } = scene()
  for (let i = 0; i < 6; i++) {
    clock.pass(10_000)
    circle.heard(peer)
  }
  assert.equal(hungUp, [])
  clock.pass(limits.silentMs + limits.pingMs)
  assert.ok(hungUp.length > 0)
  circle.close()
})

test('nobody is taken for silent who spoke while we stood still', () => {
  const { clock, circle, hungUp } = scene()
  clock.pass(limits.pingMs)
  circle.heard(peer)
  // As timers are after a long computation: one of those that are due comes, before anything that was said meanwhile.
  clock.stand(limits.silentMs + limits.pingMs)
  clock.pass(limits.pingMs)
  assert.equal(hungUp, [])
  clock.pass(limits.silentMs)
  assert.ok(hungUp.length > 0)
  circle.close()
})

test('the round trip is measured by pings and smoothed; a pong nobody asked for counts for nothing', () => {
  const { clock, circle, sent } = scene()
  const answer = (afterMs: number) => {
    const ping = decodeFriendFrame(sent.at(-1) as Uint8Array)
    assert.is(ping?.type, 'ping')
    clock.pass(afterMs)
    circle.pong(peer, (ping as { nonce: number }).nonce)
  }
  answer(8)
  assert.is(circle.get(peer)?.rttMs, 8)
  circle.pong(peer, 12345)
  assert.is(circle.get(peer)?.rttMs, 8)
  clock.pass(limits.pingMs - 8)
  answer(16)
  assert.is(circle.get(peer)?.rttMs, 9)
  circle.close()
})

test('a lost friend is dialled once more; if that fails it is dead and forgotten', async () => {
  const { ties, circle, lost, forgotten, dialled } = scene()
  ties.onDisconnect(peer)
  await settled()
  assert.equal([dialled, forgotten, lost], [[peer], [peer], ['p: the connection was lost']])
  assert.is(circle.get(peer), undefined)
  circle.close()
})

test('a friend that answers the redial stays one; lost again at once it counts as gone', async () => {
  const { ties, circle, link, lost, dialled, clock } = scene({ dials: true })
  ties.onDisconnect(peer)
  await settled()
  circle.opened(link)
  assert.equal([dialled.length, lost], [1, []])
  clock.pass(1_000)
  ties.onDisconnect(peer)
  await settled()
  assert.equal([dialled.length, lost.length], [1, 1])
  circle.close()
})

test('a friend that said goodbye is neither redialled nor taken for dead, and left alone for a while', async () => {
  const { ties, circle, lost, forgotten, dialled, dialler, clock } = scene()
  ties.onBye(peer, 'enough')
  ties.onDisconnect(peer)
  await settled()
  assert.equal([dialled, forgotten, lost], [[], [], ['p: it has enough friends']])
  assert.not.ok(dialler.backoff.ready(peer, clock.now() + limits.byeMs - 1))
  assert.ok(dialler.backoff.ready(peer, clock.now() + limits.byeMs))
  circle.close()
})

test('whoever is shed is told first, and hung up after it could read it', () => {
  const { ties, sent, hungUp, clock, circle } = scene()
  ties.part(peer, 'enough', limits.byeMs)
  assert.equal(sent.at(-1), encodeFriendFrame({ type: 'bye', reason: 'enough' }))
  assert.equal(hungUp, [])
  clock.pass(limits.farewellMs)
  assert.equal(hungUp, [peer])
  circle.close()
})

test('a connection on which the friends protocol does not open is hung up in the end', () => {
  const { ties, hungUp, clock, circle } = scene()
  const mute = 'mute' as PeerId
  ties.onConnect(mute)
  clock.pass(limits.acquaintMs - 1)
  assert.not.ok(hungUp.includes(mute))
  clock.pass(1)
  assert.ok(hungUp.includes(mute))
  circle.close()
})

test.run()
