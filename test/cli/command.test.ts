/** Commands as processes: usage, files of a running peer, bytes, ends. What a mesh survives is shown in test/process. */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { Neighbourhood } from '../helper/process.ts'
import { suite, type TestTools } from '../helper/suite.ts'
import { until } from '../helper/until.ts'

const test = suite('cli')
const alone = ['--no-discovery']
const hashOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

/** Each of these starts several processes on a machine that may be busy. */
function story(name: string, act: (here: Neighbourhood, tools: TestTools) => Promise<void>): void {
  test(name, (tools) => act(new Neighbourhood(tools), tools), { deadlineMs: 60_000 })
}

story('wrong usage exits with 2 and says what is meant', async (here) => {
  const wrong: [args: string[], says: RegExp][] = [
    [['nope'], /unknown command/],
    [['sub', 'a', '--count', 'x'], /whole number/],
    [['pub', 'a', '--key', 'k', '--key-field', 'f'], /cannot be used/],
    [['pub', 'a b', 'x', '--confirm', '0', ...alone], /topic "a b"/],
    [['pub', 'a', '--file', '/nowhere'], /--file \/nowhere/],
    [['up', '--ephemeral', '--listen', '/ip4/0.0.0.0/tcp/0'], /mesh secret/],
    [['up', '--ephemeral', '--api', '0.0.0.0:80', ...alone], /loopback/],
  ]
  for (const [args, says] of wrong) {
    const { code, stdout, stderr } = await here.run(args)
    assert.is(code, 2, `${args.join(' ')}: ${stderr}`)
    assert.match(stderr, says)
    assert.is(stdout.length, 0)
  }
})

story('up leaves its API, token and secret for its owner only, and takes them back', async (here) => {
  const peer = await here.up('host', ['--mesh', 'our secret', ...alone])
  const file = (name: string) => join(peer.data, name)
  const announced = JSON.parse(readFileSync(file('peer.json'), 'utf8'))
  assert.equal([announced.pid, announced.id], [peer.pid, peer.id])
  for (const name of ['token', 'mesh', 'peer.json']) assert.is(statSync(file(name)).mode & 0o777, 0o600, name)
  assert.is(readFileSync(file('mesh'), 'utf8'), 'our secret')

  const invite = (await peer.run(['invite'])).stdout.toString().trim()
  assert.match(invite, /^gv1-/)
  const guest = await here.up('guest', ['--ephemeral', '--join', invite, ...alone])
  await guest.event('friend-joined', 10_000)

  assert.is(await peer.stop(), 0)
  for (const name of ['token', 'mesh', 'peer.json']) assert.not(existsSync(file(name)), name)
})

story('what is published at one peer is read at another, byte for byte, with all its fields', async (here) => {
  const one = await here.up('one', alone)
  const two = await here.up('two', [...alone, '--join', one.addresses[0] ?? ''])
  await two.event('friend-joined', 10_000)
  const input = Buffer.concat([Buffer.from('plain\n\ncr\r\n'), Uint8Array.of(255, 254, 10), Buffer.from('{"a":1}\n')])
  const sent = await one.run(['pub', 'bytes', '--json', '--key', 'k', '--header', 'a=b'], input)
  assert.is(sent.stdout.toString(), '{"published":5,"confirmed":5,"copies":1}\n', sent.stderr)
  assert.is(sent.code, 0)

  const all = ['sub', 'bytes', '--from', 'earliest', '--count', '5']
  assert.is(hashOf((await two.run(all)).stdout), hashOf(input))
  const lines = (await two.run([...all, '--json'])).stdout.toString().trimEnd().split('\n')
  const records = lines.map((line) => JSON.parse(line))
  const values = records.map(({ value }) => value)
  assert.equal(values, ['plain', '', 'cr\r', { base64: '//4=' }, { a: 1 }])
  const fields = ['topic', 'id', 'publisher', 'feed', 'seq', 'index', 'offset', 'time', 'key', 'headers', 'value']
  assert.equal(Object.keys(records[0]), fields)
  assert.equal([records[0].key, records[0].headers, records[0].publisher], ['k', { a: 'b' }, one.id])

  const [topic] = JSON.parse((await two.run(['topics', '--json'])).stdout.toString())
  assert.equal([topic.name, topic.records], ['bytes', 5])
  assert.match((await two.run(['friends'])).stdout.toString(), one.id)
})

story('a record that was read can be asked after by its id', async (here) => {
  const peer = await here.up('only', alone)
  await peer.run(['pub', 'told', 'once'])
  const { id } = JSON.parse(
    (await peer.run(['sub', 'told', '--from', 'earliest', '--count', '1', '--json'])).stdout.toString(),
  )
  const why = await peer.run(['why', id])
  assert.is(why.code, 0, why.stderr)
  assert.match(why.stdout.toString(), 'told')
})

story('what is no id is refused before a peer is looked for', async (here) => {
  // Where one would be looked for, that address is no address either.
  const nonsense = await here.run(['why', 'nonsense', '--join', 'nowhere'])
  assert.is(nonsense.code, 2, nonsense.stderr)
  assert.match(nonsense.stderr, '"nonsense" is no id')
})

story('broken JSON lines are named and left out, the others published, and the exit code is 1', async (here) => {
  const peer = await here.up('only', alone)
  const file = join(here.root, 'lines')
  writeFileSync(file, '{"a":1}\n{broken\n{"b":2}\n{"a":3}')
  const sent = await peer.run(['pub', 'j', '--codec', 'json', '--key-field', 'a', '--file', file, '--json'])
  assert.equal([sent.code, JSON.parse(sent.stdout.toString()).published], [1, 2], sent.stderr)
  assert.match(sent.stderr, /line 2 .*JSON/)
  assert.match(sent.stderr, /line 3 .*"a"/)
})

story('sub ends with 1 when the timeout comes before the count, with 0 without a count', async (here) => {
  const peer = await here.up('only', alone)
  const missed = await peer.run(['sub', 'quiet', '--count', '1', '--timeout', '300ms'])
  assert.is(missed.code, 1)
  assert.match(missed.stderr, '0 of 1')
  assert.is((await peer.run(['sub', 'quiet', '--timeout', '300ms'])).code, 0)
})

story('lines of stdin are published as they come, and Ctrl-C ends a reader cleanly', async (here) => {
  const peer = await here.up('only', alone)
  const reader = peer.start(['sub', 'live'])
  await until(() => reader.errors().includes('subscribed'), 10_000, 'the reader is live')
  const writer = peer.start(['pub', 'live'])
  writer.stdin.write('one\n')
  await until(() => reader.output().toString() === 'one\n', 10_000, 'the first line is through')
  writer.stdin.write('two\n')
  await until(() => reader.output().toString() === 'one\ntwo\n', 5_000, 'the second line is through')
  writer.stdin.end()
  assert.is((await writer.ended).code, 0)
  process.kill(reader.pid, 'SIGINT')
  assert.is((await reader.ended).code, 0)
})

story('a reader of stdout that goes away ends sub quietly', async (here, { use }) => {
  const peer = await here.up('only', alone)
  assert.is((await peer.run(['pub', 'much'], `${'x'.repeat(99)}\n`.repeat(20_000))).code, 0)
  const main = join(import.meta.dirname, '../../cli/main.ts')
  const sub = `'${process.execPath}' '${main}' sub much --from earliest --data '${peer.data}'`
  const shell = spawn('bash', ['-c', `${sub} | head -n 1; echo "exit \${PIPESTATUS[0]}"`])
  use(() => void shell.kill('SIGKILL'))
  const said: Buffer[] = []
  shell.stdout.on('data', (piece) => said.push(piece))
  await once(shell, 'close')
  assert.is(Buffer.concat(said).toString(), `${'x'.repeat(99)}\nexit 0\n`)
})

story('without a running peer a command is one itself: alone it says so, joined it works', async (here) => {
  const lonely = await here.run(['pub', 'a', 'x', ...alone])
  assert.is(lonely.code, 1)
  assert.match(lonely.stderr, 'no other peer')

  const keeper = await here.up('keeper', alone)
  const joining = [...alone, '--join', keeper.addresses[0] ?? '']
  const sent = await here.run(['pub', 'a', 'one', 'two', '--json', ...joining])
  assert.is(sent.stdout.toString(), '{"published":2,"confirmed":2,"copies":1}\n', sent.stderr)
  const read = await here.run(['sub', 'a', '--from', 'earliest', '--count', '2', '--timeout', '20s', ...joining])
  assert.is(read.stdout.toString(), 'one\ntwo\n', read.stderr)
})

story('a peer.json that a crash left is ignored', async (here) => {
  const killed = await here.up('again', alone)
  await killed.kill()
  assert.ok(existsSync(join(killed.data, 'peer.json')))
  const again = await here.up('again', alone)
  assert.is(again.id, killed.id)
  assert.is(JSON.parse((await again.run(['status', '--json'])).stdout.toString()).id, killed.id)
})

test.run()
