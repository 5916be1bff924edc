import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { type ErrorCode, type GrapevineError, isError } from '../../node/errors.ts'
import { forkOf } from '../../node/feed/chain.ts'
import { systemClock } from '../../node/host/system.ts'
import { systemDisk } from '../../node/store/disk.ts'
import { memoryDisk } from '../../node/store/memory.ts'
import { openState } from '../../node/store/state.ts'
import { openStore } from '../../node/store/store.ts'
import type { TopicName } from '../../node/types.ts'
import { suite } from '../helper/suite.ts'
import { feed, folder, namesOf, readAll, rewrite, topic } from './fixture.ts'

const test = suite('store')

function openReal(data: string) {
  return openStore({ clock: systemClock, disk: systemDisk(data), openState: () => openState(data) }, { data })
}

async function refusal<C extends ErrorCode>(act: () => Promise<unknown>, code: C): Promise<GrapevineError<C>> {
  const error = await act().then(
    () => undefined,
    (error) => error,
  )
  if (!isError(error, code)) throw new Error(`${code} was expected, not ${error}`)
  return error
}

test('a folder on disk keeps batches and state over a restart, readable by its owner only', async ({ use, dir }) => {
  const data = join(dir(), 'new', 'folder')
  const batches = feed(1).many(5, 10, 2_000)
  const first = await openReal(data)
  await (await first.open(topic)).append(batches)
  await first.state.put('a', Uint8Array.of(1, 2))
  await first.close()
  assert.equal((await readdir(data)).sort(), ['format', 'state', 'topics'])
  const second = use(await openReal(data))
  assert.equal(second.topics(), [topic])
  const log = second.log(topic)
  assert.ok(log)
  if (log) assert.equal(await readAll(log), namesOf(batches))
  assert.equal([...((await second.state.get('a')) ?? [])], [1, 2])
  const segment = await stat(join(data, 'topics/orders/0000000000000000.seg'))
  assert.is(second.bytes(), segment.size)
  assert.is(segment.mode & 0o077, 0)
})

test('a folder of a newer format, or one that is not ours, is refused and left as it is', async () => {
  const disk = memoryDisk()
  await rewrite(disk, 'format', Buffer.from('grapevine 2\n'))
  const error = await refusal(() => folder(disk).open(), 'FolderTooNew')
  assert.equal([error.data.format, error.data.supported], [2, 1])
  await rewrite(disk, 'format', Buffer.from('something else'))
  await refusal(() => folder(disk).open(), 'FolderInvalid')
  const other = memoryDisk()
  await rewrite(other, 'thesis.txt', Buffer.from('years of work'))
  await refusal(() => folder(other).open(), 'FolderInvalid')
  assert.equal(await other.list(''), ['thesis.txt'])
})

test('a folder whose making was cut short, or that is the root of a volume, is taken', async ({ use }) => {
  const disk = memoryDisk()
  await rewrite(disk, 'format', new Uint8Array(0))
  await rewrite(disk, 'lost+found/x', new Uint8Array(0))
  await rewrite(disk, 'peer.json', Buffer.from('{"pid":1}'))
  use(await folder(disk).open())
})

const holder = `
  const [data, state] = process.argv.slice(1)
  const { openState } = await import(state)
  const { writeFile } = await import('node:fs/promises')
  const level = await openState(data)
  await writeFile(data + '/peer.json', JSON.stringify({ pid: process.pid }))
  console.log('open')
  process.stdin.resume().on('end', () => level.close())
`

test('a folder that another process has is refused, naming that process', async ({ use, dir }) => {
  const data = dir()
  const state = join(import.meta.dirname, '../../node/store/state.ts')
  const child = spawn(process.execPath, ['--input-type=module', '-e', holder, data, state], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  use(() => child.kill())
  await once(child.stdout, 'data')
  const error = await refusal(() => openState(data), 'FolderInUse')
  assert.is(error.data.pid, child.pid)
  assert.match(error.message, String(child.pid))
  child.stdin.end()
  await once(child, 'exit')
  use(await openState(data))
})

test('a folder in use by nobody knows whom says so; one that cannot be opened is a failure of storage', async ({
  use,
  dir,
}) => {
  const data = dir()
  use(await openState(data))
  assert.is((await refusal(() => openState(data), 'FolderInUse')).data.pid, 0)
  const blocked = dir()
  await writeFile(join(blocked, 'state'), 'a file')
  await refusal(() => openState(blocked), 'StorageFailed')
})

test('a state whose files are damaged opens with what can be saved', async ({ use, dir }) => {
  const data = dir()
  const first = await openState(data)
  await first.put('a', Uint8Array.of(7))
  await first.close()
  for (const name of (await readdir(join(data, 'state'))).filter((name) => /^(MANIFEST|CURRENT)/.test(name))) {
    await truncate(join(data, 'state', name))
  }
  const second = use(await openState(data))
  assert.equal([...((await second.get('a')) ?? [])], [7])
})

test('topics of every name keep apart and come back', async ({ use, dir }) => {
  const data = dir()
  const names = ['a', 'A', '$own.x', 'x_-.9', 'Ab', 'aB', 'X'.repeat(249), 'x'.repeat(249)] as TopicName[]
  const first = await openReal(data)
  for (const name of names) await (await first.open(name)).append([feed(1, name).next()])
  await first.close()
  const folders = await readdir(join(data, 'topics'))
  assert.is(new Set(folders.map((name) => name.toLowerCase())).size, names.length)
  await mkdir(join(data, 'topics', '%not ours%'))
  const second = use(await openReal(data))
  assert.equal(second.topics().sort(), names.sort())
  for (const name of names) assert.is(second.log(name)?.endOffset, 2)
})

test('two openings of a topic at once are one', async ({ use }) => {
  const { store } = use(await folder().open())
  const name = 'both' as TopicName
  const [a, b] = await Promise.all([store.open(name), store.open(name)])
  assert.is(a, b)
})

test('a fork stops its feed for good, and both heads are kept as its proof', async ({ use }) => {
  const place = folder()
  const { log, close } = await place.open()
  const [a, twin] = [feed(1), feed(1)]
  const one = a.next(2)
  const proof = forkOf(one.head, twin.next(3).head)
  if (proof === undefined) throw new Error('two heads of one number are a fork')
  await log.append([one])
  assert.is(log.feeds.get(a.id)?.forked, false)
  await log.markForked(proof)
  assert.is(log.feeds.get(a.id)?.forked, true)
  await close()
  const again = use(await place.open())
  assert.is(again.log.feeds.get(a.id)?.forked, true)
  const kept = await again.log.fork(a.id)
  assert.equal([kept?.feed, kept?.seq, kept?.a.bytes, kept?.b.bytes], [a.id, 1, proof.a.bytes, proof.b.bytes])
})

test.run()
