/**
 * Work queues: send on any peer, receive on any other, and a record is there until somebody acknowledged it.
 *
 * A queue is a topic and one group on it, so all that groups promise holds (G7): a record is with one receiver at a time, comes again when it was
 * not acknowledged within its visibility timeout, and goes to the dead letters after `maxReceives`. What a queue adds:
 *
 * 1. What was sent before the first receiver came is in it: the group begins at the earliest record.
 * 2. `receive`: a member stands by for as long as the queue is open here, and lends records one ask at a time (`lender`).
 * 3. Delay, priority and expiry stand in a record's headers (`headers`), and whoever holds its slot keeps to them.
 * 4. With `fifo`, a message group is the record's key: one record of it at a time, and of each sender in order.
 *
 * The queue of dead letters is a queue like any other: `redrive` receives from it and sends again.
 */
import { isError } from '../errors.ts'
import type { Groups } from '../group/groups.ts'
import type { Member } from '../group/member.ts'
import { conflictOf } from '../group/settings.ts'
import { limits } from '../limits.ts'
import type { Clock } from '../ports.ts'
import type { Carrier } from '../topic/carrier.ts'
import { type Codec, codecOf } from '../topic/codec.ts'
import type { Topics } from '../topic/topics.ts'
import type { GroupSettings, Queue, QueueOptions, QueueSummary, TopicName } from '../types.ts'
import { parseTopic } from '../wire/topic.ts'
import { sortingOf } from './headers.ts'
import { Lender } from './lender.ts'
import { countsOf, PublicQueue, type QueueCounts, queueGroup } from './queue.ts'
import { checkQueueOptions } from './settings.ts'

export interface QueuesOptions {
  groups: Groups
  topics: Topics
  carrier: Carrier
  clock: Clock
}

interface Open {
  member: Member
  lender: Lender
}

export class Queues {
  readonly #options: QueuesOptions
  readonly #open = new Map<TopicName, Open>()

  constructor(options: QueuesOptions) {
    this.#options = options
  }

  /** Throws `InvalidOption`, `InvalidTopic`, `GroupConflict`. */
  queue<T>(text: string, options: QueueOptions = {}): Queue<T> {
    const name = parseTopic(text)
    const { codec, settings } = checkQueueOptions(name, options)
    return this.#queue<T>(name, settings, codecOf(codec))
  }

  /** Of those that are received from here, without a look at their dead letters. */
  async counts(): Promise<QueueCounts[]> {
    const open = [...this.#open].filter(([, { member }]) => member.isOpen)
    const found = await Promise.all(open.map(([name, { member }]) => countsOf(name, member).catch(() => undefined)))
    return found.filter((counts) => counts !== undefined)
  }

  /** As they look from outside: those of which there is something among `known`, and those opened here. */
  async list(known: ReadonlySet<TopicName>): Promise<QueueSummary[]> {
    const { groups } = this.#options
    const names = groups.topicsOf(known, queueGroup)
    const deadOf = async (text: string) => {
      const name = parseTopic(text)
      return names.includes(name) ? (await groups.summary(name, queueGroup))?.lag : this.#untouched(name, known)
    }
    const found = await Promise.all(names.slice(0, limits.groupsListedMax).map((name) => this.#summary(name, deadOf)))
    return found.filter((summary) => summary !== undefined)
  }

  async #summary(
    name: TopicName,
    deadOf: (name: string) => Promise<number | undefined>,
  ): Promise<QueueSummary | undefined> {
    const summary = (await this.#options.groups.summary(name, queueGroup)) ?? (await this.#unopened(name))
    if (summary === undefined) return undefined
    const { settings, lag: records, inFlight, delayed } = summary
    return {
      name,
      settings,
      records,
      ready: records && Math.max(0, records - inFlight - delayed),
      inFlight,
      delayed,
      // Whoever set it up may have said anything.
      dead: await deadOf(settings.deadLetter).catch(() => undefined),
    }
  }

  /** One that was only sent to, from here. */
  async #unopened(name: TopicName) {
    const settings = this.#open.get(name)?.member.options.settings
    if (settings === undefined) return undefined
    const { records } = await this.#options.carrier.hold(name)
    return { settings, lag: records, inFlight: 0, delayed: 0 }
  }

  /** Records of a queue that nobody has opened; undefined where that cannot be known here. */
  async #untouched(name: TopicName, known: ReadonlySet<TopicName>): Promise<number | undefined> {
    const { carrier } = this.#options
    if (carrier.isCarried(name)) return (await carrier.hold(name)).records
    return known.has(name) ? undefined : 0
  }

  #queue<T>(name: TopicName, settings: GroupSettings, codec: Codec): Queue<T> {
    const { topics, clock } = this.#options
    const dead = () => this.#asItIs(parseTopic(settings.deadLetter))
    return new PublicQueue<T>({ ...this.#opened(name, settings), name, codec, topics, clock, dead })
  }

  #opened(name: TopicName, settings: GroupSettings): Open {
    const { groups, clock } = this.#options
    const known = this.#open.get(name)
    if (known !== undefined && !known.lender.hasEnded) {
      const conflict = conflictOf({ topic: name, group: queueGroup }, settings, known.member.options.settings)
      if (conflict !== undefined) throw conflict
      return known
    }
    const member = groups.member(name, queueGroup, { settings, from: 'earliest' }, sortingOf)
    const opened = { member, lender: new Lender(member, clock) }
    this.#open.set(name, opened)
    return opened
  }

  /** A queue whose settings are those it has, or the usual ones where nobody has opened it yet. */
  async #asItIs(name: TopicName): Promise<{ member: Member; queue: Queue<Uint8Array> }> {
    const known = this.#open.get(name)
    let { settings } = known?.member.options ?? checkQueueOptions(name, {})
    for (;;) {
      const { member } = this.#opened(name, settings)
      try {
        await member.open()
        return { member, queue: this.#queue<Uint8Array>(name, settings, codecOf('bytes')) }
      } catch (error) {
        if (!isError(error, 'GroupConflict')) throw error
        settings = error.data.has
      }
    }
  }
}
