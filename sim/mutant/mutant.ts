import type { Focus } from '../plan.ts'

/** A deliberate mistake in the code, to see whether the simulator finds it. */
export interface Mutant {
  name: string
  /** Within the project. */
  file: string
  /** Stands in the file exactly once. */
  find: string
  replace: string
  /** The promise that it breaks. */
  breaks: `G${1 | 2 | 3 | 4 | 5 | 6 | 7 | 8}`
  /** What runs are made of that catch it; default, of what breaks G7 `group`, and else what is drawn. */
  workload?: Exclude<Wishes, 'usual'>
  /** What goes wrong, in a sentence. */
  why: string
}

/** Which runs are made to catch it: bugs of groups, queues and requests need these, and the others the seeds they have always had. */
export type Wishes = 'usual' | 'group' | 'queue' | 'fifo' | 'request' | Focus

export function wishesOf({ breaks, workload }: Mutant): Wishes {
  return workload ?? (breaks === 'G7' ? 'group' : 'usual')
}

/** The text of the file with the mistake in it. Throws where `find` does not stand there exactly once. */
export function plant({ name, file, find, replace }: Mutant, text: string): string {
  const parts = text.split(find)
  if (parts.length !== 2) {
    throw new Error(
      `mutant ${name}: its text stands ${parts.length - 1} times in ${file}, not once: adapt it to the code`,
    )
  }
  return parts.join(replace)
}
