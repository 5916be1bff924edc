/**
 * Noise as the library has it, but with a cipher of node:crypto whose key is prepared once for each direction of a connection. The library
 * (@libp2p/noise 17.0) hands over the bare key with every frame, which costs more than the text of a small frame, and as much as a quarter of
 * the largest; below `smallMax` its WebAssembly is as fast.
 */
import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto'
import { type NoiseInit, noise } from '@libp2p/noise'
import { Uint8ArrayList } from 'uint8arraylist'
import type { NetworkParts } from '../ports.ts'

type Bytes = Uint8Array | Uint8ArrayList

/** The part of the library's class that does the work. */
interface Internals {
  crypto: {
    encrypt(text: Bytes, nonce: Uint8Array, ad: Uint8Array, key: Uint8Array): Bytes
    decrypt(sealed: Bytes, nonce: Uint8Array, ad: Uint8Array, key: Uint8Array, into?: Uint8Array): Bytes
  }
  secureInbound: Secure
  secureOutbound: Secure
}

/** And of its connections. */
interface Secured {
  connection: {
    decrypt(frame: Bytes): Bytes
    handshake: { decrypt(sealed: Bytes, into?: Uint8Array): Bytes }
  }
}

type Secure = (...given: unknown[]) => Promise<Secured>

const cipherName = 'chacha20-poly1305'
const authTagLength = 16
/** Bytes of a frame from which node:crypto is faster (measured: 400 to 800). */
const smallMax = 500
/** Several pieces up to so many bytes are copied into one: ciphering each by itself costs more. */
const joinMax = 4_096

export function fastNoise(init: NoiseInit): NonNullable<NetworkParts['connectionEncrypters']>[number] {
  const create = noise(init)
  return (components) => {
    const encrypter = create(components)
    const inner = encrypter as unknown as Internals
    const { crypto } = inner
    const { encrypt, decrypt } = crypto
    const keys = new WeakMap<Uint8Array, KeyObject>()
    const prepared = (key: Uint8Array): KeyObject => {
      const known = keys.get(key) ?? createSecretKey(key)
      keys.set(key, known)
      return known
    }
    crypto.encrypt = (text, nonce, ad, key) =>
      text.byteLength < smallMax ? encrypt(text, nonce, ad, key) : seal(text, nonce, ad, prepared(key))
    crypto.decrypt = (sealed, nonce, ad, key, into) =>
      sealed.byteLength < smallMax
        ? decrypt(sealed, nonce, ad, key, into)
        : openSealed(sealed, nonce, ad, prepared(key))
    inner.secureInbound = uncopied(inner.secureInbound.bind(encrypter))
    inner.secureOutbound = uncopied(inner.secureOutbound.bind(encrypter))
    return encrypter
  }
}

/** The library copies each frame first, to have a place where its WebAssembly can put the text. */
function uncopied(secure: Secure): Secure {
  return async (...given) => {
    const secured = await secure(...given)
    const { connection } = secured
    const decrypt = connection.decrypt.bind(connection)
    connection.decrypt = (frame) => (frame.byteLength < smallMax ? decrypt(frame) : connection.handshake.decrypt(frame))
    return secured
  }
}

function seal(text: Bytes, nonce: Uint8Array, ad: Uint8Array, key: KeyObject): Uint8ArrayList {
  const cipher = createCipheriv(cipherName, key, nonce, { authTagLength })
  if (ad.length > 0) cipher.setAAD(ad, { plaintextLength: text.byteLength })
  const sealed = new Uint8ArrayList()
  for (const piece of piecesOf(text)) sealed.append(cipher.update(piece))
  cipher.final()
  sealed.append(cipher.getAuthTag())
  return sealed
}

/** Throws where it was not sealed with this key and nonce. */
function openSealed(sealed: Bytes, nonce: Uint8Array, ad: Uint8Array, key: KeyObject): Uint8ArrayList {
  const end = sealed.byteLength - authTagLength
  const decipher = createDecipheriv(cipherName, key, nonce, { authTagLength })
  if (ad.length > 0) decipher.setAAD(ad, { plaintextLength: end })
  decipher.setAuthTag(sealed.subarray(end))
  const text = new Uint8ArrayList()
  for (const piece of piecesOf(sealed instanceof Uint8Array ? sealed.subarray(0, end) : sealed.sublist(0, end)))
    text.append(decipher.update(piece))
  decipher.final()
  return text
}

function piecesOf(bytes: Bytes): Iterable<Uint8Array> {
  return bytes instanceof Uint8Array || bytes.byteLength <= joinMax ? [bytes.subarray()] : bytes
}
