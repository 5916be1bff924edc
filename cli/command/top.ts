/** `grapevine top`: peers, topics, groups and queues of the mesh, in the terminal. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { GrapevineError } from '../../node/index.ts'
import { duration } from '../argument.ts'
import { addPlaceOptions, hasCompany, openPeer, type PlaceOptions } from '../open.ts'
import { table, write, writeJson } from '../output.ts'
import { aborted, stopAsked } from '../stop.ts'
import { look, ordered, viewsOf } from '../top/sight.ts'

interface TopOptions extends PlaceOptions {
  once?: boolean
  sort?: string[]
  every: number
}

/** Who has not answered by then is not shown. */
const answerMs = 1_500

export function addTop(program: Command): void {
  addPlaceOptions(
    program.command('top').description('Watch the mesh: its peers, topics, groups and queues, and how busy they are.'),
  )
    .option('--once', 'print what there is and end; with --json all that is known')
    .option('--sort <heads...>', 'with --once: order tables by these columns, as in --sort SENT LAG')
    .option('--every <duration>', 'how often to look', duration, 1_000)
    .action(top)
}

async function top(options: TopOptions): Promise<void> {
  const { once, every, json, sort = [] } = options
  if (!once && (json || !process.stdout.isTTY)) {
    const message = json
      ? '--json tells of one look: say --once as well'
      : 'there is no terminal to draw on: say --once'
    throw new GrapevineError('InvalidOption', message, { option: 'once' })
  }
  const stop = stopAsked()
  const opened = await openPeer(options)
  try {
    await hasCompany(opened, stop)
    const { peer } = opened
    if (once) {
      const before = await look(peer, answerMs)
      if (json) return await writeJson(before)
      // What goes on shows in two looks.
      await Promise.race([aborted(stop), sleep(every)])
      const views = viewsOf(await look(peer, answerMs), before)
      const columns = sort.map((head) => head.toUpperCase())
      const unknown = columns.find((head) => !views.some(({ heads }) => heads.includes(head)))
      if (unknown !== undefined)
        throw new GrapevineError('InvalidOption', `no table has a column ${unknown}`, { option: 'sort' })
      for (const view of views) {
        const column = view.heads.findIndex((head) => columns.includes(head))
        const rows = ordered(view, column < 0 ? view.sort : column, false).map((row) => row.map(({ text }) => text))
        await write(`${table(view.heads, rows)}\n`)
      }
      return
    }
    const { showScreen } = await import('../top/screen.ts')
    await showScreen({ look: () => look(peer, answerMs), everyMs: every, stop })
  } finally {
    await opened.end()
  }
}
