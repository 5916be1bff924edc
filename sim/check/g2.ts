/** G2: every subscription gets every confirmed record from its start on, once, and again only if it did not acknowledge. */
import type { Ack, Reading } from '../history.ts'
import {
  type Evidence,
  expected,
  givenUp,
  isHonest,
  isStored,
  type Judge,
  nameOf,
  present,
  some,
  type Violation,
} from './judge.ts'

export class DeliveredOnce implements Judge {
  readonly #evidence: Evidence

  constructor(evidence: Evidence) {
    this.#evidence = evidence
  }

  verdict(): Violation[] {
    const { history } = this.#evidence
    return [
      ...history.readings.flatMap((reading) => [...this.#twice(reading), ...this.#early(reading)]),
      ...this.#afterAck(),
      ...this.#failed(),
    ]
  }

  pending(): string[] {
    const { history } = this.#evidence
    const everything = expected(this.#evidence)
    const gone = givenUp(this.#evidence)
    return history.readings
      .filter((reading) => reading.endedAt === undefined && isHonest(this.#evidence.plan, reading.peer))
      .flatMap((reading) => {
        // Story 1: a reader that waited at a damaged place for as long as the limit says has gone on without it. A fresh one has no excuse.
        if (!reading.fresh && gone.get(reading.peer)?.some((at) => at > reading.openedAt)) return []
        const missing = [...this.#wanted(reading, everything.get(reading.topic) ?? new Set())].filter(
          (id) => !reading.got.has(id),
        )
        if (missing.length === 0) return []
        const few = missing.slice(0, 5).join(', ')
        return [`${nameOf(reading)} lacks ${missing.length} records: ${few}${missing.length > 5 ? ' …' : ''}`]
      })
  }

  /** What this reading must have in the end. */
  #wanted(reading: Reading, everything: ReadonlySet<number>): Set<number> {
    const { history } = this.#evidence
    if (reading.name !== undefined) {
      // What is acknowledged anywhere under this name may have been left out here.
      const acked = new Set<number | undefined>()
      for (const ack of history.acks) if (this.#sameName(history.readings[ack.reading], reading)) acked.add(ack.id)
      return new Set([...everything].filter((id) => !acked.has(id)))
    }
    const { from } = reading
    if (typeof from === 'number') return this.#after(reading, from)
    if (from === 'earliest') return new Set(everything)
    const { readyAt } = reading
    if (readyAt === undefined) return new Set()
    return new Set(
      [...everything].filter((id) => {
        const publication = history.publications[id]
        return publication !== undefined && publication.at > readyAt && isStored(publication)
      }),
    )
  }

  /** What a fresh reader of the same peer has got from this offset on. */
  #after({ peer, topic }: Reading, offset: number): Set<number> {
    const other = present(this.#evidence).find((fresh) => fresh.peer === peer && fresh.topic === topic)
    const ids = (other?.deliveries ?? []).flatMap((delivery) => (delivery.offset >= offset ? [delivery.id ?? -1] : []))
    return new Set(ids)
  }

  #sameName(a: Reading | undefined, b: Reading): boolean {
    return a !== undefined && a.name === b.name && a.topic === b.topic
  }

  #twice(reading: Reading): Violation[] {
    const seen = new Set<string>()
    const violations: Violation[] = []
    for (const { feed, index, id, at } of reading.deliveries) {
      const record = `${feed}/${index}`
      if (seen.has(record))
        violations.push({
          promise: 'G2',
          at,
          text: `${nameOf(reading)} got ${record} (publication ${id}) twice`,
          ids: [id ?? -1, reading.number],
        })
      seen.add(record)
    }
    for (const [id, times] of reading.got)
      if (times > 1 && violations.length === 0)
        violations.push({
          promise: 'G2',
          at: reading.openedAt,
          text: `${nameOf(reading)} got publication ${id} as ${times} records`,
          ids: [id, reading.number],
        })
    return violations.slice(0, 5)
  }

  #early(reading: Reading): Violation[] {
    const { from, deliveries } = reading
    if (typeof from !== 'number') return []
    const early = deliveries.find(({ offset }) => offset < from)
    if (early === undefined) return []
    const text = `${nameOf(reading)} got the record at ${early.offset}, having asked for ${from} on`
    return [{ promise: 'G2', at: early.at, text, ids: [early.id ?? -1, reading.number] }]
  }

  /** On the same disk, what was acknowledged before a reading began does not come again. */
  #afterAck(): Violation[] {
    const { history } = this.#evidence
    const saved = new Map<string, Ack>()
    const keyOf = (reading: Reading, feed: string, index: number) =>
      `${reading.peer} ${reading.topic} ${reading.name} ${feed}/${index}`
    for (const ack of history.acks) {
      const reading = history.readings[ack.reading]
      if (reading === undefined || ack.savedAt === undefined) continue
      const key = keyOf(reading, ack.feed, ack.index)
      if (!saved.has(key)) saved.set(key, ack)
    }
    const violations: Violation[] = []
    for (const reading of history.readings) {
      if (reading.name === undefined) continue
      for (const { feed, index, id, at } of reading.deliveries) {
        const savedAt = saved.get(keyOf(reading, feed, index))?.savedAt
        if (
          savedAt === undefined ||
          savedAt >= reading.openedAt ||
          this.#lostBetween(reading.peer, savedAt, reading.openedAt)
        )
          continue
        violations.push({
          promise: 'G2',
          at,
          text: `${nameOf(reading)} got ${feed}/${index} again, acknowledged on this disk at ${Math.round(savedAt)} ms`,
          ids: [id ?? -1, reading.number],
        })
      }
    }
    return violations.slice(0, 5)
  }

  #lostBetween(peer: string, from: number, to: number): boolean {
    return this.#evidence.history.peerNotes.some(
      (note) => note.peer === peer && note.what === 'lost' && note.at >= from && note.at <= to,
    )
  }

  #failed(): Violation[] {
    return some(
      this.#evidence.history.readings.filter(({ failure }) => failure !== undefined),
      (reading) => `${nameOf(reading)} ended with: ${reading.failure}`,
    ).map((text) => ({ promise: 'G2', at: 0, text, ids: [] }))
  }
}
