/**
 * Which topics this peer takes part in, and why. A topic is held as `own` when it was only published to here, and
 * carried when somebody here subscribes, was told to carry it, or when we are one of its keepers.
 *
 * Keepers: of the live peers, the `keep` ranked highest for a topic carry it, whoever subscribes, so that enough copies exist;
 * everybody computes the same ranking, nobody asks. A keeper that is outranked lets go only when `keep` friends that rank higher
 * hold the very same frontier, and only where nothing else makes it carry the topic.
 */
import type { Friends } from '../friends/friends.ts'
import type { Gossip } from '../gossip/gossip.ts'
import { limits } from '../limits.ts'
import type { Clock, StateDb, Timer } from '../ports.ts'
import type { Presence } from '../presence/presence.ts'
import type { Store } from '../store/store.ts'
import { passingKindOf, type RetentionRule, type TopicLog } from '../store/topic-log.ts'
import type { Sync } from '../sync/sync.ts'
import type { PeerId, TopicName, TopicStatus } from '../types.ts'

export type CarryReason = TopicStatus['because'][number]

export interface CarrierOptions {
  me: PeerId
  store: Store
  sync: Sync
  gossip: Gossip
  presence: Presence
  friends: Friends
  clock: Clock
  keep: number
  retention: RetentionRule
  onCarrying(topic: TopicName, because: CarryReason): void
  onReleased(topic: TopicName): void
}

interface Taken {
  log: TopicLog
  /** One for each who wants it. */
  because: readonly CarryReason[]
  /** Carriers wanted among friends. */
  need: number
  /** Copies wanted at others of what is published to it from here: carriers are sought, and it is never removed. 0: nothing was. */
  copies: number
}

const noReasons: readonly CarryReason[] = []
const keeperCheckMs = 2_000
/** A peer ranked so high carries a topic when it is asked to, for a publisher that wants more copies than there are keepers. */
const askedRankMax = 17
const markPrefix = 'carry/'
/** Of what is soon over: whatever is kept of other topics. */
const passingRetention: RetentionRule = { maxBytes: limits.passingBytesMax }

export class Carrier {
  readonly #options: CarrierOptions
  readonly #taken = new Map<TopicName, Taken>()
  readonly #opening = new Map<TopicName, Promise<Taken>>()
  readonly #releasing = new Map<TopicName, Promise<void>>()
  readonly #timer: Timer
  #checkSoon: Timer | undefined
  readonly #offs: (() => void)[]
  #closed = false

  constructor(options: CarrierOptions) {
    this.#options = options
    this.#timer = options.clock.every(keeperCheckMs, () => this.#check())
    this.#offs = [
      options.presence.onChange(() => this.#soon()),
      options.friends.onCarryRequest((peer, topic) => this.#onCarryRequest(peer, topic)),
    ]
  }

  /** Takes up what is on disk: carried again for the reasons of before, otherwise offered to others as it is. */
  async resume(db: StateDb): Promise<void> {
    const carried = new Set<string>()
    for await (const key of db.keys({ gte: markPrefix, lt: `${markPrefix}\uffff` }))
      carried.add(key.slice(markPrefix.length))
    for (const topic of this.#options.store.topics()) {
      if (carried.has(topic)) await this.carry(topic, 'keeper')
      // Published here in an earlier run: it may be the only copy, so somebody has to be found who keeps it.
      else if ((await this.hold(topic)).batches > 0) this.seek(topic, 1)
    }
  }

  /** The topic's log, offered to others but not filled by them. */
  async hold(topic: TopicName): Promise<TopicLog> {
    return (await this.#take(topic)).log
  }

  async carry(topic: TopicName, because: CarryReason): Promise<TopicLog> {
    const taken = await this.#take(topic)
    const first = taken.because.length === 0
    taken.because = [...taken.because, because]
    if (first && !this.#closed) {
      this.#options.sync.hold(taken.log, 'carry')
      this.#options.gossip.carry(taken.log)
      await this.#options.store.state.put(`${markPrefix}${topic}`, new Uint8Array(0))
      this.#tellPresence()
      this.#tellNeeds()
      this.#options.onCarrying(topic, because)
    }
    return taken.log
  }

  /** One reason less; what is carried for no reason is still kept until its keepers have it (`#check`). */
  drop(topic: TopicName, because: CarryReason): void {
    const taken = this.#taken.get(topic)
    if (taken === undefined) return
    const at = taken.because.indexOf(because)
    if (at >= 0) taken.because = taken.because.toSpliced(at, 1)
    // Until those who are to keep it are known to have it, we stand in for them.
    if (taken.because.length === 0) taken.because = ['keeper']
  }

  /** We publish to this topic and want copies at so many others, at least one; asks for carriers where nobody carries it yet. */
  seek(topic: TopicName, need: number): void {
    const taken = this.#taken.get(topic)
    if (taken === undefined) return
    if (taken.copies < need) {
      taken.copies = need
      taken.need = Math.max(limits.carrierFriendsMin, need)
      this.#tellNeeds()
    }
    const holders = this.#options.sync.holders(topic)
    if (holders.length >= need) return
    // One more than others are needed, since we may be among them.
    for (const peer of this.#options.presence.keepersOf(topic, Math.max(this.#options.keep, need + 1))) {
      if (peer === this.#options.me) void this.carryAsKeeper(topic)
      else if (!holders.includes(peer)) this.#options.friends.requestCarry(peer, topic)
    }
  }

  async carryAsKeeper(topic: TopicName): Promise<void> {
    if (this.#closed || this.#taken.get(topic)?.because.includes('keeper')) return
    await this.carry(topic, 'keeper').catch(() => undefined)
  }

  /** Offset of the next record of a topic; 0 where nothing of it is open here yet, since all that is on disk is opened at the start. */
  endOffset(topic: TopicName): number {
    return this.#taken.get(topic)?.log.endOffset ?? 0
  }

  isCarried(topic: TopicName): boolean {
    return (this.#taken.get(topic)?.because.length ?? 0) > 0
  }

  taken(): IterableIterator<[TopicName, Readonly<Taken>]> {
    return this.#taken.entries()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#timer.cancel()
    this.#checkSoon?.cancel()
    for (const off of this.#offs) off()
    await Promise.allSettled([...this.#opening.values(), ...this.#releasing.values()])
  }

  async #take(topic: TopicName): Promise<Taken> {
    // A folder must not be opened anew while it is being removed.
    await this.#releasing.get(topic)
    const known = this.#taken.get(topic)
    if (known !== undefined) return known
    const opening =
      this.#opening.get(topic) ??
      this.#options.store.open(topic).then((log) => {
        const taken: Taken = { log, because: noReasons, need: limits.carrierFriendsMin, copies: 0 }
        this.#taken.set(topic, taken)
        this.#opening.delete(topic)
        if (!this.#closed) this.#options.sync.hold(log, 'own')
        return taken
      })
    this.#opening.set(topic, opening)
    return opening.finally(() => this.#opening.delete(topic))
  }

  #tellPresence(): void {
    const carried = [...this.#taken].filter(([, taken]) => taken.because.length > 0)
    this.#options.presence.setTopics(carried.map(([topic]) => topic))
  }

  #tellNeeds(): void {
    const needs = new Map<TopicName, number>()
    for (const [topic, taken] of this.#taken)
      if (taken.because.length > 0 || taken.copies > 0) needs.set(topic, taken.need)
    this.#options.friends.setNeeds(needs)
  }

  #onCarryRequest(_peer: PeerId, topic: TopicName): void {
    if (this.#taken.size >= limits.topicsMax || !this.#isKeeper(topic, askedRankMax)) return
    if (this.#isKeeper(topic)) void this.carryAsKeeper(topic)
    // One of the copies that were promised to a publisher beyond those of the keepers: it stays when they have theirs.
    else if (!this.isCarried(topic)) void this.carry(topic, 'carried').catch(() => undefined)
  }

  #isKeeper(topic: TopicName, keep = this.#options.keep): boolean {
    return this.#options.presence.keepersOf(topic, keep).includes(this.#options.me)
  }

  /** Presence changed: look soon, once for many changes. */
  #soon(): void {
    this.#checkSoon ??= this.#options.clock.after(200, () => {
      this.#checkSoon = undefined
      this.#check()
    })
  }

  #check(): void {
    for (const topic of this.#options.presence.topics()) {
      if (this.#taken.size < limits.topicsMax && this.#isKeeper(topic)) void this.carryAsKeeper(topic)
    }
    for (const [topic, taken] of this.#taken) {
      // Asked again: when it was published, the cards of those who could keep it may not have been here yet.
      if (taken.copies > 0 && this.#options.sync.holders(topic).length === 0) this.seek(topic, taken.copies)
      if (isOnlyKept(taken) && this.#mayRelease(topic, taken)) this.#release(topic)
    }
    void this.#retain()
  }

  #mayRelease(topic: TopicName, taken: Taken): boolean {
    // What is being written is in nobody's frontier yet, and would go with the log.
    if (taken.copies > 0 || taken.log.isWriting || this.#isKeeper(topic)) return false
    const keepers = new Set(this.#options.presence.keepersOf(topic, this.#options.keep))
    const level = this.#options.sync.level(topic).filter((peer) => keepers.has(peer))
    return level.length >= this.#options.keep
  }

  #release(topic: TopicName): void {
    this.#taken.delete(topic)
    this.#options.gossip.release(topic)
    this.#options.sync.release(topic)
    this.#tellPresence()
    this.#tellNeeds()
    const { store, onReleased } = this.#options
    const releasing = store.state
      .del(`${markPrefix}${topic}`)
      .then(() => store.remove(topic))
      .then(() => onReleased(topic))
      .catch(() => undefined)
      .finally(() => this.#releasing.delete(topic))
    this.#releasing.set(topic, releasing)
  }

  async #retain(): Promise<void> {
    const { retention, clock } = this.#options
    for (const [topic, { log }] of this.#taken) {
      const kind = passingKindOf(topic)
      // Groups see to theirs (`group/sweep`).
      if (kind === '$groups.') continue
      const rule = kind === undefined ? retention : passingRetention
      if (rule.maxAgeMs === undefined && rule.maxBytes === undefined) continue
      await log.retain(rule, clock.now()).catch(() => undefined)
    }
  }
}

function isOnlyKept({ because }: Taken): boolean {
  return because.length > 0 && because.every((reason) => reason === 'keeper')
}
