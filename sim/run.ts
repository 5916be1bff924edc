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

import { Court } from './check/court.ts'
import type { Evidence, Sight, Violation } from './check/judge.ts'
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
  readonly #court: Court
  readonly #copies = new Copies()
  readonly #samples: Sample[] = []
  #memoryPeak = 0
  #ended = false

  constructor(plan: Plan, options: RunOptions) {
    this.#plan = plan
    this.#options = options
    const { seed, quality, strain } = plan
    this.world = new World({ seed, quality, ...(strain && { strain }) })
    this.#history = new History(() => this.world.time.elapsed())
    this.#fleet = new Fleet(this.world, this.#history, plan)
    this.#workload = new Workload(this.#fleet, plan)
    this.#faults = new Faults(this.#fleet, plan)
    this.#evidence = { plan, history: this.#history, sights: new Map(), files: new Map(), peakInFlight: 0 }
    this.#court = new Court(this.#evidence)
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
    const behave = corrupt(world.network, this.#plan)
    await world.sleep(safetyMs - world.time.elapsed())
    behave()
    this.#faults.heal()
    await this.#settle(livenessMs)
    if (this.#plan.blackout && this.#court.violations.length === 0) await this.#blackout(livenessMs)
    for (const { name, disk } of this.#fleet.peers) this.#evidence.files.set(name, new Set(disk.paths()))
    this.#evidence.peakInFlight = world.network.peakInFlight
    this.#options.onEvidence?.(this.#evidence, world)
    this.#court.close()
    this.#ended = true
  }

  onUncaught(error: unknown): void {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
    if (this.#court.violations.length < uncaughtMax)
      this.#court.violations.push({ promise: 'crash', at: this.world.time.elapsed(), text, ids: [] })
  }

  result(realMs: number): RunResult {
    const lost = this.#court.lost
    const names = this.#plan.peers.map(({ name }) => name)
    return {
      seed: this.#plan.seed,
      ok: this.#court.violations.length === 0,
      violations: this.#court.violations,
      trace: this.world.trace.digest(),
      virtualMs: this.world.time.elapsed(),
      realMs,
      stats: statsOf(this.#evidence, lost, this.#copies, this.#memoryPeak),
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

  async #settle(livenessMs: number): Promise<void> {
    const { world } = this
    const hearing = {
      elapsed: () => world.time.elapsed(),
      sleep: (ms: number) => world.sleep(ms),
      look: () => this.#look(),
      readAll: (peer: string, topic: string) => this.#workload.readAll(peer, topic),
      readFrom: (peer: string, topic: string, offset: number) => this.#workload.readFrom(peer, topic, offset),
      readDead: (peer: string, topic: string) => this.#workload.readDead(peer, topic),
    }
    await this.#court.hear(hearing, livenessMs)
  }

  async #look(): Promise<void> {
    const { sights } = this.#evidence
    sights.clear()
    const timers = this.world.time.pending()
    for (const simPeer of this.#fleet.peers) {
      if (!simPeer.running || simPeer.paused) continue
      const { peer } = simPeer
      const [topics, friends] = await simPeer.within(() => Promise.all([peer.topics(), peer.friends()]))
      const sight: Sight = {
        peer: simPeer.name,
        id: peer.id,
        friends: friends.length,
        topics,
        timers: simPeer.timersIn(timers),
      }
      sights.set(simPeer.name, sight)
    }
  }

  async #sample(): Promise<void> {
    const { world } = this
    const longest = this.#plan.safetyMs + this.#plan.livenessMs
    while (!this.#ended) {
      this.#memoryPeak = Math.max(this.#memoryPeak, process.memoryUsage.rss())
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
