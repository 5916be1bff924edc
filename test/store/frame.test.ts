import * as assert from 'uvu/assert'
import { fileHeader, frameOf, readFrameHeader, voidOf } from '../../node/store/frame.ts'
import type { Batch, SignedHead } from '../../node/wire/head.ts'
import { suite } from '../helper/suite.ts'

const test = suite('store')
const hex = (...pieces: Uint8Array[]) => Buffer.concat(pieces).toString('hex')

test('the bytes on disk are these, and stay these', () => {
  assert.is(hex(fileHeader()), '47525653454701000000000000000000')
  const batch: Batch = { head: { bytes: Uint8Array.of(1, 2, 3) } as unknown as SignedHead, body: Uint8Array.of(9, 8) }
  assert.is(hex(...frameOf(batch, 2 ** 33 + 5)), '475256462320c997030000000200000005000000020000000102030908')
  assert.is(hex(voidOf(100, 7, 3)), '47525656cf0cdffa030000004c0000000700000000000000')
  assert.is(hex(voidOf(5, 7, 0)), 'a5a5a5a5a5')
})

test('a header with sizes or an offset that cannot be is none', () => {
  const batch: Batch = { head: { bytes: Uint8Array.of(1) } as unknown as SignedHead, body: Uint8Array.of(9) }
  const [header] = frameOf(batch, 5)
  assert.is(readFrameHeader(header)?.firstOffset, 5)
  for (const [at, value] of [
    [11, 1],
    [15, 2],
    [22, 0x20],
    [0, 0],
  ] as const) {
    const bytes = header.slice()
    bytes[at] = value
    assert.is(readFrameHeader(bytes), undefined)
  }
  assert.is(readFrameHeader(header.subarray(0, 23)), undefined)
})

test.run()
