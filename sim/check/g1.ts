/** G1: a confirmed record survives the loss of any n of the n + 1 disks it is on. */
import type { Publication } from '../history.ts'
import { type Evidence, isHonest, isStored, type Judge, mayBeLost, some, type Violation } from './judge.ts'

export class ConfirmedLoss implements Judge {
  readonly #evidence: Evidence

  constructor(evidence: Evidence) {
    this.#evidence = evidence
  }

  verdict(): Violation[] {
    return []
  }

  pending(): string[] {
    return some(
      this.lost().filter((publication) => !mayBeLost(this.#evidence, publication)),
      ({ id, topic, peer, outcome }) =>
        `record ${id} of ${topic}, ${outcome?.type} with ${outcome?.type === 'failed' ? 0 : outcome?.copies} copies at ${peer}, is read by no fresh reader`,
    )
  }

  /** Stored and read by no fresh reader, excused or not. */
  lost(): Publication[] {
    const { history } = this.#evidence
    const found = new Set<number>()
    for (const reading of history.readings)
      if (reading.fresh && reading.endedAt === undefined) for (const id of reading.got.keys()) found.add(id)
    return history.publications.filter(
      (publication) =>
        isStored(publication) && isHonest(this.#evidence.plan, publication.peer) && !found.has(publication.id),
    )
  }
}
