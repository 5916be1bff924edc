/**
 * Which slot a record is in, and who is wanted to hold each slot. Pure.
 *
 * Rendezvous hashing (Thaler and Ravishankar 1998): every member has a rank for every slot, and whoever sees the same members comes to the
 * same holders without asking. With a load bound as in consistent hashing with bounded loads (Mirrokni, Thorup and Zadimoghaddam
 * 2018), tightened so far that shares differ by one slot at most: with 64 slots, a looser bound would leave single members
 * with twice the work of others. A member at which three consume has three shares: it is consumers that are to have as much as each other.
 */
import type { FeedId, GroupType, PeerId } from '../types.ts'

/** Slots of a group whose members share the work. Part of the protocol: members with another number would not agree on anything. */
export const sharedSlots = 64

/** `exclusive` and `failover` have one active member, so there is one thing to hold. */
export function slotCount(type: GroupType): number {
  return type === 'shared' || type === 'key-shared' ? sharedSlots : 1
}

/** FNV-1a over the UTF-16 units of a text, 32 bits, then mixed so that the low bits are as good as the high ones. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return mix(hash)
}

/** The finalizer of MurmurHash3. */
function mix(hash: number): number {
  let mixed = hash ^ (hash >>> 16)
  mixed = Math.imul(mixed, 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

/** Slots of records, with the hash of the feed last asked for kept. */
export class Slots {
  readonly count: number
  readonly #byKey: boolean
  #feed: FeedId | undefined
  #feedHash = 0

  constructor(type: GroupType) {
    this.count = slotCount(type)
    this.#byKey = type === 'key-shared'
  }

  /** By key where the group keeps keys in order and the record has one, otherwise by its deduplication id, or else one slot after the other. */
  of(feed: FeedId, index: number, key: string | undefined, dedupId?: string): number {
    if (this.count === 1) return 0
    if (this.#byKey && key !== undefined) return hashText(key) % this.count
    if (dedupId !== undefined) return hashText(dedupId) % this.count
    if (this.#feed !== feed) {
      this.#feed = feed
      this.#feedHash = hashText(feed)
    }
    return (this.#feedHash + index) % this.count
  }
}

/** How things are now. */
export interface Now {
  /** Those of the members who were heard as recently as they should be. Default all. */
  prompt?: readonly PeerId[]
  /** How many shares a member has, 1 or more. Default 1. */
  sharesOf?(peer: PeerId): number
  holderOf?(slot: number): PeerId | undefined
}

/**
 * The wanted holder of each slot, by its number; what members have differs from what is due to them by less than one. The only slot of a group that has one stays where it is as long as its
 * holder is a member, since moving it would gain nothing. What somebody who is not `prompt` does not hold is not kept for it: it
 * may be dead, and goes to whoever would have it without all of those.
 */
export function assign(members: readonly PeerId[], count: number, now: Now = {}): PeerId[] {
  const { prompt = members, holderOf, sharesOf = () => 1 } = now
  const current = holderOf?.(0)
  if (count === 1 && current !== undefined && members.includes(current)) return [current]
  const wanted = spread(members, count, sharesOf)
  if (prompt.length === members.length) return wanted
  const heirs = spread(prompt, count, sharesOf)
  return wanted.map((peer, slot) => (prompt.includes(peer) || holderOf?.(slot) === peer ? peer : (heirs[slot] ?? peer)))
}

/** Whether one peer ranks before another for a slot, whoever else there is. */
export function isCloser(peer: PeerId, than: PeerId, slot: number): boolean {
  const [rank, other] = [rankOf(hashText(peer), slot), rankOf(hashText(than), slot)]
  return rank === other ? peer < than : rank > other
}

/** `hash`: of a member. */
function rankOf(hash: number, slot: number): number {
  return mix(hash ^ mix(slot + 1))
}

/** What is due to a member, in whole slots, and whether it may have one of those that are left over. */
interface Due {
  member: PeerId
  hash: number
  least: number
  mayMore: boolean
  load: number
}

function spread(members: readonly PeerId[], count: number, sharesOf: (peer: PeerId) => number): PeerId[] {
  if (members.length === 0) return []
  const { dues, left } = duesOf(members, count, sharesOf)
  let spare = left
  const holders: PeerId[] = []
  for (let slot = 0; slot < count; slot++) {
    let best: { due: Due; rank: number } | undefined
    for (const due of dues) {
      if (due.load > due.least || (due.load === due.least && !(due.mayMore && spare > 0))) continue
      const rank = rankOf(due.hash, slot)
      if (best === undefined || rank > best.rank || (rank === best.rank && due.member < best.due.member))
        best = { due, rank }
    }
    if (best === undefined) continue
    const { due } = best
    due.load++
    if (due.load > due.least) spare--
    holders.push(due.member)
  }
  return holders
}

/** By the largest remainders (Hamilton 1792); where remainders are the same, all who have them may have what is left. */
function duesOf(
  members: readonly PeerId[],
  count: number,
  sharesOf: (peer: PeerId) => number,
): { dues: Due[]; left: number } {
  const shares = members.map(sharesOf)
  const all = shares.reduce((sum, each) => sum + each, 0)
  // In whole numbers, so that all members come to the same.
  const dues = members.map((member, i) => {
    const due = count * (shares[i] ?? 1)
    return { member, hash: hashText(member), least: Math.floor(due / all), remainder: due % all }
  })
  const left = count - dues.reduce((sum, { least }) => sum + least, 0)
  const last = dues.map(({ remainder }) => remainder).sort((a, b) => b - a)[left - 1] ?? Number.POSITIVE_INFINITY
  return { dues: dues.map((due) => ({ ...due, mayMore: due.remainder >= last, load: 0 })), left }
}
