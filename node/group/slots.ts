/**
 * Which slot a record is in, and who is wanted to hold each slot. Pure.
 *
 * Rendezvous hashing (Thaler and Ravishankar 1998): every member has a rank for every slot, and whoever sees the same members comes to the
 * same holders without asking. With a load bound as in consistent hashing with bounded loads (Mirrokni, Thorup and Zadimoghaddam
 * 2018), tightened so far that shares differ by one slot at most: with 64 slots, a looser bound would leave single members
 * with twice the work of others.
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

  /** By key where the group keeps keys in order and the record has one, otherwise by its deduplication id or its own. */
  of(feed: FeedId, index: number, key: string | undefined, dedupId?: string): number {
    if (this.count === 1) return 0
    if (this.#byKey && key !== undefined) return hashText(key) % this.count
    if (dedupId !== undefined) return hashText(dedupId) % this.count
    if (this.#feed !== feed) {
      this.#feed = feed
      this.#feedHash = hashText(feed)
    }
    return mix(this.#feedHash ^ mix(index)) % this.count
  }
}

/** How things are now. */
export interface Now {
  /** Those of the members who were heard as recently as they should be. Default all. */
  prompt?: readonly PeerId[]
  holderOf?(slot: number): PeerId | undefined
}

/**
 * The wanted holder of each slot, by its number; shares differ by one at most. The only slot of a group that has one stays where it is as long as its
 * holder is a member, since moving it would gain nothing. What somebody who is not `prompt` does not hold is not kept for it: it
 * may be dead, and goes to whoever would have it without all of those.
 */
export function assign(members: readonly PeerId[], count: number, { prompt = members, holderOf }: Now = {}): PeerId[] {
  const current = holderOf?.(0)
  if (count === 1 && current !== undefined && members.includes(current)) return [current]
  const wanted = spread(members, count)
  if (prompt.length === members.length) return wanted
  const heirs = spread(prompt, count)
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

function spread(members: readonly PeerId[], count: number): PeerId[] {
  if (members.length === 0) return []
  const hashes = members.map((member) => ({ member, hash: hashText(member) }))
  const least = Math.floor(count / members.length)
  /** Members that may hold one more than the least. */
  let spare = count % members.length
  const loads = new Map<PeerId, number>()
  const holders: PeerId[] = []
  for (let slot = 0; slot < count; slot++) {
    let best: { member: PeerId; rank: number } | undefined
    for (const { member, hash } of hashes) {
      const load = loads.get(member) ?? 0
      if (load > least || (load === least && spare === 0)) continue
      const rank = rankOf(hash, slot)
      if (best === undefined || rank > best.rank || (rank === best.rank && member < best.member))
        best = { member, rank }
    }
    if (best === undefined) continue
    const load = (loads.get(best.member) ?? 0) + 1
    loads.set(best.member, load)
    if (load > least) spare--
    holders.push(best.member)
  }
  return holders
}
