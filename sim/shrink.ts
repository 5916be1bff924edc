/**
 * Looks for a smaller plan that fails in the same way: fewer faults, fewer applications, fewer peers, a shorter time. It tries to leave out halves,
 * then quarters, down to one (delta debugging, Zeller 1999), as long as the same promise is broken.
 */

import type { RunFailure } from './batch.ts'
import type { ConsumerPlan, FaultEvent, Plan } from './plan.ts'
import type { RunResult } from './run.ts'

type Outcome = RunResult | RunFailure

export interface ShrinkOptions {
  run(plan: Plan): Promise<Outcome>
  /** After each smaller plan that fails still. */
  onSmaller?(plan: Plan, tried: number): void
  /** Runs at most. Default 200. */
  runsMax?: number
}

export interface Shrunk {
  plan: Plan
  tried: number
}

/** `failing` must fail; the plan returned does too. */
export async function shrink(failing: Plan, options: ShrinkOptions): Promise<Shrunk> {
  const { runsMax = 200 } = options
  let plan = failing
  let tried = 1
  const wanted = brokenBy(await options.run(failing))
  if (wanted.size === 0) throw new Error('the run does not fail: there is nothing to shrink')
  const fails = async (candidate: Plan): Promise<boolean> => {
    if (tried >= runsMax) return false
    tried++
    const broken = brokenBy(await options.run(candidate))
    if (![...broken].some((promise) => wanted.has(promise))) return false
    plan = candidate
    options.onSmaller?.(candidate, tried)
    return true
  }
  for (let before = ''; before !== JSON.stringify(plan) && tried < runsMax; ) {
    before = JSON.stringify(plan)
    await fewer(
      () => plan.timeline,
      (timeline) => fails({ ...plan, timeline }),
    )
    await fewer(
      () => plan.workload.readers,
      (readers) => fails({ ...plan, workload: { ...plan.workload, readers } }),
    )
    await fewer(
      () => plan.workload.publishers,
      (publishers) => fails({ ...plan, workload: { ...plan.workload, publishers } }),
    )
    await fewer(
      () => consumersOf(plan),
      (consumers) => fails(withConsumers(plan, new Set(consumers))),
    )
    await fewer(
      () => plan.peers.map(({ name }) => name),
      (names) => fails(withPeers(plan, names)),
    )
    await fails(shorter(plan))
  }
  return { plan, tried }
}

/** Leaves out ever smaller parts of a list for as long as `keeps` says that what is left will do. */
async function fewer<T>(list: () => T[], keeps: (rest: T[]) => Promise<boolean>): Promise<void> {
  for (
    let size = Math.ceil(list().length / 2);
    size >= 1 && list().length > 0;
    size = size === 1 ? 0 : Math.ceil(size / 2)
  )
    for (let at = 0; at < list().length; ) {
      const rest = list().filter((_, i) => i < at || i >= at + size)
      if (!(await keeps(rest))) at += size
    }
}

/** The plan without those peers that are not named; what was about them only goes with them. */
export function withPeers(plan: Plan, names: string[]): Plan {
  const left = new Set(names)
  const peers = plan.peers
    .filter(({ name }) => left.has(name))
    .map((peer, at, all) => {
      const join = peer.join.filter((name) => left.has(name))
      const other = all[at === 0 ? 1 : 0]?.name
      return { ...peer, join: join.length > 0 || other === undefined ? join : [other] }
    })
  const here = ({ peer }: { peer: string }) => left.has(peer)
  const { publishers, readers, hostile, amnesic = [], kinds } = plan.workload
  const { groups } = withConsumers(plan, new Set(consumersOf(plan).filter(here))).workload
  return {
    ...plan,
    peers,
    workload: {
      kinds,
      publishers: publishers.filter(here),
      readers: readers.filter(here),
      hostile: hostile.filter((name) => left.has(name)),
      amnesic: amnesic.filter((name) => left.has(name)),
      ...(groups === undefined ? {} : { groups }),
    },
    timeline: plan.timeline.map((event) => withoutOthers(event, left)).filter((event) => event !== undefined),
  }
}

function consumersOf({ workload: { groups = [] } }: Plan): ConsumerPlan[] {
  return groups.flatMap(({ consumers }) => consumers)
}

/** A group without members goes with the last of them. */
function withConsumers(plan: Plan, left: ReadonlySet<ConsumerPlan>): Plan {
  const groups = plan.workload.groups
    ?.map((group) => ({ ...group, consumers: group.consumers.filter((consumer) => left.has(consumer)) }))
    .filter(({ consumers }) => consumers.length > 0)
  return { ...plan, workload: { ...plan.workload, ...(groups === undefined ? {} : { groups }) } }
}

function withoutOthers(event: FaultEvent, left: ReadonlySet<string>): FaultEvent | undefined {
  const kept = (names: string[]) => names.filter((name) => left.has(name))
  switch (event.kind) {
    case 'delay':
      return { ...event, from: kept(event.from), to: kept(event.to) }
    case 'reset':
    case 'halfopen':
    case 'partition':
      return { ...event, a: kept(event.a), b: kept(event.b) }
    case 'churn': {
      const peers = kept(event.peers)
      return peers.length > 0 ? { ...event, peers } : undefined
    }
    default:
      return left.has(event.peer) ? event : undefined
  }
}

/** Ends when the last fault does. */
function shorter(plan: Plan): Plan {
  const needed = Math.max(5_000, ...plan.timeline.map(({ at, forMs }) => at + forMs))
  const safetyMs = Math.min(needed + 1_000, Math.round(plan.safetyMs * 0.8))
  return { ...plan, safetyMs, timeline: plan.timeline.filter(({ at }) => at < safetyMs) }
}

function brokenBy(outcome: Outcome): Set<string> {
  if ('failure' in outcome) return new Set(['failure'])
  return new Set(outcome.violations.map(({ promise }) => promise))
}
