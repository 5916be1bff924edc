/**
 * G2 and G4 say "soon". Where nothing is wrong with any link, process or disk, that is measured: a record is with its live readers in a few
 * trips over the network, and whoever reads a topic from its beginning gets it about as fast as the links can carry it. What is merely
 * healed by the next round of anti-entropy, or by asking again after a stall, is too late.
 */
import type { Publication, Reading } from '../history.ts'
import { type Evidence, type Judge, nameOf, some, type Violation } from './judge.ts'

/** Until then peers find each other. */
const settledMs = 10_000
/** What a delivery may take apart from the links: commits, batching, the turn of timers (guess). */
const workMs = 500
/** Trips of a record: some hops, each with a head, a want and a batch, jitter included (guess). */
const trips = 20
/** What is published crosses several links, some of them more than once; what is fetched later, one (guesses, with something to spare). */
const crossings = 8
const fetchCrossings = 3
/** Finding a carrier and comparing with it, before anything is fetched (guess). */
const meetMs = 3_000

export class Prompt implements Judge {
  readonly #evidence: Evidence

  constructor(evidence: Evidence) {
    this.#evidence = evidence
  }

  verdict(): Violation[] {
    const { plan, history } = this.#evidence
    const { hostile, amnesic = [] } = plan.workload
    if (plan.timeline.length + hostile.length + amnesic.length > 0) return []
    const slow = new Set(
      plan.workload.readers.filter(({ slowMs }) => slowMs !== undefined).map(({ peer, topic }) => `${peer} ${topic}`),
    )
    const readings = history.readings.filter(({ peer, topic, fresh }) => fresh || !slow.has(`${peer} ${topic}`))
    return some(
      readings.flatMap((reading) => (reading.fresh ? this.#catchUp(reading) : this.#late(reading))),
      (text) => text,
    ).map((text) => ({ promise: 'G2', at: 0, text, ids: [] }))
  }

  pending(): string[] {
    return []
  }

  #late(reading: Reading): string[] {
    const from = Math.max(settledMs, reading.readyAt ?? Number.POSITIVE_INFINITY)
    const { delayMs, jitterMs } = this.#evidence.plan.quality
    return reading.deliveries.flatMap(({ id, at }) => {
      const publication = this.#evidence.history.publications[id ?? -1]
      if (publication === undefined || publication.at < from) return []
      const most = workMs + trips * (delayMs + jitterMs) + this.#carryMs(crossings * this.#around(publication))
      const took = at - publication.at
      if (took <= most) return []
      return [
        `${nameOf(reading)} got ${id} after ${Math.round(took)} ms, and nothing was wrong: ${Math.round(most)} at most`,
      ]
    })
  }

  #catchUp(reading: Reading): string[] {
    const last = reading.deliveries.at(-1)
    if (last === undefined) return []
    const bytes = reading.deliveries.reduce(
      (sum, { id }) => sum + (this.#evidence.history.publications[id ?? -1]?.bytes ?? 0),
      0,
    )
    const most = meetMs + this.#carryMs(fetchCrossings * bytes)
    const took = last.at - reading.openedAt
    if (took <= most) return []
    return [
      `${nameOf(reading)} took ${Math.round(took)} ms for all there is, and nothing was wrong: ${Math.round(most)} at most`,
    ]
  }

  /** What shares the links with it: everything published in the seconds before. */
  #around({ at }: Publication): number {
    return this.#evidence.history.publications.reduce(
      (sum, other) => sum + (other.at <= at && other.at > at - settledMs ? other.bytes : 0),
      0,
    )
  }

  #carryMs(bytes: number): number {
    return (bytes * 1_000) / this.#evidence.plan.quality.bytesPerSecond
  }
}
