/** Files that were damaged while their peer was stopped are noticed, told of, and made whole from friends. */
import { readdirSync, statSync, truncateSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { Neighbourhood, ok, type PeerProcess } from '../helper/process.ts'
import { suite } from '../helper/suite.ts'
import { until } from '../helper/until.ts'

const test = suite('process')
const count = 20_000
const healedMs = 10_000
const lines = Array.from({ length: count }, (_, i) => `{"order":${i},"note":"${(i * 7919).toString(36).repeat(8)}"}\n`)
const input = Buffer.from(lines.join(''))

/** Three peers that all carry the topic; the last two have been stopped. */
async function threePeers(here: Neighbourhood): Promise<PeerProcess[]> {
  const peers = await Promise.all(['1', '2', '3'].map((name) => here.up(name)))
  const [first] = peers
  assert.ok(first)
  const publisher = first.start(['pub', 'orders', '--confirm', '2'])
  // A fifth at a time, each stored before the next, so that there are batches on both sides of the damage.
  for (let at = 0; at < count; at += count / 5) {
    publisher.stdin.write(lines.slice(at, at + count / 5).join(''))
    await until(async () => (await recordsAt(first)) === at + count / 5, 20_000, `${at} records are stored`)
  }
  publisher.stdin.end()
  await ok(publisher.ended)
  for (const peer of peers.slice(1)) assert.is(await peer.stop(), 0)
  return peers
}

async function recordsAt(peer: PeerProcess): Promise<number> {
  const topics = await peer.client.topics()
  return topics.find((topic) => topic.name === 'orders')?.records ?? 0
}

function segmentOf(here: Neighbourhood, name: string): string {
  const folder = join(here.folderOf(name), 'topics', 'orders')
  const [segment, ...more] = readdirSync(folder).filter((file) => file.endsWith('.seg'))
  assert.equal(more, [])
  return join(folder, segment ?? '')
}

async function flipBit(path: string): Promise<void> {
  const file = await open(path, 'r+')
  const middle = Math.floor(statSync(path).size / 2)
  const byte = Buffer.alloc(1)
  await file.read(byte, 0, 1, middle)
  byte.writeUInt8(byte.readUInt8() ^ 0b0001_0000)
  await file.write(byte, 0, 1, middle)
  await file.close()
}

async function readsAll(peer: PeerProcess): Promise<void> {
  const args = ['sub', 'orders', '--from', 'earliest', '--count', String(count), '--timeout', '15s']
  const { stdout } = await ok(peer.run(args))
  assert.is(stdout.length, input.length)
  // The damaged batch may stand elsewhere among the others, but here all are of one feed: their order is fixed.
  assert.ok(stdout.equals(input), 'every line, once, in order')
}

test(
  'a flipped bit and a torn end are told of and healed within 10 s, and nothing wrong is ever served',
  async (tools) => {
    const here = new Neighbourhood(tools)
    const [healthy] = await threePeers(here)
    await flipBit(segmentOf(here, '2'))
    truncateSync(segmentOf(here, '3'), statSync(segmentOf(here, '3')).size - 100)

    const begun = performance.now()
    const [flipped, torn] = await Promise.all([here.up('2'), here.up('3')])
    const { topic, kind } = await flipped.event('damage-found')
    assert.equal([topic, kind], ['orders', 'damaged'])
    assert.is((await torn.event('damage-found')).kind, 'torn-end')
    await flipped.event('damage-repaired', healedMs)
    const whole = async (peer: PeerProcess) => (await recordsAt(peer)) === count
    await until(async () => (await whole(flipped)) && (await whole(torn)), healedMs, 'both hold every record')
    const tookMs = performance.now() - begun
    process.stdout.write(`healed after ${Math.round(tookMs)} ms\n`)
    assert.ok(tookMs < healedMs, `healed after ${Math.round(tookMs)} ms`)

    // Each is then asked alone.
    await Promise.all([healthy?.kill(), torn.kill()])
    await readsAll(flipped)
    await flipped.kill()
    await readsAll(await here.up('3'))
  },
  { deadlineMs: 90_000 },
)

test(
  'a reader that starts before the damage is repaired waits and gets everything',
  async (tools) => {
    const here = new Neighbourhood(tools)
    const [healthy] = await threePeers(here)
    await healthy?.stop()
    await flipBit(segmentOf(here, '2'))
    const flipped = await here.up('2')
    const reading = readsAll(flipped)
    await here.up('1')
    await reading
  },
  { deadlineMs: 90_000 },
)

test(
  'without --json a peer says in a sentence what it found',
  async (tools) => {
    const here = new Neighbourhood(tools)
    await threePeers(here)
    await flipBit(segmentOf(here, '2'))
    const peer = here.start(['up', '--data', here.folderOf('2')])
    await until(() => /damage found: topic orders, .*kind damaged/.test(peer.errors()), 10_000, 'it says so')
    await until(() => /damage repaired: topic orders/.test(peer.errors()), healedMs, 'it says that it is repaired')
    assert.is(peer.output().length, 0)
  },
  { deadlineMs: 60_000 },
)

test.run()
