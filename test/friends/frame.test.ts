import fc from 'fast-check'
import * as assert from 'uvu/assert'
import { cardFrames, decodeFriendFrame, encodeFriendFrame, type FriendFrame } from '../../node/friends/frame.ts'
import { limits } from '../../node/limits.ts'
import type { PeerId, TopicName } from '../../node/types.ts'
import { WireError } from '../../node/wire/error.ts'
import { peerIdOf, signingKeyOf } from '../../node/wire/key.ts'
import { suite } from '../helper/suite.ts'

const test = suite('friends')

const peers = [1, 2, 3].map((i) => peerIdOf(signingKeyOf(new Uint8Array(32).fill(i)).publicKey)) as PeerId[]
const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.record(model, { noNullPrototype: true })
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const number = fc.nat({ max: Number.MAX_SAFE_INTEGER })
const frames: fc.Arbitrary<FriendFrame> = fc.oneof(
  record({
    type: fc.constant('cards' as const),
    items: fc.array(record({ bytes: fc.uint8Array(), ageMs: number }), { maxLength: 5 }),
  }),
  record({
    type: fc.constant('digest' as const),
    entries: fc.array(record({ peer: fc.constantFrom(...peers), issued: number }), { maxLength: 5 }),
    answer: fc.boolean(),
  }),
  record({ type: fc.constant('want' as const), peers: fc.array(fc.constantFrom(...peers), { maxLength: 5 }) }),
  record({
    type: fc.constant('carry' as const),
    topic: fc.constantFrom('orders.eu' as TopicName, '$own' as TopicName),
  }),
  record({ type: fc.constantFrom('ping' as const, 'pong' as const), nonce: number }),
  record({ type: fc.constant('ask' as const), id: bytes(16), hops: number, question: fc.uint8Array() }),
  record({
    type: fc.constant('answer' as const),
    id: bytes(16),
    key: bytes(32),
    answer: fc.uint8Array(),
    signature: bytes(64),
  }),
  record({ type: fc.constant('bye' as const), reason: fc.constantFrom('enough', 'leaving', 'misbehaved') }),
) as fc.Arbitrary<FriendFrame>

test('every frame reads as it was written', () => {
  fc.assert(
    fc.property(frames, (frame) => assert.equal(decodeFriendFrame(encodeFriendFrame(frame)), frame)),
    { numRuns: 200 },
  )
})

test('frames have these bytes', () => {
  const hex = (frame: FriendFrame) => Buffer.from(encodeFriendFrame(frame)).toString('hex')
  assert.is(hex({ type: 'ping', nonce: 300 }), '2a0308ac02')
  assert.is(hex({ type: 'carry', topic: 'a.b' as TopicName }), '22050a03612e62')
  assert.is(hex({ type: 'bye', reason: 'enough' }), '3a080a06656e6f756768')
  assert.is(hex({ type: 'cards', items: [{ bytes: Uint8Array.of(9), ageMs: 5 }] }), '0a070a050a01091005')
})

test('hostile frames are wire errors and nothing else', () => {
  const survives = (bytes: Uint8Array) => {
    try {
      decodeFriendFrame(bytes)
      return true
    } catch (error) {
      return error instanceof WireError
    }
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), survives), { numRuns: 1_000 })
  fc.assert(
    fc.property(frames, fc.nat(), fc.nat(255), (frame, at, value) => {
      const bytes = encodeFriendFrame(frame)
      bytes[at % bytes.length] = value
      return survives(bytes)
    }),
    { numRuns: 500 },
  )
  const many: FriendFrame = { type: 'want', peers: Array(limits.digestEntriesMax + 1).fill(peers[0]) }
  assert.throws(() => decodeFriendFrame(encodeFriendFrame(many)), /too many/)
  const long: FriendFrame = { type: 'ask', id: new Uint8Array(16), hops: 1, question: new Uint8Array(1_025) }
  assert.throws(() => decodeFriendFrame(encodeFriendFrame(long)), /too long/)
})

test('a kind of frame of a later version is passed over', () => {
  assert.is(decodeFriendFrame(Uint8Array.of(0x52, 1, 0)), undefined)
})

test('cards are parted into frames well below their limit', () => {
  const items = Array.from({ length: 20 }, () => ({ bytes: new Uint8Array(limits.cardBytesMax), ageMs: 0 }))
  const parts = cardFrames(items)
  assert.ok(parts.length > 1 && parts.every((part) => part.length <= limits.frameBytesMax))
  assert.equal(cardFrames([]), [])
})

test.run()
