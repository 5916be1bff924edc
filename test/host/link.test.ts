import * as assert from 'uvu/assert'
import { createHost, type Host } from '../../node/host/host.ts'
import { type FrameBytes, type Link, type LinkHandler, type Links, links } from '../../node/host/link.ts'
import { limits } from '../../node/limits.ts'
import { ports } from '../friends/member.ts'
import { suite } from '../helper/suite.ts'
import { until } from '../helper/until.ts'

const test = suite('host')
const protocol = '/grapevine/test/1'

class Recorder implements LinkHandler {
  readonly frames: Uint8Array[] = []
  readonly opened: Link[] = []
  readonly closed: string[] = []
  bytes = 0
  /** What `onFrame` waits for. */
  gate: Promise<void> | undefined

  onOpen(link: Link): void {
    this.opened.push(link)
  }

  onFrame(_link: Link, frame: FrameBytes): void | Promise<void> {
    this.bytes += frame.length
    this.frames.push(frame.subarray())
    return this.gate
  }

  onClose(_link: Link, reason: string): void {
    this.closed.push(reason)
  }
}

interface End {
  host: Host
  links: Links
  seen: Recorder
}

type Use = <T extends { stop(): unknown } | { close(): unknown }>(one: T) => T

async function end(use: Use): Promise<End> {
  const listen = ['/ip4/127.0.0.1/tcp/0']
  const options = { seed: ports.random.bytes(32), listen, mesh: 'm', ports, onRefused: () => undefined }
  const host = use(await createHost(options))
  const seen = new Recorder()
  return { host, links: use(links(host, protocol, seen)), seen }
}

async function pair(use: Use): Promise<[End, End]> {
  const [a, b] = [await end(use), await end(use)]
  await a.host.dial(b.host.addresses()[0] as string)
  await until(() => a.links.get(b.host.id) && b.links.get(a.host.id))
  return [a, b]
}

test('what is received is not answered with a word for each word', async ({ use }) => {
  const [a, b] = await pair(use)
  const link = a.links.get(b.host.id) as Link
  const before = b.host.traffic()
  for (let i = 0; i < 300; i++) {
    link.send(new Uint8Array(10))
    await until(() => b.seen.frames.length > i)
  }
  const answered = b.host.traffic().sent - before.sent
  const asked = b.host.traffic().received - before.received
  assert.ok(asked > 300 * 10)
  assert.ok(answered < asked / 4, `${answered} bytes for ${asked}`)
})

test('frames arrive whole and in order, several in one piece too', async ({ use }) => {
  const [a, b] = await pair(use)
  const link = a.links.get(b.host.id) as Link
  const large = ports.random.bytes(limits.frameBytesMax)
  link.send(Uint8Array.of(1))
  link.sendMany([Uint8Array.of(2, 2), new Uint8Array(0), large])
  await until(() => b.seen.frames.length === 4)
  assert.equal(
    b.seen.frames.map((frame) => frame.length),
    [1, 2, 0, large.length],
  )
  assert.is(Buffer.compare(b.seen.frames[3] as Uint8Array, large), 0)
})

test('a link that breaks is opened again while the connection lives, and only one is open', async ({ use }) => {
  const [a, b] = await pair(use)
  for (let i = 1; i <= 3; i++) {
    ;(i % 2 === 0 ? a.links : b.links).all()[0]?.close('a test')
    await until(() => a.seen.opened.length === i + 1 && b.seen.opened.length === i + 1)
    await until(() => a.links.all().length === 1 && b.links.all().length === 1)
  }
  assert.is(a.seen.closed.length, 3)
  assert.is(b.seen.closed.length, 3)
  a.links.get(b.host.id)?.send(Uint8Array.of(7))
  await until(() => b.seen.frames.length === 1)
  assert.is(a.host.libp2p.getConnections().length, 1)
})

test('what was sent before a close is read before the link ends', async ({ use }) => {
  const [a, b] = await pair(use)
  const link = a.links.get(b.host.id) as Link
  for (let i = 0; i < 100; i++) link.send(Uint8Array.of(i))
  link.close('done')
  await until(() => b.seen.closed.length === 1)
  assert.is(b.seen.frames.length, 100)
  assert.is(link.open, false)
  assert.is(link.send(Uint8Array.of(1)), false)
})

test('a slow reader holds the sender back, loses nothing, and buffers are bounded', async ({ use }) => {
  const [a, b] = await pair(use)
  const link = a.links.get(b.host.id) as Link
  const frame = new Uint8Array(limits.chunkBytes)
  let open = () => {}
  b.seen.gate = new Promise((resolve) => {
    open = resolve
  })
  let sent = 0
  while (sent < 1_000 && link.send(frame)) sent++
  sent++
  assert.ok(sent < 1_000, 'the sender is told to wait')
  assert.ok(b.seen.frames.length <= 1)
  open()
  await link.writable()
  for (; sent < 1_000; sent++) if (!link.send(frame)) await link.writable()
  await until(() => b.seen.bytes === sent * frame.length, 10_000)
  assert.is(b.seen.closed.length, 0)
})

test('a peer that never reads loses its link before it costs more than the bound', async ({ use }) => {
  const [a, b] = await pair(use)
  const link = a.links.get(b.host.id) as Link
  b.seen.gate = new Promise(() => undefined)
  const frame = new Uint8Array(limits.chunkBytes)
  let sent = 0
  while (link.open && sent < 2_000) {
    link.send(frame)
    if (++sent % 16 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  assert.is(link.open, false)
  assert.equal(a.seen.closed, ['does not read what it is sent'])
  await until(() => a.links.get(b.host.id)?.open)
})

test('a frame beyond the limit closes the link, not the connection', async ({ use }) => {
  const [a, b] = await pair(use)
  a.links.get(b.host.id)?.send(new Uint8Array(limits.frameBytesMax + 1))
  await until(() => b.seen.closed.length === 1)
  assert.equal(b.seen.frames, [])
  await until(() => a.links.get(b.host.id)?.open)
  assert.is(a.host.libp2p.getConnections().length, 1)
})

test('the end of a connection ends its links', async ({ use }) => {
  const [a, b] = await pair(use)
  await a.host.hangUp(b.host.id)
  await until(() => a.seen.closed.length === 1 && b.seen.closed.length === 1)
  assert.equal([...a.links.all(), ...b.links.all()], [])
})

test.run()
