/**
 * Looks over the shoulder of libp2p's transports: counts the bytes of every connection, and tells of handshakes that failed.
 * Both are seen at one place, the upgrader, which a transport is handed with every dial and every listener.
 *
 * It also bounds what is read before the encryption begins. The library's reader of lengths has no end in bytes above 0x7f
 * (@libp2p/utils 7.4.1: its `maxLengthLength` is looked at only once a length is complete) and takes them one by one without a
 * turn of the event loop: a megabyte of them, from anybody who reaches the port, stopped the whole peer for half a second.
 */
import { Socket } from 'node:net'
import type { MultiaddrConnection, Transport, Upgrader } from '@libp2p/interface'
import { limits } from '../limits.ts'
import type { Clock, NetworkParts } from '../ports.ts'

export interface Traffic {
  sent: number
  received: number
}

export type OnRefused = (address: string, reason: string) => void

const notOfOurMesh = 'does not share our mesh secret, or is not a Grapevine peer'

export interface Watch {
  traffic: Traffic
  /** Connections whose encryption has begun: it reads frames of a bounded length. */
  greeted: WeakSet<object>
  onRefused: OnRefused
}

type TransportFactory = NonNullable<NetworkParts['transports']>[number]
type EncrypterFactory = NonNullable<NetworkParts['connectionEncrypters']>[number]
type Secure = (connection: object, options: object | undefined) => Promise<never>

/** Notes where the negotiation of the encryption is over. */
export function watchEncrypters(factories: readonly EncrypterFactory[], { greeted }: Watch): EncrypterFactory[] {
  return factories.map((factory) => (components) => {
    const encrypter = factory(components)
    const [inbound, outbound] = [encrypter.secureInbound.bind(encrypter), encrypter.secureOutbound.bind(encrypter)]
    const noting = (secure: Secure): Secure => {
      return (connection, options) => {
        greeted.add(connection)
        return secure(connection, options)
      }
    }
    encrypter.secureInbound = noting(inbound as Secure)
    encrypter.secureOutbound = noting(outbound as Secure)
    return encrypter
  })
}

export function watchTransports(factories: readonly TransportFactory[], watch: Watch): TransportFactory[] {
  return factories.map((factory) => (components) => watched(factory(components), watch))
}

function watched(transport: Transport, watch: Watch): Transport {
  const dial = transport.dial.bind(transport)
  const createListener = transport.createListener.bind(transport)
  transport.dial = (address, options) => dial(address, { ...options, upgrader: watchUpgrader(options.upgrader, watch) })
  transport.createListener = (options) =>
    createListener({ ...options, upgrader: watchUpgrader(options.upgrader, watch) })
  return transport
}

function watchUpgrader(upgrader: Upgrader, watch: Watch): Upgrader {
  // One implementation stands behind both overloads of each method, so its options are passed on untouched.
  const outbound = upgrader.upgradeOutbound.bind(upgrader) as (c: MultiaddrConnection, o: object) => Promise<never>
  const inbound = upgrader.upgradeInbound.bind(upgrader) as (c: MultiaddrConnection, o: object) => Promise<never>
  return {
    upgradeOutbound: (connection: MultiaddrConnection, options: object) =>
      upgrade(outbound, connection, options, watch),
    upgradeInbound: (connection: MultiaddrConnection, options: object) => upgrade(inbound, connection, options, watch),
    createInboundAbortSignal: (signal) => upgrader.createInboundAbortSignal(signal),
    getConnectionEncrypters: () => upgrader.getConnectionEncrypters(),
    getStreamMuxers: () => upgrader.getStreamMuxers(),
  }
}

async function upgrade<T>(
  act: (connection: MultiaddrConnection, options: object) => Promise<T>,
  connection: MultiaddrConnection,
  options: object,
  watch: Watch,
): Promise<T> {
  const own = countBytes(connection, watch)
  gatherWrites(connection)
  try {
    return await act(connection, options)
  } catch (error) {
    // A side that never said a word is a port probe or a dial that was given up, not a peer of another mesh.
    const failed = error instanceof Error && error.name === 'EncryptionFailedError'
    if (failed && own.received > 0) watch.onRefused(connection.remoteAddr.toString(), notOfOurMesh)
    throw error
  }
}

function countBytes(connection: MultiaddrConnection, { traffic: total, greeted }: Watch): Traffic {
  const own = { sent: 0, received: 0 }
  const send = connection.send.bind(connection)
  connection.send = (data) => {
    own.sent += data.byteLength
    total.sent += data.byteLength
    return send(data)
  }
  // `onData` is where every implementation hands in what arrived; a 'message' listener would set the connection flowing
  // before the handshake listens, and lose its first bytes.
  const receiver = connection as MultiaddrConnection & { onData?: (data: { byteLength: number }) => void }
  const onData = receiver.onData?.bind(connection)
  if (onData !== undefined) {
    receiver.onData = (data) => {
      own.received += data.byteLength
      total.received += data.byteLength
      if (own.received <= limits.helloBytesMax || greeted.has(connection)) onData(data)
      else connection.abort(new Error('says too much before it encrypts'))
    }
  }
  return own
}

/**
 * What is encrypted comes in pieces, for each frame a length, the text and a tag. The library writes each by itself (@libp2p/tcp 11.0), which
 * makes four system calls for a frame of 64 KiB: here they go in one.
 */
function gatherWrites(connection: MultiaddrConnection): void {
  const { socket } = connection as { socket?: unknown }
  if (!(socket instanceof Socket)) return
  const writer = connection as MultiaddrConnection & {
    sendData(data: Iterable<Uint8Array> & { byteLength: number }): { sentBytes: number; canSendMore: boolean }
  }
  writer.sendData = (data) => {
    const sentBytes = data.byteLength
    socket.cork()
    for (const piece of data) socket.write(piece)
    socket.uncork()
    return { sentBytes, canSendMore: socket.writableLength < socket.writableHighWaterMark }
  }
}

/** Tells of one address at most once in `limits.refusedEveryMs`, and remembers a bounded number of them. */
export function rateLimited(clock: Clock, act: OnRefused): OnRefused {
  const told = new Map<string, number>()
  return (address, reason) => {
    const now = clock.now()
    // Without the port: the remote side of an inbound connection has another one each time.
    const host = address.split('/').slice(0, 3).join('/')
    const last = told.get(host)
    if (last !== undefined && now - last < limits.refusedEveryMs) return
    told.delete(host)
    told.set(host, now)
    if (told.size > limits.refusedRemembered) told.delete(told.keys().next().value as string)
    act(address, reason)
  }
}
