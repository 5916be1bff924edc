import * as fc from 'fast-check'
import * as assert from 'uvu/assert'
import { limits } from '../../node/limits.ts'
import { type FetchEffect, type FetchInput, FetchScheduler } from '../../node/sync/scheduler.ts'
import type { FeedId, PeerId, TopicName } from '../../node/types.ts'
import { suite } from '../helper/suite.ts'

const test = suite('sync')

const topic = 'orders' as TopicName
const [ann, ben, cat] = ['ann', 'ben', 'cat'] as [PeerId, PeerId, PeerId]
const feed = 'f1' as FeedId
const { stallMs, gapPatienceMs } = limits

const offered = (peer: PeerId, last: number, { base = 1, held = 0, of = feed } = {}): FetchInput => ({
  type: 'offered',
  peer,
  topic,
  feed: of,
  base,
  last,
  held,
})
const ended = (id: number, reason: 'done' | 'gone' | 'unknown' = 'done', base = 0): FetchInput => ({
  type: 'ended',
  id,
  reason,
  base,
})

/** `want 1 ann f1 1..5`, `cancel 1 ann`. */
function told(effects: FetchEffect[]): string[] {
  return effects.map((effect) =>
    effect.type === 'want'
      ? `want ${effect.id} ${effect.peer} ${effect.feed} ${effect.from}..${effect.to}${effect.gap ? ' after a gap' : ''}`
      : `cancel ${effect.id} ${effect.peer}`,
  )
}

/** Inputs at their times, each with all its effects. */
const stories: [name: string, steps: [atMs: number, input: FetchInput, effects: string[]][]][] = [
  [
    'what is offered and not held is asked for, once',
    [
      [0, offered(ann, 5), ['want 1 ann f1 1..5']],
      [1, offered(ben, 5), []],
      [2, { type: 'progress', id: 1, seq: 5 }, []],
      [3, ended(1), []],
    ],
  ],
  ['what is held is not asked for', [[0, offered(ann, 5, { held: 5 }), []]]],
  [
    'a feed that grows is asked for ahead at the same friend, no more than twice',
    [
      [0, offered(ann, 5), ['want 1 ann f1 1..5']],
      [1, offered(ann, 8), ['want 2 ann f1 6..8']],
      [2, offered(ann, 9), []],
      [3, { type: 'progress', id: 1, seq: 5 }, []],
      [4, ended(1), ['want 3 ann f1 9..9']],
    ],
  ],
  [
    'the friend with the fewest wants is asked; of equals the one that offered first',
    [
      [0, offered(ann, 5), ['want 1 ann f1 1..5']],
      [1, offered(ann, 3, { of: 'f2' as FeedId }), ['want 2 ann f2 1..3']],
      [2, ended(2, 'unknown'), []],
      [3, offered(ben, 3, { of: 'f3' as FeedId }), ['want 3 ben f3 1..3']],
      [4, offered(ann, 3, { of: 'f4' as FeedId }), ['want 4 ann f4 1..3']],
      [5, offered(ben, 3, { of: 'f4' as FeedId }), []],
      [6, offered(cat, 3, { of: 'f4' as FeedId }), []],
      [7, { type: 'lost', peer: ann }, ['want 5 cat f4 1..3']],
    ],
  ],
  [
    'a want without progress moves to another friend, and the slow one is passed over',
    [
      [0, offered(ann, 5), ['want 1 ann f1 1..5']],
      [0, offered(ben, 5), []],
      [stallMs, { type: 'progress', id: 1, seq: 2 }, []],
      [2 * stallMs, { type: 'tick' }, []],
      [2 * stallMs + 1, { type: 'tick' }, ['cancel 1 ann', 'want 2 ben f1 3..5']],
      [3 * stallMs, { type: 'lost', peer: ben }, []],
      [12 * stallMs, { type: 'tick' }, []],
      [12 * stallMs + 1, { type: 'tick' }, ['want 3 ann f1 3..5']],
    ],
  ],
  [
    'what a friend has removed is asked for elsewhere, else from where somebody begins',
    [
      [0, offered(ann, 9), ['want 1 ann f1 1..9']],
      [0, offered(ben, 9, { base: 3 }), []],
      [gapPatienceMs, ended(1, 'gone', 6), ['want 2 ben f1 3..9 after a gap']],
      [gapPatienceMs, { type: 'lost', peer: ben }, []],
      [2 * gapPatienceMs, { type: 'tick' }, ['want 3 ann f1 6..9 after a gap']],
    ],
  ],
  [
    'a friend that has removed all it offered is asked for nothing more',
    [
      [0, offered(ann, 9), ['want 1 ann f1 1..9']],
      [1, ended(1, 'gone', 10), []],
      [2, offered(ann, 12, { base: 10 }), []],
      [2 + gapPatienceMs, { type: 'tick' }, ['want 2 ann f1 10..12 after a gap']],
    ],
  ],
  [
    'a friend that begins later waits for one that has it all',
    [
      [0, offered(ann, 9, { base: 4 }), []],
      [1, offered(ben, 9), ['want 1 ben f1 1..9']],
    ],
  ],
  [
    'where nobody has it all the feed goes on after the gap',
    [
      [0, offered(ann, 9, { base: 7, held: 3 }), []],
      [0, offered(ben, 9, { base: 6, held: 3 }), []],
      [gapPatienceMs, { type: 'tick' }, ['want 1 ben f1 6..9 after a gap']],
    ],
  ],
  [
    'a friend that says gone and yet offers the same is passed over, not asked in a circle',
    [
      [0, offered(ann, 9), ['want 1 ann f1 1..9']],
      [1, ended(1, 'gone', 1), []],
      [2, { type: 'tick' }, []],
      [1 + 10 * stallMs, { type: 'tick' }, ['want 2 ann f1 1..9']],
    ],
  ],
  [
    'a friend that ends without sending anything is passed over',
    [
      [0, offered(ann, 9), ['want 1 ann f1 1..9']],
      [0, offered(ben, 9), []],
      [1, ended(1), ['want 2 ben f1 1..9']],
      [2, ended(2), []],
    ],
  ],
  [
    'a friend that does not know the feed is not asked again until it offers again',
    [
      [0, offered(ann, 9), ['want 1 ann f1 1..9']],
      [1, ended(1, 'unknown'), []],
      [2, { type: 'tick' }, []],
      [3, offered(ann, 9), ['want 2 ann f1 1..9']],
    ],
  ],
  [
    'what came another way is not waited for',
    [
      [0, offered(ann, 5), ['want 1 ann f1 1..5']],
      [1, { type: 'stored', topic, feed, seq: 5 }, ['cancel 1 ann']],
      [2, offered(ann, 6, { held: 5 }), ['want 2 ann f1 6..6']],
    ],
  ],
  [
    'what did not verify is asked for again, elsewhere',
    [
      [0, offered(ann, 5), ['want 1 ann f1 1..5']],
      [0, offered(ben, 5), []],
      [1, { type: 'progress', id: 1, seq: 4 }, []],
      [2, { type: 'rewound', topic, feed, held: 2, blame: ann }, ['cancel 1 ann', 'want 2 ben f1 3..5']],
    ],
  ],
  [
    'whoever spoils a batch by gossip does not hold up those who offer it',
    [
      [0, offered(ann, 5), ['want 1 ann f1 1..5']],
      [1, { type: 'rewound', topic, feed, held: 0, blame: cat }, ['cancel 1 ann', 'want 2 ann f1 1..5']],
    ],
  ],
  [
    'where our own disk failed everything rests a moment',
    [
      [0, offered(ann, 5), ['want 1 ann f1 1..5']],
      [0, offered(ben, 5), []],
      [1, { type: 'rewound', topic, feed, held: 0 }, ['cancel 1 ann']],
      [stallMs, { type: 'tick' }, []],
      [stallMs + 1, { type: 'tick' }, ['want 2 ann f1 1..5']],
    ],
  ],
  [
    'a topic that is released is cancelled and forgotten',
    [
      [0, offered(ann, 5), ['want 1 ann f1 1..5']],
      [1, { type: 'released', topic }, ['cancel 1 ann']],
      [2, { type: 'tick' }, []],
    ],
  ],
  [
    'a lost friend is asked for nothing, and what was asked of it moves on',
    [
      [0, offered(ann, 5), ['want 1 ann f1 1..5']],
      [1, offered(ben, 4), []],
      [2, { type: 'lost', peer: ann }, ['want 2 ben f1 1..4']],
      [3, { type: 'lost', peer: ben }, []],
      [4, { type: 'tick' }, []],
    ],
  ],
]

for (const [name, steps] of stories) {
  test(name, () => {
    const scheduler = new FetchScheduler()
    for (const [atMs, input, effects] of steps)
      assert.equal(told(scheduler.handle(input, atMs)), effects, `${JSON.stringify(input)} at ${atMs} ms`)
  })
}

test('one friend cannot take all the wants there are, and one that does not answer gets one at a time', () => {
  const scheduler = new FetchScheduler()
  const feeds = Array.from({ length: 100 }, (_, i) => `f${i}` as FeedId)
  const wants = new Set<number>()
  const step = (input: FetchInput, now: number) => {
    for (const effect of scheduler.handle(input, now))
      effect.type === 'want' ? wants.add(effect.id) : wants.delete(effect.id)
  }
  for (const of of feeds) step(offered(ann, 3, { of }), 0)
  assert.is(wants.size, limits.wantsAtFriend)
  assert.equal(told(scheduler.handle(offered(ben, 3, { of: 'f99' as FeedId }), 1)), ['want 9 ben f99 1..3'])
  step({ type: 'tick' }, stallMs + 1)
  assert.is(wants.size, 1)
  const [left] = wants
  step({ type: 'progress', id: left as number, seq: 1 }, stallMs + 2)
  step({ type: 'tick' }, stallMs + 3)
  assert.is(wants.size, limits.wantsAtFriend)
})

test('a friend that offers without end fills no more than its share of memory', () => {
  const scheduler = new FetchScheduler()
  for (let i = 0; i < limits.offersAtFriend + 10; i++)
    scheduler.handle(offered(ann, 2 ** 50, { of: `x${i}` as FeedId }), 0)
  assert.is(scheduler.targets(topic).size, limits.offersAtFriend)
  assert.equal(told(scheduler.handle(offered(ben, 3), 1)), [`want ${limits.wantsAtFriend + 1} ben f1 1..3`])
  scheduler.handle({ type: 'lost', peer: ann }, 2)
  assert.equal([...scheduler.targets(topic).keys()], [feed])
})

/** Friends that hold feeds and behave in all the ways friends do, and the judge of what they are asked. */
class World {
  readonly scheduler = new FetchScheduler()
  readonly held = new Map<FeedId, number>()
  /** What each friend has of each feed. */
  readonly shelves = new Map<PeerId, Map<FeedId, { base: number; last: number }>>()
  /** Wants that were sent and neither ended nor cancelled nor lost, with what arrives next. */
  readonly open = new Map<number, { peer: PeerId; feed: FeedId; next: number; to: number }>()
  now = 0

  input(input: FetchInput): void {
    for (const effect of this.scheduler.handle(input, this.now)) {
      if (effect.type === 'cancel') {
        this.open.delete(effect.id)
        continue
      }
      const { id, peer, feed, from, to } = effect
      assert.ok(from >= 1 && from <= to, `${from}..${to} is no range`)
      assert.ok(from > (this.held.get(feed) ?? 0), `${from} is held already`)
      const others = [...this.open.values()].filter((want) => want.feed === feed)
      assert.ok(others.length < limits.wantsPerFeed, 'too many wants of one feed')
      assert.ok(this.open.size < limits.wantsMax, 'too many wants')
      for (const other of others) {
        assert.is(other.peer, peer, 'one feed is asked of two friends at once')
        assert.ok(from > other.to, `${from}..${to} is asked for while ${other.next}..${other.to} is`)
      }
      const atPeer = [...this.open.values()].filter((want) => want.peer === peer)
      assert.ok(atPeer.length < limits.wantsAtFriend, 'too many wants at one friend')
      this.open.set(id, { peer, feed, next: from, to })
    }
  }

  offer(peer: PeerId, feed: FeedId, base: number, more: number): void {
    const shelf = this.shelves.get(peer) ?? new Map()
    this.shelves.set(peer, shelf)
    const known = shelf.get(feed) ?? { base, last: 0 }
    const grown = { base: Math.max(known.base, base), last: Math.max(known.last, base) + more }
    shelf.set(feed, grown)
    this.input({ type: 'offered', peer, topic, feed, ...grown, held: this.held.get(feed) ?? 0 })
  }

  /** The friend answers one want with up to `count` batches, and ends it when it can send no more. */
  answer(which: number, count: number): void {
    const ids = [...this.open.keys()]
    const id = ids[which % ids.length]
    const want = id === undefined ? undefined : this.open.get(id)
    if (id === undefined || want === undefined) return
    // A friend serves a feed's wants one after the other.
    for (const [other, { feed, peer }] of this.open)
      if (other < id && feed === want.feed && peer === want.peer) {
        this.answer(ids.indexOf(other), count)
        return
      }
    const shelf = this.shelves.get(want.peer)?.get(want.feed)
    for (let sent = 0; sent < count && this.open.has(id); sent++) {
      const end = endOf(want, shelf)
      if (end !== undefined) {
        this.end(id, end, shelf?.base ?? 0)
        return
      }
      const seq = want.next++
      this.held.set(want.feed, Math.max(seq, this.held.get(want.feed) ?? 0))
      this.input({ type: 'progress', id, seq })
      this.input({ type: 'stored', topic, feed: want.feed, seq })
    }
  }

  end(id: number, reason: 'done' | 'gone' | 'unknown', base: number): void {
    this.open.delete(id)
    this.input({ type: 'ended', id, reason, base })
  }

  retain(peer: PeerId, feed: FeedId, by: number): void {
    const range = this.shelves.get(peer)?.get(feed)
    if (range !== undefined) range.base = Math.min(range.base + by, range.last + 1)
  }

  lose(peer: PeerId): void {
    this.shelves.delete(peer)
    for (const [id, want] of this.open) if (want.peer === peer) this.open.delete(id)
    this.input({ type: 'lost', peer })
  }

  pass(ms: number): void {
    this.now += ms
    this.input({ type: 'tick' })
  }
}

/** How a friend ends a want, if it can send nothing more of it. */
function endOf(want: { next: number; to: number }, shelf: { base: number; last: number } | undefined) {
  if (want.next > want.to) return 'done'
  if (shelf === undefined || want.next > shelf.last) return 'unknown'
  return want.next < shelf.base ? 'gone' : undefined
}

const peers = fc.constantFrom(ann, ben, cat)
const feeds = fc.constantFrom(...Array.from({ length: 12 }, (_, i) => `f${i}` as FeedId))
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('offer' as const),
      peer: peers,
      feed: feeds,
      base: fc.integer({ min: 1, max: 4 }),
      more: fc.nat(6),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('answer' as const),
      which: fc.nat(20),
      count: fc.integer({ min: 1, max: 8 }),
    }),
  },
  fc.record({ do: fc.constant('retain' as const), peer: peers, feed: feeds, by: fc.nat(5) }),
  fc.record({ do: fc.constant('lose' as const), peer: peers }),
  fc.record({ do: fc.constant('pass' as const), ms: fc.nat(2 * stallMs) }),
)

test('whatever friends do, no batch is asked of two at once, and all that is offered is fetched and then forgotten', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const world = new World()
      for (const each of steps) {
        if (each.do === 'offer') world.offer(each.peer, each.feed, each.base, each.more)
        else if (each.do === 'answer') world.answer(each.which, each.count)
        else if (each.do === 'retain') world.retain(each.peer, each.feed, each.by)
        else if (each.do === 'lose') world.lose(each.peer)
        else world.pass(each.ms)
      }
      // From here on everybody answers, and friends tell now and then what they have.
      for (let round = 0; round < 60; round++) {
        for (const [peer, shelf] of world.shelves)
          for (const [of, { base, last }] of shelf)
            if (base <= last) world.input(offered(peer, last, { base, of, held: world.held.get(of) ?? 0 }))
        for (let i = 0; i < 40; i++) world.answer(i, 10)
        world.pass(limits.stallMs)
      }
      for (const shelf of world.shelves.values())
        for (const [of, { base, last }] of shelf)
          if (base <= last)
            assert.ok((world.held.get(of) ?? 0) >= last, `${of} is held to ${world.held.get(of)} of ${last}`)
      assert.is(world.open.size, 0)
      assert.is(world.scheduler.targets(topic).size, 0)
      assert.is(world.scheduler.size, 0)
    }),
    { numRuns: 300 },
  )
})

test('a gap is there while nobody offers what comes next', () => {
  const scheduler = new FetchScheduler()
  assert.is(scheduler.hasGap(topic), false)
  scheduler.handle(offered(ann, 5, { held: 2 }), 0)
  assert.is(scheduler.hasGap(topic), false)
  scheduler.handle(offered(ben, 9, { base: 7, of: 'f2' as FeedId, held: 3 }), 1)
  assert.is(scheduler.hasGap(topic), true)
  assert.is(scheduler.hasGap('other' as TopicName), false)
  scheduler.handle(offered(cat, 9, { base: 2, of: 'f2' as FeedId, held: 3 }), 2)
  assert.is(scheduler.hasGap(topic), false)
  scheduler.handle({ type: 'lost', peer: cat }, 3)
  assert.is(scheduler.hasGap(topic), true)
  scheduler.handle({ type: 'stored', topic, feed: 'f2' as FeedId, seq: 9 }, 4)
  assert.is(scheduler.hasGap(topic), false)
})

test.run()
