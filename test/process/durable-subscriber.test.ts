/** A subscription with a name goes on where its acknowledgements ended, whatever ended its process. */
import * as assert from 'uvu/assert'
import { Neighbourhood, ok, type PeerProcess } from '../helper/process.ts'
import { suite } from '../helper/suite.ts'
import { until } from '../helper/until.ts'

const test = suite('process')
const count = 20_000
const lines = Array.from({ length: count }, (_, i) => `record ${i}`)

async function peerWithRecords(here: Neighbourhood): Promise<PeerProcess> {
  const peer = await here.up('peer')
  await ok(peer.run(['pub', 'orders', '--confirm', '0'], `${lines.join('\n')}\n`))
  return peer
}

function linesOf(output: Buffer): string[] {
  // What was killed in the middle of a line has not shown that line.
  return output.toString().split('\n').slice(0, -1)
}

/** Every record is there; the second reading began after the first, or repeated its end. */
function checkBoth(first: string[], second: string[]): { repeated: number } {
  assert.equal(first, lines.slice(0, first.length), 'the first reading is the beginning, in order')
  assert.ok(second.length >= count - first.length, `${first.length} + ${second.length} records`)
  assert.equal(second, lines.slice(count - second.length), 'the second reading is the rest, in order')
  return { repeated: first.length + second.length - count }
}

test(
  'a named subscriber killed half-way sees every record when it is started again',
  async (tools) => {
    const peer = await new Neighbourhood(tools).up('peer')
    const subscribe = ['sub', 'orders', '--name', 'billing', '--from', 'earliest']
    const killed = peer.start(subscribe)
    const half = count / 2
    const publisher = peer.start(['pub', 'orders', '--confirm', '0'])
    const write = (part: string[]) => publisher.stdin.write(`${part.join('\n')}\n`)
    write(lines.slice(0, half))
    await until(() => linesOf(killed.output()).length === half, 20_000, 'the first half was read')
    write(lines.slice(half))
    publisher.stdin.end()
    await until(() => linesOf(killed.output()).length > half, 20_000, 'more than half was read')
    await killed.kill()
    const first = linesOf(killed.output())
    await ok(publisher.ended)

    const again = peer.start(subscribe)
    await until(
      () =>
        again
          .output()
          .toString()
          .endsWith(`record ${count - 1}\n`),
      20_000,
      'the last record was read',
    )
    const { repeated } = checkBoth(first, linesOf(again.output()))
    process.stdout.write(`killed after ${first.length}, ${repeated} repeated\n`)
  },
  { deadlineMs: 90_000 },
)

test(
  'records are repeated only where they were not acknowledged, when the whole peer is killed too',
  async (tools) => {
    const here = new Neighbourhood(tools)
    let peer = await peerWithRecords(here)
    // Acknowledged for certain: `sub` exits with 0 when its acknowledgements have arrived.
    const half = count / 2
    const first = await ok(
      peer.run(['sub', 'orders', '--name', 'billing', '--from', 'earliest', '--count', String(half)]),
    )
    assert.is(linesOf(first.stdout).length, half)
    const open = peer.start(['sub', 'orders', '--name', 'billing'])
    await until(() => open.output().length > 0, 10_000, 'something was read')
    await peer.kill()
    await open.kill()

    peer = await here.up('peer')
    const again = peer.start(['sub', 'orders', '--name', 'billing'])
    await until(
      () =>
        again
          .output()
          .toString()
          .endsWith(`record ${count - 1}\n`),
      20_000,
      'the last record was read',
    )
    const second = linesOf(again.output())
    await again.kill()
    assert.ok(second.length <= count - half, `${second.length - (count - half)} acknowledged records came again`)
    checkBoth([...linesOf(first.stdout), ...linesOf(open.output())], second)
  },
  { deadlineMs: 90_000 },
)

test.run()
