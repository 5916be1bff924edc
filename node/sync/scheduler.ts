/**
 * What to fetch from whom: pure, no clock and no IO. Inputs say what friends offer and what arrived;
 * effects are the wants to send and to cancel.
 *
 * 1. A feed has at most `wantsPerFeed` wants in flight, for consecutive ranges, all at one friend:
 *    so its batches arrive in order, and no batch is asked for twice unless a want stalled.
 * 2. Among the friends that offer the next batch, the one with the fewest wants in flight is asked; of equals,
 *    the one that offered first, which is the one the head was heard from.
 * 3. A want without progress for `stallMs` is cancelled, its friend is passed over for a while, and the range moves on.
 * 4. One friend has at most `wantsAtFriend` wants and `offersAtFriend` offers; one that stalled is asked for one thing at a
 *    time until something comes. So a friend that promises much and sends nothing takes little from the others.
 * 5. A feed is forgotten here as soon as nothing of it is missing, so memory follows what is missing, not what exists.
 */
import { limits } from '../limits.ts'
import type { FeedId, PeerId, TopicName } from '../types.ts'

export type FetchInput =
  /** `peer` holds base..last of the feed, and everything to `held` is here already. */
  | { type: 'offered'; peer: PeerId; topic: TopicName; feed: FeedId; base: number; last: number; held: number }
  /** Everything to `seq` is stored here, wherever it came from. */
  | { type: 'stored'; topic: TopicName; feed: FeedId; seq: number }
  /** A want made progress; `seq` is the newest batch that arrived whole, if one did. */
  | { type: 'progress'; id: number; seq?: number }
  | { type: 'ended'; id: number; reason: 'done' | 'gone' | 'unknown'; base: number }
  /** What arrived could not be stored: begin again after `held`. `blame` names the friend that sent it, if it was at fault. */
  | { type: 'rewound'; topic: TopicName; feed: FeedId; held: number; blame?: PeerId }
  | { type: 'lost'; peer: PeerId }
  | { type: 'released'; topic: TopicName }
  | { type: 'tick' }

export type FetchEffect =
  | {
      type: 'want'
      id: number
      peer: PeerId
      topic: TopicName
      feed: FeedId
      from: number
      to: number
      /** It begins after a gap: who offers most of the feed has removed what comes before `from`. */
      gap?: true
    }
  | { type: 'cancel'; id: number; peer: PeerId }

interface Offer {
  base: number
  last: number
  /** Not asked before this time. */
  waitUntil: number
}

interface Want {
  id: number
  peer: PeerId
  from: number
  to: number
  movedAt: number
}

interface Friend {
  wants: number
  offers: number
  /** Stalled, and has sent nothing since: asked for one thing at a time until then. */
  slowUntil: number
}

interface Missing {
  topic: TopicName
  feed: FeedId
  /** Everything to here is stored, or arrived and is being stored. */
  arrived: number
  offers: Map<PeerId, Offer>
  wants: Want[]
}

/** How long a friend that stalled, or sent what did not verify, is passed over for this feed. */
const passOverMs = 10 * limits.stallMs

export class FetchScheduler {
  readonly #missing = new Map<string, Missing>()
  readonly #wants = new Map<number, Missing>()
  readonly #friends = new Map<PeerId, Friend>()
  #lastId = 0

  /** Feeds of which something is missing. */
  get size(): number {
    return this.#missing.size
  }

  /** How far each feed of a topic is known to go of which something is missing. */
  targets(topic: TopicName): Map<FeedId, number> {
    const targets = new Map<FeedId, number>()
    for (const missing of this.#missing.values()) {
      if (missing.topic !== topic) continue
      for (const offer of missing.offers.values())
        targets.set(missing.feed, Math.max(targets.get(missing.feed) ?? 0, offer.last))
    }
    return targets
  }

  /** Whether something of the topic is offered of which nobody offers what comes before it. */
  hasGap(topic: TopicName): boolean {
    for (const { topic: of, arrived, offers } of this.#missing.values())
      if (of === topic && offers.size > 0 && [...offers.values()].every(({ base }) => base > arrived + 1)) return true
    return false
  }

  handle(input: FetchInput, now: number): FetchEffect[] {
    const effects: FetchEffect[] = []
    switch (input.type) {
      case 'offered':
        this.#onOffered(input, now, effects)
        break
      case 'stored':
        this.#onStored(input, now, effects)
        break
      case 'progress':
        this.#onProgress(input, now)
        break
      case 'ended':
        this.#onEnded(input, now, effects)
        break
      case 'rewound':
        this.#onRewound(input, now, effects)
        break
      case 'lost':
        this.#onLost(input.peer, now, effects)
        break
      case 'released':
        for (const missing of [...this.#missing.values()]) {
          if (missing.topic === input.topic) this.#forget(missing, effects)
        }
        break
      case 'tick':
        this.#onTick(now, effects)
        break
      default:
        input satisfies never
    }
    return effects
  }

  #onOffered(input: Extract<FetchInput, { type: 'offered' }>, now: number, effects: FetchEffect[]): void {
    if (input.last <= input.held || input.last < input.base) return
    const key = `${input.topic}/${input.feed}`
    const friend = this.#friendOf(input.peer)
    let missing = this.#missing.get(key)
    if (missing?.offers.has(input.peer) !== true && friend.offers >= limits.offersAtFriend) return
    if (missing === undefined) {
      missing = { topic: input.topic, feed: input.feed, arrived: input.held, offers: new Map(), wants: [] }
      this.#missing.set(key, missing)
    }
    missing.arrived = Math.max(missing.arrived, input.held)
    const known = missing.offers.get(input.peer)
    if (known === undefined) {
      // What it has not, another friend may be about to offer.
      const waitUntil = input.base > missing.arrived + 1 ? now + limits.gapPatienceMs : 0
      missing.offers.set(input.peer, { base: input.base, last: input.last, waitUntil })
      friend.offers++
    } else {
      known.base = Math.max(known.base, input.base)
      known.last = Math.max(known.last, input.last)
    }
    this.#evaluate(missing, now, effects)
  }

  #onStored(input: Extract<FetchInput, { type: 'stored' }>, now: number, effects: FetchEffect[]): void {
    const missing = this.#missing.get(`${input.topic}/${input.feed}`)
    if (missing === undefined) return
    missing.arrived = Math.max(missing.arrived, input.seq)
    // A range that came another way meanwhile (inline, by an older want) need not come again.
    for (const want of missing.wants)
      if (want.to <= input.seq) effects.push({ type: 'cancel', id: want.id, peer: want.peer })
    this.#drop(missing, (want) => want.to <= input.seq)
    this.#evaluate(missing, now, effects)
    if (this.#missing.size > 0 && this.#wants.size < limits.wantsMax) this.#evaluateAll(now, effects)
  }

  #onProgress(input: Extract<FetchInput, { type: 'progress' }>, now: number): void {
    const missing = this.#wants.get(input.id)
    const want = missing?.wants.find((each) => each.id === input.id)
    if (missing === undefined || want === undefined) return
    want.movedAt = now
    this.#friendOf(want.peer).slowUntil = 0
    if (input.seq !== undefined) missing.arrived = Math.max(missing.arrived, input.seq)
    // The wants behind it wait for it: its progress is theirs.
    for (const behind of missing.wants) behind.movedAt = now
  }

  #onEnded(input: Extract<FetchInput, { type: 'ended' }>, now: number, effects: FetchEffect[]): void {
    const missing = this.#wants.get(input.id)
    const want = missing?.wants.find((each) => each.id === input.id)
    if (missing === undefined || want === undefined) return
    this.#drop(missing, (each) => each.id === input.id)
    const offer = missing.offers.get(want.peer)
    if (offer !== undefined) {
      if (input.reason === 'unknown' || (input.reason === 'gone' && input.base > offer.last))
        this.#withdraw(missing, want.peer)
      else if (input.reason === 'gone' && input.base > want.from) {
        offer.base = Math.max(offer.base, input.base)
        if (offer.base > missing.arrived + 1) offer.waitUntil = now + limits.gapPatienceMs
      }
      // Nothing came and nothing was said that we did not know.
      else if (missing.arrived < want.from) offer.waitUntil = now + passOverMs
    }
    this.#evaluate(missing, now, effects)
    this.#evaluateAll(now, effects)
  }

  #onRewound(input: Extract<FetchInput, { type: 'rewound' }>, now: number, effects: FetchEffect[]): void {
    const missing = this.#missing.get(`${input.topic}/${input.feed}`)
    if (missing === undefined) return
    for (const want of missing.wants) effects.push({ type: 'cancel', id: want.id, peer: want.peer })
    this.#drop(missing, () => true)
    missing.arrived = input.held
    // Without anybody to blame it was our disk: leave it a moment. Whom we blame may be nobody who offers it.
    for (const [peer, offer] of missing.offers) {
      if (input.blame === undefined) offer.waitUntil = now + limits.stallMs
      else if (input.blame === peer) offer.waitUntil = now + passOverMs
    }
    this.#evaluateAll(now, effects)
  }

  #onLost(peer: PeerId, now: number, effects: FetchEffect[]): void {
    for (const missing of [...this.#missing.values()]) {
      this.#drop(missing, (want) => want.peer === peer)
      this.#withdraw(missing, peer)
      this.#forgetComplete(missing)
    }
    this.#friends.delete(peer)
    this.#evaluateAll(now, effects)
  }

  #onTick(now: number, effects: FetchEffect[]): void {
    for (const missing of this.#missing.values()) {
      const stalled = missing.wants.find((want) => now - want.movedAt > limits.stallMs)
      if (stalled === undefined) continue
      const offer = missing.offers.get(stalled.peer)
      if (offer !== undefined) offer.waitUntil = now + passOverMs
      this.#friendOf(stalled.peer).slowUntil = now + passOverMs
      for (const want of missing.wants) effects.push({ type: 'cancel', id: want.id, peer: want.peer })
      this.#drop(missing, () => true)
    }
    this.#evaluateAll(now, effects)
  }

  #evaluateAll(now: number, effects: FetchEffect[]): void {
    for (const missing of [...this.#missing.values()]) {
      if (this.#wants.size >= limits.wantsMax) return
      if (![...this.#friends.values()].some((friend) => hasRoom(friend, now))) return
      this.#evaluate(missing, now, effects)
    }
  }

  /** Sends what wants it can for one feed, and forgets the feed when nothing offered is missing. */
  #evaluate(missing: Missing, now: number, effects: FetchEffect[]): void {
    while (missing.wants.length < limits.wantsPerFeed && this.#wants.size < limits.wantsMax) {
      const ahead = missing.wants.at(-1)
      const next = Math.max(missing.arrived, ahead?.to ?? 0) + 1
      const chosen =
        ahead === undefined ? this.#choose(missing, next, now) : this.#again(missing, ahead.peer, next, now)
      if (chosen === undefined) break
      const want: Want = { id: ++this.#lastId, peer: chosen.peer, from: chosen.from, to: chosen.to, movedAt: now }
      missing.wants.push(want)
      this.#wants.set(want.id, missing)
      this.#friendOf(want.peer).wants++
      effects.push({
        type: 'want',
        id: want.id,
        peer: want.peer,
        topic: missing.topic,
        feed: missing.feed,
        from: want.from,
        to: want.to,
        ...(want.from > next && { gap: true as const }),
      })
    }
    this.#forgetComplete(missing)
  }

  #forgetComplete(missing: Missing): void {
    if (missing.wants.length > 0) return
    for (const [peer, offer] of missing.offers) if (offer.last <= missing.arrived) this.#withdraw(missing, peer)
    if (missing.offers.size === 0) this.#missing.delete(`${missing.topic}/${missing.feed}`)
  }

  #again(
    missing: Missing,
    peer: PeerId,
    next: number,
    now: number,
  ): { peer: PeerId; from: number; to: number } | undefined {
    const offer = missing.offers.get(peer)
    if (offer === undefined || offer.last < next || offer.base > next) return undefined
    return hasRoom(this.#friendOf(peer), now) ? { peer, from: next, to: offer.last } : undefined
  }

  /** Rule 2. Where retention removed `next` everywhere, the friend that goes back furthest is asked from there on. */
  #choose(missing: Missing, next: number, now: number): { peer: PeerId; from: number; to: number } | undefined {
    let best: { peer: PeerId; from: number; to: number } | undefined
    for (const [peer, offer] of missing.offers) {
      if (offer.last < next || offer.waitUntil > now || !hasRoom(this.#friendOf(peer), now)) continue
      const from = Math.max(next, offer.base)
      const better =
        best === undefined ||
        from < best.from ||
        (from === best.from && this.#friendOf(peer).wants < this.#friendOf(best.peer).wants)
      if (better) best = { peer, from, to: offer.last }
    }
    return best
  }

  #friendOf(peer: PeerId): Friend {
    let friend = this.#friends.get(peer)
    if (friend === undefined) {
      friend = { wants: 0, offers: 0, slowUntil: 0 }
      this.#friends.set(peer, friend)
    }
    return friend
  }

  #withdraw(missing: Missing, peer: PeerId): void {
    if (missing.offers.delete(peer)) this.#friendOf(peer).offers--
  }

  #drop(missing: Missing, which: (want: Want) => boolean): void {
    for (const want of missing.wants.filter(which)) {
      this.#wants.delete(want.id)
      this.#friendOf(want.peer).wants--
    }
    missing.wants = missing.wants.filter((want) => !which(want))
  }

  #forget(missing: Missing, effects: FetchEffect[]): void {
    for (const want of missing.wants) effects.push({ type: 'cancel', id: want.id, peer: want.peer })
    this.#drop(missing, () => true)
    for (const peer of [...missing.offers.keys()]) this.#withdraw(missing, peer)
    this.#missing.delete(`${missing.topic}/${missing.feed}`)
  }
}

function hasRoom(friend: Friend, now: number): boolean {
  return friend.wants < (friend.slowUntil > now ? 1 : limits.wantsAtFriend)
}
