/** What the policy gets to see: friends, candidates and needs, gathered from the parts that know, in random order. */
import type { Host } from '../host/host.ts'
import { limits } from '../limits.ts'
import type { Random } from '../ports.ts'
import type { Presence } from '../presence/presence.ts'
import type { PeerId, TopicName } from '../types.ts'
import type { Circle } from './circle.ts'
import type { Dialler } from './dialler.ts'
import type { FriendView, Need, View } from './policy.ts'
import { sampled } from './spread.ts'

export interface Sight {
  host: Host
  cards: Presence
  circle: Circle
  dialler: Dialler
  needs: ReadonlyMap<TopicName, number>
  random: Random
}

/** All but what depends on the moment of asking. */
export function viewOf(sight: Sight): Omit<View, 'dialling' | 'trialDue' | 'lostTrialDue'> {
  const { host, circle, dialler, random } = sight
  const now = host.clock.now()
  const isFriend = (peer: PeerId) => circle.get(peer) !== undefined
  const shuffled = <T>(items: T[]) => sampled(items, items.length, random)
  return {
    self: host.id,
    friends: shuffled(friendsOf(sight)),
    connections: host.connected().length,
    candidates: candidatesOf(sight, shuffled),
    strangers: shuffled(dialler.strangers(isFriend)),
    joins: dialler.joins(isFriend),
    needs: needsOf(sight),
    ready: (target) => dialler.backoff.ready(target, now),
  }
}

/** How many of the topics we care about a peer carries. */
export function sharedTopics({ cards, needs }: Sight, peer: PeerId): number {
  return cards.card(peer)?.topics.filter((topic) => needs.has(topic)).length ?? 0
}

function friendsOf(sight: Sight): FriendView[] {
  const staying = sight.circle.all().filter(({ leaving }) => leaving === undefined)
  return staying.map(({ peer, since, rttMs }) => ({
    peer,
    since,
    rttMs,
    guest: sight.cards.card(peer)?.role === 'guest',
    sharedTopics: sharedTopics(sight, peer),
  }))
}

/** Guests come last, and only where there is hardly anybody else. */
function candidatesOf({ cards, circle }: Sight, shuffled: (peers: PeerId[]) => PeerId[]): PeerId[] {
  const peers: PeerId[] = []
  const guests: PeerId[] = []
  for (const { peer, role, addresses } of cards.cards()) {
    if (circle.get(peer) === undefined && addresses.length > 0) (role === 'guest' ? guests : peers).push(peer)
  }
  const lonely = peers.length + circle.all().length < limits.friendsMin
  return lonely ? [...shuffled(peers), ...shuffled(guests)] : shuffled(peers)
}

/** Guests that carry a topic choose their friends themselves. */
function needsOf({ cards, needs }: Sight): Need[] {
  const carried = new Set(cards.self().topics)
  return [...needs].map(([topic, wanted]) => ({
    topic,
    wanted,
    carriers: cards.carriersOf(topic).filter((peer) => cards.card(peer)?.role === 'peer'),
    carried: carried.has(topic),
  }))
}
