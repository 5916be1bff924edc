/**
 * Lanes whose oldest record may be handed out, in the order in which they go: the more urgent first, of one urgency whoever came first. One turn
 * in ten belongs to the lane that waits longest of all, so that a steady stream of urgent records does not starve the others. Pure.
 */
import { limits } from '../limits.ts'

/** Lanes and when they came. */
type Level = Map<Placed, number>

/** What waits its turn: a lane says where. */
export interface Placed {
  level: Level | undefined
}

interface Head<Lane> {
  lane: Lane
  since: number
  lanes: Iterator<[Lane, number]>
}

/** Of one urgency, what somebody had goes first, then what waited elsewhere, in a slot that was taken over: both waited long enough. */
const places = { again: 0, overdue: 1, new: 2 }
export type Place = keyof typeof places
const placeCount = Object.keys(places).length

export class Ready<Lane extends Placed> {
  /** By urgency and place, the first to go first. */
  readonly #levels = Array.from(
    { length: placeCount * (limits.queuePriorityMax + 1) },
    (): Map<Lane, number> => new Map(),
  )
  #size = 0
  #came = 0
  #turn = 0

  get size(): number {
    return this.#size
  }

  /** `priority`: from 0 to `limits.queuePriorityMax`, the most urgent. */
  add(lane: Lane, priority: number, place: Place): void {
    if (lane.level !== undefined) return
    const level = this.#levels[placeCount * (limits.queuePriorityMax - priority) + places[place]]
    if (level === undefined) return
    level.set(lane, this.#came++)
    lane.level = level
    this.#size++
  }

  delete(lane: Lane): void {
    if (lane.level === undefined) return
    lane.level.delete(lane)
    lane.level = undefined
    this.#size--
  }

  /** The lane has its turn. */
  take(lane: Lane): void {
    this.delete(lane)
    this.#turn++
  }

  *inOrder(): Iterable<Lane> {
    const heads: Head<Lane>[] = []
    for (const level of this.#levels) {
      const lanes = level.entries()
      const first = level.size > 0 && lanes.next().value
      if (first) heads.push({ lane: first[0], since: first[1], lanes })
    }
    for (;;) {
      const oldestFirst = this.#turn % limits.queueFairEvery === limits.queueFairEvery - 1
      let best = heads[0]
      if (oldestFirst) for (const head of heads) if (best === undefined || head.since < best.since) best = head
      if (best === undefined) return
      yield best.lane
      const next = best.lanes.next()
      if (next.done) heads.splice(heads.indexOf(best), 1)
      else [best.lane, best.since] = next.value
    }
  }
}
