/** The parts of the command line that need no process: arguments, lines, records, tables. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { InvalidArgumentError } from 'commander'
import * as fc from 'fast-check'
import * as assert from 'uvu/assert'
import { atLeastOne, count, duration, header, start } from '../../cli/argument.ts'
import { jsonLine } from '../../cli/json-line.ts'
import { linesOf } from '../../cli/line.ts'
import { agoText, byteText, table } from '../../cli/output.ts'
import { grapevine } from '../../cli/program.ts'
import { recordOf } from '../../cli/record.ts'
import { type FeedId, isError, type PeerId, type TopicName, version } from '../../node/index.ts'
import { suite } from '../helper/suite.ts'

const test = suite('cli parts')
const never = new AbortController().signal

async function* chunksOf(bytes: Uint8Array, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield Buffer.from(bytes.subarray(at, at + size))
}

async function gather(lines: AsyncIterable<Uint8Array>): Promise<string[]> {
  const found: string[] = []
  for await (const line of lines) found.push(Buffer.from(line).toString('latin1'))
  return found
}

test('the version is that of package.json', () => {
  const { version: packed } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8'))
  assert.is(version, packed)
})

test('every command has help, with --json', () => {
  const { commands } = grapevine()
  assert.equal(
    commands.map((command) => command.name()),
    [
      'up',
      'open',
      'pub',
      'sub',
      'consume',
      'queue',
      'request',
      'respond',
      'status',
      'friends',
      'topics',
      'top',
      'why',
      'groups',
      'invite',
      'demo',
      'doctor',
      'sim',
    ],
  )
  // A queue alone is nothing to do.
  for (const command of commands.flatMap((each) => [...(each.name() === 'queue' ? [] : [each]), ...each.commands])) {
    assert.match(command.helpInformation(), new RegExp(`Usage: grapevine ((queue|groups) )?${command.name()}`))
    assert.match(command.helpInformation(), '--json')
  }
})

test('durations, counts, headers and starts are read, or refused in words', () => {
  assert.equal(['500ms', '30s', '1.5m', '2h', '7d'].map(duration), [500, 30_000, 90_000, 7_200_000, 604_800_000])
  assert.equal([count('0'), atLeastOne('5')], [0, 5])
  assert.equal(header('b=2=3', header('a=1')), { a: '1', b: '2=3' })
  assert.equal(start('earliest'), 'earliest')
  assert.equal(start('2025-01-31T12:00:00Z'), new Date('2025-01-31T12:00:00Z'))
  const ago = start('10m') as Date
  assert.ok(Math.abs(Date.now() - 600_000 - ago.getTime()) < 5_000)
  const wrong: (() => unknown)[] = [
    ...['', '30', '-1s', '0s', '1y', 'NaNs', '99d'].map((text) => () => duration(text)),
    ...['', '-1', '1.5', 'x', '99999999999999999999'].map((text) => () => count(text)),
    ...['', 'yesterday', '12', '2025-13-45'].map((text) => () => start(text)),
    ...['', 'a', '=b'].map((text) => () => header(text)),
    () => atLeastOne('0'),
  ]
  for (const act of wrong) assert.throws(act, (error: unknown) => error instanceof InvalidArgumentError, String(act))
})

test('lines are what stands between newlines, however the bytes come in pieces', async () => {
  const line = fc.uint8Array({ maxLength: 8 }).map((bytes) => bytes.map((byte) => (byte === 10 ? 11 : byte)))
  const text = fc.tuple(fc.array(line, { maxLength: 12 }), fc.integer({ min: 1, max: 9 }))
  await fc.assert(
    fc.asyncProperty(text, async ([lines, size]) => {
      const bytes = Buffer.concat(lines.flatMap((line) => [line, Uint8Array.of(10)]))
      const read = await gather(linesOf(chunksOf(bytes, size), { bytesMax: 100, signal: never }))
      assert.equal(
        read,
        lines.map((line) => Buffer.from(line).toString('latin1')),
      )
    }),
    { numRuns: 200 },
  )
  const open = Buffer.from('a\r\n\nlast')
  assert.equal(await gather(linesOf(chunksOf(open, 3), { bytesMax: 100, signal: never })), ['a\r', '', 'last'])
})

test('a line beyond the limit is refused by its number', async () => {
  let refused: unknown
  await gather(linesOf(chunksOf(Buffer.from('a\nbbbbbbbbbbbbbbbb'), 4), { bytesMax: 8, signal: never })).catch(
    (error) => {
      refused = error
    },
  )
  assert.ok(isError(refused, 'RecordTooLarge'))
  assert.match(refused.message, 'line 2')
})

test('reading lines ends at a signal even while nothing comes', async () => {
  const stop = new AbortController()
  async function* silent() {
    yield Buffer.from('one\n')
    await new Promise(() => {})
  }
  const reading = gather(linesOf(silent(), { bytesMax: 8, signal: stop.signal }))
  stop.abort()
  await reading
})

test('records keep their bytes; keys come from JSON; what is broken says why', () => {
  const bytes = (text: string) => Buffer.from(text)
  const rule = { codec: 'bytes', key: undefined, keyField: undefined } as const
  const broken = Uint8Array.of(255)
  assert.equal(recordOf(broken, rule), { value: broken })
  assert.equal(recordOf(bytes('x'), { ...rule, key: 'k' }), { value: bytes('x'), key: 'k' })
  assert.equal(recordOf(bytes('{"a":7}'), { ...rule, keyField: 'a' }), { value: bytes('{"a":7}'), key: '7' })
  const says = (value: Uint8Array, change: object) =>
    Object.entries(recordOf(value, { ...rule, ...change }))
      .flat()
      .join(' ')
  assert.match(says(broken, { codec: 'text' }), /broken.*UTF-8/)
  assert.match(says(bytes('{'), { codec: 'json' }), /broken.*JSON/)
  assert.match(says(bytes(''), { codec: 'json' }), /broken.*JSON/)
  for (const value of ['{}', '[]', 'null', '{"a":{}}', '7'])
    assert.match(says(bytes(value), { keyField: 'a' }), /broken.*"a"/)
  assert.match(says(bytes('{}'), { keyField: 'toString' }), /broken/)
})

test('a record in JSON loses nothing', () => {
  const told = (value: Uint8Array) => {
    const place = { publisher: 'p' as PeerId, feed: 'f' as FeedId, seq: 1, index: 2, id: 'f/2', offset: 3, time: 4 }
    const line = jsonLine({
      topic: 't' as TopicName,
      value,
      key: undefined,
      headers: {},
      ack: async () => {},
      ...place,
    })
    assert.ok(line.endsWith('}\n') && line.indexOf('\n') === line.length - 1)
    return { line, value: JSON.parse(line).value }
  }
  const meta =
    '{"topic":"t","id":"f/2","publisher":"p","feed":"f","seq":1,"index":2,"offset":3,"time":4,"key":null,"headers":{},'
  assert.is(told(Buffer.from('{"a": 12345678901234567890}')).line, `${meta}"value":{"a": 12345678901234567890}}\n`)
  assert.equal(told(Buffer.from('{"a":\r\n1}')).value, { a: 1 })
  assert.is(told(Buffer.from('just text')).value, 'just text')
  assert.is(told(Buffer.from('')).value, '')
  assert.equal(told(Uint8Array.of(255, 254)).value, { base64: '//4=' })
})

test('tables line up, and sizes and times are told in their unit', () => {
  assert.is(table(['A', 'LONG'], [['xyz', '1']]), 'A    LONG\nxyz  1\n')
  assert.equal([0, 1023, 1536, 5 * 1024 ** 3].map(byteText), ['0 B', '1023 B', '1.5 KiB', '5.0 GiB'])
  assert.equal(
    [0, 119, 120, 7_200, 172_800].map((seconds) => agoText(0, seconds * 1000)),
    ['0 s', '119 s', '2 min', '2 h', '2 d'],
  )
})

test.run()
