import * as assert from 'uvu/assert'
import { limits } from '../../node/limits.ts'
import { Carrier, type CarrierOptions } from '../../node/topic/carrier.ts'
import type { PeerId } from '../../node/types.ts'
import { handClock } from '../helper/clock.ts'
import { suite } from '../helper/suite.ts'
import { folder, topic } from '../store/fixture.ts'

const test = suite('topic')
const ranked = ['a', 'b', 'c', 'd', 'e', 'me'] as PeerId[]
/** Past two looks at who keeps what. */
const lookMs = 5_000

test('a publisher that has heard of no carrier asks again for as many copies as it wanted, and for no more', async ({
  use,
}) => {
  const { store } = use(await folder().open())
  const clock = handClock()
  const asked: PeerId[] = []
  const needs: number[] = []
  // What it takes of others is all that a carrier sees of them.
  const others = {
    sync: { hold: () => undefined, release: () => undefined, holders: () => [], level: () => [] },
    gossip: { carry: () => undefined, release: () => undefined },
    presence: {
      keepersOf: (_: string, count: number) => ranked.slice(0, count),
      onChange: () => () => undefined,
      setTopics: () => undefined,
      topics: () => new Set(),
    },
    friends: {
      onCarryRequest: () => () => undefined,
      requestCarry: (peer: PeerId) => asked.push(peer),
      setNeeds: (all: Map<string, number>) => needs.push(all.get(topic) ?? 0),
    },
  } as unknown as Pick<CarrierOptions, 'sync' | 'gossip' | 'presence' | 'friends'>
  const [keep, retention] = [3, {}]
  const carrier = new Carrier({
    ...others,
    me: 'me' as PeerId,
    store,
    clock,
    keep,
    retention,
    onCarrying: () => undefined,
    onReleased: () => undefined,
  })
  await carrier.hold(topic)
  carrier.seek(topic, 1)
  assert.equal(asked.splice(0), ['a', 'b', 'c'])
  clock.pass(lookMs)
  assert.equal([...new Set(asked.splice(0))], ['a', 'b', 'c'])
  assert.equal([...new Set(needs)], [limits.carrierFriendsMin])
  carrier.seek(topic, 4)
  assert.equal(asked.splice(0), ['a', 'b', 'c', 'd', 'e'])
  clock.pass(lookMs)
  assert.equal([...new Set(asked)], ['a', 'b', 'c', 'd', 'e'])
  assert.is(needs.at(-1), 4)
  await carrier.close()
})

test.run()
