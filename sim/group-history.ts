/** The part of a run's history that is about consumer groups and queues: who took part when, what each was handed, and what became of it. */
import type { FeedId, GroupEvent } from '../node/index.ts'
import type { GroupPlan } from './plan.ts'
import type { Effect } from './workload/store.ts'

/** One time that an application takes part, from `consume` until that ended or its process died. */
export interface Shift {
  number: number
  peer: string
  group: string
  openedAt: number
  endedAt: number | undefined
  /** What the iteration threw. */
  failure: string | undefined
  /** When it asked to drain, and when that was done. */
  drainAt: number | undefined
  drainedAt: number | undefined
  /** The last that it was told, after the faults. */
  status: Standing | undefined
}

/** How a group, or a queue, says that it stands. */
export interface Standing {
  lag: number
  deliveredTwice: readonly string[]
  /** Of a queue. */
  counts?: { ready: number; inFlight: number; delayed: number }
}

/** A record as an application got it. */
export interface Handed {
  shift: Shift
  /** Of the publication; undefined when the payload is none of ours. */
  id: number | undefined
  feed: FeedId
  index: number
  /** What is done one at a time, and in order: its key, the whole group, its deduplication id, or the record alone. */
  unit: string
  attempt: number
  token: number
  at: number
  /** By then it must be settled. */
  until: number
  settled: Settled | undefined
  /** What became of its change in the store, and when it was asked. */
  effect: { what: Effect; at: number } | undefined
  /** What is wrong with it by itself. */
  wrong: string | undefined
}

/** `ack` or `nack` was called `at`. It resolved when `endedAt` is there and `refused` is not. */
export interface Settled {
  how: 'ack' | 'nack'
  at: number
  endedAt: number | undefined
  /** What it was rejected with: the reason of `LeaseLost`, or another error's code. */
  refused: string | undefined
}

/** A record of a dead-letter topic. */
export interface DeadLetter {
  group: string
  feed: string
  index: number
  reason: string
  attempts: number
  /** When the group's member made it, by that peer's clock. */
  time: number
}

export interface GroupTold {
  peer: string
  group: string
  at: number
  event: GroupEvent
}

export class GroupHistory {
  readonly shifts: Shift[] = []
  readonly handed: Handed[] = []
  readonly dead: DeadLetter[] = []
  readonly told: GroupTold[] = []

  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  begin(peer: string, group: string): Shift {
    const shift: Shift = {
      number: this.shifts.length,
      peer,
      group,
      openedAt: this.#now(),
      endedAt: undefined,
      failure: undefined,
      drainAt: undefined,
      drainedAt: undefined,
      status: undefined,
    }
    this.shifts.push(shift)
    return shift
  }

  hand(of: Omit<Handed, 'at' | 'settled' | 'effect'>): Handed {
    const handed: Handed = { ...of, at: this.#now(), settled: undefined, effect: undefined }
    this.handed.push(handed)
    return handed
  }

  settle(handed: Handed, how: Settled['how']): Settled {
    handed.settled = { how, at: this.#now(), endedAt: undefined, refused: undefined }
    return handed.settled
  }

  processEnded(peer: string): void {
    for (const shift of this.shifts) if (shift.peer === peer) shift.endedAt ??= this.#now()
  }
}

export function groupOf({ topic, name }: Pick<GroupPlan, 'topic' | 'name'>): string {
  return `${topic}/${name}`
}

/** The name of a record, as the group itself has it. */
export function recordOf({ feed, index }: { feed: string; index: number }): string {
  return `${feed}/${index}`
}

/** Whether its consumer was told that it is done. */
export function isAcked({ settled }: Handed): boolean {
  return settled?.how === 'ack' && settled.endedAt !== undefined && settled.refused === undefined
}
