/**
 * What excuses a group for what it promises in a connected mesh only. Each story says what happened between two moments; what no story explains is a
 * violation. With a quorum only the first four count: a partition is what it is for.
 *
 * 1. Members that begin a group before they have found each other begin several, which become one as they meet; so do, at any time, those that
 *    join on an empty disk while links are cut. With a quorum each of these has a majority of its own.
 * 2. Leases are measured by each member's clock. One that is set back makes a lease longer than the others think, one that is set forward makes a
 *    member think that the others were silent.
 * 3. Who loses its disk forgets what it was told, and was perhaps the only one; who comes back on an old one says again what holds no more.
 * 4. Peers that send wrong bytes are believed nothing, and those that forget say things twice.
 * 5. Links that are cut, silent or slow, and disks that are full or slow, let members take over from one that goes on. Links to a peer without power
 *    are silent, and what went by way of it is missed until that is noticed.
 * 6. What a member did is known to it and to one friend before it counts, or to it alone where no friend is there: where they stop, the others do not
 *    know, not even under which term it was done.
 */

import type { GroupPlan } from '../plan.ts'
import { type Evidence, isHonest } from './judge.ts'

interface Window {
  from: number
  to: number
  why: string
}

/** Until then peers find each other, at the start and after anything that was wrong with links (guess: silence is noticed in 10 s). */
const settleMs = 15_000
/** How long an acknowledgement waits for the first friend to have it. */
const tellMs = 1_000

export class Excuses {
  readonly #evidence: Evidence
  readonly #group: GroupPlan
  readonly #disturbed: Window[]
  readonly #always: Window[]
  readonly #stops: { peer: string; at: number }[]

  constructor(evidence: Evidence, group: GroupPlan) {
    this.#evidence = evidence
    this.#group = group
    const { faults, peerNotes } = evidence.history
    const end = (endedAt: number | undefined) => endedAt ?? Number.POSITIVE_INFINITY
    this.#disturbed = faults
      .filter(({ event }) => disturbing.has(event.kind))
      .map(({ event, at, endedAt }) => ({ from: at, to: end(endedAt) + settleMs, why: event.kind }))
    for (const { what, peer, at } of peerNotes)
      if (what === 'power') this.#disturbed.push({ from: at, to: at + settleMs, why: `${peer} lost power` })
    const skews = faults.flatMap(({ event, at, endedAt }): Window[] => {
      if (event.kind !== 'skew') return []
      return [
        { from: at, to: end(endedAt) + Math.abs(event.skewMs) + group.leaseMs, why: `the clock of ${event.peer}` },
      ]
    })
    const losses = peerNotes
      .filter(({ what }) => what === 'lost')
      .map(({ at, peer, text }): Window => ({ from: at, to: at, why: `${peer} lost data: ${text}` }))
    this.#always = [{ from: 0, to: settleMs + group.leaseMs, why: 'peers find each other' }, ...skews, ...losses]
    this.#always.push(...this.#begunApart())
    const { peers } = evidence.plan
    if (peers.some(({ name }) => !isHonest(evidence.plan, name)))
      this.#always.push({ from: 0, to: Number.POSITIVE_INFINITY, why: 'somebody is not honest' })
    this.#stops = [
      ...peerNotes.filter(({ what }) => what === 'killed' || what === 'power').map(({ peer, at }) => ({ peer, at })),
      ...faults.flatMap(({ event, at }) => (event.kind === 'pause' ? [{ peer: event.peer, at }] : [])),
    ]
  }

  /** Why a slot may have had two holders, or been forgotten, at some moment between these; undefined where nothing explains it. */
  of(from: number, to: number): string | undefined {
    const windows = this.#group.quorum ? this.#always : [...this.#always, ...this.#disturbed]
    return windows.find((window) => window.from <= to && window.to >= from)?.why
  }

  /** As `of`, for what `peer` did at `from` and nobody knows at `to`. */
  forgotten(peer: string, from: number, to: number): string | undefined {
    const known = this.of(from, to)
    if (known !== undefined || this.#group.quorum) return known
    const stopped = this.#stops.some((stop) => stop.peer === peer && stop.at >= from && stop.at <= to)
    const other = this.#stops.find((stop) => stop.peer !== peer && stop.at >= from - tellMs - settleMs && stop.at <= to)
    return stopped && other !== undefined ? `${peer} and ${other.peer} stopped` : undefined
  }

  /** Whether anything at all happened between these. */
  isCalm(from: number, to: number, but?: string): boolean {
    const stopped = this.#stops.some(({ peer, at }) => peer !== but && at >= from && at <= to)
    const { faults } = this.#evidence.history
    const faulty = faults.some(
      ({ event, at, endedAt = Number.POSITIVE_INFINITY }) =>
        at <= to && endedAt + settleMs >= from && !('peer' in event && event.peer === but && event.kind !== 'skew'),
    )
    return !stopped && !faulty && this.of(from, to) === undefined
  }

  /** Story 1: joined for the first time on this disk while the mesh was not one. */
  #begunApart(): Window[] {
    const { peerNotes, groups } = this.#evidence.history
    return groups.shifts.flatMap(({ peer, openedAt, group, number }) => {
      if (group !== `${this.#group.topic}/${this.#group.name}`) return []
      const before = groups.shifts.findLast(
        (other) => other.peer === peer && other.group === group && other.number < number,
      )
      const lost = peerNotes.findLast((note) => note.peer === peer && note.what === 'lost' && note.at <= openedAt)
      if (before !== undefined && before.openedAt > (lost?.at ?? -1)) return []
      return this.#disturbed
        .filter(({ from, to }) => from <= openedAt + settleMs && to >= openedAt)
        .map(({ to }) => ({ from: openedAt, to, why: `${peer} began the group apart` }))
    })
  }
}

const disturbing: ReadonlySet<string> = new Set(['partition', 'delay', 'reset', 'halfopen', 'slowdisk', 'fulldisk'])
