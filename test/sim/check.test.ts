import * as assert from 'uvu/assert'
import { limits } from '../../node/limits.ts'
import type { PeerEvent } from '../../node/types.ts'
import { ConfirmedLoss } from '../../sim/check/g1.ts'
import { DeliveredOnce } from '../../sim/check/g2.ts'
import { FeedOrder } from '../../sim/check/g3.ts'
import { Convergence } from '../../sim/check/g4.ts'
import { Bounded } from '../../sim/check/g5.ts'
import { Authentic } from '../../sim/check/g6.ts'
import { Repaired } from '../../sim/check/g8.ts'
import type { Judge } from '../../sim/check/judge.ts'
import { Prompt } from '../../sim/check/prompt.ts'
import { suite } from '../helper/suite.ts'
import { Made, sightOf } from './made.ts'

const test = suite('sim')

const like = (text: string | undefined, pattern: RegExp) => assert.match(text ?? '', pattern)
const textsOf = (judge: Judge) => [...judge.verdict().map(({ text }) => text), ...judge.pending()]
const judges = [ConfirmedLoss, DeliveredOnce, FeedOrder, Convergence, Bounded, Authentic, Repaired, Prompt]

test('no judge finds anything in a healthy run', () => {
  const made = new Made()
  const live = made.read()
  for (let i = 0; i < 3; i++) made.deliver(live, made.publish().id)
  const fresh = made.read({ fresh: true })
  for (let i = 0; i < 3; i++) made.deliver(fresh, i)
  for (const judge of judges) assert.equal(textsOf(new judge(made.evidence)), [])
})

test('G1 sees a confirmed record that no fresh reader has', () => {
  const made = new Made()
  made.publish()
  made.read({ fresh: true })
  like(textsOf(new ConfirmedLoss(made.evidence))[0], /record 0 of t, confirmed with 1 copies at a/)
})

test('G1 excuses a loss only when more disks were lost than there were copies', () => {
  const made = new Made()
  made.now = 5
  made.publish(1)
  made.read({ fresh: true })
  made.now = 10
  made.history.note('a', 'lost')
  made.history.note('a', 'lost')
  assert.is(textsOf(new ConfirmedLoss(made.evidence)).length, 1)
  made.history.note('b', 'lost')
  assert.is(textsOf(new ConfirmedLoss(made.evidence)).length, 0)
})

test('G1 does not excuse a loss by what was lost before the publish', () => {
  const made = new Made()
  made.history.note('a', 'lost')
  made.history.note('b', 'lost')
  made.now = 5
  made.publish(1)
  made.read({ fresh: true })
  assert.is(textsOf(new ConfirmedLoss(made.evidence)).length, 1)
})

test('what was never confirmed must be everywhere too once it is somewhere, but where only a damaged disk has it', () => {
  const made = new Made()
  const publication = made.history.publish({
    topic: 't',
    peer: 'a',
    publisher: 'a' as never,
    key: undefined,
    bytes: 20,
  })
  const here = made.read({ fresh: true, peer: 'a' })
  made.read({ fresh: true, peer: 'b' })
  made.deliver(here, publication.id)
  assert.equal(new DeliveredOnce(made.evidence).pending(), ['reading 1 (fresh) of t at b lacks 1 records: 0'])
  made.history.note('b', 'lost')
  assert.is(new DeliveredOnce(made.evidence).pending().length, 1)
  made.history.note('a', 'lost')
  assert.equal(new DeliveredOnce(made.evidence).pending(), [])
})

test('G2 says which reader lacks which records', () => {
  const made = new Made()
  const live = made.read()
  made.publish()
  made.publish()
  made.deliver(live, 1)
  assert.equal(new DeliveredOnce(made.evidence).pending(), ['reading 0 (earliest) of t at b lacks 1 records: 0'])
})

test('G2 asks of a reader from latest what was published after it was ready, and no more', () => {
  const made = new Made()
  made.publish()
  made.now = 10
  made.read({ from: 'latest' })
  assert.equal(new DeliveredOnce(made.evidence).pending(), [])
  made.now = 11
  made.publish()
  assert.is(new DeliveredOnce(made.evidence).pending().length, 1)
})

test('G2 asks of a reader from an offset what another had from there on, and nothing before', () => {
  const made = new Made()
  const all = made.read({ fresh: true })
  for (let i = 0; i < 4; i++) made.deliver(all, made.publish().id)
  const midway = made.read({ fresh: true, from: 2 })
  made.deliver(midway, 2)
  assert.equal(new DeliveredOnce(made.evidence).pending(), ['reading 1 (from 2) of t at b lacks 1 records: 3'])
  made.deliver(midway, 3)
  assert.equal(textsOf(new DeliveredOnce(made.evidence)), [])
  made.deliver(midway, 1)
  like(new DeliveredOnce(made.evidence).verdict()[0]?.text, /got the record at 1, having asked for 2 on/)
})

test('G2 sees a record that comes twice, and one publication that became two records', () => {
  const made = new Made()
  const reading = made.read()
  made.publish()
  made.deliver(reading, 0)
  made.deliver(reading, 0)
  like(new DeliveredOnce(made.evidence).verdict()[0]?.text, /twice/)
  const other = new Made()
  const second = other.read()
  other.publish()
  other.deliver(second, 0, 0)
  other.deliver(second, 0, 1)
  like(new DeliveredOnce(other.evidence).verdict()[0]?.text, /as 2 records/)
})

test('G2 sees an acknowledged record come again on the same disk, but not after that disk was lost', () => {
  const made = new Made()
  const first = made.read({ name: 'n' })
  made.publish()
  made.deliver(first, 0)
  const ack = made.history.ack(first, { feed: made.history.readings[0]?.deliveries[0]?.feed as never, index: 0, id: 0 })
  made.now = 5
  ack.savedAt = made.now
  made.now = 10
  const again = made.read({ name: 'n' })
  made.deliver(again, 0)
  like(new DeliveredOnce(made.evidence).verdict()[0]?.text, /again, acknowledged on this disk at 5 ms/)
  made.now = 7
  made.history.note('b', 'lost')
  assert.equal(new DeliveredOnce(made.evidence).verdict(), [])
})

test('G2 asks of a durable reader what nobody acknowledged under its name', () => {
  const made = new Made()
  const first = made.read({ name: 'n', peer: 'a' })
  made.publish()
  made.publish()
  made.deliver(first, 0)
  made.deliver(first, 1)
  made.history.ack(first, { feed: 'f' as never, index: 0, id: 0 })
  made.history.processEnded('a')
  made.read({ name: 'n', peer: 'b' })
  assert.equal(new DeliveredOnce(made.evidence).pending(), ['reading 1 (n) of t at b lacks 1 records: 1'])
})

test('G2 sees an iteration that throws', () => {
  const made = new Made()
  made.read().failure = 'boom'
  like(new DeliveredOnce(made.evidence).verdict()[0]?.text, /ended with: boom/)
})

test('G3 sees records of one feed out of order', () => {
  const made = new Made()
  const reading = made.read()
  made.publish()
  made.publish()
  made.deliver(reading, 1)
  made.deliver(reading, 0)
  like(new FeedOrder(made.evidence).verdict()[0]?.text, /\/0 after .*\/1/)
})

test('G3 excuses what a damaged place brought out of order only where the peer had waited for it', () => {
  const made = new Made()
  const reading = made.read()
  made.publish()
  made.publish()
  const file = 'topics/t/0000000000000000.seg'
  const event = { topic: 't' as never, time: 0, file, bytes: 50 }
  const tell = (type: 'damage-found' | 'damage-lost', at: number) => {
    const more = type === 'damage-found' ? { position: 9, kind: 'damaged' as const } : {}
    made.history.told.push({ peer: 'b', at, event: { type, ...event, ...more } as PeerEvent })
  }
  tell('damage-found', 0)
  tell('damage-lost', 1_000)
  made.now = 40_000
  made.deliver(reading, 1)
  made.deliver(reading, 0)
  assert.is(new FeedOrder(made.evidence).verdict().length, 1)
  tell('damage-lost', limits.repairWaitMs)
  assert.equal(new FeedOrder(made.evidence).verdict(), [])
})

test('G4 says who differs, who does not run and who is alone', () => {
  const made = new Made()
  made.evidence.sights.set('a', sightOf('a', 2))
  like(new Convergence(made.evidence).pending()[0], /carriers of t differ: a: 2 records.*; b: 0 records/)
  made.evidence.sights.set('a', { ...sightOf('a'), friends: 0 })
  assert.equal(new Convergence(made.evidence).pending(), ['a has no friends'])
  made.evidence.sights.delete('a')
  made.history.note('a', 'start-failed', 'the disk is odd')
  assert.equal(new Convergence(made.evidence).pending(), ['a does not run: the disk is odd'])
})

test('G5 sees timers and bytes that pile up', () => {
  const made = new Made()
  made.evidence.sights.set('a', { ...sightOf('a'), timers: 100_000 })
  made.evidence.peakInFlight = 100 * limits.windowBytesMax
  assert.is(new Bounded(made.evidence).verdict().length, 2)
})

test('G6 sees other bytes, and a record in another place than its publisher was told; after damage it is G8', () => {
  const made = new Made()
  const reading = made.read()
  made.publish()
  const of = { id: 0, feed: 'e'.repeat(32) as never, index: 0, offset: 0, publisher: 'x' as never }
  made.history.deliver(reading, { ...of, wrong: 'other bytes than were published' })
  const [bytes, place] = new Authentic(made.evidence).verdict()
  assert.is(bytes?.promise, 'G6')
  like(bytes?.text, /other bytes/)
  like(place?.text, /which is f+\/0/)
  made.history.note('b', 'lost')
  assert.is(new Authentic(made.evidence).verdict()[0]?.promise, 'G8')
})

test('G8 sees damage of which nobody told, once the file was opened again', () => {
  const made = new Made()
  const file = 'topics/t/0000000000000000.seg'
  made.history.note('b', 'lost', `a bit of ${file} at 100`, { file, position: 100 })
  made.evidence.files.set('b', new Set([file]))
  assert.equal(textsOf(new Repaired(made.evidence)), [])
  made.history.note('b', 'started')
  assert.equal(textsOf(new Repaired(made.evidence)), [`b has not told of damage: a bit of ${file} at 100`])
  const short = new Made()
  short.history.note('b', 'lost', `a bit of ${file} at 100`, { file, position: 100 })
  short.evidence.files.set('b', new Set([file]))
  short.history.note('b', 'start-failed', 'it was ended while it started')
  short.history.note('b', 'started')
  assert.equal(textsOf(new Repaired(short.evidence)), [], 'what the first run found there it could tell nobody')
  const event = {
    type: 'damage-found' as const,
    topic: 't' as never,
    time: 0,
    file,
    position: 90,
    bytes: 50,
    kind: 'damaged' as const,
  }
  made.history.told.push({ peer: 'b', at: 1, event })
  assert.equal(textsOf(new Repaired(made.evidence)), [])
  made.history.told.push({ peer: 'a', at: 1, event })
  like(textsOf(new Repaired(made.evidence))[0], /a found damage in .* and nothing had harmed its disk/)
  made.history.told[1] = { peer: 'a', at: 1, event: { ...event, kind: 'torn-end' } }
  assert.equal(textsOf(new Repaired(made.evidence)), [])
  const again = new Made()
  again.history.note('b', 'lost', 'a bit', { file, position: 95 })
  again.history.note('b', 'started')
  again.history.told.push({ peer: 'b', at: 0, event })
  again.now = 10
  again.history.note('b', 'lost', 'another bit', { file, position: 100 })
  again.history.note('b', 'started')
  again.evidence.files.set('b', new Set([file]))
  assert.equal(textsOf(new Repaired(again.evidence)), [], 'the place was given up')
  const repaired = { type: 'damage-repaired' as const, topic: 't' as never, feed: 'f' as never, seq: 1, time: 0 }
  again.history.told.push({ peer: 'b', at: 5, event: repaired })
  assert.equal(textsOf(new Repaired(again.evidence)), ['b has not told of damage: another bit'])
})

test('G6 sees honest peers blame honest peers', () => {
  const made = new Made()
  const event = {
    type: 'misbehaved' as const,
    peer: 'x' as never,
    time: 0,
    reason: 'sent a batch that does not verify',
  }
  made.history.told.push({ peer: 'a', at: 1, event })
  like(textsOf(new Authentic(made.evidence))[0], /a says that x sent a batch that does not verify, which is honest/)
  const { plan } = made.evidence
  made.evidence.plan = { ...plan, workload: { ...plan.workload, hostile: ['b'] } }
  assert.is(textsOf(new Authentic(made.evidence)).length, 1)
  made.history.names.set('x' as never, 'b')
  assert.equal(textsOf(new Authentic(made.evidence)), [])
  made.history.told.push({ peer: 'b', at: 1, event: { ...event, peer: 'y' as never } })
  assert.equal(textsOf(new Authentic(made.evidence)), [])
})

test('G6 sees one branch of a fork go on with another', () => {
  const made = new Made()
  const { plan } = made.evidence
  made.evidence.plan = { ...plan, workload: { ...plan.workload, amnesic: ['a'] } }
  made.history.note('a', 'started')
  made.publish()
  made.now = 10
  made.history.note('a', 'started')
  made.publish()
  const reading = made.read({ peer: 'b' })
  made.deliver(reading, 0)
  assert.equal(new Authentic(made.evidence).verdict(), [])
  made.deliver(reading, 1)
  like(new Authentic(made.evidence).verdict()[0]?.text, /f\/1 of run 2 of its publisher after records of run 1/)
})

test('G6 sees a carrier that follows one branch of a fork and does not know', () => {
  const made = new Made()
  const { plan } = made.evidence
  made.evidence.plan = { ...plan, peers: [...plan.peers, { name: 'c', join: ['a'] }] }
  made.publish()
  made.publish()
  for (const [peer, id] of [
    ['a', 0],
    ['b', 1],
  ] as const)
    made.deliver(made.read({ fresh: true, peer }), id, 0)
  made.evidence.plan = { ...plan, workload: { ...plan.workload, amnesic: ['c'] } }
  const event = {
    type: 'fork' as const,
    topic: 't' as never,
    time: 0,
    feed: 'f'.repeat(32) as never,
    publisher: 'x' as never,
    seq: 1,
  }
  made.history.names.set('x' as never, 'c')
  assert.is(new Authentic(made.evidence).pending().length, 2)
  made.history.told.push({ peer: 'a', at: 1, event })
  assert.equal(new Authentic(made.evidence).pending(), [
    `b follows feed ${'f'.repeat(32)} of t and knows of no fork in it`,
  ])
  made.history.told.push({ peer: 'b', at: 1, event })
  assert.equal(new Authentic(made.evidence).pending(), [])
})

test('a calm mesh is judged by how long it takes, any other is not', () => {
  const made = new Made()
  const live = made.read()
  made.now = 20_000
  made.publish()
  const fresh = made.read({ fresh: true })
  made.now += 500
  made.deliver(live, 0)
  made.deliver(fresh, 0)
  assert.equal(textsOf(new Prompt(made.evidence)), [])
  made.now += 1_500
  made.publish()
  made.now += 2_000
  made.deliver(live, 1)
  made.deliver(fresh, 1)
  const [late, long] = textsOf(new Prompt(made.evidence))
  like(late, /reading 0 .* got 1 after 2000 ms, and nothing was wrong: 520 at most/)
  like(long, /reading 1 .* took 4000 ms for all there is, and nothing was wrong: 3000 at most/)
  const { plan } = made.evidence
  made.evidence.plan = { ...plan, timeline: [{ kind: 'pause', at: 1, forMs: 1, peer: 'a' }] }
  assert.equal(textsOf(new Prompt(made.evidence)), [])
})

test.run()
