/**
 * Lanes whose oldest record may be handed out, in the order in which they go: the more urgent first, of one urgency whoever came first. One turn
 * in ten belongs to the lane that waits longest of all, so that a steady stream of urgent records does not starve the others. Pure.
 */
import { limits } from '../limits.ts'

interface Head {
  lane: string
  since: number
}

/** In each level, lanes that came with a slot that was taken over go before the others: these waited long enough. */
const places = 2

export class Ready {
  /** By urgency and place, the first to go first: lane and when it came. */
  readonly #levels = Array.from({ length: places * (limits.queuePriorityMax + 1) }, () => new Map<string, number>())
  readonly #levelOf = new Map<string, Map<string, number>>()
  #came = 0
  #turn = 0

  get size(): number {
    return this.#levelOf.size
  }

  /** `priority`: from 0 to `limits.queuePriorityMax`, the most urgent. */
  add(lane: string, priority: number, overdue = false): void {
    if (this.#levelOf.has(lane)) return
    const level = this.#levels[places * (limits.queuePriorityMax - priority) + (overdue ? 0 : 1)]
    if (level === undefined) return
    level.set(lane, this.#came++)
    this.#levelOf.set(lane, level)
  }

  delete(lane: string): void {
    this.#levelOf.get(lane)?.delete(lane)
    this.#levelOf.delete(lane)
  }

  /** The lane has its turn. */
  take(lane: string): void {
    this.delete(lane)
    this.#turn++
  }

  *inOrder(): Iterable<string> {
    const heads = this.#levels.flatMap((level) => {
      const lanes = level.entries()
      const head = nextOf(lanes)
      return head === undefined ? [] : [{ ...head, lanes }]
    })
    for (;;) {
      const oldestFirst = this.#turn % limits.queueFairEvery === limits.queueFairEvery - 1
      let best = heads[0]
      if (oldestFirst) for (const head of heads) if (best === undefined || head.since < best.since) best = head
      if (best === undefined) return
      yield best.lane
      const head = nextOf(best.lanes)
      if (head === undefined) heads.splice(heads.indexOf(best), 1)
      else Object.assign(best, head)
    }
  }
}

function nextOf(lanes: IterableIterator<[string, number]>): Head | undefined {
  const next = lanes.next()
  return next.done ? undefined : { lane: next.value[0], since: next.value[1] }
}
