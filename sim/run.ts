/**
 * A run: a plan played in a world of its own and judged.
 *
 *   safety    faults happen, applications publish and read
 *   healing   all faults end, every process runs
 *   liveness  fresh readers look at everything; it lasts until no judge has anything pending, or too long
 *
 * Algorithm and shape are those of TigerBeetle's VOPR. Everything follows from the plan: the result's trace is the same whenever, wherever
 * and after whatever it is run. Only one run at a time in a process.
 */

import { ConfirmedLoss } from './check/g1.ts'
import { DeliveredOnce } from './check/g2.ts'
import { FeedOrder } from './check/g3.ts'
import { Convergence } from './check/g4.ts'
import { Bounded } from './check/g5.ts'
import { Authentic } from './check/g6.ts'
import { Repaired } from './check/g8.ts'
import { type Evidence, isHonest, type Judge, type PromiseName, type Sight, type Violation } from './check/judge.ts'
import { Copies } from './copies.ts'
import { Faults } from './fault/faults.ts'
import { Fleet } from './fleet.ts'
import { type FaultNote, History, type PeerNote } from './history.ts'
import type { Plan } from './plan.ts'
import { type Activity, activityOf, type Histograms, histogramsOf } from './report/gather.ts'
import { type Stats, statsOf } from './stats.ts'
import { corrupt } from './workload/hostile.ts'
import { Workload } from './workload/workload.ts'
import { realNow } from './world/time.ts'
import { World } from './world/world.ts'

export interface RunResult {
  seed: number
  ok: boolean
  violations: Violation[]
  /** Two runs with one trace were the same, event for event. */
  trace: string
  virtualMs: number
  realMs: number
  stats: Stats
  timeline: Timeline
}

/** What a report draws. */
export interface Timeline {
  plan: Plan
  faults: FaultNote[]
  peers: PeerNote[]
  /** Every `sampleMs`: who was connected to whom, and how much had been done by then. */
  samples: Sample[]
  activity: Activity
  histograms: Histograms
}

export interface Sample {
  at: number
  links: [string, string][]
  published: number
  confirmed: number
  delivered: number
}

export interface RunOptions {
  /** Called every virtual second: the share of the longest the run may take. */
  onProgress?(share: number): void
  /** For looking at a run from inside, before it is judged. */
  onEvidence?(evidence: Evidence, world: World): void
}

const sampleMs = 1_000
const downMs = 1_000
const lookMs = 500
/** Looks without anything pending, one after the other, that end a run. */
const quietLooks = 3
const uncaughtMax = 10

export async function runPlan(plan: Plan, options: RunOptions = {}): Promise<RunResult> {
  const started = realNow()
  const run = new Run(plan, options)
  const onUncaught = (error: unknown) => run.onUncaught(error)
  process.on('unhandledRejection', onUncaught)
  run.world.onError = onUncaught
  try {
    await run.world.run(() => run.play())
  } finally {
    process.off('unhandledRejection', onUncaught)
  }
  return run.result(realNow() - started)
}

class Run {
  readonly world: World
  readonly #plan: Plan
  readonly #options: RunOptions
  readonly #fleet: Fleet
  readonly #history: History
  readonly #workload: Workload
  readonly #faults: Faults
  readonly #evidence: Evidence
  readonly #judges: [PromiseName, Judge][]
  readonly #confirmedLoss: ConfirmedLoss
  readonly #copies = new Copies()
  readonly #samples: Sample[] = []
  #violations: Violation[] = []
  #ended = false

  constructor(plan: Plan, options: RunOptions) {
    this.#plan = plan
    this.#options = options
    this.world = new World({ seed: plan.seed, quality: plan.quality })
    this.#history = new History(() => this.world.time.elapsed())
    this.#fleet = new Fleet(this.world, this.#history, plan.peers)
    this.#workload = new Workload(this.#fleet, plan)
    this.#faults = new Faults(this.#fleet, plan)
    this.#evidence = { plan, history: this.#history, sights: new Map(), files: new Map(), peakInFlight: 0 }
    this.#confirmedLoss = new ConfirmedLoss(this.#evidence)
    this.#judges = [
      ['G1', this.#confirmedLoss],
      ['G2', new DeliveredOnce(this.#evidence)],
      ['G3', new FeedOrder(this.#evidence)],
      ['G4', new Convergence(this.#evidence)],
      ['G5', new Bounded(this.#evidence)],
      ['G6', new Authentic(this.#evidence)],
      ['G8', new Repaired(this.#evidence)],
    ]
    this.world.network.onArrive = (from, to, bytes) => this.#copies.onArrive(from, to, bytes)
    this.#history.onPublish = ({ id, peer }) => this.#copies.onPublish(id, peer)
  }

  async play(): Promise<void> {
    const { world } = this
    const { peers, safetyMs, livenessMs } = this.#plan
    for (const { name } of peers) {
      this.#fleet.up(name)
      await world.sleep(1)
    }
    void this.#sample()
    this.#faults.begin()
    const behave = corrupt(world.network, this.#plan.workload.hostile, this.#plan.seed)
    await world.sleep(safetyMs - world.time.elapsed())
    behave()
    this.#faults.heal()
    await this.#settle(livenessMs)
    if (this.#plan.blackout && this.#violations.length === 0) await this.#blackout(livenessMs)
    for (const { name, disk } of this.#fleet.peers) this.#evidence.files.set(name, new Set(disk.paths()))
    this.#evidence.peakInFlight = world.network.peakInFlight
    this.#options.onEvidence?.(this.#evidence, world)
    for (const [, judge] of this.#judges) this.#violations.push(...judge.verdict())
    this.#ended = true
  }

  onUncaught(error: unknown): void {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
    if (this.#violations.length < uncaughtMax)
      this.#violations.push({ promise: 'crash', at: this.world.time.elapsed(), text, ids: [] })
  }

  result(realMs: number): RunResult {
    const lost = this.#confirmedLoss.lost().length
    const names = this.#plan.peers.map(({ name }) => name)
    return {
      seed: this.#plan.seed,
      ok: this.#violations.length === 0,
      violations: this.#violations,
      trace: this.world.trace.digest(),
      virtualMs: this.world.time.elapsed(),
      realMs,
      stats: statsOf(this.#evidence, lost, this.#copies, process.memoryUsage().rss),
      timeline: {
        plan: this.#plan,
        faults: this.#history.faults,
        peers: this.#history.peerNotes,
        samples: this.#samples,
        activity: activityOf(this.#history, names, this.world.time.elapsed()),
        histograms: histogramsOf(this.#history, this.#copies),
      },
    }
  }

  async #blackout(livenessMs: number): Promise<void> {
    for (const { name } of this.#plan.peers) this.#fleet.down(name, 'power')
    await this.world.sleep(downMs)
    for (const { name } of this.#plan.peers) this.#fleet.up(name)
    await this.#settle(livenessMs)
  }

  /** Ends when nothing has been pending a few looks in a row; what still is when time is up is a violation. */
  async #settle(livenessMs: number): Promise<void> {
    const { world } = this
    const end = world.time.now() + livenessMs
    const reading = new Set<string>()
    let quiet = 0
    for (;;) {
      await world.sleep(lookMs)
      await this.#look()
      // Once all carriers agree, or halfway to the end all the same, fresh readers see what there is.
      const agreed = this.#pendingOf('G4').length === 0
      if (agreed || world.time.now() > end - livenessMs / 2) this.#readEverything(reading)
      const pending =
        reading.size > 0 || this.#history.publications.length === 0
          ? this.#pending()
          : [['G4', 'not read yet'] as const]
      quiet = pending.length === 0 ? quiet + 1 : 0
      if (quiet >= quietLooks) return
      if (world.time.now() < end) continue
      for (const [promise, text] of pending)
        this.#violations.push({
          promise,
          at: world.time.elapsed(),
          text: `after ${livenessMs} ms without faults: ${text}`,
          ids: [],
        })
      return
    }
  }

  #pending(): (readonly [PromiseName, string])[] {
    return this.#judges.flatMap(([promise, judge]) => judge.pending().map((text) => [promise, text] as const))
  }

  #pendingOf(promise: PromiseName): string[] {
    return this.#judges.flatMap(([name, judge]) => (name === promise ? judge.pending() : []))
  }

  async #look(): Promise<void> {
    const { sights } = this.#evidence
    sights.clear()
    for (const simPeer of this.#fleet.peers) {
      if (!simPeer.running || simPeer.paused) continue
      const { peer } = simPeer
      const [topics, friends] = await simPeer.within(() => Promise.all([peer.topics(), peer.friends()]))
      const sight: Sight = { peer: simPeer.name, id: peer.id, friends: friends.length, topics, timers: simPeer.timers }
      sights.set(simPeer.name, sight)
    }
  }

  /** A fresh reader on carriers of each topic, and on one peer that does not carry it. */
  #readEverything(reading: Set<string>): void {
    const most = this.#plan.freshReaders ?? Number.POSITIVE_INFINITY
    const topics = new Set(this.#history.publications.map(({ topic }) => topic))
    for (const topic of topics) {
      if (reading.has(topic)) continue
      reading.add(topic)
      const carries = (sight: Sight) => sight.topics.some(({ name, held }) => name === topic && held === 'carry')
      const sights = [...this.#evidence.sights.values()].filter(({ peer }) => isHonest(this.#plan, peer))
      const stranger = sights.find((sight) => !carries(sight))
      for (const { peer } of sights.filter(carries).slice(0, most)) this.#workload.readAll(peer, topic)
      if (stranger !== undefined) this.#workload.readAll(stranger.peer, topic)
    }
  }

  async #sample(): Promise<void> {
    const { world } = this
    const longest = this.#plan.safetyMs + this.#plan.livenessMs
    while (!this.#ended) {
      this.#samples.push({
        at: world.time.elapsed(),
        links: world.network.connections(),
        published: this.#history.publications.length,
        confirmed: this.#history.confirmed,
        delivered: this.#history.delivered,
      })
      this.#options.onProgress?.(Math.min(1, world.time.elapsed() / longest))
      await world.sleep(sampleMs)
    }
  }
}
