/** `grapevine consume` as its users run it: processes that share records, run commands, and are killed and stopped. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { Neighbourhood, ok, type RunningCommand } from '../helper/process.ts'
import { suite, type TestTools } from '../helper/suite.ts'
import { until } from '../helper/until.ts'

const test = suite('cli')
const alone = ['--no-discovery']
const work = ['consume', 'jobs', '--group', 'work', '--from', 'earliest']
/** What waits for another process, on a machine that may be busy. */
const patientMs = 40_000

function story(name: string, act: (here: Neighbourhood, tools: TestTools) => Promise<void>): void {
  test(name, (tools) => act(new Neighbourhood(tools), tools), { deadlineMs: 240_000 })
}

const linesOf = (text: string | Buffer) => text.toString().split('\n').slice(0, -1)
const numbers = (count: number, from = 0) => Array.from({ length: count }, (_, i) => String(from + i))

function stop(command: RunningCommand): Promise<number | string> {
  process.kill(command.pid, 'SIGINT')
  return command.ended.then(({ code }) => code)
}

story('what is printed is acknowledged, and what the next one prints is the rest', async (here) => {
  const peer = await here.up('only', alone)
  await ok(peer.run(['pub', 'jobs', '--key', 'k'], `${numbers(10).join('\n')}\n`))
  const first = await ok(peer.run([...work, '--count', '4']))
  const second = await ok(peer.run([...work, '--count', '6', '--json']))
  const records = linesOf(second.stdout).map((line) => JSON.parse(line))
  const printed = [...linesOf(first.stdout).map(Number), ...records.map(({ value }) => value)]
  assert.equal(
    printed.sort((a, b) => a - b),
    numbers(10).map(Number),
  )
  assert.equal([records[0].topic, records[0].key], ['jobs', 'k'])
  assert.ok(records.every(({ attempt, fencingToken }) => attempt >= 1 && fencingToken >= 1))
  assert.match(second.stderr, 'acknowledged 6, refused 0')
})

story('a group is moved for all its members, and one that is new begins where it is told to', async (here) => {
  const peer = await here.up('only', alone)
  await ok(peer.run(['pub', 'jobs'], `${numbers(3).join('\n')}\n`))
  await ok(peer.run([...work, '--count', '3']))
  const later = new Date(Date.now() + 1).toISOString()
  await ok(peer.run(['pub', 'jobs', '3', '4']))
  const moved = await ok(peer.run(['groups', 'seek', 'jobs', 'work', 'earliest']))
  assert.match(moved.stderr, 'group work on jobs goes on from earliest')
  const again = await ok(peer.run([...work, '--count', '5']))
  assert.equal(linesOf(again.stdout).sort(), numbers(5))
  const { stdout } = await ok(peer.run(['groups', 'seek', 'jobs', 'work', later, '--json']))
  assert.equal(JSON.parse(stdout.toString()), { topic: 'jobs', group: 'work', to: later })
  const rest = await ok(peer.run([...work, '--count', '2']))
  assert.equal(linesOf(rest.stdout).sort(), ['3', '4'])
  const other = await ok(peer.run(['consume', 'jobs', '--group', 'other', '--from', later, '--count', '2']))
  assert.equal(linesOf(other.stdout).sort(), ['3', '4'])
  const unknown = await peer.run(['groups', 'seek', 'jobs', 'nobody', 'latest'])
  assert.is(unknown.code, 2)
  assert.match(unknown.stderr, 'there is no group nobody on jobs')
  assert.is((await peer.run(['groups', 'seek', 'jobs', 'work', 'yesterday'])).code, 2)
  assert.match((await ok(peer.run(['groups', 'jobs']))).stdout.toString(), 'work')
})

story('a command has the value on stdin and the rest in its environment, and its exit code decides', async (here) => {
  const peer = await here.up('only', alone)
  await ok(peer.run(['pub', 'jobs', 'good', 'bad', '--key', 'k']))
  const script =
    'read -r line; echo "$line $GRAPEVINE_TOPIC $GRAPEVINE_GROUP $GRAPEVINE_KEY $GRAPEVINE_ATTEMPT $GRAPEVINE_ID $GRAPEVINE_FENCING_TOKEN"; test "$line" = good'
  const command = [...work, '--exec', script, '--max-receives', '2', '--dead-letter', 'graves']
  const { stdout, stderr } = await ok(peer.run([...command, '--count', '3']))
  const lines = linesOf(stdout).map((line) => line.split(' '))
  assert.equal(lines.map((words) => words.slice(0, 5).join(' ')).sort(), [
    'bad jobs work k 1',
    'bad jobs work k 2',
    'good jobs work k 1',
  ])
  assert.ok(lines.every(([, , , , , id, token]) => /^[0-9a-f]{32}\/\d+$/.test(id ?? '') && Number(token) >= 1))
  assert.match(stderr, 'acknowledged 1, refused 2')
  assert.match(stderr, 'exit 1')

  const consuming = peer.start(command)
  const dead = await ok(peer.run(['sub', 'graves', '--from', 'earliest', '--count', '1', '--json']))
  assert.is(JSON.parse(dead.stdout.toString()).value, 'bad')
  assert.is(await stop(consuming), 0)
})

story('with --json stdout has one object a record, and the lease is extended while the command runs', async (here) => {
  const peer = await here.up('only', alone)
  await ok(peer.run(['pub', 'jobs', 'slow']))
  const command = [...work, '--lease-ms', '1000', '--json', '--count', '1', '--exec', 'cat; sleep 3']
  const { stdout, stderr } = await ok(peer.run(command))
  const { ms, id, fencingToken, ...rest } = JSON.parse(stdout.toString())
  assert.equal(rest, { key: null, attempt: 1, outcome: 'acknowledged', exitCode: 0 })
  assert.ok(ms >= 3_000 && id.includes('/') && fencingToken >= 1)
  assert.match(stderr, 'slow')
})

story('settings that differ from those of the group, and wrong ones, are refused in words', async (here) => {
  const peer = await here.up('only', alone)
  const first = peer.start(work)
  await until(() => first.errors().includes('waiting'), patientMs)
  await ok(peer.run(['pub', 'jobs', 'one']))
  await until(() => first.output().toString() === 'one\n', patientMs, 'the group is there')
  const other = await peer.run([...work, '--type', 'exclusive'])
  assert.is(other.code, 1)
  assert.match(other.stderr, /exists with type shared/)
  assert.is((await peer.run([...work, '--lease-ms', '1'])).code, 2)
  assert.is((await peer.run(['consume', 'jobs'])).code, 2)
  assert.is((await peer.run([...work, '--concurrency', '1001'])).code, 2)
  assert.is(await stop(first), 0)
})

story('of two consumers on two peers one is killed with kill -9, and no record is lost', async (here) => {
  const one = await here.up('one', alone)
  const two = await here.up('two', [...alone, '--join', one.addresses[0] ?? ''])
  await two.event('friend-joined', patientMs)
  const log = join(here.root, 'done')
  const command = [...work, '--concurrency', '2', '--exec', `echo "$(cat)" >> '${log}'`]
  const [killed, stays] = [one.start(command), two.start(command)]
  for (const each of [killed, stays]) await until(() => each.errors().includes('waiting'), patientMs)
  const done = () => new Set(existsSync(log) ? linesOf(readFileSync(log)).filter(Boolean) : [])
  const jobs = one.client.topic<number>('jobs')
  await jobs.publishMany(numbers(20).map((value) => ({ value: Number(value) })))
  await until(() => done().size >= 5, patientMs, 'some are done')
  await killed.kill()
  await jobs.publishMany(numbers(20, 20).map((value) => ({ value: Number(value) })))
  await until(() => done().size === 40, patientMs, 'all are done')
  assert.is(await stop(stays), 0)
})

story('Ctrl-C takes nothing more and lets running commands finish; a second one kills them', async (here) => {
  const peer = await here.up('only', alone)
  await ok(peer.run(['pub', 'jobs', 'a', 'b', 'c', 'd']))
  const [began, ended] = [join(here.root, 'began'), join(here.root, 'ended')]
  const script = (seconds: number) => `cat >> '${began}'; sleep ${seconds}; cat '${began}' > '${ended}'`
  const patient = peer.start([...work, '--exec', script(2)])
  await until(() => existsSync(began), patientMs, 'the first command runs')
  assert.is(await stop(patient), 0)
  assert.is(readFileSync(began, 'utf8').length, 1)
  assert.is(readFileSync(ended, 'utf8').length, 1)
  assert.match(patient.errors(), 'acknowledged 1, refused 0')

  const hasty = peer.start([...work, '--exec', script(8)])
  await until(() => readFileSync(began, 'utf8').length === 2, patientMs, 'the second command runs')
  process.kill(hasty.pid, 'SIGINT')
  await new Promise((resolve) => setTimeout(resolve, 300))
  assert.is(await stop(hasty), 130)
  await new Promise((resolve) => setTimeout(resolve, 8_500))
  assert.is(readFileSync(ended, 'utf8').length, 1)
  const rest = await ok(peer.run([...work, '--count', '3']))
  assert.is(linesOf(rest.stdout).length, 3)
})

test.run()
