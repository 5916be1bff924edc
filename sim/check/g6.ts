/**
 * G6 and G8: nothing is delivered but what was published, as it was, from whom it was; damage on the way or on a disk changes nothing.
 * Two batches with one number in one feed stop that feed at everybody who has any of it.
 */
import type { FeedId, PeerEvent, PeerId } from '../../node/index.ts'
import { type Evidence, isHonest, type Judge, nameOf, present, some, type Violation } from './judge.ts'

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
    return [...violations.slice(0, 10), ...this.#misplaced(), ...this.#grafted(), ...this.#accused()]
  }

  /** Where both branches of a fork are to be read, all who have one of them know that it is one. */
  pending(): string[] {
    if ((this.#evidence.plan.workload.amnesic ?? []).length === 0) return []
    const readings = present(this.#evidence)
    const forked = new Set<FeedId>()
    const ids = new Map<string, number | undefined>()
    for (const { deliveries } of readings)
      for (const { feed, index, id } of deliveries) {
        const place = `${feed}/${index}`
        if (ids.has(place) && ids.get(place) !== id) forked.add(feed)
        ids.set(place, id)
      }
    const unaware = readings.flatMap(({ peer, topic, deliveries }) =>
      [...new Set(deliveries.map(({ feed }) => feed))]
        .filter((feed) => forked.has(feed) && !this.#tellsOfFork(peer, feed))
        .map((feed) => `${peer} follows feed ${feed} of ${topic} and knows of no fork in it`),
    )
    return some(unaware, (text) => text)
  }

  /** What a peer that forgets has published in one of its runs does not go on in a feed with what it published in another. */
  #grafted(): Violation[] {
    const { plan, history } = this.#evidence
    const { amnesic = [] } = plan.workload
    const runs = new Map<number, number>()
    for (const { id, peer, at } of history.publications)
      if (amnesic.includes(peer))
        runs.set(
          id,
          history.peerNotes.filter((note) => note.peer === peer && note.what === 'started' && note.at <= at).length,
        )
    const violations: Violation[] = []
    for (const reading of runs.size === 0 ? [] : history.readings) {
      const branches = new Map<FeedId, number>()
      for (const { id = -1, feed, index, at } of reading.deliveries) {
        const run = runs.get(id)
        if (run === undefined) continue
        const before = branches.get(feed) ?? run
        branches.set(feed, before)
        if (run === before || !isHonest(plan, reading.peer)) continue
        const text = `${nameOf(reading)} got ${feed}/${index} of run ${run} of its publisher after records of run ${before}`
        violations.push({ promise: 'G6', at, text, ids: [id, reading.number] })
      }
    }
    return violations.slice(0, 10)
  }

  #tellsOfFork(peer: string, feed: FeedId): boolean {
    return this.#evidence.history.told.some(
      (told) => told.peer === peer && told.event.type === 'fork' && told.event.feed === feed,
    )
  }

  #damaged(peer: string, by: number): boolean {
    return this.#evidence.history.peerNotes.some((note) => note.peer === peer && note.what === 'lost' && note.at <= by)
  }

  /** Honest peers do not blame honest peers, whatever happens to links, processes and disks, and whatever others send. */
  #accused(): Violation[] {
    const { plan, history } = this.#evidence
    return history.told
      .flatMap(({ peer, at, event }): Violation[] => {
        const blamed = blamedBy(event)
        if (blamed === undefined || !isHonest(plan, peer)) return []
        const name = history.names.get(blamed.who)
        if (name !== undefined && !isHonest(plan, name)) return []
        return [
          {
            promise: 'G6',
            at,
            text: `${peer} says that ${name ?? blamed.who} ${blamed.what}, which is honest`,
            ids: [peer],
          },
        ]
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

function blamedBy(event: PeerEvent): { who: PeerId; what: string } | undefined {
  if (event.type === 'misbehaved') return { who: event.peer, what: event.reason }
  if (event.type === 'fork') return { who: event.publisher, what: `forked feed ${event.feed} at ${event.seq}` }
  return undefined
}
