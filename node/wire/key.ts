/**
 * Ed25519 keys and the peer ids made of them. Synchronous node:crypto on purpose: asynchronous crypto would finish in an
 * order of its own and the simulator could not repeat a run. About 9,000 verifications a second; hence one signature per
 * fetched range, not one per batch.
 */
import assert from 'node:assert/strict'
import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import { publicKeyFromRaw } from '@libp2p/crypto/keys'
import { peerIdFromPublicKey, peerIdFromString } from '@libp2p/peer-id'
import { limits } from '../limits.ts'
import type { PeerId } from '../types.ts'
import { buffer, plain } from './bytes.ts'
import { WireError } from './error.ts'

export interface SigningKey {
  /** 32 bytes, raw. */
  readonly publicKey: Uint8Array
  /** 64 bytes. */
  sign(data: Uint8Array): Uint8Array
}

/** What comes before the 32 raw bytes in the two DER forms node:crypto reads (RFC 8410). */
const privatePrefix = Buffer.from('302e020100300506032b657004220420', 'hex')
const publicPrefix = Buffer.from('302a300506032b6570032100', 'hex')

/** The key pair that belongs to a seed of 32 bytes. */
export function signingKeyOf(seed: Uint8Array): SigningKey {
  assert.equal(seed.length, 32, 'the seed of a key has 32 bytes')
  const key = createPrivateKey({ key: Buffer.concat([privatePrefix, seed]), format: 'der', type: 'pkcs8' })
  const publicKey = new Uint8Array(createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32))
  return { publicKey, sign: (data) => plain(sign(null, data, key)) }
}

/** Whether `signature` over `data` was made by the holder of `publicKey`; false as well for anything of a wrong length. */
export function verifySignature(publicKey: Uint8Array, data: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== 32 || signature.length !== 64) return false
  return verify(null, data, identityOf(publicKey).key, signature)
}

/** The peer that a raw public key of 32 bytes belongs to. */
export function peerIdOf(publicKey: Uint8Array): PeerId {
  assert.equal(publicKey.length, 32, 'an Ed25519 public key has 32 bytes')
  return identityOf(publicKey).peer
}

/** The raw public key of a peer, 32 bytes. Throws WireError for text that is no peer id, or one of another kind of key. */
export function publicKeyOf(peer: PeerId): Uint8Array {
  // The longest peer ids, of RSA keys as CIDs, have 62 characters; base58 takes quadratic time in the length.
  if (peer.length > 64) throw new WireError('a peer id is too long')
  const known = publicKeys.get(peer)
  if (known !== undefined) return new Uint8Array(known)
  try {
    const id = peerIdFromString(peer)
    if (id.type === 'Ed25519' && id.toString() === peer) {
      publicKeys.set(peer, id.publicKey.raw)
      if (publicKeys.size > limits.identitiesMax) publicKeys.delete(publicKeys.keys().next().value as PeerId)
      return new Uint8Array(id.publicKey.raw)
    }
  } catch (cause) {
    throw new WireError('a peer id cannot be read', { cause })
  }
  throw new WireError('a peer id is not that of an Ed25519 key')
}

/** Peer ids read not long ago: reading one is a division of large numbers. The one read longest ago goes first. */
const publicKeys = new Map<PeerId, Uint8Array>()

interface Identity {
  readonly peer: PeerId
  readonly key: KeyObject
}

/** Recently used public keys: parsing one costs a tenth of a verification, its base58 text more. The least recent goes first. */
const identities = new Map<string, Identity>()

function identityOf(publicKey: Uint8Array): Identity {
  const name = buffer(publicKey).toString('latin1')
  const known = identities.get(name)
  const identity = known ?? readIdentity(publicKey)
  if (known !== undefined) identities.delete(name)
  identities.set(name, identity)
  if (identities.size > limits.identitiesMax) identities.delete(identities.keys().next().value as string)
  return identity
}

function readIdentity(publicKey: Uint8Array): Identity {
  const key = createPublicKey({ key: Buffer.concat([publicPrefix, publicKey]), format: 'der', type: 'spki' })
  const peer = peerIdFromPublicKey(publicKeyFromRaw(new Uint8Array(publicKey))).toString() as PeerId
  return { peer, key }
}
