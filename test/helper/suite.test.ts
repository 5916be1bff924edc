/** The harness is trusted by every other test, so it is tried on files that go wrong in each way we know. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { suite } from './suite.ts'
import { until } from './until.ts'

const test = suite('helper')
const runner = join(import.meta.dirname, '../run.ts')

/** Runs a test file with this body the way `npm test -- test/tried` does, and returns all that was printed. */
function runFile(body: string, folder: string): { status: number | null; output: string } {
  mkdirSync(join(folder, 'test/tried'), { recursive: true })
  const head = `import { suite } from '${import.meta.dirname}/suite.ts'\nconst test = suite('tried')\n`
  writeFileSync(join(folder, 'test/tried/one.test.ts'), head + body)
  const child = spawnSync(process.execPath, [runner, 'test/tried'], { cwd: folder, encoding: 'utf8' })
  return { status: child.status, output: child.stdout + child.stderr }
}

const lastLine = (output: string) => output.trimEnd().split('\n').at(-1)

test('a good file passes and the last line counts it', ({ dir }) => {
  const { status, output } = runFile(
    `test('a', () => {})\ntest('b', async () => {})\ntest.skip('c', 'no c here')\ntest.run()`,
    dir(),
  )
  assert.is(status, 0, output)
  assert.is(lastLine(output), '2 passed, 0 failed, 1 skipped')
  assert.match(output, 'no c here')
})

const wrong: [title: string, body: string, says: RegExp][] = [
  ['a file without .run() fails', `test('a', () => {})`, /never started/],
  ['a file without tests fails', `test.run()`, /declares no test/],
  [
    'a file that exits early fails',
    `test('a', () => process.exit(0))\ntest('b', () => {})\ntest.run()`,
    /tried: a \(never ended\)/,
  ],
  [
    'a test past its deadline fails by name',
    `test('a', () => new Promise(() => {}), { deadlineMs: 50 })\ntest.run()`,
    /tried: a/,
  ],
  [
    'a failing teardown fails the test',
    `test('a', ({ use }) => { use(() => { throw new Error('torn') }) })\ntest.run()`,
    /torn/,
  ],
  ['a thrown string fails the test', `test('a', () => { throw 'words' })\ntest.run()`, /words/],
  [
    'an unhandled rejection fails the file',
    `test('a', () => { Promise.reject(new Error('lost')); return new Promise((r) => setTimeout(r, 50)) })\ntest.run()`,
    /lost/,
  ],
]
for (const [title, body, says] of wrong) {
  test(title, ({ dir }) => {
    const { status, output } = runFile(body, dir())
    assert.is(status, 1, output)
    assert.match(output, says)
    assert.match(lastLine(output) ?? '', /^\d+ passed, [1-9]\d* failed$/)
  })
}

test('resources end in reverse order, after a failure too', ({ dir }) => {
  const body = `
    const say = (word: string) => console.log('end ' + word)
    test('a', ({ use }) => {
      use({ close: () => say('closed') })
      use({ stop: async () => say('stopped') })
      use({ async [Symbol.asyncDispose]() { say('disposed') } })
      use(() => say('called'))
      throw new Error('on purpose')
    })
    test.run()`
  const { output } = runFile(body, dir())
  const order = [...output.matchAll(/end (\w+)/g)].map((match) => match[1])
  assert.equal(order, ['called', 'disposed', 'stopped', 'closed'])
})

test('until gives the value, or says what did not come about', async () => {
  assert.is(await until(() => 7), 7)
  let message = ''
  await until(() => false, 20, 'pigs fly').catch((error) => {
    message = error.message
  })
  assert.match(message, 'pigs fly')
})

test.run()
