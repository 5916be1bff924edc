/** Dials peers and addresses, remembers where peers can be reached, and when what failed may be tried again. */
import { GrapevineError } from '../errors.ts'
import { addressOf, peerOf } from '../host/address.ts'
import type { Host } from '../host/host.ts'
import { limits } from '../limits.ts'
import type { Random } from '../ports.ts'
import type { Presence } from '../presence/presence.ts'
import type { JoinStatus, PeerId } from '../types.ts'
import { Backoff } from './backoff.ts'
import type { Join, Stranger } from './policy.ts'
import type { Memory, Remembered } from './remember.ts'

interface JoinState {
  /** Who is there, once known. */
  peer: PeerId | undefined
  reached: boolean
  /** Why it was not reached the last time. */
  failure: string | undefined
}

export interface DiallerOptions {
  host: Host
  presence: Presence
  memory: Memory
  random: Random
  /** Called after each dial, whatever came of it. */
  onDialled: () => void
}

export class Dialler {
  readonly backoff: Backoff<PeerId | string>
  readonly dialling = new Set<PeerId | string>()
  readonly #options: DiallerOptions
  readonly #joins = new Map<string, JoinState>()
  readonly #found = new Map<PeerId, Remembered>()
  #closed = false

  constructor(options: DiallerOptions) {
    this.#options = options
    this.backoff = new Backoff(() => options.random.float())
  }

  /** Throws `InvalidOption` for what is no multiaddr, and beyond `limits.joinsMax`. */
  join(text: string): void {
    const address = addressOf(text)
    if (address === undefined) {
      const message = `join: '${text}' is not a multiaddr; they look like /ip4/192.0.2.1/tcp/4001`
      throw new GrapevineError('InvalidOption', message, { option: 'join' })
    }
    const peer = peerOf(address)
    if (peer === this.#options.host.id || this.#joins.has(text)) return
    if (this.#joins.size >= limits.joinsMax) {
      throw new GrapevineError('InvalidOption', `join: more than ${limits.joinsMax} addresses`, { option: 'join' })
    }
    this.#joins.set(text, { peer, reached: false, failure: undefined })
  }

  found(peer: PeerId, addresses: string[]): void {
    if (peer === this.#options.host.id) return
    const since = this.#found.get(peer)?.since ?? this.#now()
    this.#found.delete(peer)
    this.#found.set(peer, { addresses: addresses.slice(0, limits.addressesPerCardMax), since })
    if (this.#found.size > limits.foundMax) this.#found.delete(this.#found.keys().next().value as PeerId)
  }

  /** Found or remembered peers without a live card. */
  strangers(isFriend: (peer: PeerId) => boolean): Stranger[] {
    const { presence, memory, host } = this.#options
    const strangers: Stranger[] = []
    for (const [peer, { since }] of this.#found) {
      if (presence.card(peer) !== undefined || this.#now() - since > limits.foundKeptMs) this.#found.delete(peer)
      else if (!isFriend(peer)) strangers.push({ peer, from: 'found', since })
    }
    for (const [peer, { since }] of memory.peers) {
      const known = presence.card(peer) !== undefined || this.#found.has(peer) || peer === host.id
      if (!known && !isFriend(peer)) strangers.push({ peer, from: 'remembered', since })
    }
    return strangers
  }

  /** Joined addresses whose peer is no friend and may be dialled. */
  joins(isFriend: (peer: PeerId) => boolean): Join[] {
    const joins: Join[] = []
    for (const [address, { peer, reached }] of this.#joins) {
      if (peer !== undefined && (isFriend(peer) || !this.backoff.ready(peer, this.#now()))) continue
      const live = peer !== undefined && this.#options.presence.card(peer) !== undefined
      joins.push({ address, reached, live })
    }
    return joins
  }

  addressesOf(peer: PeerId): string[] {
    const { presence, memory } = this.#options
    const known = presence.card(peer)?.addresses ?? memory.peers.get(peer)?.addresses ?? []
    const all = new Set([...(this.#found.get(peer)?.addresses ?? []), ...known])
    for (const [address, join] of this.#joins) if (join.peer === peer) all.add(address)
    return [...all]
  }

  /** Resolves with whether there is a connection now. */
  async dial(peer: PeerId, timeoutMs: number = limits.dialTimeoutMs): Promise<boolean> {
    return (
      (await this.#dial(peer, () => this.#options.host.dial(peer, this.addressesOf(peer), timeoutMs))) !== undefined
    )
  }

  async dialJoin(address: string): Promise<void> {
    let failure: string | undefined
    const peer = await this.#dial(address, () =>
      this.#options.host.dial(address).catch((error: unknown) => {
        failure = error instanceof Error ? error.message : String(error)
        throw error
      }),
    )
    const join = this.#joins.get(address)
    if (join === undefined) return
    if (peer === undefined) join.failure = failure ?? join.failure
    else if (peer === this.#options.host.id) this.#joins.delete(address)
    else this.#joins.set(address, { peer, reached: true, failure: undefined })
  }

  /** What became of each address to join. */
  joinStatus(isFriend: (peer: PeerId) => boolean): JoinStatus[] {
    return [...this.#joins].map(([address, { peer, failure }]) => {
      if (peer !== undefined && isFriend(peer)) return { address, state: 'friend' }
      return failure === undefined ? { address, state: 'trying' } : { address, state: 'failing', failure }
    })
  }

  close(): void {
    this.#closed = true
  }

  async #dial(target: PeerId | string, act: () => Promise<PeerId>): Promise<PeerId | undefined> {
    if (this.#closed || this.dialling.has(target)) return undefined
    this.dialling.add(target)
    try {
      const peer = await act()
      // An address that leads to a peer which does not become a friend is not dialled each second either.
      if (target.startsWith('/')) this.backoff.hold(target, this.#now(), limits.backoffMsMin)
      return peer
    } catch {
      this.backoff.failed(target, this.#now())
      return undefined
    } finally {
      this.dialling.delete(target)
      if (!this.#closed) this.#options.onDialled()
    }
  }

  #now(): number {
    return this.#options.host.clock.now()
  }
}
