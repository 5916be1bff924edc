/** The figures of a run's groups, or of its queues, from its history alone. */

import { type Distribution, distributionOf } from './distribution.ts'
import { groupOf, type Handed, isAcked, recordOf } from './group-history.ts'
import type { History } from './history.ts'
import type { GroupPlan } from './plan.ts'

export interface GroupStats {
  handedOut: number
  /** Deliveries that were acknowledged. */
  acked: number
  /** Deliveries beyond the first of each record. */
  redelivered: number
  /** Records that became dead letters. */
  dead: number
  /** From the end of a process until what its consumers had was handed out again. */
  takeoverMs: Distribution
}

export function groupStatsOf({ groups, peerNotes }: History, plans: readonly GroupPlan[]): GroupStats {
  const names = new Set(plans.map(groupOf))
  const all = groups.handed.filter(({ shift }) => names.has(shift.group))
  const dead = groups.dead.filter(({ group }) => names.has(group))
  const last = new Map<string, Handed>()
  const takeovers: number[] = []
  let redelivered = 0
  for (const handed of all) {
    const key = `${handed.shift.group} ${recordOf(handed)}`
    const before = last.get(key)
    last.set(key, handed)
    if (before === undefined) continue
    redelivered++
    const died = peerNotes.find(
      ({ peer, at, what }) =>
        peer === before.shift.peer && at >= before.at && at <= handed.at && (what === 'killed' || what === 'power'),
    )
    if (died !== undefined && before.settled === undefined) takeovers.push(handed.at - died.at)
  }
  return {
    handedOut: all.length,
    acked: all.filter(isAcked).length,
    redelivered,
    dead: new Set(dead.map((letter) => `${letter.group} ${recordOf(letter)}`)).size,
    takeoverMs: distributionOf(takeovers),
  }
}
