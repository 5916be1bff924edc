/**
 * Consumer groups: members on any peers share a topic's records among themselves, without a coordinator.
 *
 * Owns the group's control topic, `$groups.<topic>.<group>`, on which members tell each other what they hold and what is done. All that a
 * group knows is there; a member holds nothing that the others could not read. Promises G7, in these steps:
 *
 * 1. A record is in one slot, and a slot is delivered by one member at a time, under a lease with a term (`slots`, `leases`). In a connected mesh no
 *    two deliver it at once; in a partition both sides may, unless the group asks for a `quorum`, and `twice` says afterwards what they did.
 * 2. A record that was not acknowledged is handed out again: when it is refused, when its consumer takes too long, when its slot is
 *    handed over or its holder falls silent. After `maxReceives` times it goes to the dead letters (`desk`, `bury`).
 * 3. How often a record was handed out is told before its consumer has it, and an acknowledgement resolves when it was told: a holder that dies
 *    takes neither with it, wherever another peer was linked (`work`).
 * 4. With `key-shared`, the records of a key are handed out one at a time and, of each feed, in order (`backlog`).
 * 5. What the control topic takes on disk is bounded: what is known is summed up in time, and notices go that a sum takes in (`progress`, `coverage`).
 * 6. A seek moves all members, whoever makes it; of several the latest counts (`ledger`, `position`).
 *
 * Refuses what no member can have told (`notice`). Where it departs from the plan: beats list all that is held, so that leaving a slot out
 * releases it and a lost release cannot leave a slot with nobody; records have a lease of their own of the same length, so that a
 * consumer that hangs does not keep them; with a quorum, work counts only when a majority of the voters has it (`majority`), since a
 * member that was just cut off would otherwise go on acknowledging to nobody until its lease runs out.
 *
 * Files: `slots`, `members`, `leases`, `quorum`, put together in `roster`, and `progress` (with `tried`), `coverage`, `backlog` are pure; `board` and `reader` follow the two
 * logs; `ledger` keeps what is known, `position` says where the group stands; `desk`, `work`, `majority`, `consumer`, `ahead`, `seats` hand out
 * and take back; of queues besides, `ready` is the order of what is ready, `duplicates` (both pure) what was sent twice, and `lending` and
 * `borrowing` are relayed by `exchange`, a `borrower` being one consumer's part in it; `member` relays, in the rhythm of `pulse`; `settings`,
 * `notice` check; `overview` looks at a group from outside; `summing` sums up, and `sweep` lets go.
 */
import { limits } from '../limits.ts'
import type { Timer } from '../ports.ts'
import { passingKindOf, passingTopicOf, type TopicLog } from '../store/topic-log.ts'
import type { Codec } from '../topic/codec.ts'
import type {
  ConsumeOptions,
  Group,
  GroupEvent,
  GroupOptions,
  GroupPosition,
  GroupRecord,
  GroupStatus,
  GroupSummary,
  RecordStanding,
  TopicName,
} from '../types.ts'
import { Consumer } from './consumer.ts'
import { Member, type MemberOptions, type MemberParts, type RecordPlace } from './member.ts'
import { type OverviewPlace, overviewOf } from './overview.ts'
import { type CheckedGroupOptions, checkGroupOptions, conflictOf } from './settings.ts'
import { Sweep } from './sweep.ts'

const controlPrefix = '$groups.'

export class Groups {
  readonly #parts: MemberParts
  readonly #members = new Map<TopicName, Member>()
  readonly #sweeps = new WeakMap<TopicLog, Sweep>()
  readonly #timer: Timer

  constructor(parts: MemberParts) {
    this.#parts = parts
    this.#timer = parts.clock.every(limits.groupSweepMs, () => this.#sweep())
  }

  /** The group of this name; the same member for all who ask. Throws `InvalidOption`, `InvalidTopic`, `GroupConflict`. */
  group(topic: TopicName, name: string, options: GroupOptions, codec: Codec): Group<unknown> {
    return new PublicGroup(topic, name, this.member(topic, name, checkGroupOptions(topic, name, options)), codec)
  }

  /** This peer's part in a group; `sort` is a queue's. Throws `GroupConflict`. */
  member(topic: TopicName, group: string, checked: CheckedGroupOptions, sort?: MemberOptions['sort']): Member {
    const control = controlOf(topic, group)
    const known = this.#members.get(control)
    const conflict = known && conflictOf({ topic, group }, checked.settings, known.options.settings)
    if (conflict !== undefined) throw conflict
    // Where it turned out to be set up otherwise, whoever asks again may ask for it as it is.
    const onFailed = () => this.#members.delete(control)
    const member = known ?? new Member(this.#parts, { ...checked, topic, group, control, sort, onFailed })
    this.#members.set(control, member)
    return member
  }

  /** As they look from outside: those whose control topic is among `known`, and those asked for here; at most `limits.groupsListedMax`. */
  async list(known: Iterable<TopicName>, only?: TopicName): Promise<GroupSummary[]> {
    const places = new Map<TopicName, OverviewPlace>()
    for (const control of known) {
      const place = placeOf(control)
      if (place !== undefined) places.set(control, place)
    }
    // Those of queues and responders are told of in other ways.
    for (const { options } of this.#members.values())
      if (options.sort === undefined) places.set(options.control, options)
    const wanted = [...places.values()].filter(({ topic }) => only === undefined || topic === only)
    const nameOf = ({ topic, group }: OverviewPlace) => `${topic}.${group}`
    wanted.sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1))
    const found = await Promise.all(
      wanted.slice(0, limits.groupsListedMax).map((place) => overviewOf(place, this.#parts)),
    )
    return found.filter((summary) => summary !== undefined)
  }

  /** One as it looks from outside; undefined where nobody has said yet how it is set up. */
  summary(topic: TopicName, group: string): Promise<GroupSummary | undefined> {
    return overviewOf({ control: controlOf(topic, group), topic, group }, this.#parts)
  }

  /** Topics with a group of this name, whoever takes part in it: those whose control topic is among `known`, and those opened here; sorted. */
  topicsOf(known: Iterable<TopicName>, name: string): TopicName[] {
    const topics = new Set<TopicName>()
    for (const control of known) {
      const place = anyPlaceOf(control)
      if (place?.group === name) topics.add(place.topic)
    }
    for (const { options } of this.#members.values()) if (options.group === name) topics.add(options.topic)
    return [...topics].sort()
  }

  /** How those on a topic that this peer takes part in stand with a record of it. */
  standings(topic: TopicName, place: RecordPlace): RecordStanding[] {
    const members = [...this.#members.values()].filter(({ options }) => options.topic === topic)
    return members.map((member) => member.standing(place))
  }

  /** Those that this peer takes part in; of queues and responders is told elsewhere. */
  async taking(): Promise<GroupStatus[]> {
    const open = [...this.#members.values()].filter(({ options, isOpen }) => isOpen && options.sort === undefined)
    const found = await Promise.all(open.map((member) => member.status().catch(() => undefined)))
    return found.filter((status) => status !== undefined)
  }

  async drain(): Promise<void> {
    await Promise.all([...this.#members.values()].map((member) => member.drain()))
  }

  async close(): Promise<void> {
    this.#timer.cancel()
    await Promise.all([...this.#members.values()].map((member) => member.close()))
  }

  /** Of all groups whose control topic is here. */
  #sweep(): void {
    const { carrier, clock } = this.#parts
    for (const [topic, { log }] of carrier.taken()) {
      if (passingKindOf(topic) !== controlPrefix) continue
      const sweep = this.#sweeps.get(log) ?? new Sweep(log, clock)
      this.#sweeps.set(log, sweep)
      void sweep.run().catch(() => undefined)
    }
  }
}

class PublicGroup<T> implements Group<T> {
  readonly topic: TopicName
  readonly name: string
  readonly #member: Member
  readonly #codec: Codec

  constructor(topic: TopicName, name: string, member: Member, codec: Codec) {
    this.topic = topic
    this.name = name
    this.#member = member
    this.#codec = codec
  }

  consume(options: ConsumeOptions = {}): AsyncIterable<GroupRecord<T>> {
    return new Consumer<T>(this.#member, this.#codec, options)
  }

  status(): Promise<GroupStatus> {
    return this.#member.status()
  }

  seek(to: GroupPosition): Promise<void> {
    return this.#member.seek(to)
  }

  events(): AsyncIterable<GroupEvent> {
    // Whoever only watches hears of a failure by asking for the status.
    this.#member.open().catch(() => undefined)
    return this.#member.events.listen()
  }

  drain(): Promise<void> {
    return this.#member.drain()
  }
}

/** A group's name has no dots, so the last one ends the topic's: no two groups share a control topic. */
function controlOf(topic: TopicName, group: string): TopicName {
  return passingTopicOf(controlPrefix, `${topic}.${group}`)
}

/** Undefined for what is no control topic of an application's group, and for one whose name was too long to be told by it. */
function placeOf(control: TopicName): OverviewPlace | undefined {
  const place = anyPlaceOf(control)
  return place?.group.startsWith('_') ? undefined : place
}

/** Also those of groups that no application has made, as of queues. */
function anyPlaceOf(control: TopicName): OverviewPlace | undefined {
  const dot = control.lastIndexOf('.')
  if (!control.startsWith(controlPrefix) || dot < controlPrefix.length) return undefined
  return { control, topic: control.slice(controlPrefix.length, dot) as TopicName, group: control.slice(dot + 1) }
}
