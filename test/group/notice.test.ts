import fc from 'fast-check'
import * as assert from 'uvu/assert'
import { Indexes } from '../../node/group/indexes.ts'
import { decodeNotice, encodeNotice, type Notice } from '../../node/group/notice.ts'
import { checkGroupOptions, conflictOf } from '../../node/group/settings.ts'
import { GrapevineError } from '../../node/index.ts'
import { limits } from '../../node/limits.ts'
import type { FeedId, GroupOptions, PeerId, TopicName } from '../../node/types.ts'
import { suite } from '../helper/suite.ts'
import { settings } from './village.ts'

const test = suite('group')
const feed = 'aa'.repeat(16) as FeedId
const peer = '12D3KooWa' as PeerId
const topic = 'orders' as TopicName
const text = (value: unknown) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))

const all = (...indexes: number[]) => Indexes.of(indexes)[0] as Indexes

const beat: Notice = { type: 'beat', run: 1, n: 1, leaving: false, held: [[0, 1]], claims: [[63, 9]] }
const work: Notice = { type: 'work', feeds: [[feed, [[0, 1, all(3, 9)]], [[0, 0, all(3, 4)]]]] }
const noProgress = { feeds: {}, attempts: [] }
const opening = { settings, start: { since: 5, skip: { [feed]: 2 } }, created: 7 }

const sum = { type: 'sum', opened: { ...opening, by: peer }, terms: [], progress: noProgress }

test('every notice comes back as it was', () => {
  const progress = { feeds: { [feed]: { all: 3, slots: [[4, 5, [[7, 9]]]] } }, attempts: [[0, feed, 3, 1]] }
  const voters = { term: 1, epoch: 2, peers: [peer] }
  for (const notice of [
    beat,
    { ...beat, heard: { [peer]: 4 }, voters },
    work,
    { ...work, era: [8, peer] },
    { type: 'open' as const, ...opening },
    { type: 'seek' as const, start: opening.start, time: 8 },
    sum,
    { ...sum, terms: [1, 2], progress, voters },
    { ...sum, part: [0, 1], covers: { [feed]: 7 }, had: [[peer, feed, [[0, all(3, 9)]]]] },
    { ...sum, heard: { [peer]: 4 }, lent: [[0, feed, 3, peer, 500]] },
    { ...sum, lent: [[0, feed, 3, null, 0]] },
    { ...sum, sought: { start: { since: 0, skip: {} }, time: 8, by: peer } },
  ])
    assert.equal(decodeNotice(encodeNotice(notice as Notice)), notice)
})

test('a beat is as others have learned to read it', () => {
  const told = '{"type":"beat","run":1,"n":1,"leaving":false,"held":[[0,1]],"claims":[[63,9]]}'
  assert.is(Buffer.from(encodeNotice(beat)).toString(), told)
})

test('what newer members add or invent is passed over', () => {
  assert.equal(decodeNotice(text({ ...beat, mood: 'good' })), beat)
  assert.is(decodeNotice(text({ type: 'vote', for: 'me' })), 'unknown')
})

test('what no member tells is not taken', () => {
  const wrong: unknown[] = [
    'nonsense',
    'null',
    '[]',
    { type: 7 },
    { ...beat, n: 0 },
    { ...beat, held: [[65, 1]] },
    { ...beat, held: [[0, -1]] },
    { ...beat, held: [[0, 1.5]] },
    { ...beat, claims: Array.from({ length: 66 }, () => [0, 1]) },
    { type: 'work' },
    { ...work, feeds: {} },
    { ...work, feeds: [7] },
    { ...work, feeds: [[feed, []]] },
    { ...work, feeds: [[feed, [], {}]] },
    { ...work, feeds: [['feed', [], [[0, 0, [3, 3, '']]]]] },
    { ...work, feeds: [[feed, [], [[0, 0, []]]]] },
    { ...work, feeds: [[feed, [], [[0, 4, [3, 3, '']]]]] },
    { ...work, feeds: [[feed, [], [[0, 0, [3, 0, '#']]]]] },
    { ...work, feeds: [[feed, [], [[0, 0, [3, 3, '#']]]]] },
    { ...work, feeds: [[feed, [], [[0, 0, [3, 4, '']]]]] },
    { ...work, feeds: [[feed, [], [[0, 0, [3, 4, '##']]]]] },
    { ...work, feeds: [[feed, [], [[0, 0, [3, 4, 1]]]]] },
    { ...work, feeds: [[feed, [], [[0, 0, [3, 4]]]]] },
    { ...work, feeds: [[feed, [[0, 1, [3, -1, '']]], []]] },
    { ...work, feeds: [[feed, [], [[0, 0, [3, Number.MAX_SAFE_INTEGER, '#']]]]] },
    { ...work, feeds: [[feed, [], [[0, 0]]]] },
    { ...work, feeds: [[feed, [], [[0, 0, 3]]]] },
    { ...work, feeds: [[feed, [], [[64, 0, [3, 3, '']]]]] },
    { ...work, feeds: [[feed, [], [[0, -1, [3, 3, '']]]]] },
    { ...work, feeds: [[feed, [[0, 1.5, [3, 3, '']]], []]] },
    { ...work, feeds: [[feed, [[0, 1, ['3', 3, '']]], []]] },
    { ...work, feeds: [[feed, Array.from({ length: limits.groupWorkMax + 1 }, () => [0, 1, [3, 3, '']]), []]] },
    { ...work, feeds: [[feed, [[0, 1, [3, 3 + limits.groupWorkMax, '#'.repeat(limits.groupWorkMax)]]], []]] },
    {
      ...work,
      feeds: [1, 2].map(() => [
        feed,
        [],
        Array.from({ length: limits.groupWorkMax / 2 + 1 }, () => [0, 0, [1, 1, '']]),
      ]),
    },
    { ...work, era: [8] },
    { type: 'open', ...opening, settings: { ...settings, type: 'anycast' } },
    { type: 'seek', start: { since: -1, skip: {} }, time: 8 },
    { type: 'seek', start: opening.start },
    { type: 'sum', opened: opening, terms: [], progress: noProgress },
    { ...sum, part: [0] },
    { ...sum, covers: { [feed]: 0 } },
    { ...sum, covers: { feed: 1 } },
    { ...sum, had: [[peer, feed, [[0, [3, 0, '#']]]]] },
    { ...sum, had: [[peer, feed, [[0, [0, 50_000, '#'.repeat(50_000)]]]]] },
    { ...sum, lent: [[0, feed, 3, peer, -1]] },
  ]
  for (const one of wrong) assert.is(decodeNotice(text(one)), undefined, JSON.stringify(one))
  fc.assert(fc.property(fc.json(), (json) => typeof decodeNotice(text(json)) !== 'object'))
  fc.assert(fc.property(fc.uint8Array(), (bytes) => decodeNotice(bytes) === undefined))
})

function refusal(options: unknown, name = 'work'): { code: string; message: string } {
  try {
    checkGroupOptions(topic, name, options as GroupOptions)
  } catch (error) {
    if (error instanceof GrapevineError) return error
    throw error
  }
  throw new Error(`${JSON.stringify(options)} was taken`)
}

test('options have defaults, and each wrong one is named with what it takes', () => {
  const times = { leaseMs: 5_000, visibilityMs: 5_000 }
  const usual = { type: 'shared', ...times, maxReceives: 5, deadLetter: 'orders.dead', quorum: false }
  assert.equal(checkGroupOptions(topic, 'work', {}), { settings: usual, from: 'latest' })
  for (const [options, message] of [
    [{ type: 'anycast' }, 'option `type` is "anycast": it takes one of shared, key-shared, exclusive, failover'],
    [{ leaseMs: 10 }, 'option `leaseMs` is 10: it takes milliseconds from 1000'],
    [{ maxReceives: 0 }, 'option `maxReceives` is 0: it takes a whole number from 1'],
    [{ quorum: 'yes' }, 'option `quorum` is "yes": it takes true or false'],
    [{ from: 'yesterday' }, "option `from` is \"yesterday\": it takes 'earliest', 'latest' or a Date"],
    [{ deadLetter: 'orders' }, 'option `deadLetter` is the topic itself'],
    [{ leaseMillis: 5 }, 'option `leaseMillis` is not known: there are type, leaseMs'],
  ] as const) {
    const { code, message: said } = refusal(options)
    assert.is(code, 'InvalidOption')
    assert.match(said, message)
  }
  assert.is(refusal({ deadLetter: 'a b' }).code, 'InvalidTopic')
  for (const name of ['', 'a.b', 'ü', 'x'.repeat(101)]) assert.match(refusal({}, name).message, 'option `name`')
})

test('a group asked for as it is not shows both', () => {
  const place = { topic, group: 'work' }
  assert.is(conflictOf(place, settings, { ...settings }), undefined)
  const conflict = conflictOf(place, { ...settings, leaseMs: 9_000 }, settings)
  assert.equal(
    [conflict?.code, conflict?.data.asked.leaseMs, conflict?.data.has.leaseMs],
    ['GroupConflict', 9_000, 5_000],
  )
  assert.match(
    conflict?.message ?? '',
    /exists with type shared, leaseMs 5000.*asked for was type shared, leaseMs 9000/,
  )
})

test.run()
