import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { Neighbourhood } from '../helper/process.ts'
import { suite } from '../helper/suite.ts'

const test = suite('cli')

const small = `
about: Three peers, one of which is killed.
lasts: 6s
peers: { all3: 3 }
publish: [{ by: all3-0, topic: t, every: 200ms }]
read: [{ by: all, topic: t }]
timeline: [{ at: 2s, for: 1s, kill: all3-1 }]
`

test(
  'sim plays a scenario, reports on it, and exits with 1 when it is not as expected',
  async (tools) => {
    const here = new Neighbourhood(tools)
    const [good, bad, page] = ['good.yaml', 'bad.yaml', 'report.html'].map((name) => join(here.root, name)) as [
      string,
      string,
      string,
    ]
    writeFileSync(good, `${small}expect: { lost: 0, confirmed: '> 10' }\n`)
    writeFileSync(bad, `${small}expect: { confirmed: '> 1000' }\n`)

    const played = await here.run(['sim', '--scenario', good, '--report', page, '--json'])
    assert.is(played.code, 0, played.stderr)
    const { ok, stats, violations } = JSON.parse(String(played.stdout))
    assert.equal([ok, stats.lost, violations], [true, 0, []])
    const html = readFileSync(page, 'utf8')
    assert.ok(html.includes('Three peers, one of which is killed.') && html.includes(`--scenario ${good}`))

    const missed = await here.run(['sim', '--scenario', bad, '--json'])
    assert.is(missed.code, 1)
    assert.is(JSON.parse(String(missed.stdout)).violations[0].promise, 'expected')
    assert.match(missed.stderr, `again: grapevine sim --seed 1 --scenario ${bad}`)
  },
  { deadlineMs: 90_000 },
)

test('sim says where a scenario is wrong, and which faults there are (exit 2)', async (tools) => {
  const here = new Neighbourhood(tools)
  const file = join(here.root, 'wrong.yaml')
  writeFileSync(file, 'peers: { a: 1 }\nlasts: soon\n')
  const wrong = await here.run(['sim', '--scenario', file])
  assert.equal(
    [wrong.code, wrong.stderr.trim()],
    [2, 'grapevine: wrong.yaml:2: `lasts` takes a time such as 500ms, 10s or 2m'],
  )
  const nonsense = await here.run(['sim', '--real', '--faults', 'skew'])
  assert.is(nonsense.code, 2)
  assert.match(nonsense.stderr, /there is no skew: take some of partition/)
})

test.run()
