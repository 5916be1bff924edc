/** G3: records of one feed come in the order they were published. */
import { type Evidence, givenUp, type Judge, nameOf, type Violation } from './judge.ts'

export class FeedOrder implements Judge {
  readonly #evidence: Evidence

  constructor(evidence: Evidence) {
    this.#evidence = evidence
  }

  verdict(): Violation[] {
    const { history } = this.#evidence
    const gone = givenUp(this.#evidence)
    const violations: Violation[] = []
    for (const reading of history.readings) {
      const last = new Map<string, number>()
      for (const { feed, index, id, at } of reading.deliveries) {
        const before = last.get(feed)
        // Story 1: a place that was given up after damage is filled at the end of the log when a friend has it after all.
        if (before !== undefined && index < before && !gone.get(reading.peer)?.some((when) => when <= at))
          violations.push({
            promise: 'G3',
            at,
            text: `${nameOf(reading)} got ${feed}/${index} after ${feed}/${before}`,
            ids: [id ?? -1, reading.number],
          })
        last.set(feed, Math.max(index, before ?? 0))
      }
    }
    return violations.slice(0, 10)
  }

  pending(): string[] {
    return []
  }
}
