/** All planted bugs. Each breaks a promise of the design (G1 to G8); what changes no promise does not belong here. */
import { groupMutants } from './group.ts'
import type { Mutant } from './mutant.ts'
import { queueMutants } from './queue.ts'
import { storeMutants } from './store.ts'
import { syncMutants } from './sync.ts'
import { topicMutants } from './topic.ts'

export const mutants: readonly Mutant[] = [
  ...storeMutants,
  ...syncMutants,
  ...topicMutants,
  ...groupMutants,
  ...queueMutants,
]
