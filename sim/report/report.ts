/**
 * The report on a run: one HTML file with everything in it, which opens from disk without a network. The mesh as it evolved, a
 * timeline of faults and deliveries, histograms, violations. `page.html`, `page.css` and `page.js` are put together with the data.
 */
import { readFileSync } from 'node:fs'
import { cutOf } from '../fault/network.ts'
import type { FaultNote } from '../history.ts'
import type { RunResult } from '../run.ts'

export interface ReportContext {
  /** Of the code that ran. */
  commit: string
  /** The command that runs the same again. */
  again: string
  /** What the run is to show, if it is from a scenario file. */
  about?: string
  /** All runs of which this one is shown, where there were more. */
  others?: readonly { seed: number; ok: boolean }[]
}

export function reportHtml(result: RunResult, context: ReportContext): string {
  const { timeline, ...figures } = result
  const data = {
    ...context,
    ...figures,
    safetyMs: timeline.plan.safetyMs,
    peers: timeline.plan.peers,
    readers: [...new Set(timeline.plan.workload.readers.map(({ peer }) => peer))],
    publishers: [...new Set(timeline.plan.workload.publishers.map(({ peer }) => peer))],
    hostile: timeline.plan.workload.hostile,
    faults: timeline.faults.map((note) => ({ ...note, cuts: cutsOf(note, timeline.plan.peers) })),
    notes: timeline.peers,
    samples: timeline.samples,
    activity: timeline.activity,
    histograms: timeline.histograms,
  }
  const json = JSON.stringify(data).replaceAll('<', '\\u003c')
  return asset('page.html')
    .replace('/* page.css */', () => asset('page.css'))
    .replace('/* page.js */', () => asset('page.js'))
    .replace('<title>Grapevine simulation', (begin) => `${begin}, seed ${result.seed}`)
    .replace('"data"<', () => `${json}<`)
}

/** Which ways are cut: [from, to] each. */
function cutsOf({ event }: FaultNote, peers: readonly { name: string }[]): [string, string][] {
  if (event.kind !== 'partition') return []
  const cut = cutOf(event)
  return peers.flatMap(({ name: from }) =>
    peers.flatMap(({ name: to }): [string, string][] => (from !== to && cut(from, to) ? [[from, to]] : [])),
  )
}

function asset(name: string): string {
  return readFileSync(new URL(`./${name}`, import.meta.url), 'utf8')
}
