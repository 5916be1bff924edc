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
 * 4. Whoever looks at the mesh asks all of it, by way of friends (`survey`).
 * 5. A friend of whom nothing is heard for `limits.silentMs` is hung up. One that breaks the protocols `limits.misbehavioursMax` times
 *    is too, and stays out for `limits.banMs`.
 *
 * Files: `policy` decides (pure), on what `view` shows it; `tie` begins and ends friendships; `spread` passes cards on; `survey` passes questions on; `circle` knows the friends; `dialler` connects; `backoff`, `conduct`,
 * `remember` keep what they are named after; `frame` is the wire. The ideas are those of HyParView (Leitao, Pereira, Rodrigues 2007): a small
 * active view, random exchange, replacement at once; the passive view is the table of cards.
 */
import type { Host } from '../host/host.ts'
import { type FrameBytes, type Link, type LinkHandler, type Links, links } from '../host/link.ts'
import { limits } from '../limits.ts'
import type { Random, StateDb, Timer } from '../ports.ts'
import type { CardTable, HeldCard } from '../presence/presence.ts'
import type { FriendStatus, JoinStatus, PeerId, TopicName } from '../types.ts'
import { WireError } from '../wire/error.ts'
import type { SigningKey } from '../wire/key.ts'
import { Circle } from './circle.ts'
import { Dialler } from './dialler.ts'
import { decodeFriendFrame, encodeFriendFrame, type FriendFrame } from './frame.ts'
import { decide, type Effect, type View } from './policy.ts'
import { Memory } from './remember.ts'
import { Spread } from './spread.ts'
import { type Answering, type OnAnswer, Survey } from './survey.ts'
import { Ties } from './tie.ts'
import { type Sight, sharedTopics, viewOf } from './view.ts'

export const friendsProtocol = '/grapevine/friends/1'

export type Off = () => void

export interface Friends {
  list(): FriendStatus[]
  /** For each topic, how many friends among its carriers are wanted. */
  setNeeds(needs: ReadonlyMap<TopicName, number>): void
  /** An address to be connected with, tried for ever. Throws `InvalidOption` for what is no multiaddr. */
  join(address: string): void
  /** What became of those. */
  joins(): JoinStatus[]
  /** A peer that was seen nearby. */
  found(peer: PeerId, addresses: string[]): void
  onFriend(act: (peer: PeerId) => void): Off
  onLost(act: (peer: PeerId, reason: string) => void): Off
  /** Asks a peer to carry a topic; it is connected to for that, friend or not. */
  requestCarry(peer: PeerId, topic: TopicName): void
  onCarryRequest(act: (peer: PeerId, topic: TopicName) => void): Off
  /** Asks all other peers of the mesh, at most `limits.surveyQuestionBytesMax` bytes; see `Survey.ask`. */
  ask(question: Uint8Array, onAnswer: OnAnswer): Off
  /** How we answer what others ask: at most `limits.surveyAnswerBytesMax` bytes. Without it, not at all. */
  answer(answering: Answering): void
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
  key: SigningKey
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
  readonly #memory: Memory
  readonly #ties: Ties
  readonly #circle: Circle
  readonly #dialler: Dialler
  readonly #links: Links
  readonly #spread: Spread
  readonly #survey: Survey
  readonly #sight: Sight
  readonly #needs = new Map<TopicName, number>()
  /** Requests waiting for a link. */
  readonly #carry = new Map<PeerId, Set<TopicName>>()
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

  constructor({ host, key, cards, random }: FriendsOptions, memory: Memory) {
    const { clock } = host
    this.#host = host
    this.#cards = cards
    this.#memory = memory
    this.#trialAt = clock.now()
    this.#lostTrialAt = clock.now()
    this.#circle = new Circle(host, random)
    const onDialled = () => this.#lookSoon()
    this.#dialler = new Dialler({ host, presence: cards, memory, random, onDialled })
    this.#ties = new Ties({
      host,
      cards,
      circle: this.#circle,
      dialler: this.#dialler,
      onLost: (peer, reason) => {
        this.#survey.onLost(peer)
        for (const act of this.#lostActs) act(peer, reason)
        this.#lookSoon()
      },
    })
    this.#sight = { host, cards, circle: this.#circle, dialler: this.#dialler, needs: this.#needs, random }
    const onNew = ({ card, bytes }: HeldCard) => memory.note(card, bytes)
    const all = () => this.#links.all()
    this.#spread = new Spread({ cards, links: all, clock, random, onNew })
    this.#survey = new Survey({ key, links: all, clock, random })
    this.#offs = [
      host.onConnect((peer) => this.#ties.onConnect(peer)),
      host.onDisconnect((peer) => {
        this.#ties.onDisconnect(peer)
        this.#lookSoon()
      }),
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
        sharedTopics: sharedTopics(this.#sight, peer),
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

  joins(): JoinStatus[] {
    return this.#dialler.joinStatus((peer) => this.#circle.get(peer)?.lost === false)
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

  ask(question: Uint8Array, onAnswer: OnAnswer): Off {
    return this.#survey.ask(question, onAnswer)
  }

  answer(answering: Answering): void {
    this.#survey.answering = answering
  }

  misbehaved(peer: PeerId, reason: string): void {
    if (this.#closed) return
    for (const act of this.#badActs) act(peer, reason)
    this.#ties.misbehaved(peer)
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
    this.#ties.close()
    this.#dialler.close()
    this.#circle.close()
    this.#spread.close()
    this.#cards.close()
    await this.#links.close()
    await this.#memory.close()
  }

  onOpen(link: Link): void {
    const { peer } = link
    if (this.#ties.banned(peer)) {
      void this.#ties.hangUp(peer)
      return
    }
    this.#ties.settle(peer)
    this.#dialler.backoff.succeeded(peer)
    const isNew = this.#circle.opened(link)
    this.#spread.meet(link)
    for (const topic of this.#carry.get(peer) ?? []) link.send(encodeFriendFrame({ type: 'carry', topic }))
    this.#carry.delete(peer)
    if (isNew) for (const act of this.#friendActs) act(peer)
    this.#lookSoon()
  }

  onFrame(link: Link, bytes: FrameBytes): void {
    if (this.#closed) return
    this.#circle.heard(link.peer)
    try {
      const frame = decodeFriendFrame(bytes.subarray())
      if (frame !== undefined) this.#onFrame(link, frame)
    } catch (error) {
      if (!(error instanceof WireError)) throw error
      this.misbehaved(link.peer, error.message)
    }
  }

  onClose(link: Link, _reason: string, fault?: 'oversize'): void {
    if (fault === 'oversize') this.misbehaved(link.peer, 'sent a frame that is too large')
    // While the connection lives the link comes back by itself; its end is seen as the loss of the connection.
  }

  #onFrame(link: Link, frame: FriendFrame): void {
    switch (frame.type) {
      case 'cards':
        this.#spread.onCards(link, frame.items)
        return
      case 'digest':
        this.#spread.onDigest(link, frame)
        return
      case 'want':
        this.#spread.onWant(link, frame.peers)
        return
      case 'carry':
        for (const act of this.#carryActs) act(link.peer, frame.topic)
        return
      case 'ping':
        link.send(encodeFriendFrame({ type: 'pong', nonce: frame.nonce }))
        return
      case 'pong':
        this.#circle.pong(link.peer, frame.nonce)
        return
      case 'bye':
        this.#ties.onBye(link.peer, frame.reason)
        return
      case 'ask':
        this.#survey.onAsk(link, frame)
        return
      case 'answer':
        this.#survey.onAnswer(link, frame)
        return
      default:
        frame satisfies never
    }
  }

  #lookSoon(): void {
    if (this.#closed || this.#left !== undefined) return
    this.#soon ??= this.#host.clock.after(limits.decideMs, () => this.#look())
  }

  #look(): void {
    this.#soon?.cancel()
    this.#soon = undefined
    if (this.#left !== undefined) return
    const now = this.#host.clock.now()
    const trialDue = now - this.#trialAt >= limits.trialMs
    const lostTrialDue = now - this.#lostTrialAt >= limits.lostTrialMs
    if (trialDue) this.#trialAt = now
    if (lostTrialDue) this.#lostTrialAt = now
    const view: View = {
      ...viewOf(this.#sight),
      dialling: new Set([...this.#dialler.dialling, ...this.#ties.acquainting()]),
      trialDue,
      lostTrialDue,
    }
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
        this.#ties.part(effect.peer, 'enough', limits.byeMs)
        return
      default:
        effect satisfies never
    }
  }
}

function listen<T>(acts: Set<T>, act: T): Off {
  acts.add(act)
  return () => acts.delete(act)
}
