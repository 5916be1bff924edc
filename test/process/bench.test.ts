import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import * as assert from 'uvu/assert'
import type { Kept } from '../../sim/bench/kept.ts'
import { suite } from '../helper/suite.ts'

const test = suite('process')
const bench = join(import.meta.dirname, '../../sim/bench/main.ts')
const run = (...args: string[]) => promisify(execFile)(process.execPath, [bench, ...args])

test(
  'the benchmark measures, keeps what it measured, shows it, and says what changed since',
  async ({ dir }) => {
    const folder = dir()
    const [kept, page] = [join(folder, 'kept.json'), join(folder, 'page.html')]
    const few = ['publish-one', '--only', 'grapevine', 'fdatasync', '--quick', '--rounds', '1']
    // Exits with 1 where a ratio is not what it is to be, which on a busy machine it may not be.
    const { stdout } = await run(...few, '--json', '--save', kept, '--html', page).catch((error) => error)
    const { rows, machine } = JSON.parse(stdout) as Kept
    assert.equal(
      rows.map(({ system }) => system),
      ['grapevine', 'fdatasync'],
    )
    for (const { medians } of rows) assert.ok((medians[''] ?? 0) > 0)
    assert.ok(machine.cores > 0)
    assert.match(readFileSync(page, 'utf8'), 'fdatasync')
    const { stderr } = await run(...few, '--against', kept).catch((error) => error)
    assert.match(stderr, /half within of grapevine is .* was /)
  },
  { deadlineMs: 90_000 },
)

test('the benchmark refuses what it does not know, and says what there is', async () => {
  const { code, stderr } = await run('nothing').catch((error) => error)
  assert.is(code, 2)
  assert.match(stderr, 'fan-out-100')
})

test('the benchmark says at once of a file that it cannot read or write', async ({ dir }) => {
  for (const option of ['--against', '--save', '--html']) {
    const path = join(dir(), 'no', 'such', 'file')
    const { code, stderr } = await run('publish-one', option, path).catch((error) => error)
    assert.is(code, 2)
    assert.match(stderr, 'no such file or directory')
    assert.not.match(stderr, /\n +at /)
  }
})

test.run()
