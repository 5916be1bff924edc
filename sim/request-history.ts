/** The part of a run's history that is about requests: who asked what, who worked on it, and what the asker was told. */

/** One call of `request`. */
export interface Asking {
  /** From 0, over the whole run; stands in the request and in its answer. */
  number: number
  topic: string
  peer: string
  timeoutMs: number
  at: number
  /** What it was told. None: its process died before, or it waits. */
  outcome: AskOutcome | undefined
  /** Its process died before it was told. */
  diedAt: number | undefined
}

export type AskOutcome = { at: number } & (
  | { type: 'answered'; by: string; number: number }
  /** The code of the error, and what it says. */
  | { type: 'failed'; code: string; text: string }
)

/** One time that an application responds, from `respond` until it closed or its process died. */
export interface Responding {
  topic: string
  peer: string
  openedAt: number
  endedAt: number | undefined
}

/** One call of its handler. */
export interface Handling {
  number: number
  topic: string
  peer: string
  attempt: number
  at: number
  /** When it returned, or threw; none: its process died before. */
  doneAt: number | undefined
}

export class RequestHistory {
  readonly asked: Asking[] = []
  readonly responding: Responding[] = []
  readonly handled: Handling[] = []
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  ask(of: Pick<Asking, 'topic' | 'peer' | 'timeoutMs'>): Asking {
    const asking = { ...of, number: this.asked.length, at: this.#now(), outcome: undefined, diedAt: undefined }
    this.asked.push(asking)
    return asking
  }

  respond(of: Pick<Responding, 'topic' | 'peer'>): Responding {
    const responding = { ...of, openedAt: this.#now(), endedAt: undefined }
    this.responding.push(responding)
    return responding
  }

  handle(of: Pick<Handling, 'number' | 'topic' | 'peer' | 'attempt'>): Handling {
    const handling = { ...of, at: this.#now(), doneAt: undefined }
    this.handled.push(handling)
    return handling
  }

  processEnded(peer: string): void {
    for (const each of this.responding) if (each.peer === peer) each.endedAt ??= this.#now()
    for (const asking of this.asked)
      if (asking.peer === peer && asking.outcome === undefined) asking.diedAt ??= this.#now()
  }
}
