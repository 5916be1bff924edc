import { join } from 'node:path'
import * as assert from 'uvu/assert'
import type { Compared, ComparedRatio } from '../../sim/bench/compare.ts'
import { changesOf, changeText, isAlike, type Kept, kept, readKept, saveKept } from '../../sim/bench/kept.ts'
import { pageOf } from '../../sim/bench/page.ts'
import { suite } from '../helper/suite.ts'

const test = suite('sim')

const ratio = (median: number, rest: Partial<ComparedRatio> = {}): ComparedRatio => ({
  of: 'grapevine',
  figure: '',
  to: 'nats',
  toFigure: '',
  better: 'more',
  median,
  low: median,
  high: median,
  rounds: 7,
  ...rest,
})
const compared = (name: string, ratios: ComparedRatio[]): Compared => ({
  name,
  title: `<${name}>`,
  figures: [{ name: '', unit: '/s', better: 'more' }],
  rows: [
    {
      system: 'grapevine',
      version: '1.0.0',
      client: 'createPeer()',
      durability: 'none',
      figures: { '': [10, null, 1_000] },
      medians: { '': 505 },
      beside: 'a & b',
    },
  ],
  ratios,
  skipped: [{ system: 'nats', why: 'its server is not installed here' }],
})

test('a ratio has fallen when it is less than three quarters of what it was', () => {
  const table: [before: number, now: number, better: 'more' | 'less', hasFallen: boolean][] = [
    [2, 2, 'more', false],
    [2, 1.51, 'more', false],
    [2, 1.49, 'more', true],
    [2, 4, 'more', false],
    // Of a time, less is better.
    [1.5, 1.9, 'less', false],
    [1.5, 2.1, 'less', true],
    [1.5, 0.5, 'less', false],
  ]
  for (const [before, now, better, hasFallen] of table) {
    const [change] = changesOf(compared('one', [ratio(before, { better })]), compared('one', [ratio(now, { better })]))
    assert.is(change?.hasFallen, hasFallen, `${before} to ${now}, ${better}`)
    if (change) assert.is(changeText(change).endsWith('FALLEN'), hasFallen)
  }
})

test('a ratio has not fallen as long as the intervals meet', () => {
  const now = [ratio(1, { low: 0.5, high: 1.9 })]
  const [wide, narrow] = [[ratio(2, { low: 1.8, high: 2.2 })], [ratio(2, { low: 1.95, high: 2.05 })]]
  assert.is(changesOf(compared('one', wide), compared('one', now))[0]?.hasFallen, false)
  assert.is(changesOf(compared('one', narrow), compared('one', now))[0]?.hasFallen, true)
})

test('machines are alike where the processor, its cores and the major version of Node are', () => {
  const { machine } = kept(compared('one', []))
  assert.ok(isAlike(machine, { ...machine, memoryGiB: 1, system: 'other' }))
  for (const other of [{ cpu: 'other' }, { cores: machine.cores + 1 }, { node: '1.0.0' }])
    assert.not.ok(isAlike(machine, { ...machine, ...other }))
})

test('only ratios of the same figures of the same systems are compared', () => {
  const before = compared('one', [ratio(2, { to: 'redis' }), ratio(3, { figure: 'half within' })])
  assert.equal(changesOf(before, compared('one', [ratio(1)])), [])
})

test('what is measured anew takes the place of what was kept, and the rest stays', ({ dir }) => {
  const path = join(dir(), 'kept.json')
  const medians = (all: readonly Kept[]) => all.map(({ name, ratios }) => `${name} ${ratios[0]?.median}`)
  saveKept(path, 'full', [kept(compared('b', [ratio(1)])), kept(compared('a', [ratio(2)]))])
  saveKept(path, 'quick', [kept(compared('a', [ratio(5)]))])
  saveKept(path, 'full', [kept(compared('b', [ratio(3)]))])
  assert.equal(medians(readKept(path, 'full')), ['a 2', 'b 3'])
  assert.equal(medians(readKept(path, 'quick')), ['a 5'])
})

test('the page stands alone, and shows text as text', () => {
  const page = pageOf([kept(compared('one', [ratio(2, { aim: 1.5, met: true })]))])
  for (const text of ['&lt;one&gt;', 'a &amp; b', 'class="met"', 'logarithmic', 'nats is left out'])
    assert.match(page, text)
  assert.not.match(page, /<one>|src=|href=|NaN/)
})

test.run()
