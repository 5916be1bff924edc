/**
 * G7: a group's, or a queue's, records are done by one member at a time, or become dead letters, and none is left over. What was handed out is judged by `handed`, how
 * soon others take over by `takeover`; what a mesh that was not connected excuses is told in `excuse`.
 */
import { groupOf, type Handed, isAcked, recordOf, type Shift } from '../group-history.ts'
import { noDisk, wiped } from '../history.ts'
import type { GroupPlan } from '../plan.ts'
import { HandedOut } from './handed.ts'
import { type Evidence, expected, isHonest, type Judge, present, some, type Violation } from './judge.ts'
import { dedupOf } from './queued.ts'
import { takeovers } from './takeover.ts'

export class Shared implements Judge {
  readonly #evidence: Evidence

  constructor(evidence: Evidence) {
    this.#evidence = evidence
  }

  verdict(): Violation[] {
    return this.#groups().flatMap((group) => [
      ...new HandedOut(this.#evidence, group).violations(),
      ...takeovers(this.#evidence, group),
      ...this.#failed(group),
    ])
  }

  pending(): string[] {
    return this.#groups().flatMap((group) => [
      ...this.#unmanned(group),
      ...this.#untold(group),
      ...(this.#isStopped(group) ? [] : [...this.#undone(group), ...this.#lagging(group)]),
    ])
  }

  #groups(): GroupPlan[] {
    return this.#evidence.plan.workload.groups ?? []
  }

  #shifts(group: GroupPlan): Shift[] {
    const { plan, history } = this.#evidence
    return history.groups.shifts.filter(({ group: of, peer }) => of === groupOf(group) && isHonest(plan, peer))
  }

  /** A member is refused where another one is the only one, and never else. */
  #failed(group: GroupPlan): Violation[] {
    const failed = this.#shifts(group).filter(
      ({ failure }) => failure !== undefined && !(failure === 'GroupInUse' && group.type === 'exclusive'),
    )
    return some(failed, ({ peer, failure }) => `${peer} could not take part in ${groupOf(group)}: ${failure}`).map(
      (text) => ({ promise: 'G7', at: 0, text, ids: [] }),
    )
  }

  /**
   * Story 1: with a quorum a group stops for good where as many of its voters came back as others, on empty disks, as leave no majority of the
   * rest. Nobody can tell that they are not merely cut off.
   */
  #isStopped(group: GroupPlan): boolean {
    const { history } = this.#evidence
    const gone = history.peerNotes.filter(
      ({ peer, at, what, text }) =>
        isAnother(what, text) && this.#shifts(group).some((shift) => shift.peer === peer && shift.openedAt <= at),
    )
    const last = gone.at(-1)
    if (!group.quorum || last === undefined) return false
    const joined = new Set(this.#shifts(group).flatMap(({ peer, openedAt }) => (openedAt <= last.at ? [peer] : [])))
    const again = gone.filter(({ peer }, i) => gone.findIndex((other) => other.peer === peer) < i).length
    return gone.length >= Math.ceil((joined.size + again) / 2)
  }

  /** Records that nobody has acknowledged and that are no dead letters. Of a group from `latest` only its members know where it begins. */
  #undone(group: GroupPlan): string[] {
    if (group.from === 'latest') return []
    const done = this.#done(group)
    const isOver = this.#over(group, done)
    const left = [...(expected(this.#evidence).get(group.topic) ?? [])].filter((id) => !done.has(id) && !isOver(id))
    return some(
      left,
      (id) => `record ${id} of ${groupOf(group)} is neither done nor a dead letter: ${this.#last(group, id)}`,
    )
  }

  #done(group: GroupPlan): Set<number | undefined> {
    const { groups } = this.#evidence.history
    const name = groupOf(group)
    const ids = new Map<string, number | undefined>()
    for (const { deliveries, topic } of present(this.#evidence))
      if (topic === group.topic) for (const delivery of deliveries) ids.set(recordOf(delivery), delivery.id)
    const done = new Set<number | undefined>()
    for (const handed of groups.handed) if (handed.shift.group === name && maybeAcked(handed)) done.add(handed.id)
    for (const letter of groups.dead) if (letter.group === name) done.add(ids.get(recordOf(letter)))
    // The letter itself may have gone with a disk.
    for (const { group: of, event } of groups.told)
      if (of === name && event.type === 'dead-letter') done.add(ids.get(event.id))
    return done
  }

  /** Of a queue: what may be gone because it expired, or because another was done, or expired, that was sent under its id. */
  #over(group: GroupPlan, done: ReadonlySet<number | undefined>): (id: number) => boolean {
    const { publications } = this.#evidence.history
    const sent = publications.filter(({ topic }) => topic === group.topic)
    const gone = sent.filter(({ id, asked }) => done.has(id) || asked?.expiresMs !== undefined)
    const ids = new Set(gone.map((publication) => dedupOf(group, publication)))
    return (id) => {
      const publication = publications[id]
      if (publication?.asked === undefined) return false
      const dedupId = dedupOf(group, publication)
      return publication.asked.expiresMs !== undefined || (dedupId !== undefined && ids.has(dedupId))
    }
  }

  #last(group: GroupPlan, id: number): string {
    const last = this.#evidence.history.groups.handed.findLast(
      (handed) => handed.id === id && handed.shift.group === groupOf(group),
    )
    if (last === undefined) return 'it was never handed out'
    const { shift, at, attempt, settled } = last
    const since = settled === undefined ? 'and not settled' : `${settled.how} ${settled.refused ?? 'under way'}`
    return `last handed out to ${shift.peer} at ${Math.round(at)} ms as attempt ${attempt}, ${since}`
  }

  /** Every application that should takes part. */
  #unmanned(group: GroupPlan): string[] {
    const shifts = this.#shifts(group)
    const stuck = shifts.filter(
      ({ drainAt, drainedAt, endedAt, number, peer }) =>
        drainAt !== undefined &&
        drainedAt === undefined &&
        this.#isLast(shifts, number, peer) &&
        !this.#diedSince(peer, drainAt) &&
        (endedAt === undefined || endedAt >= drainAt),
    )
    const open = new Set(shifts.filter(({ endedAt }) => endedAt === undefined).map(({ peer }) => peer))
    const wanted = group.consumers.map(({ peer }) => peer).filter((peer) => isHonest(this.#evidence.plan, peer))
    const out = wanted.filter((peer) => !open.has(peer))
    const missing = group.type === 'exclusive' ? (open.size > 0 ? [] : wanted) : out
    return [
      ...some(stuck, ({ peer, drainAt }) => `${peer} drains ${groupOf(group)} since ${Math.round(drainAt ?? 0)} ms`),
      ...some(missing, (peer) => `${peer} does not take part in ${groupOf(group)}`),
    ]
  }

  #isLast(shifts: readonly Shift[], number: number, peer: string): boolean {
    return !shifts.some((shift) => shift.peer === peer && shift.number > number)
  }

  #diedSince(peer: string, at: number): boolean {
    const { peerNotes } = this.#evidence.history
    return peerNotes.some((note) => note.peer === peer && note.at >= at && note.what !== 'lost')
  }

  #lagging(group: GroupPlan): string[] {
    const open = this.#shifts(group).filter(({ endedAt }) => endedAt === undefined)
    const left = ({ status }: Shift) =>
      (status?.lag ?? 1) + Object.values(status?.counts ?? {}).reduce((sum, count) => sum + count, 0)
    return some(
      open.filter((shift) => left(shift) !== 0),
      ({ peer, status }) => {
        if (status === undefined) return `${peer} has not told how ${groupOf(group)} stands`
        const counts = status.counts === undefined ? '' : `: ${JSON.stringify(status.counts)}`
        return `${peer} says that ${status.lag} records of ${groupOf(group)} are not done${counts}`
      },
    )
  }

  /** What two members acknowledged, each under a lease of its own, is told of once they know of each other. */
  #untold(group: GroupPlan): string[] {
    const { groups, peerNotes } = this.#evidence.history
    const name = groupOf(group)
    const told = new Set<string>()
    for (const { status } of this.#shifts(group)) for (const id of status?.deliveredTwice ?? []) told.add(id)
    for (const { event, group: of } of groups.told)
      if (of === name && event.type === 'delivered-twice') told.add(event.id)
    const acks = new Map<string, Handed>()
    const twice: Handed[] = []
    for (const handed of groups.handed) {
      if (handed.shift.group !== name || !isAcked(handed) || !isHonest(this.#evidence.plan, handed.shift.peer)) continue
      const other = acks.get(recordOf(handed))
      if (other === undefined) acks.set(recordOf(handed), handed)
      else if (other.shift.peer !== handed.shift.peer && !told.has(recordOf(handed))) twice.push(handed)
    }
    // A lost disk takes along what it alone could tell of.
    const left = peerNotes.some(({ what }) => what === 'lost') ? [] : twice
    return some(
      left,
      (handed) => `nobody tells that ${recordOf(handed)} of ${name} was done twice, by ${handed.shift.peer} at last`,
    )
  }
}

/** Whether a peer comes back under another id. */
function isAnother(what: string, text: string): boolean {
  return what === 'lost' && (text === noDisk || text === wiped)
}

const lost = new Set(['settled', 'expired', 'taken'])

/**
 * Also where its process died before it was told, where it is not known who else heard, and where it could not be written yet (a full disk): a member that has
 * taken it as done tells so with the next that it can.
 */
function maybeAcked({ settled }: Handed): boolean {
  return settled?.how === 'ack' && !lost.has(settled.refused ?? '')
}
