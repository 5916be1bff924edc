import { chmodSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { tagOf } from '../../node/host/discovery.ts'
import { beyondLoopback } from '../../node/host/mdns.ts'
import { rendezvous } from '../../node/host/rendezvous.ts'
import type { PeerId } from '../../node/types.ts'
import { peerIdOf, signingKeyOf } from '../../node/wire/key.ts'
import { ports } from '../friends/member.ts'
import { suite } from '../helper/suite.ts'
import { until } from '../helper/until.ts'

const test = suite('host')
const [one, two, three] = [1, 2, 3].map(
  (i) => peerIdOf(signingKeyOf(new Uint8Array(32).fill(i)).publicKey) as PeerId,
) as [PeerId, PeerId, PeerId]

function place(root: string, mesh = 'm') {
  const discovery = rendezvous(mesh, ports.clock, root)
  const found: string[] = []
  discovery.onFound((peer, addresses) => found.push(`${peer} ${addresses.join()}`))
  return { discovery, found }
}

test('peers of one mesh on one machine find each other in the folder, and their files go with them', async ({
  dir,
  use,
}) => {
  const root = join(dir(), 'grapevine')
  const [a, b, other] = [place(root), place(root), place(root, 'another mesh')]
  use(() => other.discovery.stop())
  await other.discovery.start({ id: three, addresses: ['/c'] })
  await a.discovery.start({ id: one, addresses: ['/a'] })
  await b.discovery.start({ id: two, addresses: ['/b'] })
  await until(() => a.found.length > 0 && b.found.length > 0)
  assert.equal([a.found, b.found, other.found], [[`${two} /b`], [`${one} /a`], []])
  const folder = join(root, tagOf('m'))
  assert.is(statSync(folder).mode & 0o777, 0o700)
  await b.discovery.stop()
  assert.equal(readdirSync(folder), [`${one}.json`])
  await a.discovery.stop()
  assert.equal(readdirSync(folder), [])
})

test('what dead peers and vandals left in the folder is passed over', async ({ dir, use }) => {
  const root = join(dir(), 'grapevine')
  const folder = join(root, tagOf('m'))
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  chmodSync(root, 0o700)
  const write = (name: string, text: string) => writeFileSync(join(folder, name), text)
  write(`${two}.json`, JSON.stringify({ id: two, pid: 2 ** 22 + 1, addresses: ['/dead'] }))
  write(`${three}.json`, JSON.stringify({ id: two, pid: process.pid, addresses: ['/under a wrong name'] }))
  write('x.json', '{ not json')
  write('large.json', ' '.repeat(100_000))
  symlinkSync('/etc/hostname', join(folder, 'link.json'))
  const a = place(root)
  use(() => a.discovery.stop())
  await a.discovery.start({ id: one, addresses: ['/a'] })
  assert.equal(a.found, [])
  assert.not.ok(readdirSync(folder).includes(`${two}.json`), 'the dead one is removed')
  assert.ok(readdirSync(folder).includes(`${one}.json`))
})

test('a folder that others can enter is not used', async ({ dir }) => {
  const root = join(dir(), 'grapevine')
  mkdirSync(root, { mode: 0o700 })
  chmodSync(root, 0o777)
  const a = place(root)
  await a.discovery.start({ id: one, addresses: ['/a'] })
  await a.discovery.stop()
  assert.equal(readdirSync(root), [])
})

test('loopback is known from what others can reach', () => {
  assert.is(beyondLoopback(['/ip4/127.0.0.1/tcp/0', '/ip6/::1/tcp/0']), false)
  assert.is(beyondLoopback(['/ip4/127.0.0.1/tcp/0', '/ip4/0.0.0.0/tcp/0']), true)
})

test.run()
