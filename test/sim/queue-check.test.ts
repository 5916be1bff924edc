/** The judge of groups on queues, on histories made by hand: what a queue adds, each said wrong once. */
import * as assert from 'uvu/assert'
import { Shared } from '../../sim/check/g7.ts'
import type { Handed, Shift } from '../../sim/group-history.ts'
import type { GroupPlan } from '../../sim/plan.ts'
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
  const [a, b] = made.share({ type: 'shared', visibilityMs: 5_000, ...of }) as [Shift, Shift]
  return { made, a, b }
}

function verdictsOf({ made }: Story): string[] {
  return new Shared(made.evidence).verdict().map(({ text }) => text)
}

function work({ made }: Story, shift: Shift, id: number, of: Partial<Handed> = {}): void {
  const handed = made.hand(shift, id, { unit: `r${id}`, ...of })
  made.now += 500
  made.ack(handed)
}

test('G7 finds nothing in a healthy queue: its time, its end, and one token at two that borrowed', () => {
  const story = begin()
  const { made, a, b } = story
  made.publish(1, { delayMs: 1_000 })
  made.publish(1, { expiresMs: 5_000 })
  made.publish(1, { dedupId: 'x' })
  made.publish(1, { dedupId: 'x' })
  made.now += 1_000
  work(story, a, 0)
  work(story, b, 1)
  made.ack(made.hand(a, 2, { unit: 'x' }), 'nack')
  work(story, b, 2, { unit: 'x', attempt: 2 })
  assert.equal(verdictsOf(story), [])
})

const wrong: [name: string, RegExp, of: Partial<GroupPlan>, tell: (story: Story) => void][] = [
  [
    'a record before its time',
    /a received 0 of t at 60000 ms, 1000 ms before its time/,
    {},
    (story) => {
      story.made.publish(1, { delayMs: 1_000 })
      work(story, story.a, 0)
    },
  ],
  [
    'a record that expired',
    /a received 0 of t at 61500 ms, 500 ms after it expired/,
    {},
    (story) => {
      story.made.publish(1, { expiresMs: 1_000 })
      story.made.now += 1_500
      work(story, story.a, 0)
    },
  ],
  [
    'a second record of one id',
    /b received 1 at 61000 ms, which was sent as x, as 0 was that a had acknowledged/,
    {},
    (story) => {
      for (let i = 0; i < 2; i++) story.made.publish(1, { dedupId: 'x' })
      work(story, story.a, 0)
      story.made.now += 500
      work(story, story.b, 1)
    },
  ],
  [
    'two records of one id at once',
    /b of t\/g was handed f+\/1 .* while a/,
    {},
    ({ made, a, b }) => {
      for (let i = 0; i < 2; i++) made.publish(1, { dedupId: 'x' })
      made.hand(a, 0, { unit: 'x' })
      made.hand(b, 1, { unit: 'x' })
    },
  ],
  [
    'a message group out of order',
    /handed f+\/0 .* after a of t\/g was handed f+\/1/,
    { type: 'key-shared' },
    (story) => {
      for (let i = 0; i < 2; i++) story.made.publish(1, {})
      work(story, story.a, 1, { unit: 'k' })
      work(story, story.a, 0, { unit: 'k' })
    },
  ],
]

for (const [name, sentence, of, tell] of wrong) {
  test(`G7 sees of a queue ${name}`, () => {
    const story = begin(of)
    tell(story)
    const verdicts = verdictsOf(story)
    assert.is(verdicts.length, 1, verdicts.join('; '))
    assert.match(verdicts[0] ?? '', sentence)
  })
}

test('G7 allows for clocks that are apart', () => {
  const story = begin()
  const { made, a } = story
  const { plan } = made.evidence
  made.evidence.plan = { ...plan, peers: [{ name: 'a', join: [], skewMs: 2_000 }, ...plan.peers.slice(1)] }
  made.publish(1, { delayMs: 1_500 })
  work(story, a, 0)
  assert.equal(verdictsOf(story), [])
})

test('G7 asks of a queue that everything is done but what expired or was sent twice, and that nothing is counted', () => {
  const story = begin()
  const { made, a } = story
  made.publish(1, { expiresMs: 1_000 })
  made.publish(1, { dedupId: 'x' })
  made.publish(1, { dedupId: 'x' })
  made.publish(1, { priority: 3 })
  const fresh = made.read({ fresh: true })
  for (let id = 0; id < 4; id++) made.deliver(fresh, id)
  const pending = () => new Shared(made.evidence).pending()
  assert.is(pending().length, 3)
  work(story, a, 1)
  work(story, a, 3)
  assert.equal(pending(), [])
  a.status = { lag: 0, deliveredTwice: [], counts: { ready: 0, inFlight: 1, delayed: 0 } }
  assert.match(pending()[0] ?? '', /a says that 0 records of t\/g are not done: \{"ready":0,"inFlight":1,"delayed":0\}/)
})

test.run()
