/**
 * An application that works on what a group or a queue hands out, and keeps what it does in a store that refuses old tokens. While there are faults it has its own:
 * see `ConsumerPlan`. Afterwards it does as it should, so that all there is gets done.
 */
import { type GroupRecord, isError } from '../../node/index.ts'
import { type GroupHistory, groupOf, type Handed, recordOf, type Shift } from '../group-history.ts'
import { type PayloadCheck, payloadId } from '../payload.ts'
import type { ConsumerPlan, GroupPlan } from '../plan.ts'
import { Rng } from '../world/random.ts'
import { type Share, shareOf } from './share.ts'
import type { Stage, StagePeer } from './stage.ts'
import type { Store } from './store.ts'

export interface ConsumerOptions {
  group: GroupPlan
  plan: ConsumerPlan
  stream: string
  store: Store
  check: PayloadCheck
  /** From here on it has no faults. */
  calmMs: number
}

/** Where somebody else is the only member, or the group could not be opened. */
const retryMs = 2_000
const statusMs = 500

export class Consumer {
  readonly options: ConsumerOptions
  readonly #stage: Stage
  readonly #random: Rng

  constructor(stage: Stage, options: ConsumerOptions) {
    this.#stage = stage
    this.options = options
    this.#random = new Rng(options.stream)
  }

  /** Within the peer's process, which takes it along when it dies. */
  async run(peer: StagePeer): Promise<void> {
    const { world } = this.#stage
    const { plan } = this.options
    if (plan.startMs > this.#now) await world.sleep(plan.startMs - this.#now)
    for (let listens = false; ; listens = true) {
      const shift = this.#history.begin(peer.name, groupOf(this.options.group))
      let drained: Promise<void> | undefined
      try {
        const share = shareOf(peer, this.options.group)
        if (!listens) void this.#listen(peer)
        drained = this.#drain(share, shift)
        void this.#watch(share, shift)
        if (plan.receive === undefined) await this.#consume(share, shift)
        else
          for await (const records of share.receive(plan.receive)) {
            const taken = records.map((record) => ({ record, handed: this.#take(record, shift) }))
            for (const { record, handed } of taken) await this.#work(record, handed)
          }
      } catch (error) {
        shift.failure = codeOf(error)
      }
      if (shift.drainAt !== undefined) await drained
      shift.endedAt ??= this.#now
      await world.sleep(shift.failure === undefined ? plan.awayMs : retryMs)
    }
  }

  get #history(): GroupHistory {
    return this.#stage.history.groups
  }

  get #now(): number {
    return this.#stage.world.time.elapsed()
  }

  get #isCalm(): boolean {
    return this.#now >= this.options.calmMs
  }

  /** How long it has for a record. */
  get #holdMs(): number {
    const { visibilityMs, leaseMs } = this.options.group
    return visibilityMs ?? leaseMs
  }

  async #consume(share: Share, shift: Shift): Promise<void> {
    for await (const record of share.consume(this.options.plan)) {
      const work = this.#work(record, this.#take(record, shift))
      if (this.options.plan.oneByOne) await work
    }
  }

  /** At the next of the times for it; where it is not the last, the shift after this one has the next. */
  async #drain(share: Share, shift: Shift): Promise<void> {
    const at = this.options.plan.drains.find((time) => time > shift.openedAt)
    if (at === undefined) return
    await this.#stage.world.sleep(at - this.#now)
    if (shift.endedAt !== undefined) return
    shift.drainAt = this.#now
    await share.drain()
    shift.drainedAt = this.#now
  }

  async #listen(peer: StagePeer): Promise<void> {
    const group = groupOf(this.options.group)
    for (;;) {
      for await (const event of shareOf(peer, this.options.group).events())
        this.#history.told.push({ peer: peer.name, group, at: this.#now, event })
      await this.#stage.world.sleep(retryMs)
    }
  }

  /** After the faults it asks how things stand. */
  async #watch(share: Share, shift: Shift): Promise<void> {
    const { world } = this.#stage
    if (!this.#isCalm) await world.sleep(this.options.calmMs - this.#now)
    for (; shift.endedAt === undefined; await world.sleep(statusMs))
      shift.status = await share.status().catch(() => undefined)
  }

  async #work(record: GroupRecord<Uint8Array>, handed: Handed): Promise<void> {
    const { world } = this.#stage
    const { plan, store } = this.options
    const fate = this.#fate(handed)
    if (fate === 'die') return this.#stage.crash?.(handed.shift.peer)
    let workMs = (this.#isCalm ? 0 : plan.workMs) * (0.5 + this.#random.float())
    if (fate === 'hang') workMs += this.#holdMs * (1 + this.#random.float())
    if (fate === 'extend') workMs += await this.#extend(record, handed)
    await world.sleep(workMs)
    if (fate === 'refuse') return this.#settle(handed, 'nack', record, this.#random.int(0, 2_000))
    const what = store.write(handed.unit, record.fencingToken, recordOf(handed))
    handed.effect = { what, at: this.#now }
    // Somebody has it under a later token: what is said of it now must not count.
    await this.#settle(handed, what === 'stale' ? 'nack' : 'ack', record)
  }

  #fate({ id = 0 }: Handed): 'die' | 'hang' | 'extend' | 'refuse' | 'usual' {
    const { poison, hangs, extends: extensions, nacks } = this.options.plan
    const drawn = this.#random.float()
    if (this.#isCalm) return 'usual'
    if (poison !== undefined && (id + 1) % poison === 0) return 'die'
    if (drawn < hangs) return 'hang'
    if (drawn < hangs + extensions) return 'extend'
    return drawn < hangs + extensions + nacks ? 'refuse' : 'usual'
  }

  async #extend(record: GroupRecord<unknown>, handed: Handed): Promise<number> {
    const ms = 2 * this.#holdMs
    try {
      await record.extend(ms)
      handed.until = this.#now + ms
      return 0.9 * ms
    } catch {
      return 0
    }
  }

  async #settle(handed: Handed, how: 'ack' | 'nack', record: GroupRecord<unknown>, delayMs = 0): Promise<void> {
    const settled = this.#history.settle(handed, how)
    try {
      await (how === 'ack' ? record.ack() : record.nack({ delayMs }))
    } catch (error) {
      settled.refused = codeOf(error)
    }
    settled.endedAt = this.#now
    this.#stage.world.trace.mix(handed.at)
  }

  #take(record: GroupRecord<Uint8Array>, shift: Shift): Handed {
    const { feed, index, key, attempt, fencingToken: token } = record
    const id = payloadId(record.value)
    const wrong = this.#wrong(record, id)
    const unit = this.#unitOf(`${feed}/${index}`, key, id)
    const until = this.#now + this.#holdMs
    return this.#history.hand({ shift, id, feed, index, unit, attempt, token, until, wrong })
  }

  #unitOf(record: string, key: string | undefined, id = -1): string {
    const { type } = this.options.group
    if (type === 'exclusive' || type === 'failover') return 'all'
    if (type === 'key-shared' && key !== undefined) return key
    return this.#stage.history.publications[id]?.asked?.dedupId ?? record
  }

  #wrong({ value, key }: GroupRecord<Uint8Array>, id: number | undefined): string | undefined {
    const publication = id === undefined ? undefined : this.#stage.history.publications[id]
    if (publication === undefined || !this.options.check.holds(value)) return 'a payload that nobody published'
    return publication.key === key ? undefined : `key ${key} instead of ${publication.key}`
  }
}

function codeOf(error: unknown): string {
  if (isError(error, 'LeaseLost')) return error.data.reason
  return isError(error) ? error.code : String(error)
}
