/** The comparisons there are, by name, in the order in which they run. */
import type { Comparison } from '../compare.ts'
import type { Extent } from '../kept.ts'
import type { SystemName } from '../systems/all.ts'
import { catchUpComparison, catchUpWorkload } from './catch-up.ts'
import { fanOutComparison, fanOutWorkloads, watchedComparison, watchedWorkload } from './fan-out.ts'
import { groupComparison, groupWorkload } from './group.ts'
import { busyComparison, busyWorkload, hopComparison, hopWorkload } from './latency.ts'
import { memoryComparison } from './memory.ts'
import { openingComparison, openingWorkload } from './opening.ts'
import { publishComparison, publishWorkloads } from './publish.ts'
import { scaleComparison, scaleWorkload } from './scale.ts'

/** Of the work, where it is to be quick. */
const quickShare = 0.2
/** What is measured then, and of whom: what needs little time to start, and hardly depends on how fast a disk is. */
const quick: Record<string, readonly SystemName[]> = {
  'fan-out-100': ['grapevine-memory', 'nats'],
  publish: ['grapevine-memory', 'jetstream'],
  'publish-one': ['grapevine', 'fdatasync'],
  hop: ['grapevine-memory', 'nats'],
  group: ['grapevine-memory', 'jetstream'],
}

export function comparisonsOf(extent: Extent): Comparison[] {
  if (extent === 'full') return all(1)
  return all(quickShare).flatMap((comparison) => {
    const systems = quick[comparison.name]
    return systems === undefined ? [] : [{ ...comparison, systems }]
  })
}

function all(share: number): Comparison[] {
  const some = <W extends { records: number }>(workload: W): W => ({
    ...workload,
    records: Math.ceil(workload.records * share),
  })
  return [
    ...fanOutWorkloads.map((workload) => fanOutComparison(some(workload))),
    ...publishWorkloads.map((workload) => publishComparison(some(workload))),
    hopComparison(some(hopWorkload)),
    busyComparison(some(busyWorkload)),
    groupComparison(some(groupWorkload)),
    catchUpComparison(some(catchUpWorkload)),
    openingComparison(some(openingWorkload)),
    memoryComparison(),
    scaleComparison(some(scaleWorkload)),
    watchedComparison(some(watchedWorkload)),
  ]
}
