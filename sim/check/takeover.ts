/**
 * G7 says when others have the work of a member that is gone: after a lease and two seconds where it died, and without waiting for a lease where it
 * drained. Judged where nothing else happened meanwhile.
 */
import { limits } from '../../node/index.ts'
import { groupOf, type Shift } from '../group-history.ts'
import type { GroupPlan } from '../plan.ts'
import { Excuses } from './excuse.ts'
import { type Evidence, some, type Violation } from './judge.ts'

/** Beats to be heard, claimed, and granted in; and trips and commits (guess). */
const beats = 4
const workMs = 1_000

interface Gone {
  shift: Shift
  at: number
  how: 'drained' | 'died'
}

export function takeovers(evidence: Evidence, group: GroupPlan): Violation[] {
  const { groups } = evidence.history
  const excuses = new Excuses(evidence, group)
  const shifts = groups.shifts.filter((shift) => shift.group === groupOf(group))
  const beatMs = Math.min(1_000, group.leaseMs / 5)
  const late = shifts.flatMap((shift) => {
    const gone = goneOf(evidence, shift)
    if (gone === undefined || group.type === 'exclusive') return []
    const until = gone.at + beats * beatMs + workMs + (gone.how === 'died' ? group.leaseMs : 0)
    // It ended before they were late.
    if (until > evidence.history.now) return []
    const since = (shift.drainAt ?? gone.at) - group.leaseMs - workMs
    const stay = shifts.filter((other) => other.peer !== shift.peer && other.openedAt < since && leftAt(other) >= until)
    const moves = shifts.some(
      (other) => other !== shift && !stay.includes(other) && leftAt(other) >= since && other.openedAt <= until,
    )
    if (stay.length === 0 || moves || !excuses.isCalm(since, until, shift.peer)) return []
    if (gone.how === 'died' && !areMajority(evidence, group, stay, since)) return []
    return heldBy(evidence, shift, shift.drainAt ?? gone.at)
      .filter((slot) => !isTaken(evidence, shift, slot, until))
      .map(
        (slot) =>
          `slot ${slot} of ${shift.group} was taken by nobody by ${Math.round(until)} ms, when ${shift.peer} ${gone.how} at ${Math.round(gone.at)} ms`,
      )
  })
  return some(late, (text) => text).map((text) => ({ promise: 'G7', at: 0, text, ids: [] }))
}

/** Of a group with a quorum, whether those who stay are the most of all that may be voters still: who drained is none. */
function areMajority({ history, plan }: Evidence, group: GroupPlan, stay: readonly Shift[], since: number): boolean {
  if (!group.quorum) return true
  const voterMs = plan.strain?.bounds?.groupVoterMs ?? limits.groupVoterMs
  const members = history.groups.shifts.filter(
    ({ group: its, drainedAt, endedAt = Number.POSITIVE_INFINITY }) =>
      its === groupOf(group) && drainedAt === undefined && endedAt >= since - voterMs,
  )
  const peers = (shifts: readonly Shift[]) => new Set(shifts.map(({ peer }) => peer)).size
  return 2 * peers(stay) > peers(members)
}

/** From when on it takes nothing: who is asked to drain may have something in hands for long. */
function leftAt({ drainAt, endedAt }: Shift): number {
  return drainAt ?? endedAt ?? Number.POSITIVE_INFINITY
}

function goneOf({ history }: Evidence, shift: Shift): Gone | undefined {
  const { drainedAt, drainAt, endedAt, peer } = shift
  if (drainedAt !== undefined) return { shift, at: drainedAt, how: 'drained' }
  const died = history.peerNotes.some(
    (note) => note.peer === peer && note.at === endedAt && (note.what === 'killed' || note.what === 'power'),
  )
  return died && drainAt === undefined && endedAt !== undefined ? { shift, at: endedAt, how: 'died' } : undefined
}

function heldBy({ history }: Evidence, { peer, group, openedAt }: Shift, at: number): number[] {
  const held = new Set<number>()
  for (const told of history.groups.told) {
    if (told.peer !== peer || told.group !== group || told.at < openedAt || told.at > at) continue
    if (told.event.type === 'slot-taken') held.add(told.event.slot)
    if (told.event.type === 'slot-lost') held.delete(told.event.slot)
  }
  return [...held]
}

function isTaken(
  { history }: Evidence,
  { peer, group, drainAt, endedAt = 0 }: Shift,
  slot: number,
  until: number,
): boolean {
  return history.groups.told.some(
    (told) =>
      told.peer !== peer &&
      told.group === group &&
      told.event.type === 'slot-taken' &&
      told.event.slot === slot &&
      told.at >= (drainAt ?? endedAt) &&
      told.at <= until,
  )
}
