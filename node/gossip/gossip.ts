/**
 * Heads over gossipsub. One gossipsub topic per Grapevine topic, named by a hash of mesh and topic.
 *
 * A head goes out when its batch is on our disk. A head that comes in is judged; its message is accepted, which makes gossipsub pass it
 * on, only once the batch is on our disk as well. So whoever a peer hears a batch from can serve it (design section 2). A body that comes
 * along is checked before anything else: who has the batch already would pass on a spoiled one, and be blamed for it.
 * Where an author is connected to all who carry the topic it says so, and whoever has it from the author itself passes it on to nobody: in a mesh of few
 * peers, where everybody is everybody's friend, each would send it to all the others once more.
 * What comes next in its feed from its author itself is verified where it is stored, not here: of what is stored together one signature
 * speaks for all. It is passed on to nobody, and what does not verify counts against its author there.
 * What gossip drops, anti-entropy brings: nothing here retries.
 */
import { createHash } from 'node:crypto'
import { type GossipSub, type GossipsubMessage, TopicValidatorResult } from '@chainsafe/libp2p-gossipsub'
import { bodyMatches } from '../feed/chain.ts'
import type { Host } from '../host/host.ts'
import { limits } from '../limits.ts'
import type { Clock, Timer } from '../ports.ts'
import type { TopicLog } from '../store/topic-log.ts'
import type { Sync } from '../sync/sync.ts'
import type { FeedId, PeerId, TopicName } from '../types.ts'
import { WireError } from '../wire/error.ts'
import { decodeAnnouncement, encodeAnnouncement } from '../wire/frame.ts'
import { type Batch, openHead, type SignedHead } from '../wire/head.ts'
import { judgeHead } from './judge.ts'

export interface GossipOptions {
  host: Host
  clock: Clock
  sync: Sync
  /** The mesh secret. */
  mesh: string
  /** Others that carry it, as far as is known. */
  carriersOf(topic: TopicName): readonly PeerId[]
  onMisbehaved(peer: PeerId, reason: string): void
}

/** The library's class has it, its interface does not show it (17.1). */
type Internals = GossipSub & {
  /** By topic, who has subscribed to it. */
  topics: Map<string, Set<string>>
  reportMessageValidationResult(msgId: string, source: string, result: TopicValidatorResult): void
}

/** A message held back until its batch is stored. */
interface Pending {
  /** What its message comes to then. */
  result: TopicValidatorResult
  head: SignedHead
  msgId: string
  source: string
  since: number
}

export class Gossip {
  readonly #options: GossipOptions
  readonly #logs = new Map<TopicName, TopicLog>()
  readonly #topicOf = new Map<string, TopicName>()
  /** By topic and feed, oldest first. */
  readonly #pending = new Map<string, Pending[]>()
  #pendingCount = 0
  #calmAt = Number.NEGATIVE_INFINITY
  readonly #undo: (() => void)[]
  readonly #timer: Timer
  readonly #onMessage = (event: CustomEvent<GossipsubMessage>) => this.#receive(event.detail)

  constructor(options: GossipOptions) {
    this.#options = options
    const { host, clock } = options
    const { pubsub } = host.libp2p.services
    const onStir = () => {
      this.#calmAt = clock.now() + limits.gossipCalmMs
    }
    pubsub.addEventListener('gossipsub:message', this.#onMessage)
    pubsub.addEventListener('subscription-change', onStir)
    this.#undo = [
      () => pubsub.removeEventListener('gossipsub:message', this.#onMessage),
      () => pubsub.removeEventListener('subscription-change', onStir),
      host.onConnect(onStir),
      host.onDisconnect(onStir),
    ]
    this.#timer = options.clock.every(limits.pendingHeadMs / 5, () => this.#expire())
    options.sync.knownHead = (topic, feed, seq) =>
      this.#pending.get(`${topic}/${feed}`)?.find((each) => each.head.head.seq === seq)?.head
  }

  /** Takes part in the topic's gossip. */
  carry(log: TopicLog): void {
    if (this.#logs.has(log.topic)) return
    const name = this.#nameOf(log.topic)
    this.#logs.set(log.topic, log)
    this.#topicOf.set(name, log.topic)
    this.#options.host.gossipTopics.add(name)
    this.#options.host.libp2p.services.pubsub.subscribe(name)
  }

  release(topic: TopicName): void {
    if (!this.#logs.delete(topic)) return
    const name = this.#nameOf(topic)
    this.#options.host.libp2p.services.pubsub.unsubscribe(name)
    this.#options.host.gossipTopics.delete(name)
    this.#topicOf.delete(name)
  }

  /** Tells friends of a batch of ours that is on disk; one that is small goes along. */
  announce({ head, body }: Batch): void {
    const name = this.#nameOf(head.head.topic)
    // A publisher that does not carry the topic gossips to friends that do.
    this.#options.host.gossipTopics.add(name)
    const isDirect = this.#reachesAll(head.head.topic, name)
    const data = encodeAnnouncement({
      head: head.bytes,
      body: body.length <= inlineMax(isDirect) ? body : undefined,
      isDirect,
    })
    this.#options.host.libp2p.services.pubsub.publish(name, data).catch(() => {
      // A full buffer or a stopping host: anti-entropy tells them.
    })
  }

  /** Batches of a feed are stored: the messages held back for them go on. */
  onStored(topic: TopicName, feed: FeedId, last: number): void {
    const key = `${topic}/${feed}`
    const waiting = this.#pending.get(key)
    if (waiting === undefined) return
    const still = waiting.filter((each) => {
      if (each.head.head.seq > last) return true
      this.#report(each.msgId, each.source, each.result)
      return false
    })
    this.#keep(key, waiting, still)
  }

  close(): void {
    this.#timer.cancel()
    for (const undo of this.#undo) undo()
  }

  /** Whether all who carry the topic, as far as is known, get what we publish from ourselves. */
  #reachesAll(topic: TopicName, name: string): boolean {
    const subscribers = this.#pubsub.topics.get(name)
    if (subscribers === undefined || this.#options.clock.now() < this.#calmAt) return false
    return this.#options.carriersOf(topic).every((peer) => subscribers.has(peer))
  }

  get #pubsub(): Internals {
    return this.#options.host.libp2p.services.pubsub as Internals
  }

  #receive({ msg, msgId, propagationSource }: GossipsubMessage): void {
    const source = propagationSource.toString() as PeerId
    const topic = this.#topicOf.get(msg.topic)
    if (topic === undefined) {
      this.#report(msgId, source, TopicValidatorResult.Ignore)
      return
    }
    const opened = open(msg.data)
    if (typeof opened === 'string') {
      this.#report(msgId, source, TopicValidatorResult.Reject)
      this.#options.onMisbehaved(source, opened)
      return
    }
    const { head, body, isDirect } = opened
    const { clock } = this.#options
    const isForUs = isDirect && source === head.author && clock.now() >= this.#calmAt
    const result = isForUs ? TopicValidatorResult.Ignore : TopicValidatorResult.Accept
    const range = this.#logs.get(topic)?.feeds.get(head.feed)
    const carried = this.#logs.has(topic)
    const arriving = this.#options.sync.arriving(topic, head.feed)
    const verdict = judgeHead(
      {
        head,
        topic,
        hasBody: body !== undefined,
        range,
        arriving,
        carried,
        isAuthors: isForUs,
        pending: this.#pendingCount,
      },
      limits.pendingHeadsMax,
    )
    switch (verdict) {
      case 'held':
        this.#report(msgId, source, result)
        break
      case 'store':
        this.#hold(topic, { head, msgId, source, result, since: clock.now() })
        if (body === undefined) this.#options.sync.onHeard(source, head)
        else this.#options.sync.onInline(source, { head, body })
        break
      case 'fetch':
        this.#hold(topic, { head, msgId, source, result, since: clock.now() })
        this.#options.sync.onHeard(source, head)
        break
      case 'later':
        this.#report(msgId, source, TopicValidatorResult.Ignore)
        this.#options.sync.onHeard(source, head)
        break
      case 'ignore':
        this.#report(msgId, source, TopicValidatorResult.Ignore)
        break
      case 'reject':
        this.#report(msgId, source, TopicValidatorResult.Reject)
        this.#options.onMisbehaved(source, 'gossiped a head that does not verify')
        break
      default:
        verdict satisfies never
    }
  }

  #hold(topic: TopicName, pending: Pending): void {
    const key = `${topic}/${pending.head.feed}`
    const waiting = this.#pending.get(key)
    if (waiting === undefined) this.#pending.set(key, [pending])
    else waiting.push(pending)
    this.#pendingCount++
  }

  #expire(): void {
    const oldest = this.#options.clock.now() - limits.pendingHeadMs
    for (const [key, waiting] of this.#pending) {
      const still = waiting.filter((each) => {
        if (each.since > oldest) return true
        this.#report(each.msgId, each.source, TopicValidatorResult.Ignore)
        return false
      })
      this.#keep(key, waiting, still)
    }
  }

  #keep(key: string, before: Pending[], still: Pending[]): void {
    this.#pendingCount -= before.length - still.length
    if (still.length === 0) this.#pending.delete(key)
    else this.#pending.set(key, still)
  }

  #report(msgId: string, source: string, result: TopicValidatorResult): void {
    this.#pubsub.reportMessageValidationResult(msgId, source, result)
  }

  #nameOf(topic: TopicName): string {
    return createHash('sha256')
      .update(`grapevine topic 1\n${this.#options.mesh}\n${topic}`)
      .digest('base64url')
      .slice(0, 22)
  }
}

function inlineMax(isDirect: boolean): number {
  return isDirect ? limits.directBodyBytesMax : limits.inlineBodyBytesMax
}

/** What is in a message, or what is wrong with it. */
function open(data: Uint8Array): { head: SignedHead; body: Uint8Array | undefined; isDirect: boolean } | string {
  try {
    const { head: bytes, body, isDirect = false } = decodeAnnouncement(data)
    const head = openHead(bytes)
    if (body === undefined) return { head, body, isDirect }
    if (body.length > inlineMax(isDirect)) return 'gossiped a body that is too large for that'
    return bodyMatches({ head, body }) ? { head, body, isDirect } : 'gossiped a body that is not the one of its head'
  } catch (error) {
    if (error instanceof WireError) return 'gossiped what is no head'
    throw error
  }
}
