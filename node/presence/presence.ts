/**
 * Who is in the mesh and which topics each carries: a table of signed cards, and our own card.
 *
 * It owns what is known of peers; it sends nothing (`friends/` spreads cards). It promises:
 * 1. Only cards signed by their peer are in it, one a peer, the one issued last; one issued too far in the future is refused, since
 *    nothing could ever replace it.
 * 2. A card goes when its time is over, counted by our clock from when it was issued: cards travel with their age, so that handing
 *    a dead peer's card around does not keep it alive, whatever the clocks say.
 * 3. A peer that was forgotten (known dead, gone, expired) comes back only with a newer card.
 * 4. It holds at most `limits.cardsMax` cards; the one heard of longest ago goes.
 *
 * Keepers of a topic are the peers with the highest hash of peer and topic (rendezvous hashing, Thaler and Ravishankar 1998): everybody with
 * the same cards comes to the same ranking without asking.
 */
import { hash } from 'node:crypto'
import { limits } from '../limits.ts'
import type { Clock, Random, Timer } from '../ports.ts'
import type { PeerId, TopicName } from '../types.ts'
import { peerIdOf, type SigningKey } from '../wire/key.ts'
import { type Card, openCard, peekCard, type SignedCard, signCard } from './card.ts'

export interface Presence {
  self(): Card
  /** Live cards, not our own. */
  cards(): Iterable<Card>
  card(peer: PeerId): Card | undefined
  /** Live peers that carry it, not us. */
  carriersOf(topic: TopicName): PeerId[]
  /** Every topic that anybody known carries, ourselves included. */
  topics(): Set<TopicName>
  /** The `count` live peers ranked highest for the topic: ourselves among them unless we are a guest; never guests. */
  keepersOf(topic: TopicName, count: number): PeerId[]
  /** What we carry from now on; our card is issued anew when that is a change. */
  setTopics(topics: Iterable<TopicName>): void
  /** Drops a peer known to be dead or gone. */
  forget(peer: PeerId): void
  /** Called when another peer's card came, changed what it says, or went. */
  onChange(act: (peer: PeerId) => void): () => void
}

/** What spreads cards. */
export interface CardTable extends Presence {
  /** Our own card, signed. */
  signed(): SignedCard
  /** A live card with its age in ms, our own included. */
  held(peer: PeerId): HeldCard | undefined
  /** All live cards, our own first. */
  heldCards(): Iterable<HeldCard>
  /** Whether a card of this peer issued then would be news. */
  wants(peer: PeerId, issued: number): boolean
  /** Takes a card that came with an age. Throws `WireError` for one that is not what a card must be. */
  accept(bytes: Uint8Array, ageMs: number): Accepted
  /** Called with each new card of our own. */
  onIssue(act: (card: SignedCard) => void): () => void
  /** Our last card: it tells everybody to forget us. Nothing is issued afterwards. */
  farewell(): SignedCard
  close(): void
}

export interface HeldCard {
  readonly card: Card
  readonly bytes: Uint8Array
  readonly ageMs: number
}

/** `new`: pass it on; `known`: nothing to do; `refused`: issued in the future. */
export type Accepted = { outcome: 'new' | 'known' | 'refused'; peer: PeerId }

export interface PresenceOptions {
  key: SigningKey
  role: 'peer' | 'guest'
  version: string
  clock: Clock
  random: Random
  /** Where we can be reached, asked each time a card is issued. */
  addresses: () => string[]
}

export function createPresence(options: PresenceOptions): CardTable {
  return new Table(options)
}

interface Row {
  readonly card: Card
  readonly bytes: Uint8Array
  /** By our clock. */
  readonly issuedAt: number
}

class Table implements CardTable {
  readonly #options: PresenceOptions
  readonly #id: PeerId
  readonly #rows = new Map<PeerId, Row>()
  readonly #carriers = new Map<TopicName, Set<PeerId>>()
  /** Peers that were dropped, with the card that shall not bring them back. */
  readonly #forgotten = new Map<PeerId, { issued: number; until: number }>()
  readonly #changed = new Set<(peer: PeerId) => void>()
  readonly #issued = new Set<(card: SignedCard) => void>()
  readonly #sweep: Timer
  #renewal: Timer | undefined
  #soon: Timer | undefined
  #topics: TopicName[] = []
  #own: SignedCard
  #gone = false

  constructor(options: PresenceOptions) {
    this.#options = options
    this.#id = peerIdOf(options.key.publicKey)
    this.#own = this.#sign(this.#ttlMs())
    this.#scheduleRenewal()
    this.#sweep = options.clock.every(limits.cardSweepMs, () => this.#expire())
  }

  self(): Card {
    return this.#own.card
  }

  signed(): SignedCard {
    return this.#own
  }

  *cards(): Iterable<Card> {
    for (const row of this.#rows.values()) yield row.card
  }

  card(peer: PeerId): Card | undefined {
    return this.#rows.get(peer)?.card
  }

  carriersOf(topic: TopicName): PeerId[] {
    return [...(this.#carriers.get(topic) ?? [])]
  }

  topics(): Set<TopicName> {
    return new Set([...this.#topics, ...this.#carriers.keys()])
  }

  keepersOf(topic: TopicName, count: number): PeerId[] {
    const peers: PeerId[] = this.#options.role === 'guest' ? [] : [this.#id]
    for (const { card } of this.#rows.values()) if (card.role === 'peer') peers.push(card.peer)
    return peers
      .map((peer) => ({ peer, rank: hash('sha256', `${peer}\n${topic}`) }))
      .sort((a, b) => (a.rank < b.rank ? 1 : -1))
      .slice(0, count)
      .map(({ peer }) => peer)
  }

  setTopics(topics: Iterable<TopicName>): void {
    const sorted = [...new Set(topics)].sort()
    if (sorted.length === this.#topics.length && sorted.every((topic, i) => topic === this.#topics[i])) return
    this.#topics = sorted
    // Topics tend to come in numbers, and a large card is dear to spread: up to a second for the largest.
    const wait = limits.cardCoalesceMs + this.#own.bytes.length / 64
    this.#soon ??= this.#options.clock.after(wait, () => this.#issue())
  }

  forget(peer: PeerId): void {
    const row = this.#rows.get(peer)
    if (row !== undefined) this.#drop(row)
  }

  onChange(act: (peer: PeerId) => void): () => void {
    this.#changed.add(act)
    return () => this.#changed.delete(act)
  }

  onIssue(act: (card: SignedCard) => void): () => void {
    this.#issued.add(act)
    return () => this.#issued.delete(act)
  }

  held(peer: PeerId): HeldCard | undefined {
    if (peer === this.#id) return { ...this.#own, ageMs: Math.max(0, this.#now() - this.#own.card.issued) }
    const row = this.#rows.get(peer)
    return row && { card: row.card, bytes: row.bytes, ageMs: Math.max(0, this.#now() - row.issuedAt) }
  }

  *heldCards(): Iterable<HeldCard> {
    for (const peer of [this.#id, ...this.#rows.keys()]) {
      const held = this.held(peer)
      if (held !== undefined) yield held
    }
  }

  wants(peer: PeerId, issued: number): boolean {
    if (issued > this.#now() + limits.clockAheadMsMax) return false
    if (peer === this.#id) return issued > this.#own.card.issued
    const known = this.#rows.get(peer)?.card.issued ?? this.#forgotten.get(peer)?.issued ?? -1
    return issued > known
  }

  accept(bytes: Uint8Array, ageMs: number): Accepted {
    const { peer, issued } = peekCard(bytes)
    if (issued > this.#now() + limits.clockAheadMsMax) return { outcome: 'refused', peer }
    if (!this.wants(peer, issued)) return { outcome: 'known', peer }
    const { card } = openCard(bytes)
    if (peer === this.#id) {
      // An earlier run of ours had a clock ahead of this one's: outbid its last card, or nobody would take ours.
      this.#issue(issued + 1)
      return { outcome: 'known', peer }
    }
    const age = Math.min(Math.max(0, ageMs), limits.cardTtlMsMax)
    this.#put({ card, bytes: new Uint8Array(bytes), issuedAt: this.#now() - age })
    return { outcome: 'new', peer }
  }

  farewell(): SignedCard {
    this.#own = this.#sign(0)
    this.close()
    return this.#own
  }

  close(): void {
    this.#gone = true
    this.#sweep.cancel()
    this.#renewal?.cancel()
    this.#soon?.cancel()
  }

  #now(): number {
    return this.#options.clock.now()
  }

  #put(row: Row): void {
    const { peer, topics, ttlMs } = row.card
    const before = this.#rows.get(peer)
    if (before !== undefined) this.#unlist(before)
    this.#forgotten.delete(peer)
    // Last in the map: heard of just now.
    this.#rows.delete(peer)
    this.#rows.set(peer, row)
    for (const topic of topics) {
      const carriers = this.#carriers.get(topic) ?? new Set()
      this.#carriers.set(topic, carriers.add(peer))
    }
    if (ttlMs === 0 || row.issuedAt + ttlMs <= this.#now()) this.#drop(row)
    else if (before === undefined || saysOther(before.card, row.card)) this.#tell(peer)
    if (this.#rows.size > limits.cardsMax) this.#drop(this.#rows.values().next().value as Row)
  }

  #drop(row: Row): void {
    const { peer, issued } = row.card
    this.#rows.delete(peer)
    this.#unlist(row)
    this.#forgotten.delete(peer)
    this.#forgotten.set(peer, { issued, until: this.#now() + limits.cardTtlMsMax })
    if (this.#forgotten.size > limits.cardsMax) this.#forgotten.delete(this.#forgotten.keys().next().value as PeerId)
    this.#tell(peer)
  }

  #unlist({ card }: Row): void {
    for (const topic of card.topics) {
      const carriers = this.#carriers.get(topic)
      carriers?.delete(card.peer)
      if (carriers?.size === 0) this.#carriers.delete(topic)
    }
  }

  #tell(peer: PeerId): void {
    for (const act of this.#changed) act(peer)
  }

  #expire(): void {
    const now = this.#now()
    for (const row of [...this.#rows.values()]) if (row.issuedAt + row.card.ttlMs <= now) this.#drop(row)
    for (const [peer, { until }] of this.#forgotten) if (until <= now) this.#forgotten.delete(peer)
  }

  #sign(ttlMs: number, atLeast = 0): SignedCard {
    const { key, role, version, addresses } = this.#options
    const last = (this.#own as SignedCard | undefined)?.card.issued ?? 0
    const issued = Math.max(this.#now(), last + 1, atLeast)
    return signCard({ addresses: addresses(), topics: this.#topics, role, version, issued, ttlMs }, key)
  }

  #issue(atLeast?: number): void {
    if (this.#gone) return
    this.#soon?.cancel()
    this.#soon = undefined
    this.#own = this.#sign(this.#ttlMs(), atLeast)
    this.#scheduleRenewal()
    for (const act of this.#issued) act(this.#own)
  }

  #scheduleRenewal(): void {
    this.#renewal?.cancel()
    // Not all at one time: between nine tenths and the whole of the period.
    const wait = this.#renewMs() * (0.9 + this.#options.random.float() / 10)
    this.#renewal = this.#options.clock.after(wait, () => this.#issue())
  }

  #renewMs(): number {
    return limits.cardRenewMs + limits.cardRenewPerPeerMs * this.#rows.size
  }

  #ttlMs(): number {
    return Math.min(limits.cardTtlMsMax, this.#renewMs() * 3)
  }
}

/** Whether a card says something its predecessor did not; a mere renewal is no change. */
function saysOther(a: Card, b: Card): boolean {
  const same =
    a.role === b.role &&
    a.version === b.version &&
    a.truncated === b.truncated &&
    sameList(a.topics, b.topics) &&
    sameList(a.addresses, b.addresses)
  return !same
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((text, i) => text === b[i])
}
