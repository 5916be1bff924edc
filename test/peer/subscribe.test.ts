import { pipe } from 'it-pipe'
import * as assert from 'uvu/assert'
import { openState } from '../../node/store/state.ts'
import type { Message, Peer, Subscription } from '../../node/types.ts'
import { addressesOf, carried, codeOf, friendly, meshOf, peerOf, peerOn, take, valuesOf } from '../helper/mesh.ts'
import { suite } from '../helper/suite.ts'
import { until } from '../helper/until.ts'

const test = suite('peer')

const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)
const numbersOf = (peer: Peer) => peer.topic<number>('orders')

/** A batch each, so that nothing depends on how they were sealed. */
async function publish(peer: Peer, from: number, to: number): Promise<void> {
  for (const n of numbers(from, to)) await numbersOf(peer).publish(n, { confirm: 0 })
}

/** What a ready subscription gets before a record that is published now. */
async function restOf(subscription: Subscription<number>, publisher: Peer): Promise<number[]> {
  await subscription.ready
  await numbersOf(publisher).publish(-1)
  const rest: number[] = []
  for (;;) {
    const [value] = await valuesOf(subscription, 1)
    if (value === -1) return rest
    rest.push(value as number)
  }
}

test('from the earliest on is everything, from the latest on is what is published now', async ({ use }) => {
  const [ann, ben] = await meshOf(use, 2)
  await publish(ann, 0, 10)
  const earliest = use(numbersOf(ben).subscribe({ from: 'earliest' }))
  const latest = use(numbersOf(ben).subscribe())
  await Promise.all([earliest.ready, latest.ready])
  await publish(ann, 10, 15)
  assert.equal(await valuesOf(earliest, 15), numbers(0, 15))
  assert.equal(await valuesOf(latest, 5), numbers(10, 15))
})

test('from a time on is what was published then or later', async ({ use }) => {
  const [ann, ben] = await meshOf(use, 2)
  await publish(ann, 0, 5)
  await new Promise((resolve) => setTimeout(resolve, 5))
  const from = new Date()
  await publish(ann, 5, 10)
  assert.equal(await valuesOf(use(numbersOf(ben).subscribe({ from })), 5), numbers(5, 10))
  assert.equal(await valuesOf(use(numbersOf(ann).subscribe({ from })), 5), numbers(5, 10))
  assert.equal(await valuesOf(use(numbersOf(ann).subscribe({ from: new Date(0) })), 10), numbers(0, 10))
})

test('from an offset on is what stands there in this peer, also in the middle of a batch', async ({ use }) => {
  const [ann] = await meshOf(use, 1)
  await Promise.all(numbers(0, 10).map((n) => numbersOf(ann).publish(n)))
  const messages = await take(use(numbersOf(ann).subscribe({ from: 4 })), 6)
  assert.equal(
    messages.map(({ value, offset }) => [value, offset]),
    numbers(4, 10).map((n) => [n, n]),
  )
})

test('a start that makes no sense is refused', async ({ use }) => {
  const ann = await peerOf(use)
  for (const from of ['first', -1, 1.5, new Date(Number.NaN)])
    assert.is(
      codeOfThrown(() => ann.topic('orders').subscribe({ from: from as number })),
      'InvalidOption',
    )
  assert.is(
    codeOfThrown(() => ann.topic('orders').subscribe({ name: 'a/b' })),
    'InvalidOption',
  )
  assert.is(
    codeOfThrown(() => ann.topic('no/topic')),
    'InvalidTopic',
  )
  assert.is(
    codeOfThrown(() => ann.topic('$own')),
    'InvalidTopic',
  )
})

function codeOfThrown(act: () => unknown): unknown {
  try {
    act()
  } catch (error) {
    return (error as { code?: unknown }).code
  }
  return 'none'
}

test('nothing that anybody publishes after a subscription is ready is missed', async ({ use }) => {
  const peers = await meshOf(use, 4)
  const subscription = use(numbersOf(peers[3]).subscribe())
  await subscription.ready
  await Promise.all([0, 1, 2].map((i) => numbersOf(peers[i] as Peer).publish(i, { confirm: 0 })))
  assert.equal((await valuesOf(subscription, 3)).sort(), [0, 1, 2])
})

test('what one publishes oneself after subscribing is delivered without waiting for ready', async ({ use }) => {
  for (const peers of [await meshOf(use, 1), await meshOf(use, 2)] as Peer[][]) {
    const ann = peers[0] as Peer
    for (const topic of ['fresh', 'used']) {
      const t = ann.topic<number>(topic)
      if (topic === 'used') await t.publish(0)
      const subscription = use(t.subscribe())
      for (const n of [1, 2, 3]) await t.publish(n, { confirm: 0 })
      assert.equal(await valuesOf(subscription, 3), [1, 2, 3], `${topic} among ${peers.length}`)
    }
  }
})

test('that holds also where the state database is slower than the log', async ({ use }) => {
  const state = await openState(null)
  const put = state.put.bind(state) as (...args: unknown[]) => Promise<void>
  state.put = (async (...args: unknown[]) => {
    await new Promise((resolve) => setTimeout(resolve, 100))
    await put(...args)
  }) as typeof state.put
  const ann = await peerOn(use, { openState: async () => state })
  const subscription = use(numbersOf(ann).subscribe())
  await publish(ann, 0, 3)
  assert.equal(await valuesOf(subscription, 3), [0, 1, 2])
})

test('records of several publishers arrive once each, those of one in its order', async ({ use }) => {
  const peers = await meshOf(use, 4)
  const subscription = use(peers[0].topic<string>('orders').subscribe())
  await subscription.ready
  await Promise.all(
    peers.map(async (peer, p) => {
      for (const n of numbers(0, 25)) await peer.topic<string>('orders').publish(`${p}:${n}`, { confirm: 0 })
    }),
  )
  const values = await valuesOf(subscription, 100)
  for (const p of numbers(0, 4)) {
    const own = values.filter((value) => value.startsWith(`${p}:`))
    assert.equal(
      own,
      numbers(0, 25).map((n) => `${p}:${n}`),
    )
  }
})

test('a slow reader slows only itself', async ({ use }) => {
  const [ann, ben] = await meshOf(use, 2)
  const [slow, fast] = [
    use(numbersOf(ben).subscribe({ from: 'earliest' })),
    use(numbersOf(ben).subscribe({ from: 'earliest' })),
  ]
  assert.equal(await Promise.all([slow.ready, fast.ready]), [undefined, undefined])
  const first = take(slow, 1)
  await numbersOf(ann).publishMany(numbers(0, 5000).map((value) => ({ value })))
  assert.equal(await valuesOf(fast, 5000), numbers(0, 5000))
  await first
  assert.equal(await valuesOf(slow, 4999), numbers(1, 5000))
})

test('a named subscription goes on after a restart with what was not acknowledged', async ({ use, dir }) => {
  const data = dir()
  const first = await peerOf(use, { data })
  await publish(first, 0, 10)
  const subscription = numbersOf(first).subscribe({ name: 'billing', from: 'earliest' })
  const messages = await take(subscription, 10)
  // Out of order: 0, 1, 2, 5 and 8 are done.
  for (const at of [5, 0, 2, 8, 1]) await (messages[at] as Message<number>).ack()
  await first.close()

  const again = await peerOf(use, { data })
  const more = use(numbersOf(again).subscribe({ name: 'billing', from: 'latest' }))
  assert.equal(await valuesOf(more, 5), [3, 4, 6, 7, 9])
  await publish(again, 10, 11)
  assert.equal(await valuesOf(more, 1), [10])
})

test('a named subscription goes on where it stopped on another peer', async ({ use }) => {
  const [ann, ben] = await meshOf(use, 2)
  await publish(ann, 0, 10)
  const here = numbersOf(ann).subscribe({ name: 'billing', from: 'earliest' })
  const messages = await take(here, 10)
  await Promise.all(messages.filter(({ value }) => value < 6 || value === 8).map((message) => message.ack()))
  await here.close()
  const there = use(numbersOf(ben).subscribe({ name: 'billing', from: 'earliest' }))
  assert.equal(await valuesOf(there, 3), [6, 7, 9])
})

test('a name that began with the latest goes on from there on another peer, and does not skip what came between', async ({
  use,
}) => {
  const [ann, ben] = await meshOf(use, 2)
  await publish(ann, 0, 5)
  const here = numbersOf(ann).subscribe({ name: 'billing' })
  await here.ready
  await publish(ann, 5, 7)
  assert.equal(await valuesOf(here, 2), [5, 6])
  await here.close()
  await publish(ann, 7, 9)
  const there = use(numbersOf(ben).subscribe({ name: 'billing' }))
  assert.equal(await valuesOf(there, 4), [5, 6, 7, 8])
})

test('a name is used once at a time on a peer, and is free again after closing', async ({ use }) => {
  const ann = await peerOf(use)
  const one = numbersOf(ann).subscribe({ name: 'billing' })
  assert.is(
    codeOfThrown(() => numbersOf(ann).subscribe({ name: 'billing' })),
    'SubscriptionInUse',
  )
  use(numbersOf(ann).subscribe({ name: 'shipping' }))
  use(ann.topic('other').subscribe({ name: 'billing' }))
  await one.close()
  use(numbersOf(ann).subscribe({ name: 'billing' }))
})

test('a named subscription from an offset does not come back to what lies before', async ({ use, dir }) => {
  const data = dir()
  const first = await peerOf(use, { data })
  await publish(first, 0, 6)
  const begun = numbersOf(first).subscribe({ name: 'billing', from: 3 })
  assert.equal(await valuesOf(begun, 1), [3])
  await first.close()
  const again = await peerOf(use, { data })
  assert.equal(await valuesOf(use(numbersOf(again).subscribe({ name: 'billing', from: 'earliest' })), 3), [3, 4, 5])
})

test('batches come as lists, and hold the same', async ({ use }) => {
  const ann = await peerOf(use)
  await Promise.all(numbers(0, 10).map((n) => numbersOf(ann).publish(n)))
  await numbersOf(ann).publish(10)
  const lists: number[][] = []
  for await (const list of numbersOf(ann).subscribe({ from: 'earliest' }).batches()) {
    lists.push(list.map(({ value }) => value))
    if (lists.length === 2) break
  }
  assert.equal(lists, [numbers(0, 10), [10]])
})

test('a subscription is a source for a pipe', async ({ use, signal }) => {
  const [ann, ben] = await meshOf(use, 2)
  await publish(ann, 0, 20)
  const even = await pipe(
    numbersOf(ben).subscribe({ from: 'earliest', signal }),
    async function* (source: AsyncIterable<Message<number>>) {
      for await (const message of source) if (message.value % 2 === 0) yield message.value
    },
    async (source: AsyncIterable<number>) => {
      const values: number[] = []
      for await (const value of source) {
        values.push(value)
        if (values.length === 10) break
      }
      return values
    },
  )
  assert.equal(
    even,
    numbers(0, 20).filter((n) => n % 2 === 0),
  )
})

test('a signal ends a subscription', async ({ use }) => {
  const ann = await peerOf(use)
  const abort = new AbortController()
  const ended = (async () => {
    for await (const _ of numbersOf(ann).subscribe({ signal: abort.signal }));
    return 'ended'
  })()
  abort.abort()
  assert.is(await ended, 'ended')
})

test('a closed peer ends its subscriptions and gives no new ones', async ({ use }) => {
  const ann = await peerOf(use)
  const ended = codeOf(take(numbersOf(ann).subscribe(), 1))
  await ann.close()
  assert.match(String(await ended), 'ended after 0')
  assert.is(
    codeOfThrown(() => numbersOf(ann).subscribe()),
    'PeerClosed',
  )
})

test('a peer that was away catches up with all it missed', async ({ use, dir }) => {
  const data = dir()
  const [ann, ben] = await meshOf(use, 2)
  const join = await addressesOf(ann)
  const cat = await peerOf(use, { data, join })
  const before = numbersOf(cat).subscribe({ name: 'billing', from: 'earliest' })
  await publish(ann, 0, 10)
  for (const message of await take(before, 10)) await message.ack()
  await cat.close()
  await publish(ann, 10, 60)
  await publish(ben, 60, 100)
  const back = await peerOf(use, { data, join })
  const values = await valuesOf(use(numbersOf(back).subscribe({ name: 'billing' })), 90)
  assert.equal(
    values.sort((a, b) => a - b),
    numbers(10, 100),
  )
  assert.equal(await restOf(use(numbersOf(back).subscribe()), ann), [])
})

test('carriers that were apart end up with the same', async ({ use }) => {
  const ann = await peerOf(use, { carry: ['orders'] })
  const ben = await peerOf(use, { carry: ['orders'] })
  await publish(ann, 0, 30)
  await publish(ben, 30, 60)
  const cat = await peerOf(use, { join: [...(await addressesOf(ann)), ...(await addressesOf(ben))] })
  await friendly(cat, 2)
  for (const peer of [ann, ben, cat]) {
    const values = await valuesOf(use(numbersOf(peer).subscribe({ from: 'earliest' })), 60)
    assert.equal(
      values.sort((a, b) => a - b),
      numbers(0, 60),
    )
  }
  await carried(cat, 'orders', 3)
  await until(async () => {
    const all = await Promise.all([ann, ben, cat].map(async (peer) => (await peer.topics())[0]?.records))
    return all.every((records) => records === 60)
  })
})

test.run()
