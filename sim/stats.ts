/** The figures of a run, from its history alone; plain arithmetic, tested with tables. */
import { type Evidence, isStored } from './check/judge.ts'
import type { Copies } from './copies.ts'
import { type Distribution, distributionOf } from './distribution.ts'
import { type GroupStats, groupStatsOf } from './group-stats.ts'
import type { History } from './history.ts'
import type { GroupPlan, WorkloadPlan } from './plan.ts'
import { type RequestStats, requestStatsOf } from './request-stats.ts'

export interface Stats {
  peers: number
  published: number
  confirmed: number
  /** Records handed to readers that live from before they were published, fresh readers of the end left out. */
  delivered: number
  /** Confirmed and read by nobody in the end; more disks were lost than it had copies, or it is a violation. */
  lost: number
  /** Records a reader got that another reader of the same name, or itself before a crash, had got. */
  duplicated: number
  outOfOrder: number
  /** Damaged batches put back from a friend. */
  repaired: number
  /** Payloads carried over links, for each that came to a peer first. */
  copiesPerPayload: number
  /** From publishing to each reader that was live by then. */
  deliveryMs: Distribution
  /** Links a payload crossed to each peer. */
  hops: Distribution
  /** Of the whole process, or of all of them: the most it was, looked at every virtual second (of real processes, at the end). */
  memoryBytes: number
  faults: number
  /** Only of a run that has some, as what follows. */
  groups?: GroupStats
  queues?: GroupStats
  requests?: RequestStats
}

export function statsOf({ plan, history }: Evidence, lost: number, copies: Copies, memoryBytes: number): Stats {
  const delays: number[] = []
  let delivered = 0
  let outOfOrder = 0
  for (const reading of history.readings) {
    if (reading.fresh) continue
    const last = new Map<string, number>()
    for (const { id, feed, index, at } of reading.deliveries) {
      delivered++
      if (index < (last.get(feed) ?? -1)) outOfOrder++
      last.set(feed, index)
      const publication = id === undefined ? undefined : history.publications[id]
      if (publication !== undefined && reading.readyAt !== undefined && publication.at >= reading.readyAt)
        delays.push(at - publication.at)
    }
  }
  const first = copies.histogram.reduce((sum, count) => sum + count, 0)
  return {
    peers: plan.peers.length,
    published: history.publications.length,
    confirmed: history.publications.filter(isStored).length,
    delivered,
    lost,
    duplicated: duplicatedIn(history.readings),
    outOfOrder,
    repaired: history.told.filter(({ event }) => event.type === 'damage-repaired').length,
    copiesPerPayload: first === 0 ? 0 : copies.carried / first,
    deliveryMs: distributionOf(delays),
    hops: distributionOf(copies.histogram.flatMap((count, hops) => new Array<number>(count).fill(hops))),
    memoryBytes,
    faults: history.faults.length,
    ...sharedIn(plan.workload, history),
  }
}

function sharedIn(
  { groups = [], requests }: WorkloadPlan,
  history: History,
): Pick<Stats, 'groups' | 'queues' | 'requests'> {
  const isQueue = ({ visibilityMs }: GroupPlan) => visibilityMs !== undefined
  const plain = groups.filter((group) => !isQueue(group))
  const queues = groups.filter(isQueue)
  return {
    ...(plain.length > 0 && { groups: groupStatsOf(history, plain) }),
    ...(queues.length > 0 && { queues: groupStatsOf(history, queues) }),
    ...(requests !== undefined && { requests: requestStatsOf(history) }),
  }
}

/** Of durable readings by name: deliveries beyond the first of each record. */
function duplicatedIn(
  readings: readonly { name: string | undefined; topic: string; got: Map<number, number> }[],
): number {
  const seen = new Map<string, Set<number>>()
  let duplicated = 0
  for (const { name, topic, got } of readings) {
    if (name === undefined) continue
    const key = `${topic}/${name}`
    const ids = seen.get(key) ?? new Set<number>()
    seen.set(key, ids)
    for (const [id, times] of got) {
      duplicated += ids.has(id) ? times : times - 1
      ids.add(id)
    }
  }
  return duplicated
}
