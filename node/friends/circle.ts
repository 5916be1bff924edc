/** The friends there are: since when, how near, and whether they are still heard of. */
import type { Direction, Host } from '../host/host.ts'
import type { Link } from '../host/link.ts'
import { limits } from '../limits.ts'
import type { Random, Timer } from '../ports.ts'
import type { PeerId } from '../types.ts'
import { encodeFriendFrame } from './frame.ts'

export interface Friend {
  readonly peer: PeerId
  readonly since: number
  link: Link
  direction: Direction
  /** Smoothed; undefined until measured. */
  rttMs: number | undefined
  heardAt: number
  /** Set when the friendship ends on purpose: the loss of the connection is then no death. */
  leaving: string | undefined
  /** Its connection was lost and it is being dialled once more. */
  lost: boolean
  redialledAt: number | undefined
  ping: { nonce: number; sentAt: number } | undefined
}

/** Weight of a new measurement against those before, as TCP smooths its round-trip time (RFC 6298). */
const newShare = 1 / 8

export class Circle {
  readonly #host: Host
  readonly #random: Random
  readonly #friends = new Map<PeerId, Friend>()
  readonly #pings: Timer
  #lookedAt: number

  constructor(host: Host, random: Random) {
    this.#host = host
    this.#random = random
    this.#lookedAt = host.clock.now()
    this.#pings = host.clock.every(limits.pingMs, () => this.#pingAll())
  }

  get(peer: PeerId): Friend | undefined {
    return this.#friends.get(peer)
  }

  all(): Friend[] {
    return [...this.#friends.values()]
  }

  /** A link opened; true when that makes a new friend. */
  opened(link: Link): boolean {
    const now = this.#host.clock.now()
    const direction = this.#host.connectionOf(link.peer)?.direction ?? 'inbound'
    const known = this.#friends.get(link.peer)
    if (known !== undefined) {
      Object.assign(known, { link, direction, lost: false, leaving: undefined, heardAt: now })
      return false
    }
    const friend: Friend = {
      peer: link.peer,
      since: now,
      link,
      direction,
      rttMs: undefined,
      heardAt: now,
      leaving: undefined,
      lost: false,
      redialledAt: undefined,
      ping: undefined,
    }
    this.#friends.set(link.peer, friend)
    this.#ping(friend, now)
    return true
  }

  remove(peer: PeerId): void {
    this.#friends.delete(peer)
  }

  heard(peer: PeerId): void {
    const friend = this.#friends.get(peer)
    if (friend !== undefined) friend.heardAt = this.#host.clock.now()
  }

  pong(peer: PeerId, nonce: number): void {
    const friend = this.#friends.get(peer)
    if (friend?.ping?.nonce !== nonce) return
    const measured = this.#host.clock.now() - friend.ping.sentAt
    friend.rttMs = friend.rttMs === undefined ? measured : friend.rttMs + (measured - friend.rttMs) * newShare
    friend.ping = undefined
  }

  close(): void {
    this.#pings.cancel()
  }

  #pingAll(): void {
    const now = this.#host.clock.now()
    // While we stood still ourselves we heard nobody: what was said meanwhile has yet to be read.
    const stoodStillMs = Math.max(0, now - this.#lookedAt - limits.pingMs)
    this.#lookedAt = now
    for (const friend of this.#friends.values()) {
      if (friend.lost) continue
      friend.heardAt = Math.min(now, friend.heardAt + stoodStillMs)
      // Any frame counts as life, not only the pong: a busy peer answers late.
      if (now - friend.heardAt > limits.silentMs) void this.#host.hangUp(friend.peer).catch(() => undefined)
      else this.#ping(friend, now)
    }
  }

  #ping(friend: Friend, now: number): void {
    const nonce = Math.floor(this.#random.float() * 2 ** 32)
    friend.ping = { nonce, sentAt: now }
    friend.link.send(encodeFriendFrame({ type: 'ping', nonce }))
  }
}
