/**
 * All judges together, and how they hear a run after its faults: fresh readers read everything, and it lasts until nobody has
 * anything pending, or too long.
 */
import { ConfirmedLoss } from './g1.ts'
import { DeliveredOnce } from './g2.ts'
import { FeedOrder } from './g3.ts'
import { Convergence } from './g4.ts'
import { Bounded } from './g5.ts'
import { Authentic } from './g6.ts'
import { Shared } from './g7.ts'
import { Repaired } from './g8.ts'
import { type Evidence, isHonest, type Judge, type PromiseName, present, type Sight, type Violation } from './judge.ts'
import { Prompt } from './prompt.ts'
import { Answered } from './request.ts'

export interface Hearing {
  /** Milliseconds since the run began. */
  elapsed(): number
  sleep(ms: number): Promise<void>
  /** Looks at all running peers: fills the evidence's sights. */
  look(): Promise<void>
  /** Opens a fresh reader of a topic at a peer. */
  readAll(peer: string, topic: string): void
  /** Opens a fresh reader that begins at an offset of this peer. */
  readFrom(peer: string, topic: string, offset: number): void
  /** Opens a reader of the dead letters of a topic's groups at a peer. */
  readDead(peer: string, topic: string): void
}

const lookMs = 500
/** Looks without anything pending, one after the other, that end a hearing. */
const quietLooks = 3

export class Court {
  readonly violations: Violation[] = []
  readonly #evidence: Evidence
  readonly #confirmedLoss: ConfirmedLoss
  readonly #judges: [PromiseName, Judge][]

  constructor(evidence: Evidence) {
    this.#evidence = evidence
    this.#confirmedLoss = new ConfirmedLoss(evidence)
    this.#judges = [
      ['G1', this.#confirmedLoss],
      ['G2', new DeliveredOnce(evidence)],
      ['G2', new Prompt(evidence)],
      ['G3', new FeedOrder(evidence)],
      ['G4', new Convergence(evidence)],
      ['G5', new Bounded(evidence)],
      ['G6', new Authentic(evidence)],
      ['G7', new Shared(evidence)],
      ['G7', new Answered(evidence)],
      ['G8', new Repaired(evidence)],
    ]
  }

  /** Stored records that nobody reads any more, excused or not. */
  get lost(): number {
    return this.#confirmedLoss.lost().length
  }

  /** Resolves when nothing has been pending a few looks in a row; what still is when time is up is a violation. */
  async hear(hearing: Hearing, livenessMs: number): Promise<void> {
    const end = hearing.elapsed() + livenessMs
    const reading = new Set<string>()
    let midway = false
    let quiet = 0
    for (;;) {
      await hearing.sleep(lookMs)
      await hearing.look()
      // Once all carriers agree, or halfway to the end all the same, fresh readers see what there is.
      const agreed = this.#pending().every(([promise]) => promise !== 'G4')
      if (agreed || hearing.elapsed() > end - livenessMs / 2) this.#readEverything(hearing, reading)
      if (!midway && reading.size > 0 && this.#pending().length === 0) {
        midway = true
        this.#readMidway(hearing)
      }
      const unread = reading.size === 0 && this.#evidence.history.publications.length > 0
      const pending = unread ? [['G4', 'nothing was read, since the carriers differ'] as const] : this.#pending()
      quiet = pending.length === 0 ? quiet + 1 : 0
      if (quiet >= quietLooks) return
      if (hearing.elapsed() < end) continue
      const at = hearing.elapsed()
      for (const [promise, text] of pending)
        this.violations.push({ promise, at, text: `after ${livenessMs} ms without faults: ${text}`, ids: [] })
      return
    }
  }

  /** What is wrong whatever happens later. */
  close(): void {
    for (const [, judge] of this.#judges) this.violations.push(...judge.verdict())
  }

  #pending(): (readonly [PromiseName, string])[] {
    return this.#judges.flatMap(([promise, judge]) => judge.pending().map((text) => [promise, text] as const))
  }

  /** A fresh reader on carriers of each topic, and on one peer that does not carry it. */
  #readEverything(hearing: Hearing, reading: Set<string>): void {
    const { plan, history } = this.#evidence
    const most = plan.freshReaders ?? Number.POSITIVE_INFINITY
    const sights = [...this.#evidence.sights.values()].filter(({ peer }) => isHonest(plan, peer))
    for (const topic of new Set(history.publications.map((publication) => publication.topic))) {
      if (reading.has(topic)) continue
      reading.add(topic)
      const carries = (sight: Sight) => sight.topics.some(({ name, held }) => name === topic && held === 'carry')
      const stranger = sights.find((sight) => !carries(sight))
      for (const { peer } of sights.filter(carries).slice(0, most)) hearing.readAll(peer, topic)
      if (stranger !== undefined) hearing.readAll(stranger.peer, topic)
      const [first] = sights
      if (first !== undefined && plan.workload.groups?.some((group) => group.topic === topic))
        hearing.readDead(first.peer, topic)
    }
  }

  /** For each topic, at the first peer where it was read: once more, from where that reader was halfway. */
  #readMidway(hearing: Hearing): void {
    const topics = new Set<string>()
    for (const { peer, topic, deliveries } of present(this.#evidence)) {
      const half = deliveries[Math.floor(deliveries.length / 2)]
      if (half === undefined || topics.has(topic)) continue
      topics.add(topic)
      hearing.readFrom(peer, topic, half.offset)
    }
  }
}
