/**
 * Whom to befriend: pure decisions over a view of friends, candidates and needs. `decide` says what to do now; it is asked
 * again after every change and once a second, so whatever it asked for and did not happen is asked for again.
 *
 * 1. Everyone is everyone's friend in a mesh of up to `friendsMax` others; in a larger one there are at least `friendsMin` friends.
 * 2. For each topic needed: as many friends among its carriers as wanted, or all where there are fewer. In addition our
 *    successor in the ring of its carriers: each carrier holding on to its successor makes the carriers one connected whole, which random
 *    friends make it only probably. An unreachable successor is passed over for the next.
 * 3. A candidate met by chance is tried now and then, as in HyParView's shuffles and Cyclon: it keeps the mesh well mixed,
 *    and trying peers that were lost joins the halves after a partition that outlasted all cards.
 * 4. Above `friendsMax` the least useful go: never one that a topic needs (by our successor or theirs), nor one of the
 *    nearest, nor before it has been a friend for `friendshipMsMin`. Guests are not counted: they come for a moment and choose for themselves.
 *
 * Randomness comes in with the view: candidates stand in random order.
 */
import { hash } from 'node:crypto'
import { limits } from '../limits.ts'
import type { PeerId, TopicName } from '../types.ts'

export interface FriendView {
  peer: PeerId
  since: number
  rttMs: number | undefined
  guest: boolean
  sharedTopics: number
}

export interface Need {
  topic: TopicName
  wanted: number
  /** Live peers that carry it, not us. */
  carriers: readonly PeerId[]
  /** Whether we carry it: only then are we in the ring of its carriers. */
  carried: boolean
}

export interface View {
  self: PeerId
  friends: readonly FriendView[]
  /** Connections there are, friends or not yet. */
  connections: number
  /** Live peers that are no friends, in random order; guests only where there is hardly anybody else. */
  candidates: readonly PeerId[]
  /** Peers found or remembered that have no live card, in random order: perhaps gone, perhaps in another part of the mesh. */
  strangers: readonly Stranger[]
  /** Addresses we were told to join and whose peer is no friend. */
  joins: readonly Join[]
  needs: readonly Need[]
  dialling: ReadonlySet<PeerId | string>
  /** Whether a peer or address may be dialled now, by backoff. */
  ready: (target: PeerId | string) => boolean
  /** It is time to try somebody at random. */
  trialDue: boolean
  /** It is time to try somebody that was lost. */
  lostTrialDue: boolean
}

export interface Stranger {
  peer: PeerId
  /** `found` nearby just now; `remembered` from before. */
  from: 'found' | 'remembered'
  /** Since when it is known; ms. */
  since: number
}

export interface Join {
  address: string
  /** We were connected through it before. */
  reached: boolean
  /** Its peer has a live card: it is part of the mesh we see. */
  live: boolean
}

export type Effect =
  | { type: 'dial'; peer: PeerId; why: 'topic' | 'few' | 'found' | 'trial' | 'lost' }
  | { type: 'join'; address: string }
  | { type: 'shed'; peer: PeerId }

export function decide(view: View, now: number): Effect[] {
  const plan = new Plan(view)
  const needed = plan.topics()
  plan.joins()
  plan.found(now)
  plan.few()
  plan.trials()
  return [...plan.effects, ...shed(view, needed, now)]
}

/** Collects dials within their bounds. */
class Plan {
  readonly effects: Effect[] = []
  readonly #view: View
  readonly #friends: Set<PeerId>
  readonly #coming: Set<PeerId | string>
  #slots: number

  constructor(view: View) {
    this.#view = view
    this.#friends = new Set(view.friends.map(({ peer }) => peer))
    this.#coming = new Set(view.dialling)
    const room = limits.connectionsMax - limits.connectionsSpare - view.connections
    this.#slots = Math.max(0, Math.min(limits.dialsMax - view.dialling.size, room))
  }

  /** Dials for rule 2; returns the friends that some topic needs. */
  topics(): Set<PeerId> {
    const needed = new Set<PeerId>()
    const short: { missing: number; open: PeerId[] }[] = []
    for (const need of this.#view.needs) {
      const friends = need.carriers.filter((peer) => this.#friends.has(peer))
      const wanted = Math.min(need.wanted, need.carriers.length)
      // With no friend to spare among its carriers, each of them is needed.
      if (friends.length <= wanted) for (const peer of friends) needed.add(peer)
      if (need.carried) this.#ring(need, needed)
      const coming = need.carriers.filter((peer) => this.#coming.has(peer)).length
      const missing = wanted - friends.length - coming
      if (missing > 0) short.push({ missing, open: need.carriers.filter((peer) => this.#dialable(peer)) })
    }
    this.#fill(short)
    return needed
  }

  joins(): void {
    const few = this.#count() < limits.friendsMin
    for (const { address, reached, live } of this.#view.joins) {
      if (reached && live && !few) continue
      if (this.#slots === 0 || this.#coming.has(address) || !this.#view.ready(address)) continue
      this.#take(address)
      this.effects.push({ type: 'join', address })
    }
  }

  /**
   * A peer found nearby without a card we know belongs to a part of the mesh we do not see. Or it has just started, and is connecting to
   * somebody: then its card comes by itself, and a whole mesh need not dial it.
   */
  found(now: number): void {
    const few = this.#count() < limits.friendsMin
    for (const { peer, from, since } of this.#view.strangers) {
      if (from === 'found' && (few || now - since >= limits.foundMs)) this.#dial(peer, 'found')
    }
  }

  few(): void {
    const mesh = this.#view.candidates.length + this.#count()
    const target = mesh <= limits.friendsMax ? mesh : limits.friendsMin
    for (const peer of this.#view.candidates) {
      if (this.#count() + this.#comingPeers() >= target) break
      this.#dial(peer, 'few')
    }
    for (const { peer, from } of this.#view.strangers) {
      if (this.#count() + this.#comingPeers() >= limits.friendsMin) break
      if (from === 'remembered') this.#dial(peer, 'lost')
    }
  }

  trials(): void {
    const { candidates, strangers, trialDue, lostTrialDue } = this.#view
    const one = trialDue ? candidates.find((peer) => this.#dialable(peer)) : undefined
    if (one !== undefined) this.#dial(one, 'trial')
    const lost = lostTrialDue ? strangers.find(({ peer }) => this.#dialable(peer)) : undefined
    if (lost !== undefined) this.#dial(lost.peer, 'lost')
  }

  /** Our neighbours in the ring of carriers are needed; a missing successor is dialled, and the next one as long as it fails. */
  #ring({ topic, carriers }: Need, needed: Set<PeerId>): void {
    const after = ringAfter(this.#view.self, topic, carriers)
    for (const peer of after) {
      if (this.#friends.has(peer)) needed.add(peer)
      else if (this.#dialable(peer)) this.#dial(peer, 'topic')
      else if (!this.#coming.has(peer)) continue
      break
    }
    const before = after.at(-1)
    if (before !== undefined && this.#friends.has(before)) needed.add(before)
  }

  /** Dials carriers for topics that have too few, those first that help most of them. */
  #fill(short: { missing: number; open: PeerId[] }[]): void {
    const helps = new Map<PeerId, number>()
    for (const { open } of short) for (const peer of open) helps.set(peer, (helps.get(peer) ?? 0) + 1)
    // Candidates stand in random order, and sorting keeps it among equals.
    const order = this.#view.candidates.filter((peer) => helps.has(peer))
    order.sort((a, b) => (helps.get(b) ?? 0) - (helps.get(a) ?? 0))
    for (const peer of order) {
      if (this.#slots === 0) return
      const helped = short.filter(({ missing, open }) => missing > 0 && open.includes(peer))
      if (helped.length === 0) continue
      this.#dial(peer, 'topic')
      for (const topic of helped) topic.missing--
    }
  }

  #dial(peer: PeerId, why: (Effect & { type: 'dial' })['why']): void {
    if (this.#slots === 0 || !this.#dialable(peer)) return
    this.#take(peer)
    this.effects.push({ type: 'dial', peer, why })
  }

  #take(target: PeerId | string): void {
    this.#coming.add(target)
    this.#slots--
  }

  #dialable(peer: PeerId): boolean {
    return peer !== this.#view.self && !this.#friends.has(peer) && !this.#coming.has(peer) && this.#view.ready(peer)
  }

  #count(): number {
    return this.#view.friends.filter(({ guest }) => !guest).length
  }

  #comingPeers(): number {
    return [...this.#coming].filter((target) => !this.#friends.has(target as PeerId)).length
  }
}

function shed(view: View, needed: ReadonlySet<PeerId>, now: number): Effect[] {
  const friends = view.friends.filter(({ guest }) => !guest)
  const surplus = friends.length - limits.friendsMax
  if (surplus <= 0) return []
  const near = new Set(
    friends
      .filter(({ rttMs }) => rttMs !== undefined)
      .sort((a, b) => (a.rttMs as number) - (b.rttMs as number))
      .slice(0, limits.friendsNear)
      .map(({ peer }) => peer),
  )
  return friends
    .filter(({ peer, since }) => !needed.has(peer) && !near.has(peer) && now - since >= limits.friendshipMsMin)
    .sort((a, b) => a.sharedTopics - b.sharedTopics)
    .slice(0, surplus)
    .map(({ peer }) => ({ type: 'shed', peer }))
}

/** The carriers of a topic in ring order, beginning after us. All carriers come to the same ring. */
export function ringAfter(self: PeerId, topic: TopicName, carriers: readonly PeerId[]): PeerId[] {
  const ring = carriers
    .map((peer) => ({ peer, place: placeOf(peer, topic) }))
    .sort((a, b) => a.place - b.place || (a.peer < b.peer ? -1 : 1))
  const own = placeOf(self, topic)
  const start = ring.findIndex(({ peer, place }) => place > own || (place === own && peer > self))
  const turned = start < 0 ? ring : [...ring.slice(start), ...ring.slice(0, start)]
  return turned.map(({ peer }) => peer)
}

/** A place from 0 to 2^32-1. Combining one hash a name keeps this cheap for many topics. */
function placeOf(peer: PeerId, topic: TopicName): number {
  return (shortHash(peer) ^ shortHash(topic)) >>> 0
}

const hashes = new Map<string, number>()

function shortHash(name: string): number {
  const known = hashes.get(name)
  if (known !== undefined) return known
  const value = hash('sha256', name, 'buffer').readUInt32BE(0)
  if (hashes.size >= limits.ringHashesMax) hashes.clear()
  hashes.set(name, value)
  return value
}
