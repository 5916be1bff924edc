/** `grapevine demo`: what Grapevine is, shown by eight real peers of which one is killed every few seconds. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { clearLine, cursorTo } from 'node:readline'
import type { Command } from 'commander'
import type { PeerProcess } from '../../sim/index.ts'
import { atLeastOne, duration } from '../argument.ts'
import { openInBrowser } from '../browser.ts'
import { Demo, type DemoCounts } from '../demo/demo.ts'
import { paint, tell, writeJson } from '../output.ts'
import { aborted, stopAsked } from '../stop.ts'

interface DemoOptions {
  peers: number
  seconds?: number
  killEvery: number
  open: boolean
  json?: boolean
}

/** Starting two at a time is quicker than all at once on few cores. */
const atOnce = 2
const tellEveryMs = 500
/** What is on its way when it ends comes within seconds; a peer that was just killed is back by then as well. */
const settleMs = 30_000

export function addDemo(program: Command): void {
  program
    .command('demo')
    .description('Show what Grapevine is: real peers, real data, and one of them killed every few seconds.')
    .option('--peers <n>', 'how many peers', atLeastOne, 8)
    .option('--seconds <n>', 'end after so long (default: at Ctrl-C)', atLeastOne)
    .option('--kill-every <duration>', 'how often one is killed', duration, 4_000)
    .option('--no-open', 'open no browser')
    .option('--json', 'counts as JSON lines, and no browser')
    .action(demo)
}

async function demo({ peers, seconds, killEvery, open: opens, json }: DemoOptions): Promise<void> {
  const stop = stopAsked()
  const { Neighbourhood } = await import('../../sim/index.ts')
  const folder = await mkdtemp(join(tmpdir(), 'grapevine-demo-'))
  const undo: (() => unknown)[] = [() => rm(folder, { recursive: true, force: true })]
  try {
    const here = new Neighbourhood({ dir: () => folder, use: (act) => undo.push(act) })
    const end = new AbortController()
    stop.addEventListener('abort', () => end.abort())
    // The peers are in groups of their own, so it is for us to end them when the terminal goes.
    process.once('SIGHUP', () => end.abort())
    process.stderr.on('error', () => end.abort())
    const shown = new Demo(here, killEvery, end.signal)
    const names = Array.from({ length: peers }, (_, i) => `peer-${i}`)
    if (!json) tell(`Starting ${peers} peers, each a process of its own…`)
    const started: PeerProcess[] = []
    for (let at = 0; at < peers && !stop.aborted; at += atOnce)
      started.push(...(await Promise.all(names.slice(at, at + atOnce).map((name) => shown.start(name)))))
    const [first] = started
    if (first === undefined || stop.aborted) return
    if (!json) introduce(first, opens)
    const began = Date.now()
    const timer = seconds === undefined ? undefined : setTimeout(() => end.abort(), seconds * 1_000)
    undo.push(() => clearTimeout(timer))
    const telling = setInterval(() => {
      // Whoever read it has gone.
      told(shown.counts, Date.now() - began, json).catch(() => end.abort())
    }, tellEveryMs)
    undo.push(() => clearInterval(telling))
    await Promise.race([shown.play(first), aborted(stop)])
    await shown.settle(settleMs)
    clearInterval(telling)
    await sum(shown.counts, Date.now() - began, json)
  } finally {
    for (const act of undo.reverse()) await act()
  }
}

function introduce(first: PeerProcess, opens: boolean): void {
  const [{ page }] = first.events as unknown as [{ page: string }]
  tell(
    'They pass flights to each other. Each counts as confirmed when it is on two disks, and as delivered when two readers had it.',
  )
  tell(`The page of the first peer, which is spared: ${paint('cyan', page)}`)
  if (opens && process.stderr.isTTY) void openInBrowser(page)
}

async function told(counts: DemoCounts, ms: number, json = false): Promise<void> {
  if (json) await writeJson({ event: 'counts', ms, ...counts })
  else if (process.stderr.isTTY) {
    cursorTo(process.stderr, 0)
    process.stderr.write(lineOf(counts, ms, 'on their way'))
    clearLine(process.stderr, 1)
  }
}

async function sum(counts: DemoCounts, ms: number, json = false): Promise<void> {
  const { missing: lost, ...rest } = counts
  if (json) await writeJson({ event: 'done', ms, ...rest, lost })
  else {
    if (process.stderr.isTTY) process.stderr.write('\n')
    tell(paint(lost === 0 ? 'green' : 'red', lineOf(counts, ms, 'lost')))
  }
  if (lost > 0) process.exitCode = 1
}

function lineOf({ peers, kills, confirmed, delivered, missing }: DemoCounts, ms: number, what: string): string {
  const figures = [`${peers} peers run`, `${kills} killed`, `confirmed ${confirmed}`, `delivered ${delivered}`]
  return `${Math.round(ms / 1_000)} s: ${figures.join(', ')}, ${what === 'lost' ? `lost ${missing}` : `${missing} ${what}`}`
}
