/**
 * The host: libp2p put together, and the only room that knows how.
 *
 * It owns the connections. It promises:
 * 1. Only peers with our mesh secret get a connection: the secret is in the prologue of the encryption handshake.
 * 2. Every dial, buffer and count of streams has a bound (`limits.ts`); garbage on the port costs a handshake and no more.
 * 3. It connects to nobody by itself. Whom to be connected to is decided in `friends/`.
 * 4. Two peers that dialled each other at the same moment are left with one connection: the peer with the lower id closes all but the
 *    one both prefer (dialled by the lower id; the oldest of those). A connection that is older than another by `limits.staleMs` gives way
 *    to it, whoever dialled: nobody dials a peer it is connected to, so the other end has lost it, by a power cut say.
 *
 * Files: `assemble` libp2p and its bounds; `system` the real clock, randomness and network; `transport` counts bytes, writes
 * frames in one piece and sees refused handshakes; `noise` its cipher, made faster; `gossipsub` its settings and remedies; `link` long-lived framed streams; `rendezvous` and `mdns` find peers nearby.
 */
import type { Connection } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { GrapevineError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { Clock, Ports, Timer } from '../ports.ts'
import type { PeerId } from '../types.ts'
import { addressOf, reachable } from './address.ts'
import { abandon, assemble, type HostLibp2p } from './assemble.ts'
import { within } from './deadline.ts'
import { GossipTopics } from './gossip-topics.ts'
import { tend } from './gossipsub.ts'
import type { OnRefused, Traffic } from './transport.ts'

export type Direction = 'inbound' | 'outbound'
export type Off = () => void

export interface Host {
  readonly id: PeerId
  readonly libp2p: HostLibp2p
  readonly clock: Clock
  /** Names of the gossipsub topics we take part in; a room that gossips adds its own. Everything about others is ignored. */
  readonly gossipTopics: Set<string>
  /** Where others can reach us: multiaddrs with our id. */
  addresses(): string[]
  connected(): PeerId[]
  /** The connection to use with this peer: the same one for both sides. */
  connectionOf(peer: PeerId): Connection | undefined
  /**
   * Connects within `timeoutMs` (default `limits.dialTimeoutMs`): to a multiaddr, or to a peer at any of `addresses`.
   * Resolves with who is there, at once when connected already. Rejects with what the network said.
   */
  dial(target: PeerId | string, addresses?: readonly string[], timeoutMs?: number): Promise<PeerId>
  hangUp(peer: PeerId): Promise<void>
  onConnect(act: (peer: PeerId, direction: Direction) => void): Off
  onDisconnect(act: (peer: PeerId) => void): Off
  /** Round trip of one ping, ms. Rejects when there is no answer within `limits.dialTimeoutMs`. */
  rttMs(peer: PeerId): Promise<number>
  /** Bytes on the transport since the start, encryption and framing included. */
  traffic(): Traffic
  stop(): Promise<void>
}

export interface HostOptions {
  /** 32 bytes: the Ed25519 identity. */
  seed: Uint8Array
  /** Multiaddrs to listen on; none is allowed. */
  listen: readonly string[]
  /** The mesh secret. */
  mesh: string
  ports: Ports
  /** A handshake failed; at most once an address in `limits.refusedEveryMs`. */
  onRefused: OnRefused
}

/**
 * Starts listening on all the addresses (those of IPv6 may fail where there is none).
 * Throws `InvalidOption` for what is no multiaddr, `ListenFailed` when one cannot be listened on.
 */
export async function createHost(options: HostOptions): Promise<Host> {
  for (const text of options.listen) {
    if (addressOf(text) === undefined) {
      const message = `listen: '${text}' is not a multiaddr; they look like /ip4/127.0.0.1/tcp/4001`
      throw new GrapevineError('InvalidOption', message, { option: 'listen' })
    }
  }
  const traffic: Traffic = { sent: 0, received: 0 }
  const gossipTopics = new GossipTopics()
  const libp2p = await assemble({ ...options, traffic, gossipTopics })
  try {
    await libp2p.start()
  } catch (error) {
    await abandon(libp2p)
    // The library's message is a page with stacks; the system's line in it says what happened.
    const why = /listen E[^\n]*/.exec(textOf(error))?.[0] ?? textOf(error)
    const message = `cannot listen on ${options.listen.join(', ')}: ${why}; choose a free port (or 0) and an address of this machine`
    throw new GrapevineError('ListenFailed', message, { addresses: [...options.listen] }, error)
  }
  return new Libp2pHost(libp2p, options.ports.clock, gossipTopics, traffic)
}

class Libp2pHost implements Host {
  readonly id: PeerId
  readonly libp2p: HostLibp2p
  readonly clock: Clock
  readonly gossipTopics: Set<string>
  readonly #traffic: Traffic
  readonly #timers: Timer[]
  readonly #onOpen: (event: CustomEvent<Connection>) => void
  #stopped: Promise<void> | undefined

  constructor(libp2p: HostLibp2p, clock: Clock, gossipTopics: Set<string>, traffic: Traffic) {
    this.id = libp2p.peerId.toString() as PeerId
    this.libp2p = libp2p
    this.clock = clock
    this.gossipTopics = gossipTopics
    this.#traffic = traffic
    this.#timers = [
      tend(libp2p.services.pubsub, clock, () => libp2p.getConnections()),
      clock.every(limits.peerStoreSweepMs, () => void this.#sweepPeerStore()),
    ]
    this.#onOpen = ({ detail }) => {
      clock.after(limits.duplicateMs, () => this.#closeDuplicates(detail.remotePeer.toString() as PeerId))
    }
    libp2p.addEventListener('connection:open', this.#onOpen)
  }

  addresses(): string[] {
    return this.libp2p.getMultiaddrs().map((address) => address.toString())
  }

  connected(): PeerId[] {
    // The library's `getPeers` makes each peer id anew from its text.
    return [...new Set(this.libp2p.getConnections().map(({ remotePeer }) => remotePeer.toString() as PeerId))]
  }

  connectionOf(peer: PeerId): Connection | undefined {
    return this.#preferred(peer)[0]
  }

  async dial(
    target: PeerId | string,
    addresses: readonly string[] = [],
    timeoutMs: number = limits.dialTimeoutMs,
  ): Promise<PeerId> {
    const connection = await within(this.clock, timeoutMs, (signal) =>
      this.libp2p.dial(target.startsWith('/') ? multiaddr(target) : reachable(target as PeerId, addresses), { signal }),
    )
    return connection.remotePeer.toString() as PeerId
  }

  async hangUp(peer: PeerId): Promise<void> {
    await within(this.clock, limits.hangUpMs, (signal) => this.libp2p.hangUp(peerIdFromString(peer), { signal }))
  }

  onConnect(act: (peer: PeerId, direction: Direction) => void): Off {
    const listener = ({ detail }: { detail: { toString(): string } }) => {
      const peer = detail.toString() as PeerId
      act(peer, this.connectionOf(peer)?.direction ?? 'inbound')
    }
    this.libp2p.addEventListener('peer:connect', listener)
    return () => this.libp2p.removeEventListener('peer:connect', listener)
  }

  onDisconnect(act: (peer: PeerId) => void): Off {
    const listener = ({ detail }: { detail: { toString(): string } }) => act(detail.toString() as PeerId)
    this.libp2p.addEventListener('peer:disconnect', listener)
    return () => this.libp2p.removeEventListener('peer:disconnect', listener)
  }

  rttMs(peer: PeerId): Promise<number> {
    return within(this.clock, limits.dialTimeoutMs, (signal) =>
      this.libp2p.services.ping.ping(peerIdFromString(peer), { signal }),
    )
  }

  traffic(): Traffic {
    return { ...this.#traffic }
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  async #stop(): Promise<void> {
    for (const timer of this.#timers) timer.cancel()
    this.libp2p.removeEventListener('connection:open', this.#onOpen)
    await this.libp2p.stop()
  }

  /** Open connections to a peer, the one to use first. Both sides come to the same order. */
  #preferred(peer: PeerId): Connection[] {
    const lower = this.id < peer ? 'outbound' : 'inbound'
    const open = this.libp2p
      .getConnections()
      .filter(({ status, remotePeer }) => status === 'open' && remotePeer.toString() === peer)
    return open.toSorted(
      (a, b) =>
        Number(isStale(a, open)) - Number(isStale(b, open)) ||
        Number(b.direction === lower) - Number(a.direction === lower) ||
        a.timeline.open - b.timeline.open,
    )
  }

  #closeDuplicates(peer: PeerId): void {
    if (this.#stopped !== undefined) return
    const [first, ...others] = this.#preferred(peer)
    for (const connection of others) {
      if (this.id > peer && !isStale(connection, [first as Connection])) continue
      within(this.clock, limits.hangUpMs, (signal) => connection.close({ signal })).catch((error) =>
        connection.abort(error),
      )
    }
  }

  /** The library keeps what it learned of every peer for ever, in memory. */
  async #sweepPeerStore(): Promise<void> {
    const connected = new Set(this.connected())
    try {
      for (const { id } of await this.libp2p.peerStore.all()) {
        if (!connected.has(id.toString() as PeerId)) await this.libp2p.peerStore.delete(id)
      }
    } catch {
      // A record in use is swept the next time.
    }
  }
}

/** Whether one of `others` to the same peer was opened so much later that this one must be dead at its other end. */
function isStale(connection: Connection, others: readonly Connection[]): boolean {
  return others.some(({ timeline }) => timeline.open - connection.timeline.open > limits.staleMs)
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
