/** The judge of groups, on histories made by hand: silent on what is promised, and a sentence for each thing that is not. */
import * as assert from 'uvu/assert'
import { Shared } from '../../sim/check/g7.ts'
import type { Handed, Shift } from '../../sim/group-history.ts'
import { groupStatsOf } from '../../sim/group-stats.ts'
import { wiped } from '../../sim/history.ts'
import type { FaultEvent, GroupPlan } from '../../sim/plan.ts'
import { suite } from '../helper/suite.ts'
import { Made } from './made.ts'

const test = suite('sim')

interface Story {
  made: Made
  a: Shift
  b: Shift
}

function begin(of: Partial<GroupPlan> = {}): Story {
  const made = new Made()
  const [a, b] = made.share(of) as [Shift, Shift]
  return { made, a, b }
}

function verdictsOf({ made }: Story): string[] {
  return new Shared(made.evidence).verdict().map(({ text }) => text)
}

/** Handed out, and acknowledged half a second later. */
function work({ made }: Story, shift: Shift, id: number, of: Partial<Handed> = {}): Handed {
  const handed = made.hand(shift, id, of)
  made.now += 500
  made.ack(handed)
  return handed
}

function fault(made: Made, event: FaultEvent, forMs: number): void {
  made.history.fault(event).endedAt = made.now + forMs
}

const apart: FaultEvent = { kind: 'partition', shape: 'halves', at: 0, forMs: 0, a: ['a'], b: ['b'] }

test('G7 finds nothing in a healthy group: shares, a refusal, a death and what follows from it', () => {
  const story = begin()
  const { made, a, b } = story
  for (let id = 0; id < 6; id++) made.publish()
  work(story, a, 0, { unit: 'k0' })
  work(story, b, 1, { unit: 'k1', token: 4 })
  const refused = made.hand(a, 2, { unit: 'k0' })
  made.ack(refused, 'nack')
  work(story, a, 2, { unit: 'k0', attempt: 2 })
  made.hand(b, 3, { unit: 'k1', token: 4 })
  made.history.note('b', 'killed')
  made.history.processEnded('b')
  made.now += 8_000
  work(story, a, 3, { unit: 'k1', token: 5, attempt: 2 })
  for (const id of [4, 5]) work(story, a, id, { unit: 'k1', token: 5 })
  const again = made.history.groups.begin('b', 't/g')
  again.status = b.status
  assert.equal(verdictsOf(story), [])
  assert.equal(new Shared(made.evidence).pending(), [])
  assert.equal(groupStatsOf(made.history, made.evidence.plan.workload.groups ?? []), {
    handedOut: 8,
    acked: 6,
    redelivered: 2,
    dead: 0,
    takeoverMs: { p50: 8_000, p99: 8_000, max: 8_000 },
  })
})

/** Each says one thing wrong, and what the judge says. */
const wrong: [name: string, RegExp, of: Partial<GroupPlan>, tell: (story: Story) => void][] = [
  [
    'one record at two peers at once',
    /b of t\/g was handed f+\/0 .* while a .* had it still/,
    { type: 'shared' },
    ({ made, a, b }) => {
      made.hand(a, 0, { unit: 'r' })
      made.now += 1_000
      made.hand(b, 0, { unit: 'r', token: 2, attempt: 2 })
    },
  ],
  [
    "a key's second record while the first is out",
    /a of t\/g was handed f+\/1 .* while a .* f+\/0/,
    {},
    ({ made, a }) => {
      made.hand(a, 0)
      made.hand(a, 1)
    },
  ],
  [
    'two active members of a failover group',
    /while a/,
    { type: 'failover' },
    ({ made, a, b }) => {
      made.hand(a, 0, { unit: 'all' })
      made.hand(b, 1, { unit: 'all', token: 2 })
    },
  ],
  [
    'a token that goes back',
    /with token 2 after 3 at a/,
    {},
    (story) => {
      work(story, story.a, 0, { token: 3 })
      work(story, story.b, 1, { token: 2 })
    },
  ],
  [
    'one token at two members',
    /with token 3 after 3 at a/,
    {},
    (story) => {
      work(story, story.a, 0, { token: 3 })
      work(story, story.b, 1, { token: 3 })
    },
  ],
  [
    'a key out of order',
    /handed f+\/0 .* after a of t\/g was handed f+\/1/,
    {},
    (story) => {
      work(story, story.a, 1)
      work(story, story.a, 0)
    },
  ],
  [
    'more attempts than asked for',
    /for the 4th time, 3 at most/,
    {},
    (story) => work(story, story.a, 0, { attempt: 4 }),
  ],
  [
    'an attempt that was not counted',
    /as attempt 1 after 1 before/,
    {},
    (story) => {
      story.made.ack(story.made.hand(story.a, 0), 'nack')
      work(story, story.b, 0, { token: 2 })
    },
  ],
  [
    'a record that comes again after it was acknowledged',
    /again, which a had acknowledged/,
    {},
    (story) => {
      work(story, story.a, 0)
      story.made.now += 1
      work(story, story.a, 0, { attempt: 2 })
    },
  ],
  [
    'a dead letter of what was acknowledged',
    /b made a dead letter of f+\/0, which a had acknowledged/,
    {},
    (story) => {
      const { feed, index } = work(story, story.a, 0)
      const event = { type: 'dead-letter', id: `${feed}/${index}`, reason: 'max-receives', time: 0 } as const
      story.made.history.groups.told.push({ peer: 'b', group: 't/g', at: story.made.now + 1, event })
    },
  ],
  [
    'a dead letter before its time',
    /became a dead letter of t\/g \(max-receives\) after 2 attempts of 3/,
    {},
    (story) => {
      const { feed, index } = story.made.hand(story.a, 0)
      const letter = { group: 't/g', feed, index, reason: 'max-receives', attempts: 2, time: 0 }
      story.made.history.groups.dead.push(letter)
    },
  ],
  [
    'a dead letter that nobody has seen',
    /f\/0 became a dead letter of t\/g, and nobody was ever handed it/,
    {},
    ({ made }) => {
      const letter = { group: 't/g', feed: 'f', index: 0, reason: 'max-receives', attempts: 3, time: 0 }
      made.history.groups.dead.push(letter)
    },
  ],
  [
    'a settlement of who has lost its lease',
    /and could still settle it, when another had a later token/,
    {},
    ({ made, a }) => {
      const late = made.hand(a, 0)
      late.effect = { what: 'stale', at: made.now }
      made.ack(late, 'nack')
    },
  ],
  [
    'a settlement after the time for it',
    /and could settle it at 66000 ms, after 65000 ms/,
    {},
    ({ made, a }) => {
      const late = made.hand(a, 0)
      made.now += 6_000
      made.ack(late)
    },
  ],
  [
    'a slot taken twice under one term',
    /b took slot 3 of t\/g under term 2, after a under 2/,
    {},
    ({ made }) => {
      for (const peer of ['a', 'b']) {
        const event = { type: 'slot-taken', slot: 3, term: 2, time: 0 } as const
        made.history.groups.told.push({ peer, group: 't/g', at: made.now, event })
      }
    },
  ],
  [
    'other bytes',
    /nobody published/,
    {},
    ({ made, a }) => void made.hand(a, 0, { wrong: 'a payload that nobody published' }),
  ],
  [
    'a refused member',
    /a could not take part in t\/g: GroupInUse/,
    {},
    ({ a }) => void Object.assign(a, { failure: 'GroupInUse' }),
  ],
]

for (const [name, sentence, of, tell] of wrong) {
  test(`G7 sees ${name}`, () => {
    const story = begin(of)
    for (let id = 0; id < 3; id++) story.made.publish()
    tell(story)
    const verdicts = verdictsOf(story)
    assert.is(verdicts.length, 1, verdicts.join('; '))
    assert.match(verdicts[0] ?? '', sentence)
  })
}

/** One record at both, of a group that asks for a quorum and of one that does not. */
function both(quorum: boolean, trouble: (made: Made) => void): string[] {
  const story = begin({ quorum })
  const { made, a, b } = story
  made.publish()
  made.hand(a, 0)
  made.now += 1_000
  trouble(made)
  made.now += 1_000
  made.hand(b, 0, { token: 2, attempt: 2 })
  return verdictsOf(story)
}

test('G7 excuses a partition where no quorum is asked for, and links or disks that are slow', () => {
  for (const kind of ['partition', 'delay', 'halfopen', 'reset', 'slowdisk', 'fulldisk'] as const) {
    const cut = (made: Made) => fault(made, { ...apart, kind } as FaultEvent, 500)
    assert.is(both(false, cut).length, 0, kind)
    assert.is(both(true, cut).length, 1, kind)
  }
  const dark = (made: Made) => made.history.note('c', 'power')
  assert.equal([both(false, dark).length, both(true, dark).length], [0, 1])
})

test('G7 excuses a clock that was set, a lost disk, and members that have not met, but no pause and no death', () => {
  const skew = (made: Made) => fault(made, { kind: 'skew', at: 0, forMs: 0, peer: 'a', skewMs: -9_000 }, 100)
  const lost = (made: Made) => made.history.note('a', 'lost')
  const pause = (made: Made) => fault(made, { kind: 'pause', at: 0, forMs: 0, peer: 'a' }, 100)
  const other = (made: Made) => made.history.note('c', 'killed')
  for (const quorum of [false, true]) {
    assert.equal(
      [skew, lost, pause, other].map((trouble) => both(quorum, trouble).length),
      [0, 0, 1, 1],
    )
    const early = begin({ quorum })
    early.made.now = 3_000
    early.made.hand(early.a, 0)
    early.made.hand(early.b, 0)
    assert.equal(verdictsOf(early), [])
  }
})

test('G7 excuses what only two members knew that have both stopped', () => {
  const found = (stopped: string[]) => {
    const story = begin()
    const { made, a, b } = story
    made.publish()
    work(story, a, 0)
    for (const peer of stopped) made.history.note(peer, 'killed')
    made.now += 9_000
    work(story, b, 0, { token: 2, attempt: 2 })
    return verdictsOf(story).length
  }
  assert.equal([found(['a']), found(['b', 'c']), found(['a', 'c'])], [1, 1, 0])
})

test('G7 says what is not done yet, and by whom it was had last', () => {
  const story = begin()
  const { made, a, b } = story
  for (let id = 0; id < 3; id++) made.publish()
  const fresh = made.read({ fresh: true })
  for (let id = 0; id < 3; id++) made.deliver(fresh, id)
  work(story, a, 0)
  const { feed } = made.hand(b, 1)
  const pending = () => new Shared(made.evidence).pending()
  assert.match(
    pending()[0] ?? '',
    /record 1 of t\/g is neither done .* handed out to b at 60500 ms as attempt 1, and not/,
  )
  assert.match(pending()[1] ?? '', /record 2 .* it was never handed out/)
  made.history.groups.dead.push({ group: 't/g', feed, index: 1, reason: 'max-receives', attempts: 3, time: 0 })
  work(story, a, 2)
  assert.equal(pending(), [])
  a.status = { ...a.status, lag: 4 } as never
  b.status = undefined
  assert.equal(pending(), ['a says that 4 records of t/g are not done', 'b has not told how t/g stands'])
  b.endedAt = made.now
  assert.equal(pending()[0], 'b does not take part in t/g')
  b.drainAt = made.now
  assert.match(pending()[0] ?? '', /b drains t\/g since/)
})

test('G7 excuses a group that asks for a quorum and has no majority of its voters any more', () => {
  for (const [quorum, text, pending] of [
    [true, wiped, 0],
    [true, 'a bit of a file', 2],
    [false, wiped, 2],
  ] as const) {
    const { made, a } = begin({ quorum })
    made.publish()
    made.deliver(made.read({ fresh: true }), 0)
    made.history.note('b', 'lost', text)
    a.status = { ...a.status, lag: 1 } as never
    assert.is(new Shared(made.evidence).pending().length, pending, `${quorum} ${text}`)
  }
})

test('G7 asks that what both sides of a partition did is told', () => {
  const story = begin()
  const { made, a, b } = story
  made.publish()
  fault(made, apart, 5_000)
  const { feed, index } = work(story, a, 0)
  work(story, b, 0, { token: 2 })
  assert.equal(verdictsOf(story), [])
  assert.match(
    new Shared(made.evidence).pending()[0] ?? '',
    /nobody tells that f+\/0 of t\/g was done twice, by b at last/,
  )
  a.status = { ...a.status, deliveredTwice: [`${feed}/${index}`] } as never
  assert.equal(new Shared(made.evidence).pending(), [])
})

for (const how of ['drained', 'died'] as const)
  test(`G7 sees that nobody takes over from a member that ${how}, in time`, () => {
    const late = (afterMs: number, isTaken = true, isDraining = false) => {
      const story = begin()
      const { made, a, b } = story
      if (isDraining) b.drainAt = made.now
      const slot = (peer: string, type: 'slot-taken', term: number) =>
        made.history.groups.told.push({ peer, group: 't/g', at: made.now, event: { type, slot: 0, term, time: 0 } })
      slot('a', 'slot-taken', 1)
      made.now += 20_000
      if (how === 'drained') Object.assign(a, { drainAt: made.now, drainedAt: made.now, endedAt: made.now })
      else {
        made.history.note('a', 'killed')
        made.history.processEnded('a')
      }
      made.now += afterMs
      if (isTaken) slot('b', 'slot-taken', 2)
      return verdictsOf(story).length
    }
    const leaseMs = how === 'died' ? 5_000 : 0
    assert.equal([late(leaseMs + 3_500), late(leaseMs + 6_000)], [0, 1])
    assert.equal(
      [late(leaseMs + 3_500, false), late(leaseMs + 6_000, false)],
      [0, 1],
      'a run that ends sooner says nothing',
    )
  })

test.run()
