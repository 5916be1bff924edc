/**
 * Whom we are connected to, and the protocol `/grapevine/friends/1` over which friends tell each other who else there is.
 *
 *   discovery, joins, remembered cards ──┐
 *   cards (presence) ── view ── policy: decide ── dial, join, shed ── host
 *   links ── frames ── spread: cards; circle: pings; carry requests; farewells
 *
 * It owns the decision to connect and to hang up. It promises:
 * 1. Friends of friends become friends: cards come with the first frames of a new link, and say where their peers are.
 * 2. A lost friend is dialled once more at once; if that fails it counts as dead: its card is forgotten, `onLost` is called, and the policy
 *    looks for another in the same moment.
 * 3. Whoever leaves on purpose says so first, and is then neither taken for dead nor dialled again at once.
 * 4. A friend of whom nothing is heard for `limits.silentMs` is hung up. One that breaks the protocols `limits.misbehavioursMax` times
 *    is too, and stays out for `limits.banMs`.
 *
 * Files: `policy` decides (pure); `spread` passes cards on; `circle` knows the friends; `dialler` connects; `backoff`, `conduct`,
 * `remember` keep what they are named after; `frame` is the wire. The ideas are those of HyParView (Leitao, Pereira, Rodrigues 2007): a small
 * active view, random exchange, replacement at once; the passive view is the table of cards.
 */
import type { Host } from '../host/host.ts'
import { type Link, type LinkHandler, type Links, links } from '../host/link.ts'
import { limits } from '../limits.ts'
import type { Random, StateDb, Timer } from '../ports.ts'
import type { CardTable, HeldCard } from '../presence/presence.ts'
import type { FriendStatus, PeerId, TopicName } from '../types.ts'
import { WireError } from '../wire/error.ts'
import { Circle, type Friend } from './circle.ts'
import { Conduct } from './conduct.ts'
import { Dialler } from './dialler.ts'
import { type ByeReason, decodeFriendFrame, encodeFriendFrame, type FriendFrame } from './frame.ts'
import { decide, type Effect, type Need, type View } from './policy.ts'
import { Memory } from './remember.ts'
import { Spread, sampled } from './spread.ts'

export const friendsProtocol = '/grapevine/friends/1'

export type Off = () => void

export interface Friends {
  list(): FriendStatus[]
  /** For each topic, how many friends among its carriers are wanted. */
  setNeeds(needs: ReadonlyMap<TopicName, number>): void
  /** An address to be connected with, tried for ever. Throws `InvalidOption` for what is no multiaddr. */
  join(address: string): void
  /** A peer that was seen nearby. */
  found(peer: PeerId, addresses: string[]): void
  onFriend(act: (peer: PeerId) => void): Off
  onLost(act: (peer: PeerId, reason: string) => void): Off
  /** Asks a peer to carry a topic; it is connected to for that, friend or not. */
  requestCarry(peer: PeerId, topic: TopicName): void
  onCarryRequest(act: (peer: PeerId, topic: TopicName) => void): Off
  /** Counts a violation of a protocol; too many end the friendship for a while. */
  misbehaved(peer: PeerId, reason: string): void
  onMisbehaved(act: (peer: PeerId, reason: string) => void): Off
  /** Says farewell to everybody and stops. The host is then ready to be stopped. */
  leave(): Promise<void>
  /** Stops without a word, as in a crash. */
  close(): Promise<void>
}

export interface FriendsOptions {
  host: Host
  cards: CardTable
  random: Random
  /** Where cards are remembered over a restart; nowhere without it. */
  state?: StateDb
}

export async function createFriends(options: FriendsOptions): Promise<Friends> {
  const memory = new Memory(options.host.clock, options.state)
  await memory.load()
  return new FriendsRoom(options, memory)
}

class FriendsRoom implements Friends, LinkHandler {
  readonly #host: Host
  readonly #cards: CardTable
  readonly #random: Random
  readonly #memory: Memory
  readonly #conduct = new Conduct()
  readonly #circle: Circle
  readonly #dialler: Dialler
  readonly #links: Links
  readonly #spread: Spread
  readonly #needs = new Map<TopicName, number>()
  /** Requests waiting for a link. */
  readonly #carry = new Map<PeerId, Set<TopicName>>()
  readonly #acquainting = new Map<PeerId, Timer>()
  readonly #friendActs = new Set<(peer: PeerId) => void>()
  readonly #lostActs = new Set<(peer: PeerId, reason: string) => void>()
  readonly #carryActs = new Set<(peer: PeerId, topic: TopicName) => void>()
  readonly #badActs = new Set<(peer: PeerId, reason: string) => void>()
  readonly #offs: Off[]
  readonly #tick: Timer
  #soon: Timer | undefined
  #trialAt: number
  #lostTrialAt: number
  #left: Promise<void> | undefined
  #closed = false

  constructor({ host, cards, random }: FriendsOptions, memory: Memory) {
    const { clock } = host
    this.#host = host
    this.#cards = cards
    this.#random = random
    this.#memory = memory
    this.#trialAt = clock.now()
    this.#lostTrialAt = clock.now()
    this.#circle = new Circle(host, random)
    const onDialled = () => this.#lookSoon()
    this.#dialler = new Dialler({ host, presence: cards, memory, random, onDialled })
    const onNew = ({ card, bytes }: HeldCard) => memory.note(card, bytes)
    this.#spread = new Spread({ cards, links: () => this.#links.all(), clock, random, onNew })
    this.#offs = [
      host.onConnect((peer) => this.#onConnect(peer)),
      host.onDisconnect((peer) => this.#onDisconnect(peer)),
      cards.onChange(() => this.#lookSoon()),
    ]
    this.#links = links(host, friendsProtocol, this)
    this.#tick = clock.every(limits.friendTickMs, () => this.#look())
    this.#lookSoon()
  }

  list(): FriendStatus[] {
    return this.#circle
      .all()
      .filter(({ lost }) => !lost)
      .map(({ peer, since, rttMs, direction }) => ({
        id: peer,
        addresses: this.#dialler.addressesOf(peer),
        rttMs,
        since,
        sharedTopics: this.#sharedTopics(peer),
        direction,
      }))
  }

  setNeeds(needs: ReadonlyMap<TopicName, number>): void {
    this.#needs.clear()
    for (const [topic, wanted] of needs) this.#needs.set(topic, wanted)
    this.#lookSoon()
  }

  join(address: string): void {
    this.#dialler.join(address)
    this.#lookSoon()
  }

  found(peer: PeerId, addresses: string[]): void {
    this.#dialler.found(peer, addresses)
    this.#lookSoon()
  }

  onFriend(act: (peer: PeerId) => void): Off {
    return listen(this.#friendActs, act)
  }

  onLost(act: (peer: PeerId, reason: string) => void): Off {
    return listen(this.#lostActs, act)
  }

  onCarryRequest(act: (peer: PeerId, topic: TopicName) => void): Off {
    return listen(this.#carryActs, act)
  }

  onMisbehaved(act: (peer: PeerId, reason: string) => void): Off {
    return listen(this.#badActs, act)
  }

  requestCarry(peer: PeerId, topic: TopicName): void {
    if (this.#closed) return
    const link = this.#links.get(peer)
    if (link?.open) {
      link.send(encodeFriendFrame({ type: 'carry', topic }))
      return
    }
    this.#carry.set(peer, (this.#carry.get(peer) ?? new Set()).add(topic))
    if (this.#carry.size > limits.carryRequestsMax) this.#carry.delete(this.#carry.keys().next().value as PeerId)
    void this.#dialler.dial(peer)
  }

  misbehaved(peer: PeerId, reason: string): void {
    if (this.#closed) return
    for (const act of this.#badActs) act(peer, reason)
    if (this.#conduct.offence(peer, this.#now())) this.#part(peer, 'misbehaved', limits.banMs)
  }

  leave(): Promise<void> {
    this.#left ??= this.#leave()
    return this.#left
  }

  async #leave(): Promise<void> {
    if (this.#closed) return
    this.#tick.cancel()
    const card = this.#cards.farewell()
    const words = [
      encodeFriendFrame({ type: 'cards', items: [{ bytes: card.bytes, ageMs: 0 }] }),
      encodeFriendFrame({ type: 'bye', reason: 'leaving' }),
    ]
    for (const friend of this.#circle.all()) friend.leaving = 'we are leaving'
    for (const link of this.#links.all()) link.sendMany(words)
    // Whoever has read it hangs up.
    if (this.#links.all().length > 0) await this.#untilAlone(limits.farewellMs)
    await this.close()
  }

  #untilAlone(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        timer.cancel()
        off()
        resolve()
      }
      const timer = this.#host.clock.after(ms, done)
      const off = this.#host.onDisconnect(() => {
        if (this.#host.connected().length === 0) done()
      })
    })
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    for (const off of this.#offs) off()
    this.#tick.cancel()
    this.#soon?.cancel()
    for (const timer of this.#acquainting.values()) timer.cancel()
    this.#dialler.close()
    this.#circle.close()
    this.#spread.close()
    this.#cards.close()
    await this.#links.close()
    await this.#memory.close()
  }

  onOpen(link: Link): void {
    const { peer } = link
    if (this.#conduct.banned(peer, this.#now())) {
      void this.#hangUp(peer)
      return
    }
    this.#settle(peer)
    this.#dialler.backoff.succeeded(peer)
    const isNew = this.#circle.opened(link)
    this.#spread.meet(link)
    for (const topic of this.#carry.get(peer) ?? []) link.send(encodeFriendFrame({ type: 'carry', topic }))
    this.#carry.delete(peer)
    if (isNew) for (const act of this.#friendActs) act(peer)
    this.#lookSoon()
  }

  onFrame(link: Link, bytes: Uint8Array): void {
    if (this.#closed) return
    this.#circle.heard(link.peer)
    try {
      const frame = decodeFriendFrame(bytes)
      if (frame !== undefined) this.#onFrame(link, frame)
    } catch (error) {
      if (!(error instanceof WireError)) throw error
      this.misbehaved(link.peer, error.message)
    }
  }

  onClose(): void {
    // While the connection lives the link comes back by itself; its end is seen as the loss of the connection.
  }

  #onFrame(link: Link, frame: FriendFrame): void {
    switch (frame.type) {
      case 'cards':
        return this.#spread.onCards(link, frame.items)
      case 'digest':
        return this.#spread.onDigest(link, frame)
      case 'want':
        return this.#spread.onWant(link, frame.peers)
      case 'carry':
        for (const act of this.#carryActs) act(link.peer, frame.topic)
        return
      case 'ping':
        link.send(encodeFriendFrame({ type: 'pong', nonce: frame.nonce }))
        return
      case 'pong':
        return this.#circle.pong(link.peer, frame.nonce)
      case 'bye':
        return this.#onBye(link.peer, frame.reason)
      default:
        frame satisfies never
    }
  }

  #onBye(peer: PeerId, reason: ByeReason): void {
    const friend = this.#circle.get(peer)
    if (friend === undefined) return
    friend.leaving = reason === 'enough' ? 'it has enough friends' : `it is ${reason}`
    if (reason === 'misbehaved') friend.leaving = 'it says we misbehaved'
    if (reason === 'leaving') {
      this.#cards.forget(peer)
      void this.#hangUp(peer)
    }
    this.#dialler.backoff.hold(peer, this.#now(), reason === 'misbehaved' ? limits.banMs : limits.byeMs)
    // It hangs up itself; this is for one that does not.
    this.#host.clock.after(limits.farewellMs * 5, () => {
      if (this.#circle.get(peer)?.leaving !== undefined) void this.#hangUp(peer)
    })
  }

  /** Ends a friendship from our side. */
  #part(peer: PeerId, reason: ByeReason, holdMs: number): void {
    this.#dialler.backoff.hold(peer, this.#now(), holdMs)
    const friend = this.#circle.get(peer)
    if (friend !== undefined) {
      friend.leaving = reason === 'enough' ? 'we have enough friends' : 'it misbehaved'
      friend.link.send(encodeFriendFrame({ type: 'bye', reason }))
    }
    this.#host.clock.after(limits.farewellMs, () => void this.#hangUp(peer))
  }

  #onConnect(peer: PeerId): void {
    if (this.#conduct.banned(peer, this.#now())) {
      void this.#hangUp(peer)
      return
    }
    this.#acquainting.get(peer)?.cancel()
    const timer = this.#host.clock.after(limits.acquaintMs, () => {
      this.#acquainting.delete(peer)
      void this.#hangUp(peer)
    })
    this.#acquainting.set(peer, timer)
  }

  #onDisconnect(peer: PeerId): void {
    const strange = this.#settle(peer)
    const friend = this.#circle.get(peer)
    if (friend === undefined) {
      // It took the connection but not the protocol: not again at once.
      if (strange) this.#dialler.backoff.failed(peer, this.#now())
    } else if (friend.leaving !== undefined) this.#lose(friend, friend.leaving)
    else void this.#redial(friend)
    this.#lookSoon()
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
    if (friend.leaving !== undefined && !alive) return this.#lose(friend, friend.leaving)
    if (alive) return
    // The other side may have dialled us meanwhile.
    if (this.#host.connectionOf(friend.peer) !== undefined) return
    this.#cards.forget(friend.peer)
    if (flaps) this.#dialler.backoff.failed(friend.peer, now)
    this.#lose(friend, 'the connection was lost')
  }

  #lose(friend: Friend, reason: string): void {
    this.#circle.remove(friend.peer)
    for (const act of this.#lostActs) act(friend.peer, reason)
    this.#lookSoon()
  }

  /** Stops waiting for a peer's friends protocol; whether we were. */
  #settle(peer: PeerId): boolean {
    this.#acquainting.get(peer)?.cancel()
    return this.#acquainting.delete(peer)
  }

  async #hangUp(peer: PeerId): Promise<void> {
    if (this.#closed) return
    await this.#host.hangUp(peer).catch(() => undefined)
  }

  #lookSoon(): void {
    if (this.#closed || this.#left !== undefined) return
    this.#soon ??= this.#host.clock.after(limits.decideMs, () => this.#look())
  }

  #look(): void {
    this.#soon?.cancel()
    this.#soon = undefined
    if (this.#left !== undefined) return
    const now = this.#now()
    const view = this.#view(now)
    if (view.trialDue) this.#trialAt = now
    if (view.lostTrialDue) this.#lostTrialAt = now
    for (const effect of decide(view, now)) this.#act(effect)
  }

  #act(effect: Effect): void {
    switch (effect.type) {
      case 'dial':
        void this.#dialler.dial(effect.peer)
        return
      case 'join':
        void this.#dialler.dialJoin(effect.address)
        return
      case 'shed':
        return this.#part(effect.peer, 'enough', limits.byeMs)
      default:
        effect satisfies never
    }
  }

  #view(now: number): View {
    const friends = this.#circle.all().filter(({ leaving }) => leaving === undefined)
    const isFriend = (peer: PeerId) => this.#circle.get(peer) !== undefined
    const all = this.#candidates(isFriend)
    const strangers = this.#dialler.strangers(isFriend)
    return {
      self: this.#host.id,
      friends: sampled(friends, friends.length, this.#random).map((friend) => ({
        peer: friend.peer,
        since: friend.since,
        rttMs: friend.rttMs,
        guest: this.#cards.card(friend.peer)?.role === 'guest',
        sharedTopics: this.#sharedTopics(friend.peer),
      })),
      connections: this.#host.connected().length,
      candidates: sampled(all, all.length, this.#random),
      strangers: sampled(strangers, strangers.length, this.#random),
      joins: this.#dialler.joins(isFriend),
      needs: this.#needsNow(),
      dialling: new Set([...this.#dialler.dialling, ...this.#acquainting.keys()]),
      ready: (target) => this.#dialler.backoff.ready(target, now),
      trialDue: now - this.#trialAt >= limits.trialMs,
      lostTrialDue: now - this.#lostTrialAt >= limits.lostTrialMs,
    }
  }

  #candidates(isFriend: (peer: PeerId) => boolean): PeerId[] {
    const peers: PeerId[] = []
    const guests: PeerId[] = []
    for (const { peer, role, addresses } of this.#cards.cards()) {
      if (!isFriend(peer) && addresses.length > 0) (role === 'guest' ? guests : peers).push(peer)
    }
    return peers.length + this.#circle.all().length < limits.friendsMin ? [...peers, ...guests] : peers
  }

  #needsNow(): Need[] {
    const carried = new Set(this.#cards.self().topics)
    return [...this.#needs].map(([topic, wanted]) => ({
      topic,
      wanted,
      carriers: this.#cards.carriersOf(topic).filter((peer) => this.#cards.card(peer)?.role === 'peer'),
      carried: carried.has(topic),
    }))
  }

  #sharedTopics(peer: PeerId): number {
    return this.#cards.card(peer)?.topics.filter((topic) => this.#needs.has(topic)).length ?? 0
  }

  #now(): number {
    return this.#host.clock.now()
  }
}

function listen<T>(acts: Set<T>, act: T): Off {
  acts.add(act)
  return () => acts.delete(act)
}
