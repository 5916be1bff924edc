/** A body crosses to every peer once: what all peers send is little more than what is delivered. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { suite } from '../helper/suite.ts'

const test = suite('process')
const bench = join(import.meta.dirname, '../../sim/bench/main.ts')

test(
  'eight peers send at most 1.15 bytes for each byte of 64 KiB bodies that is delivered',
  async ({ use }) => {
    const child = spawn(process.execPath, [bench, 'copies', '--records', '60', '--json'])
    use(() => child.kill())
    const pieces: Buffer[] = []
    child.stdout.on('data', (piece) => pieces.push(piece))
    const [code] = await once(child, 'close')
    const result = JSON.parse(Buffer.concat(pieces).toString())
    process.stdout.write(`ratio ${result.ratio.toFixed(3)}\n`)
    assert.is(code, 0)
    assert.is(result.deliveredBytes, 7 * 60 * 65_536)
    assert.ok(result.ratio >= 1 && result.ratio <= 1.15)
  },
  { deadlineMs: 120_000 },
)

test.run()
