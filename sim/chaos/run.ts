/**
 * A run with real processes: the peers are `grapevine up`, connected over TCP through wires that can be cut, on real files. The
 * plan, the applications, the history and the judges are those of the simulated runs. Only time is real, so the same seed does the same
 * things but no two runs are the same.
 *
 *   neighbourhood  processes and their folders      wires, route  every connection passes through here
 *   fleet, life    started, killed, started again   faults, disk  what is done to them
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Court } from '../check/court.ts'
import type { Evidence, Violation } from '../check/judge.ts'
import { Copies } from '../copies.ts'
import { History } from '../history.ts'
import type { Plan } from '../plan.ts'
import { activityOf, histogramsOf } from '../report/gather.ts'
import type { RunResult, Sample } from '../run.ts'
import { statsOf } from '../stats.ts'
import { Workload } from '../workload/workload.ts'
import { Rng } from '../world/random.ts'
import { logsIn } from './disk.ts'
import { isReal, RealFaults } from './faults.ts'
import { RealFleet } from './fleet.ts'
import { sleep } from './life.ts'
import { Neighbourhood } from './neighbourhood.ts'
import { Wires } from './wires.ts'

export interface RealRunOptions {
  onProgress?(share: number): void
  /** Ends the run, and every process of it. */
  signal?: AbortSignal
}

const sampleMs = 1_000
/** A peer that does not answer within this is not seen. */
const lookMsMax = 5_000
/** Starting so many at a time is quicker than all at once on few cores. */
const startedAtOnce = 2

/** Plays what of the plan can be done for real. */
export async function runReal(plan: Plan, options: RealRunOptions = {}): Promise<RunResult> {
  const undo: (() => unknown)[] = []
  try {
    const here = new Neighbourhood({
      dir: () => {
        const folder = mkdtempSync(join(tmpdir(), 'grapevine-chaos-'))
        undo.push(() => rmSync(folder, { recursive: true, force: true }))
        return folder
      },
      use: (act) => undo.push(act),
    })
    const wires = await Wires.open()
    undo.push(() => wires.close())
    const run = new RealRun({ ...plan, timeline: plan.timeline.filter(isReal) }, here, wires, options)
    undo.push(() => run.close())
    return await Promise.race([run.play(), aborted(options.signal)])
  } finally {
    for (const act of undo.reverse()) await act()
  }
}

class RealRun {
  readonly #plan: Plan
  readonly #options: RealRunOptions
  /** When all peers had been started. */
  #begun: number | undefined
  readonly #history: History
  readonly #fleet: RealFleet
  readonly #wires: Wires
  readonly #workload: Workload
  readonly #faults: RealFaults
  readonly #evidence: Evidence
  readonly #court: Court
  readonly #samples: Sample[] = []
  #ended = false

  constructor(plan: Plan, here: Neighbourhood, wires: Wires, options: RealRunOptions) {
    this.#plan = plan
    this.#options = options
    this.#wires = wires
    this.#history = new History(() => this.#elapsed())
    this.#evidence = { plan, history: this.#history, sights: new Map(), files: new Map(), peakInFlight: 0 }
    this.#court = new Court(this.#evidence)
    const fillable = plan.timeline.flatMap((event) => (event.kind === 'fulldisk' ? [event.peer] : []))
    this.#fleet = new RealFleet({
      here,
      wires,
      history: this.#history,
      plans: plan.peers,
      fillable: new Set(fillable),
      elapsed: () => this.#elapsed(),
      onCrash: (text) => this.#violate('crash', text),
    })
    this.#workload = new Workload(this.#fleet, plan)
    this.#faults = new RealFaults(this.#fleet, wires, new Rng(`${plan.seed}/faults`))
  }

  async play(): Promise<RunResult> {
    const { peers, safetyMs, livenessMs } = this.#plan
    for (let at = 0; at < peers.length; at += startedAtOnce)
      await Promise.all(peers.slice(at, at + startedAtOnce).map(({ name }) => this.#fleet.up(name)))
    this.#begun = performance.now()
    void this.#sample()
    this.#faults.begin(this.#plan.timeline)
    await sleep(safetyMs - this.#elapsed())
    this.#faults.heal()
    const hearing = {
      elapsed: () => this.#elapsed(),
      sleep,
      look: () => this.#look(),
      readAll: (peer: string, topic: string) => this.#workload.readAll(peer, topic),
      readFrom: (peer: string, topic: string, offset: number) => this.#workload.readFrom(peer, topic, offset),
      readDead: (peer: string, topic: string) => this.#workload.readDead(peer, topic),
    }
    await this.#court.hear(hearing, livenessMs)
    const folders = this.#plan.peers.map(({ name }) => [name, this.#fleet.folderOf(name)] as const)
    for (const [name, folder] of folders) this.#evidence.files.set(name, new Set(logsIn(folder)))
    this.#court.close()
    this.#ended = true
    return this.#result()
  }

  async close(): Promise<void> {
    this.#ended = true
    await this.#fleet.close()
  }

  async #look(): Promise<void> {
    const { sights } = this.#evidence
    sights.clear()
    this.#fleet.collect()
    await Promise.all(
      this.#fleet.processes().map(async ({ name, client }) => {
        const asked = Promise.all([client.topics(), client.friends()]).catch(() => undefined)
        const answer = await Promise.race([asked, sleep(lookMsMax).then(() => undefined)])
        if (answer === undefined) return
        const [topics, friends] = answer
        sights.set(name, { peer: name, id: client.id, friends: friends.length, topics, timers: 0 })
      }),
    )
  }

  async #sample(): Promise<void> {
    const longest = this.#plan.safetyMs + this.#plan.livenessMs
    while (!this.#ended) {
      this.#samples.push({
        at: this.#elapsed(),
        links: this.#wires.connections(),
        published: this.#history.publications.length,
        confirmed: this.#history.confirmed,
        delivered: this.#history.delivered,
      })
      this.#fleet.collect()
      this.#options.onProgress?.(Math.min(1, this.#elapsed() / longest))
      await sleep(sampleMs)
    }
  }

  #result(): RunResult {
    const { violations } = this.#court
    const realMs = this.#elapsed()
    const copies = new Copies()
    const memory = this.#fleet.processes().reduce((sum, { pid }) => sum + residentBytes(pid), 0)
    return {
      seed: this.#plan.seed,
      ok: violations.length === 0,
      violations,
      trace: '',
      virtualMs: realMs,
      realMs,
      stats: statsOf(this.#evidence, this.#court.lost, copies, memory),
      timeline: {
        plan: this.#plan,
        faults: this.#history.faults,
        // What is noted from here on belongs to the end of the run.
        peers: [...this.#history.peerNotes],
        samples: this.#samples,
        activity: activityOf(
          this.#history,
          this.#plan.peers.map(({ name }) => name),
          realMs,
        ),
        histograms: histogramsOf(this.#history, copies),
      },
    }
  }

  #violate(promise: Violation['promise'], text: string): void {
    this.#court.violations.push({ promise, at: this.#elapsed(), text, ids: [] })
  }

  #elapsed(): number {
    return this.#begun === undefined ? 0 : performance.now() - this.#begun
  }
}

function aborted(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) =>
    signal?.addEventListener('abort', () => reject(new Error('stopped')), { once: true }),
  )
}

/** Of a process; zero where the system does not say. */
function residentBytes(pid: number): number {
  try {
    const [, kilobytes] = /^VmRSS:\s*(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
    return Number(kilobytes ?? 0) * 1024
  } catch {
    return 0
  }
}
