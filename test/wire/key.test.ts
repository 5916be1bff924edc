import fc from 'fast-check'
import * as assert from 'uvu/assert'
import { limits } from '../../node/limits.ts'
import type { PeerId } from '../../node/types.ts'
import { peerIdOf, publicKeyOf, signingKeyOf, verifySignature } from '../../node/wire/key.ts'
import { bytesOf, hexOf, onlyWireError, throwsWire } from '../helper/bytes.ts'
import { suite } from '../helper/suite.ts'

const test = suite('wire/key')

test('keys and signatures are those of RFC 8032, test 2', () => {
  const key = signingKeyOf(bytesOf('4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb', 'hex'))
  assert.is(hexOf(key.publicKey), '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c')
  const expected =
    '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00'
  assert.is(hexOf(key.sign(Uint8Array.of(0x72))), expected)
})

test('a signature holds for its key and data only', () => {
  const key = signingKeyOf(new Uint8Array(32).fill(1))
  const other = signingKeyOf(new Uint8Array(32).fill(2))
  const signature = key.sign(bytesOf('data'))
  assert.ok(verifySignature(key.publicKey, bytesOf('data'), signature))
  assert.not(verifySignature(other.publicKey, bytesOf('data'), signature))
  assert.not(verifySignature(key.publicKey, bytesOf('date'), signature))
  assert.not(verifySignature(key.publicKey, bytesOf('data'), signature.subarray(1)))
  assert.not(verifySignature(key.publicKey.subarray(1), bytesOf('data'), signature))
})

test('no public key makes verifying throw', () => {
  const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
  fc.assert(
    fc.property(bytes(32), bytes(64), (publicKey, signature) => {
      assert.not(verifySignature(publicKey, bytesOf('data'), signature))
    }),
    { numRuns: 200 },
  )
})

test('a peer id is the text of its public key, and the way back', () => {
  const key = signingKeyOf(new Uint8Array(32).fill(1))
  const peer = peerIdOf(key.publicKey)
  assert.is(peer, '12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5')
  assert.equal(publicKeyOf(peer), key.publicKey)
})

test('what is no Ed25519 peer id is a WireError', () => {
  const key = signingKeyOf(new Uint8Array(32).fill(1))
  const peer = peerIdOf(key.publicKey)
  const wrong = {
    nothing: '',
    'a hash of an RSA key': 'QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC',
    'a secp256k1 key': '16Uiu2HAmLhLvBoYaoZfaMUKuibM6ac163GwKY74c5kiSLg5KvLpY',
    'the same key written as a CID': 'bafzaajaiaejcbcuqcvwkcbpxkqhuoz5tlrv3hegy3hvzx7bkyjoxzmmz34ngy5tr',
    'cut off': peer.slice(0, -1),
    'a letter base58 lacks': peer.replace('W', '0'),
    'endless text': '1'.repeat(1_000_000),
  }
  for (const [what, text] of Object.entries(wrong)) throwsWire(() => publicKeyOf(text as PeerId), what)
  fc.assert(
    fc.property(
      fc.string({ maxLength: 64 }),
      fc.constantFrom('', '1', '12D3KooW', 'Qm', 'bafz', 'k51qzi5uqu5'),
      (text, start) => {
        onlyWireError(() => publicKeyOf((start + text) as PeerId))
      },
    ),
    { numRuns: 500 },
  )
})

test('more keys than are kept parsed still work', () => {
  const keys = Array.from({ length: limits.identitiesMax + 50 }, (_, i) => {
    const publicKey = new Uint8Array(32)
    new DataView(publicKey.buffer).setUint32(0, i)
    return publicKey
  })
  const peers = keys.map(peerIdOf)
  assert.is(new Set(peers).size, keys.length)
  assert.equal(keys.slice(0, 60).map(peerIdOf), peers.slice(0, 60))
})

test.run()
