/** The judge of requests, on histories made by hand: silent on what is promised, and a sentence for each thing that is not. */
import * as assert from 'uvu/assert'
import { Answered } from '../../sim/check/request.ts'
import type { FaultEvent } from '../../sim/plan.ts'
import type { Asking, AskOutcome } from '../../sim/request-history.ts'
import { requestStatsOf } from '../../sim/request-stats.ts'
import { suite } from '../helper/suite.ts'
import { Made } from './made.ts'

const test = suite('sim')

function begin(): Made {
  const made = new Made()
  made.request()
  return made
}

function ask({ history }: Made): Asking {
  return history.requests.ask({ topic: 't', peer: 'b', timeoutMs: 5_000 })
}

/** `a` works on it for so long. */
function handle({ history, now }: Made, { number }: Asking, workMs = 0, peer = 'a'): void {
  Object.assign(history.requests.handle({ number, topic: 't', peer, attempt: 1 }), { doneAt: now + workMs })
}

function end(made: Made, asking: Asking, of: Omit<AskOutcome, 'at'> | Record<string, unknown>): void {
  asking.outcome = { at: made.now, ...of } as AskOutcome
}

function answer(made: Made, asking: Asking): void {
  end(made, asking, { type: 'answered', number: asking.number, by: 'a' })
}

function fail(made: Made, asking: Asking, code: string, text = ''): void {
  end(made, asking, { type: 'failed', code, text })
}

test('requests that are answered, refused or given up in time are as promised', () => {
  const made = begin()
  const answered = ask(made)
  handle(made, answered)
  made.now += 50
  answer(made, answered)
  const refused = ask(made)
  handle(made, refused)
  fail(made, refused, 'RequestFailed', `t: no answer to ${refused.number}`)
  const late = ask(made)
  made.now += 5_000
  handle(made, late)
  fail(made, late, 'RequestTimeout')
  assert.equal(new Answered(made.evidence).verdict(), [])
  assert.equal(requestStatsOf(made.history), {
    asked: 3,
    answered: 1,
    refused: 1,
    timedOut: 1,
    unattended: 0,
    answerMs: { p50: 50, p99: 50, max: 50 },
  })
})

const wrong: [name: string, RegExp, tell: (made: Made) => void][] = [
  [
    'a request that takes longer than it may',
    /request 0 of b at 60000 ms took 7000 ms/,
    (made) => {
      const asking = ask(made)
      handle(made, asking)
      made.now += 7_000
      answer(made, asking)
    },
  ],
  [
    'the answer to another request',
    /request 1 of b .* got the answer to 0, by a/,
    (made) => {
      handle(made, ask(made))
      const asking = ask(made)
      end(made, asking, { type: 'answered', number: 0, by: 'a' })
    },
  ],
  ['an answer that nobody gave', /got the answer to 0, by a/, (made) => answer(made, ask(made))],
  [
    'the failure of another request',
    /was told: t: no answer to 7/,
    (made) => fail(made, ask(made), 'RequestFailed', 't: no answer to 7'),
  ],
  [
    'an asker that is told that nobody responds',
    /was told that nobody responds, and a did, as b knew/,
    (made) => fail(made, ask(made), 'NoResponders'),
  ],
  ['a timeout before its time', /was over after 0 ms/, (made) => fail(made, ask(made), 'RequestTimeout')],
  [
    'an answer that its asker never got',
    /request 0 of b .* was not told what a answered at 60000 ms/,
    (made) => {
      const asking = ask(made)
      handle(made, asking)
      made.now += 5_000
      fail(made, asking, 'RequestTimeout')
    },
  ],
  ['another error', /failed with PeerClosed/, (made) => fail(made, ask(made), 'PeerClosed')],
  [
    'work on what was given up',
    /was handled by a at 67000 ms, too late/,
    (made) => {
      const asking = ask(made)
      made.now += 5_000
      fail(made, asking, 'RequestTimeout')
      made.now += 2_000
      handle(made, asking)
    },
  ],
  [
    'two that work on it at once',
    /was handled by c at 61000 ms, and by another still/,
    (made) => {
      const asking = ask(made)
      handle(made, asking, 2_000)
      made.now += 1_000
      handle(made, asking, 0, 'c')
      answer(made, asking)
    },
  ],
]

for (const [name, sentence, tell] of wrong) {
  test(`requests: the judge sees ${name}`, () => {
    const made = begin()
    tell(made)
    const verdicts = new Answered(made.evidence).verdict().map(({ text }) => text)
    assert.is(verdicts.length, 1, verdicts.join('; '))
    assert.match(verdicts[0] ?? '', sentence)
  })
}

test('requests: a partition, a new responder and a full disk are excuses', () => {
  const apart = begin()
  const halves: FaultEvent = { kind: 'partition', shape: 'halves', at: 0, forMs: 0, a: ['a'], b: ['b'] }
  apart.history.fault(halves).endedAt = apart.now + 500
  fail(apart, ask(apart), 'NoResponders')
  assert.equal(new Answered(apart.evidence).verdict(), [])
  const early = begin()
  for (const each of early.history.requests.responding) each.openedAt = early.now - 1_000
  fail(early, ask(early), 'NoResponders')
  assert.equal(new Answered(early.evidence).verdict(), [])
  const full = begin()
  full.history.fault({ kind: 'fulldisk', at: 0, forMs: 0, peer: 'b', spareBytes: 0 })
  fail(full, ask(full), 'StorageFull')
  assert.equal(new Answered(full.evidence).verdict(), [])
})

test('requests: in the end each asker is answered, unless its clock is as far behind as it waits', () => {
  const made = begin()
  const pending = () => new Answered(made.evidence).pending()
  for (let i = 0; i < 3; i++) {
    assert.equal(pending(), ['b is not answered on t'])
    const asking = ask(made)
    handle(made, asking)
    answer(made, asking)
  }
  assert.equal(pending(), [])
  fail(made, ask(made), 'RequestTimeout')
  assert.equal(pending(), ['b is not answered on t'])
  const { plan } = made.evidence
  made.evidence.plan = { ...plan, peers: [...plan.peers.slice(0, 1), { name: 'b', join: ['a'], skewMs: -6_000 }] }
  assert.equal(pending(), [])
})

test.run()
