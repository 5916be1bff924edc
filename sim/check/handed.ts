/** What each member of a group was handed, held against G7: whatever is wrong here is wrong whatever happens later. */
import { limits } from '../../node/index.ts'
import { groupOf, type Handed, isAcked, recordOf } from '../group-history.ts'
import type { GroupPlan } from '../plan.ts'
import { Excuses } from './excuse.ts'
import { type Evidence, isHonest, some, type Violation } from './judge.ts'
import { queuedWrong, type Wrong } from './queued.ts'

/** A clock that gains or loses a little, and whole milliseconds. */
const driftShare = 0.01
const roundMs = 2

export class HandedOut {
  readonly #evidence: Evidence
  readonly #group: GroupPlan
  readonly #excuses: Excuses
  readonly #handed: Handed[]

  constructor(evidence: Evidence, group: GroupPlan) {
    const { plan, history } = evidence
    this.#evidence = evidence
    this.#group = group
    this.#excuses = new Excuses(evidence, group)
    this.#handed = history.groups.handed.filter(
      ({ shift }) => shift.group === groupOf(group) && isHonest(plan, shift.peer),
    )
  }

  violations(): Violation[] {
    const inKeys = [...by(this.#handed, ({ unit }) => unit).values()]
    const ofRecords = [...by(this.#handed, recordOf).values()]
    return [
      ...this.#wrong(),
      ...told(inKeys.flatMap((handed) => this.#atOnce(handed))),
      ...told(inKeys.flatMap((handed) => this.#tokens(handed))),
      ...told(inKeys.flatMap((handed) => this.#outOfOrder(handed))),
      ...told(ofRecords.flatMap((handed) => this.#attempts(handed))),
      ...told(ofRecords.flatMap((handed) => this.#afterAck(handed))),
      ...told(this.#late()),
      ...told(this.#overdue()),
      ...told(this.#terms()),
      ...told(this.#dead()),
      ...told(this.#isQueue ? queuedWrong(this.#evidence, this.#group, this.#handed, this.#excuses) : []),
    ]
  }

  get #isQueue(): boolean {
    return this.#group.visibilityMs !== undefined
  }

  #wrong(): Violation[] {
    const wrong = this.#handed.filter((handed) => handed.wrong !== undefined)
    return told(wrong.map((handed) => ({ at: handed.at, text: `${nameOf(handed)}: ${handed.wrong}` })))
  }

  /** Of one key, or of one record, two consumers at once. `failover` and `exclusive` promise this between peers only. */
  #atOnce(handed: readonly Handed[]): Wrong[] {
    const wrong: Wrong[] = []
    const open = new Set<Handed>()
    for (const next of handed) {
      for (const one of open) {
        if (this.#overAt(one) <= next.at) open.delete(one)
        else if (!this.#mayOverlap(one, next))
          wrong.push({ at: next.at, text: `${nameOf(next)} while ${nameOf(one)} and had it still` })
      }
      open.add(next)
    }
    return wrong
  }

  #mayOverlap(one: Handed, next: Handed): boolean {
    const samePeer = one.shift.peer === next.shift.peer
    if (samePeer && one.unit === 'all' && recordOf(one) !== recordOf(next)) return true
    return this.#excuses.of(one.at, next.at) !== undefined
  }

  /** When this consumer had it no more: settled, too late, with its member's lease, which a pause lets run out, or ended with its process. */
  #overAt({ at, until, settled, shift, token }: Handed): number {
    const { peerNotes, faults, groups } = this.#evidence.history
    // With a quorum its lease runs out where the others pause, as it says then. What it hands over goes to somebody.
    const lost = groups.told.find(
      (told) =>
        this.#group.quorum &&
        told.at >= at &&
        told.peer === shift.peer &&
        told.group === shift.group &&
        told.event.type === 'slot-lost' &&
        told.event.to === undefined &&
        told.event.term === token,
    )
    const died = peerNotes.find(
      (note) => note.peer === shift.peer && note.at >= at && (note.what === 'killed' || note.what === 'power'),
    )
    const { leaseMs } = this.#group
    // A lease begins with a beat, the last of which may be that much older than the pause, and ends a little before the others think so.
    const leftMs = leaseMs - (1 + limits.groupGuardBeats) * Math.min(limits.groupBeatMs, leaseMs / 5)
    const asleep = faults.find(
      ({ event, at: from, endedAt = Number.POSITIVE_INFINITY }) =>
        event.kind === 'pause' && event.peer === shift.peer && endedAt > at && endedAt - from > leftMs,
    )
    const late = until - driftShare * (until - at) - roundMs
    return Math.min(
      late,
      asleep === undefined ? late : asleep.at + leftMs,
      settled?.at ?? Number.POSITIVE_INFINITY,
      lost?.at ?? Number.POSITIVE_INFINITY,
      died?.at ?? Number.POSITIVE_INFINITY,
    )
  }

  /** Tokens of one key never go back, and one is never had by two; members of a queue lend each other what they hold. */
  #tokens(handed: readonly Handed[]): Wrong[] {
    let highest = handed[0]
    return handed.flatMap((next) => {
      const before = highest as Handed
      if (next.token > before.token) highest = next
      const shared = !this.#isQueue && next.token === before.token && next.shift.peer !== before.shift.peer
      if (next.token >= before.token && !shared) return []
      if (this.#excuses.forgotten(before.shift.peer, before.at, next.at) !== undefined) return []
      return [
        { at: next.at, text: `${nameOf(next)} with token ${next.token} after ${before.token} at ${before.shift.peer}` },
      ]
    })
  }

  /** Each record for the first time after all of its feed that came before it; where there is a promise of order. */
  #outOfOrder(handed: readonly Handed[]): Wrong[] {
    const { type } = this.#group
    if (type === 'shared') return []
    const last = new Map<string, Handed>()
    const seen = new Set<number>()
    return handed.flatMap((next) => {
      const before = last.get(next.feed)
      const isAgain = seen.has(next.index)
      seen.add(next.index)
      if (before !== undefined && next.index <= before.index) {
        if (isAgain || this.#excuses.of(before.at, next.at) !== undefined) return []
        return [{ at: next.at, text: `${nameOf(next)} after ${nameOf(before)}` }]
      }
      last.set(next.feed, next)
      return []
    })
  }

  /** Counted, and not more than asked for. */
  #attempts(handed: readonly Handed[]): Wrong[] {
    const { maxReceives } = this.#group
    let before: Handed | undefined
    return handed.flatMap((next) => {
      const last = before
      if (last === undefined || next.attempt > last.attempt) before = next
      const wrong: Wrong[] = []
      if (next.attempt > maxReceives)
        wrong.push({ at: next.at, text: `${nameOf(next)} for the ${next.attempt}th time, ${maxReceives} at most` })
      const uncounted = last !== undefined && next.attempt <= last.attempt
      if (uncounted && this.#excuses.forgotten(last.shift.peer, last.at, next.at) === undefined)
        wrong.push({ at: next.at, text: `${nameOf(next)} as attempt ${next.attempt} after ${last.attempt} before` })
      return wrong
    })
  }

  #afterAck(handed: readonly Handed[]): Wrong[] {
    const done = handed.find(isAcked)
    if (done?.settled === undefined) return []
    const { at: askedAt, endedAt = 0 } = done.settled
    const { peer } = done.shift
    const again = handed
      .filter(({ at }) => at > endedAt)
      .map((next) => ({ at: next.at, text: `${nameOf(next)} again, which ${peer} had acknowledged at ${ms(endedAt)}` }))
    const buried = this.#evidence.history.groups.told.flatMap(({ peer: by, group, event, at }) => {
      if (event.type !== 'dead-letter' || group !== groupOf(this.#group) || event.id !== recordOf(done)) return []
      return at > endedAt
        ? [{ at, text: `${by} made a dead letter of ${event.id}, which ${peer} had acknowledged` }]
        : []
    })
    return [...again, ...buried].filter(({ at }) => this.#excuses.forgotten(peer, askedAt, at) === undefined)
  }

  /** A store that has seen a later token refuses; who was refused has lost its lease, and is told so. */
  #late(): Wrong[] {
    return this.#handed.flatMap((handed) => {
      const { effect, settled, at } = handed
      if (effect?.what !== 'stale' || settled?.endedAt === undefined || settled.refused !== undefined) return []
      if (this.#excuses.of(at, settled.endedAt) !== undefined) return []
      return [{ at: settled.at, text: `${nameOf(handed)} and could still settle it, when another had a later token` }]
    })
  }

  /** What was not settled in time is not its consumer's any more. */
  #overdue(): Wrong[] {
    return this.#handed.flatMap((handed) => {
      const { settled, until, at } = handed
      const inTime = until + driftShare * (until - at) + roundMs
      if (settled?.endedAt === undefined || settled.refused !== undefined || settled.at <= inTime) return []
      if (this.#excuses.of(at, settled.at) !== undefined) return []
      return [
        { at: settled.at, text: `${nameOf(handed)} and could settle it at ${ms(settled.at)}, after ${ms(until)}` },
      ]
    })
  }

  /** A slot is taken under a higher term each time. */
  #terms(): Wrong[] {
    const highest = new Map<number, { term: number; peer: string; at: number }>()
    return this.#evidence.history.groups.told.flatMap(({ peer, group, at, event }) => {
      if (event.type !== 'slot-taken' || group !== groupOf(this.#group)) return []
      const { slot, term } = event
      const before = highest.get(slot)
      if (before === undefined || term > before.term) highest.set(slot, { term, peer, at })
      if (before === undefined || term > before.term) return []
      if (this.#excuses.forgotten(before.peer, before.at, at) !== undefined) return []
      const text = `${peer} took slot ${slot} of ${group} under term ${term}, after ${before.peer} under ${before.term}`
      return [{ at, text }]
    })
  }

  /**
   * As often as asked for, and to somebody. What waits for a consumer that does not ask counts; so does what no majority heard of in time, and
   * what was lent to somebody that had given up waiting.
   */
  #dead(): Wrong[] {
    const { maxReceives, quorum, consumers } = this.#group
    const { groups, peerNotes, faults } = this.#evidence.history
    const isConsumer = (peer: string) => consumers.some((one) => one.peer === peer)
    const ends = peerNotes.filter(({ peer, what }) => (what === 'killed' || what === 'power') && isConsumer(peer))
    const pauses = faults.filter(({ event }) => event.kind === 'pause' && isConsumer(event.peer))
    const unasked = consumers.some(({ oneByOne, receive }) => oneByOne || receive !== undefined)
    // Whoever ends between telling that a record is handed out and handing it out has used up one of its attempts, and so has who pauses there
    // until its lease has run out.
    const mayBeUnseen = quorum || unasked || ends.length + pauses.length >= maxReceives
    const name = groupOf(this.#group)
    const seen = new Set(groups.handed.filter(({ shift }) => shift.group === name).map(recordOf))
    const dead = groups.dead.filter(({ group }) => group === name)
    return dead.flatMap((letter) => {
      if (!mayBeUnseen && !seen.has(recordOf(letter)))
        return [{ at: 0, text: `${recordOf(letter)} became a dead letter of ${name}, and nobody was ever handed it` }]
      if (letter.reason === 'max-receives' && letter.attempts >= maxReceives) return []
      const text = `${recordOf(letter)} became a dead letter of ${letter.group} (${letter.reason}) after ${letter.attempts} attempts of ${maxReceives}`
      return [{ at: 0, text }]
    })
  }
}

function told(wrong: readonly Wrong[]): Violation[] {
  return some(wrong, ({ text }) => text).map((text, i) => ({ promise: 'G7', at: wrong[i]?.at ?? 0, text, ids: [] }))
}

function by<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    const known = groups.get(keyOf(item))
    if (known === undefined) groups.set(keyOf(item), [item])
    else known.push(item)
  }
  return groups
}

function nameOf(handed: Handed): string {
  const { shift, id, at, unit } = handed
  return `${shift.peer} of ${shift.group} was handed ${recordOf(handed)} (publication ${id}, ${unit}) at ${ms(at)}`
}

function ms(at: number): string {
  return `${Math.round(at)} ms`
}
