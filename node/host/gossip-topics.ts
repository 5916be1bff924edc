/**
 * The gossipsub topics we take part in, and, within a bound, what others take part in beside them. The library is told only
 * of the former, since hostile subscriptions would fill its memory; and a subscription is sent once. So that of a carrier we
 * are connected with must not be lost on us when we publish to its topic, or carry it, only later.
 */
import type { PeerId as LibPeerId } from '@libp2p/interface'
import { limits } from '../limits.ts'

/** Longer names are none of ours. */
const nameLengthMax = 64

export class GossipTopics extends Set<string> {
  readonly #others = new Map<string, { peer: LibPeerId; names: Set<string> }>()
  /** A topic was added that this peer had subscribed to before. */
  onKnown: (peer: LibPeerId, name: string) => void = () => undefined

  override add(name: string): this {
    if (this.has(name)) return this
    super.add(name)
    for (const { peer, names } of this.#others.values()) if (names.delete(name)) this.onKnown(peer, name)
    return this
  }

  /** A peer subscribed to, or unsubscribed from, a topic that is not in the set. */
  note(peer: LibPeerId, name: string, subscribed: boolean): void {
    const noted = this.#others.get(peer.toString())
    if (!subscribed) noted?.names.delete(name)
    else if (name.length > nameLengthMax) return
    else if (noted === undefined) this.#others.set(peer.toString(), { peer, names: new Set([name]) })
    else if (noted.names.size < limits.gossipOthersMax) noted.names.add(name)
  }

  /** The peer is gone; it tells again when it comes back. */
  forget(peer: LibPeerId): void {
    this.#others.delete(peer.toString())
  }
}
