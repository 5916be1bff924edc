/**
 * The network between simulated peers: a libp2p transport in memory on which every link has a delay, jitter and a bandwidth, and
 * on which anything can be cut, one way or both.
 *
 * It behaves as TCP does. What is sent arrives once and in order, or the connection ends. While a link is cut nothing arrives; when it
 * heals in time, what was held arrives then; a connection cut for longer than `resetAfterMs` is reset at both ends when the
 * link heals. A killed process resets its connections; one that lost power says nothing, and the other side finds out by itself.
 */

import type {
  Connection,
  CreateListenerOptions,
  DialTransportOptions,
  Listener,
  ListenerEvents,
  MultiaddrConnection,
} from '@libp2p/interface'
import { serviceCapabilities, type Transport, TypedEventEmitter, transportSymbol } from '@libp2p/interface'
import { AbstractMultiaddrConnection } from '@libp2p/utils'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import type { Uint8ArrayList } from 'uint8arraylist'
import type { Rng } from './random.ts'
import type { Actor, VirtualTime } from './time.ts'

export interface LinkQuality {
  /** One way, ms. */
  delayMs: number
  /** Added at random, up to this, ms. */
  jitterMs: number
  bytesPerSecond: number
}

export interface NetworkOptions {
  time: VirtualTime
  random: Rng
  quality: LinkQuality
  /** Bytes the sender's kernel takes before it says stop. */
  bufferBytes?: number
  resetAfterMs?: number
}

/** More does not wait for what else is sent in the same moment: it would arrive faster than the link can carry it. */
const segmentBytesMax = 16 * 1024

type ConnectionInit = ConstructorParameters<typeof AbstractMultiaddrConnection>[0]

/** One run of a process; its address is `/memory/NAME`. */
export type SimHost = Actor

interface Listening {
  host: SimHost
  accept(connection: MultiaddrConnection): void
}

export class SimNetwork {
  readonly time: VirtualTime
  readonly random: Rng
  readonly bufferBytes: number
  readonly resetAfterMs: number
  quality: LinkQuality
  /** Bytes handed to the network so far, and the most that ever were under way on one connection. */
  bytes = 0
  peakInFlight = 0
  /** Sees all that arrives, in the moment it does. */
  onArrive: ((from: string, to: string, bytes: Uint8Array) => void) | undefined
  /** May change what is sent in place: what a peer that cannot be trusted sends. */
  onSend: ((from: string, to: string, bytes: Uint8Array) => void) | undefined
  readonly #listening = new Map<string, Listening>()
  readonly #ends = new Set<End>()
  #cut: (from: string, to: string) => boolean = () => false
  #qualityOf: (from: string, to: string) => Partial<LinkQuality> = () => ({})

  constructor({ time, random, quality, bufferBytes = 256 * 1024, resetAfterMs = 30_000 }: NetworkOptions) {
    this.time = time
    this.random = random
    this.quality = quality
    this.bufferBytes = bufferBytes
    this.resetAfterMs = resetAfterMs
  }

  /** Says what is cut from now on; what heals by that delivers what it held. */
  setCut(cut: (from: string, to: string) => boolean): void {
    this.#cut = cut
    for (const end of [...this.#ends]) end.onLinkChange()
  }

  setQuality(qualityOf: (from: string, to: string) => Partial<LinkQuality>): void {
    this.#qualityOf = qualityOf
  }

  isCut(from: string, to: string): boolean {
    return this.#cut(from, to)
  }

  qualityOf(from: string, to: string): LinkQuality {
    return { ...this.quality, ...this.#qualityOf(from, to) }
  }

  /** Ends all connections between two hosts, as a lost route or a full table does. */
  reset(a: string, b: string): void {
    for (const end of [...this.#ends]) if (end.from === a && end.to === b) end.breakNow()
  }

  /** Connections from `a` to `b` carry nothing any more, either way, and nobody is told: what a lost entry in a router's table does. */
  silence(a: string, b: string): void {
    for (const end of [...this.#ends]) {
      if (end.from !== a || end.to !== b) continue
      end.goSilent()
      end.other?.goSilent()
    }
  }

  /** Open connections, each once: [dialler, listener]. */
  connections(): [string, string][] {
    return [...this.#ends].filter((end) => end.direction === 'outbound').map((end) => [end.from, end.to])
  }

  /** `killed`: the kernel resets its connections; `power`: nobody is told. */
  crash(host: SimHost, how: 'killed' | 'power'): void {
    host.dead = true
    this.#listening.delete(host.name)
    for (const end of [...this.#ends]) {
      if (end.from !== host.name) continue
      this.#ends.delete(end)
      if (how === 'killed') end.resetOther()
      else end.other?.goSilent()
    }
  }

  transport(
    host: SimHost,
  ): (components: { logger: { forComponent(name: string): ConnectionInit['log'] } }) => Transport {
    return (components) => {
      const log = components.logger.forComponent('grapevine:sim')
      return {
        [transportSymbol]: true,
        [Symbol.toStringTag]: 'grapevine/sim',
        [serviceCapabilities]: ['@libp2p/transport'],
        dial: (address, options) =>
          this.#dial(host, address, options as DialTransportOptions & { signal?: AbortSignal }, log),
        createListener: (options) => this.#listener(host, options, log),
        listenFilter: (addresses) => addresses,
        dialFilter: (addresses) => addresses.filter((address) => nameOf(address) !== undefined),
      } as Transport
    }
  }

  async #dial(
    host: SimHost,
    address: Multiaddr,
    options: DialTransportOptions & { signal?: AbortSignal },
    log: ConnectionInit['log'],
  ): Promise<Connection> {
    const name = nameOf(address)
    if (name === undefined) throw new Error('not an address in this network')
    await this.#handshake(host, name, options.signal)
    const listening = this.#listening.get(name)
    if (listening === undefined || host.dead) throw new Error(`connection refused by ${name}`)
    const here = new End(this, { log, remoteAddr: address, direction: 'outbound' }, host, listening.host)
    const there = new End(
      this,
      { log, remoteAddr: multiaddr(`/memory/${host.name}`), direction: 'inbound' },
      listening.host,
      host,
    )
    here.other = there
    there.other = here
    this.#ends.add(here).add(there)
    for (const end of [here, there]) end.addEventListener('close', () => this.#ends.delete(end))
    this.time.as(listening.host, () => listening.accept(there))
    try {
      return await options.upgrader.upgradeOutbound(here, options)
    } catch (error) {
      here.abort(error instanceof Error ? error : new Error(String(error)))
      throw error
    }
  }

  /** A round trip; refused where nobody listens, and no answer at all where the way there or back is cut. */
  #handshake(host: SimHost, name: string, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const abandon = () => {
        this.time.clear(timer)
        reject(signal?.reason instanceof Error ? signal.reason : new Error('the dial was abandoned'))
      }
      const roundTrip = this.delay(host.name, name) + this.delay(name, host.name)
      const lost = this.isCut(host.name, name) || this.isCut(name, host.name)
      const timer = this.time.set(
        () => {
          signal?.removeEventListener('abort', abandon)
          if (lost) reject(new Error(`no route to ${name}`))
          else if (this.#listening.has(name)) resolve()
          else reject(new Error(`connection refused by ${name}`))
        },
        lost ? 60_000 : roundTrip,
      )
      if (signal?.aborted) abandon()
      else signal?.addEventListener('abort', abandon, { once: true })
    })
  }

  #listener(host: SimHost, options: CreateListenerOptions, log: ConnectionInit['log']): Listener {
    const emitter = new TypedEventEmitter<ListenerEvents>()
    const controller = new AbortController()
    let address: Multiaddr | undefined
    return Object.assign(emitter, {
      listen: async (at: Multiaddr) => {
        address = at
        const accept = (connection: MultiaddrConnection) => {
          options.upgrader.upgradeInbound(connection, { signal: controller.signal }).catch((error) => {
            log('inbound upgrade failed - %e', error)
            connection.abort(error)
          })
        }
        this.#listening.set(host.name, { host, accept })
        queueMicrotask(() => emitter.safeDispatchEvent('listening'))
      },
      getAddrs: () => (address === undefined ? [] : [address]),
      updateAnnounceAddrs: () => undefined,
      close: async () => {
        if (this.#listening.get(host.name)?.host === host) this.#listening.delete(host.name)
        controller.abort()
        queueMicrotask(() => emitter.safeDispatchEvent('close'))
      },
    }) as unknown as Listener
  }

  /** One way, with jitter. */
  delay(from: string, to: string): number {
    const { delayMs, jitterMs } = this.qualityOf(from, to)
    return delayMs + jitterMs * this.random.float()
  }
}

/** One end of a connection: what it sends is queued here until it arrives at the other. */
class End extends AbstractMultiaddrConnection {
  readonly from: string
  readonly to: string
  other: End | undefined
  readonly #network: SimNetwork
  readonly #here: SimHost
  readonly #there: SimHost
  /** When the link has sent what it was given. */
  #sentAt = 0
  #lastArrival = 0
  #inFlight = 0
  /** What was sent in this very moment and may take more along, as a kernel sends what waits in one segment. */
  #segment: { at: number; pieces: Uint8Array[]; bytes: number } | undefined
  /** What is under way, in the order it was sent and will arrive, whatever holds it up. */
  #underWay: (() => void)[] = []
  /** So many of them would be there but for a cut. */
  #held = 0
  #heldSince = 0
  /** The other end lost its power: nothing is sent or heard any more. */
  #silent = false

  constructor(network: SimNetwork, init: ConnectionInit, here: SimHost, there: SimHost) {
    super(init)
    this.#network = network
    this.#here = here
    this.#there = there
    this.from = here.name
    this.to = there.name
  }

  sendData(data: Uint8ArrayList): { sentBytes: number; canSendMore: boolean } {
    const bytes = data.slice()
    const { time } = this.#network
    this.#network.onSend?.(this.from, this.to, bytes)
    const { bytesPerSecond } = this.#network.qualityOf(this.from, this.to)
    this.#network.bytes += bytes.length
    this.#inFlight += bytes.length
    if (this.#inFlight > this.#network.peakInFlight) this.#network.peakInFlight = this.#inFlight
    this.#sentAt = Math.max(this.#sentAt, time.now()) + (bytes.length * 1000) / bytesPerSecond
    const open = this.#segment
    if (open !== undefined && open.at === time.now() && open.bytes + bytes.length <= segmentBytesMax) {
      open.pieces.push(bytes)
      open.bytes += bytes.length
    } else {
      const segment = { at: time.now(), pieces: [bytes], bytes: bytes.length }
      this.#segment = segment
      this.#arrive(() => this.#onSegment(segment.pieces))
    }
    return { sentBytes: bytes.length, canSendMore: this.#inFlight < this.#network.bufferBytes }
  }

  #onSegment(pieces: Uint8Array[]): void {
    const bytes = pieces.length === 1 ? (pieces[0] as Uint8Array) : Buffer.concat(pieces)
    this.#inFlight -= bytes.length
    const { other } = this
    if (other !== undefined && (other.status === 'open' || other.readStatus !== 'closed')) {
      this.#network.onArrive?.(this.from, this.to, bytes)
      other.onData(bytes)
    }
    if (this.writableNeedsDrain && this.#inFlight < this.#network.bufferBytes / 2)
      this.#network.time.as(this.#here, () => this.safeDispatchEvent('drain'))
  }

  sendReset(): void {
    this.resetOther()
  }

  async sendClose(): Promise<void> {
    this.#arrive(() => this.other?.onTransportClosed())
  }

  sendPause(): void {}

  sendResume(): void {}

  /** As the kernel of a killed process does. */
  resetOther(): void {
    this.#arrive(() => this.other?.onTransportClosed(new Error('connection reset by peer')))
  }

  goSilent(): void {
    this.#silent = true
    this.#underWay = []
  }

  /** On its own account, whoever breaks it: what its process sets up by reason of it is to end with that process. */
  breakNow(): void {
    const broken = () => this.onTransportClosed(new Error('connection reset'))
    this.#network.time.set(broken, 0, undefined, this.#here)
  }

  onLinkChange(): void {
    if (this.#held === 0 || this.#network.isCut(this.from, this.to)) return
    const held = this.#held
    this.#held = 0
    if (this.#network.time.now() - this.#heldSince > this.#network.resetAfterMs) {
      this.breakNow()
      this.other?.breakNow()
      return
    }
    for (let i = 0; i < held; i++) this.#takeTime()
  }

  /** In order, after the link's delay, on the other side's account. */
  #arrive(act: () => void): void {
    if (this.#silent) return
    this.#underWay.push(act)
    this.#takeTime()
  }

  /** When it has passed, the first of what is under way is there. */
  #takeTime(): void {
    const { time } = this.#network
    const due = Math.max(
      this.#lastArrival,
      Math.max(this.#sentAt, time.now()) + this.#network.delay(this.from, this.to),
    )
    this.#lastArrival = due
    time.set(() => this.#onDue(), due - time.now(), undefined, this.#there)
  }

  #onDue(): void {
    if (this.#silent) return
    if (this.#network.isCut(this.from, this.to)) {
      if (this.#held++ === 0) this.#heldSince = this.#network.time.now()
    } else this.#underWay.shift()?.()
  }
}

function nameOf(address: Multiaddr): string | undefined {
  const [first] = address.getComponents()
  return first?.name === 'memory' ? first.value : undefined
}
