/** G5: what waits is bounded, whatever arrives and however slow a reader is. Of memory and queues, here those that can be seen from outside. */
import { limits } from '../../node/index.ts'
import { type Evidence, type Judge, some, type Violation } from './judge.ts'

/** A running peer sets so many timers at most (guess): what leaks sets one more for each thing that happened. */
const timersMax = 2_000

export class Bounded implements Judge {
  readonly #evidence: Evidence

  constructor(evidence: Evidence) {
    this.#evidence = evidence
  }

  verdict(): Violation[] {
    const { peakInFlight, sights } = this.#evidence
    const violations: Violation[] = []
    // One connection carries the frames of each protocol and gossip; more than the network takes waits in the sender's buffers.
    const most = limits.windowBytesMax * 4 + limits.gossipBufferBytesMax
    if (peakInFlight > most)
      violations.push({
        promise: 'G5',
        at: 0,
        text: `${peakInFlight} bytes waited on one connection, ${most} at most`,
        ids: [],
      })
    const busy = [...sights.values()].filter(({ timers }) => timers > timersMax)
    for (const text of some(busy, ({ peer, timers }) => `${peer} has ${timers} timers set, ${timersMax} at most`))
      violations.push({ promise: 'G5', at: 0, text, ids: [] })
    return violations
  }

  pending(): string[] {
    return []
  }
}
