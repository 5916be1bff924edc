/** How friendships begin and end: getting acquainted, farewells, losses and the one redial that tells a loss from a death. */
import type { Host } from '../host/host.ts'
import { limits } from '../limits.ts'
import type { Timer } from '../ports.ts'
import type { Presence } from '../presence/presence.ts'
import type { PeerId } from '../types.ts'
import type { Circle, Friend } from './circle.ts'
import { Conduct } from './conduct.ts'
import type { Dialler } from './dialler.ts'
import { type ByeReason, encodeFriendFrame } from './frame.ts'

export interface TieOptions {
  host: Host
  cards: Presence
  circle: Circle
  dialler: Dialler
  onLost: (peer: PeerId, reason: string) => void
}

export class Ties {
  readonly #host: Host
  readonly #cards: Presence
  readonly #circle: Circle
  readonly #dialler: Dialler
  readonly #onLost: (peer: PeerId, reason: string) => void
  readonly #conduct = new Conduct()
  /** Peers connected to us whose friends protocol has not opened yet. */
  readonly #acquainting = new Map<PeerId, Timer>()
  #closed = false

  constructor({ host, cards, circle, dialler, onLost }: TieOptions) {
    this.#host = host
    this.#cards = cards
    this.#circle = circle
    this.#dialler = dialler
    this.#onLost = onLost
  }

  acquainting(): Iterable<PeerId> {
    return this.#acquainting.keys()
  }

  banned(peer: PeerId): boolean {
    return this.#conduct.banned(peer, this.#now())
  }

  /** Counts a violation, and ends the friendship when it was one too many. */
  misbehaved(peer: PeerId): void {
    if (this.#conduct.offence(peer, this.#now())) this.part(peer, 'misbehaved', limits.banMs)
  }

  close(): void {
    this.#closed = true
    for (const timer of this.#acquainting.values()) timer.cancel()
  }

  onBye(peer: PeerId, reason: ByeReason): void {
    const friend = this.#circle.get(peer)
    if (friend === undefined) return
    friend.leaving = reason === 'enough' ? 'it has enough friends' : `it is ${reason}`
    if (reason === 'misbehaved') friend.leaving = 'it says we misbehaved'
    if (reason === 'leaving') {
      this.#cards.forget(peer)
      void this.hangUp(peer)
    }
    this.#dialler.backoff.hold(peer, this.#now(), reason === 'misbehaved' ? limits.banMs : limits.byeMs)
    // It hangs up itself; this is for one that does not.
    this.#host.clock.after(limits.farewellMs * 5, () => {
      if (this.#circle.get(peer)?.leaving !== undefined) void this.hangUp(peer)
    })
  }

  /** Ends a friendship from our side. */
  part(peer: PeerId, reason: ByeReason, holdMs: number): void {
    this.#dialler.backoff.hold(peer, this.#now(), holdMs)
    const friend = this.#circle.get(peer)
    if (friend !== undefined) {
      friend.leaving = reason === 'enough' ? 'we have enough friends' : 'it misbehaved'
      friend.link.send(encodeFriendFrame({ type: 'bye', reason }))
    }
    this.#host.clock.after(limits.farewellMs, () => void this.hangUp(peer))
  }

  onConnect(peer: PeerId): void {
    if (this.banned(peer)) {
      void this.hangUp(peer)
      return
    }
    this.#acquainting.get(peer)?.cancel()
    const timer = this.#host.clock.after(limits.acquaintMs, () => {
      this.#acquainting.delete(peer)
      void this.hangUp(peer)
    })
    this.#acquainting.set(peer, timer)
  }

  onDisconnect(peer: PeerId): void {
    const strange = this.settle(peer)
    const friend = this.#circle.get(peer)
    if (friend === undefined) {
      // It took the connection but not the protocol: not again at once.
      if (strange) this.#dialler.backoff.failed(peer, this.#now())
    } else if (friend.leaving !== undefined) this.#lose(friend, friend.leaving)
    else void this.#redial(friend)
  }

  async #redial(friend: Friend): Promise<void> {
    const now = this.#now()
    // Lost again at once, or without having spoken since it was redialled.
    const flaps = friend.lost || (friend.redialledAt !== undefined && now - friend.redialledAt < limits.flapMs)
    friend.lost = true
    friend.redialledAt = now
    const alive = !flaps && (await this.#dialler.dial(friend.peer, limits.redialMs))
    if (this.#closed || this.#circle.get(friend.peer) !== friend || !friend.lost) return
    // Its farewell was read only after the connection's end.
    if (alive) return
    if (friend.leaving !== undefined) {
      this.#lose(friend, friend.leaving)
      return
    }
    // The other side may have dialled us meanwhile.
    if (this.#host.connectionOf(friend.peer) !== undefined) return
    this.#cards.forget(friend.peer)
    if (flaps) this.#dialler.backoff.failed(friend.peer, now)
    this.#lose(friend, 'the connection was lost')
  }

  #lose(friend: Friend, reason: string): void {
    this.#circle.remove(friend.peer)
    this.#onLost(friend.peer, reason)
  }

  /** Stops waiting for a peer's friends protocol; whether we were. */
  settle(peer: PeerId): boolean {
    this.#acquainting.get(peer)?.cancel()
    return this.#acquainting.delete(peer)
  }

  async hangUp(peer: PeerId): Promise<void> {
    if (this.#closed) return
    await this.#host.hangUp(peer).catch(() => undefined)
  }

  #now(): number {
    return this.#host.clock.now()
  }
}
