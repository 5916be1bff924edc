/**
 * How cards travel: what is new is passed on to all friends but the one it came from (a flood that ends because nobody takes a card
 * twice), and what got lost is found by comparing lists with one random friend now and then, and with everyone on meeting
 * (push with anti-entropy: Demers et al., "Epidemic algorithms for replicated database maintenance", 1987).
 */
import type { Link } from '../host/link.ts'
import { limits } from '../limits.ts'
import type { Clock, Random, Timer } from '../ports.ts'
import type { CardTable, HeldCard } from '../presence/presence.ts'
import type { PeerId } from '../types.ts'
import { type CardItem, cardFrames, type DigestEntry, encodeFriendFrame, type FriendFrame } from './frame.ts'

export interface SpreadOptions {
  cards: CardTable
  links: () => Link[]
  clock: Clock
  random: Random
  /** Told of each card that was news. */
  onNew: (held: HeldCard) => void
}

export class Spread {
  readonly #options: SpreadOptions
  /** Cards to pass on, and the friend each came from. */
  readonly #news = new Map<PeerId, PeerId | undefined>()
  readonly #shuffle: Timer
  readonly #offIssue: () => void
  #soon: Timer | undefined

  constructor(options: SpreadOptions) {
    this.#options = options
    this.#offIssue = options.cards.onIssue(({ card }) => {
      this.#news.set(card.peer, undefined)
      this.flush()
    })
    this.#shuffle = options.clock.every(limits.shuffleMs, () => this.#compare())
  }

  /** On a new link: our own card, and all others if they are few, else their list. */
  meet(link: Link): void {
    const all = [...this.#options.cards.heldCards()]
    link.sendMany(cardFrames((all.length <= limits.meetingCards ? all : all.slice(0, 1)).map(itemOf)))
    if (all.length <= limits.meetingCards) return
    for (let i = 0; i < all.length; i += limits.digestEntriesMax) {
      const entries = all.slice(i, i + limits.digestEntriesMax).map(entryOf)
      link.send(encodeFriendFrame({ type: 'digest', entries, answer: true }))
    }
  }

  /** Throws `WireError` at the first card that is not what a card must be. */
  onCards(link: Link, items: readonly CardItem[]): void {
    const { cards, clock, onNew } = this.#options
    for (const { bytes, ageMs } of items) {
      const { outcome, peer } = cards.accept(bytes, ageMs)
      if (outcome !== 'new') continue
      const held = cards.held(peer)
      if (held === undefined) {
        // A farewell: it is not kept, so it is passed on at once.
        this.#send(cardFrames([{ bytes, ageMs }]), link.peer)
        continue
      }
      onNew(held)
      this.#news.set(peer, link.peer)
      this.#soon ??= clock.after(limits.cardSpreadMs, () => this.flush())
    }
  }

  onDigest(link: Link, frame: FriendFrame & { type: 'digest' }): void {
    const { cards } = this.#options
    const wanted: PeerId[] = []
    const newer: CardItem[] = []
    for (const { peer, issued } of frame.entries) {
      if (cards.wants(peer, issued)) wanted.push(peer)
      else {
        const held = cards.held(peer)
        if (held !== undefined && held.card.issued > issued) newer.push(itemOf(held))
      }
    }
    const frames = cardFrames(newer)
    if (wanted.length > 0) frames.push(encodeFriendFrame({ type: 'want', peers: wanted }))
    if (!frame.answer) frames.push(this.#sample(true))
    sendWhile(link, frames)
  }

  onWant(link: Link, peers: readonly PeerId[]): void {
    const held = peers.map((peer) => this.#options.cards.held(peer)).filter((card) => card !== undefined)
    sendWhile(link, cardFrames(held.map(itemOf)))
  }

  /** Passes on what is new. */
  flush(): void {
    this.#soon?.cancel()
    this.#soon = undefined
    const news = [...this.#news]
    this.#news.clear()
    for (const link of this.#options.links()) {
      const items = news
        .filter(([, source]) => source !== link.peer)
        .map(([peer]) => this.#options.cards.held(peer))
        .filter((card) => card !== undefined)
        .map(itemOf)
      sendWhile(link, cardFrames(items))
    }
  }

  close(): void {
    this.#offIssue()
    this.#shuffle.cancel()
    this.#soon?.cancel()
  }

  #send(frames: readonly Uint8Array[], except: PeerId): void {
    for (const link of this.#options.links()) if (link.peer !== except) sendWhile(link, frames)
  }

  #compare(): void {
    const links = this.#options.links()
    const link = links[Math.floor(this.#options.random.float() * links.length)]
    link?.send(this.#sample(false))
  }

  #sample(answer: boolean): Uint8Array {
    const all = [...this.#options.cards.heldCards()]
    const entries = sampled(all, limits.shuffleCards, this.#options.random).map(entryOf)
    return encodeFriendFrame({ type: 'digest', entries, answer })
  }
}

/** At most `count` of the items, in random order. */
export function sampled<T>(items: readonly T[], count: number, random: Random): T[] {
  const order = [...items]
  const end = Math.min(count, order.length)
  for (let i = 0; i < end; i++) {
    const j = i + Math.floor(random.float() * (order.length - i))
    const other = order[j] as T
    order[j] = order[i] as T
    order[i] = other
  }
  return order.slice(0, end)
}

/** A friend that does not keep up misses the rest: comparing lists brings it later. */
function sendWhile(link: Link, frames: readonly Uint8Array[]): void {
  for (const frame of frames) if (!link.send(frame)) return
}

function itemOf({ bytes, ageMs }: HeldCard): CardItem {
  return { bytes, ageMs }
}

function entryOf({ card }: HeldCard): DigestEntry {
  return { peer: card.peer, issued: card.issued }
}
