/** G6 and G8: nothing is delivered but what was published, as it was, from whom it was; damage on the way or on a disk changes nothing. */
import { type Evidence, type Judge, nameOf, type Violation } from './judge.ts'

export class Authentic implements Judge {
  readonly #evidence: Evidence

  constructor(evidence: Evidence) {
    this.#evidence = evidence
  }

  verdict(): Violation[] {
    const { history } = this.#evidence
    const violations: Violation[] = []
    for (const reading of history.readings)
      for (const { wrong, at, id, feed, index } of reading.deliveries) {
        if (wrong === undefined) continue
        const promise = this.#damaged(reading.peer, at) ? 'G8' : 'G6'
        violations.push({
          promise,
          at,
          text: `${nameOf(reading)} got ${feed}/${index}: ${wrong}`,
          ids: [id ?? -1, reading.number],
        })
      }
    return [...violations.slice(0, 10), ...this.#misplaced(), ...this.#accused()]
  }

  pending(): string[] {
    return []
  }

  #damaged(peer: string, by: number): boolean {
    return this.#evidence.history.peerNotes.some((note) => note.peer === peer && note.what === 'lost' && note.at <= by)
  }

  /** Where nobody sends wrong bytes, nobody is blamed for it, whatever happens to links, processes and disks. */
  #accused(): Violation[] {
    const { plan, history } = this.#evidence
    if (plan.workload.hostile.length > 0) return []
    return history.told
      .flatMap(({ peer, at, event }): Violation[] => {
        if (event.type !== 'misbehaved' && event.type !== 'fork') return []
        const text =
          event.type === 'fork'
            ? `${peer} tells of a fork in feed ${event.feed} at ${event.seq}`
            : `${peer} says that ${event.peer} ${event.reason}`
        return [{ promise: 'G6', at, text: `${text}, and nobody is hostile`, ids: [peer] }]
      })
      .slice(0, 10)
  }

  /** A record has one place, the one its publisher was told, at whoever reads it. */
  #misplaced(): Violation[] {
    const { history } = this.#evidence
    const places = new Map<number, string>()
    for (const { id, outcome } of history.publications)
      if (outcome?.type === 'confirmed') places.set(id, `${outcome.feed}/${outcome.index}`)
    const violations: Violation[] = []
    for (const reading of history.readings)
      for (const { id, feed, index, at } of reading.deliveries) {
        if (id === undefined) continue
        const place = places.get(id) ?? `${feed}/${index}`
        places.set(id, place)
        if (place !== `${feed}/${index}`)
          violations.push({
            promise: 'G6',
            at,
            text: `${nameOf(reading)} got publication ${id} as ${feed}/${index}, which is ${place}`,
            ids: [id, reading.number],
          })
      }
    return violations.slice(0, 10)
  }
}
