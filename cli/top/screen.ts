/** The screen of `grapevine top`. Written without JSX, since what Node runs directly has none. */
import { Box, render, Text, useApp, useInput } from 'ink'
import { createElement as h, type ReactElement, useEffect, useState } from 'react'
import { byteText } from '../output.ts'
import { type Cell, ordered, type Sight, type View, viewsOf } from './sight.ts'

export interface ScreenOptions {
  look(): Promise<Sight>
  everyMs: number
  stop: AbortSignal
}

/** Runs until `q` or Ctrl-C. Rejects with what went wrong when it looked. */
export async function showScreen(options: ScreenOptions): Promise<void> {
  const app = render(h(Screen, { options }), { exitOnCtrlC: true })
  options.stop.addEventListener('abort', () => app.unmount())
  await app.waitUntilExit()
}

/** Lines that are no rows of the table. */
const around = 7

function Screen({ options }: { options: ScreenOptions }): ReactElement {
  const { exit } = useApp()
  const [looks, setLooks] = useState<{ now?: Sight; before?: Sight }>({})
  const [shown, setShown] = useState(0)
  const [sorts, setSorts] = useState<Record<string, { column: number; isReversed: boolean }>>({})

  useEffect(() => {
    let isOver = false
    const turn = async () => {
      while (!isOver) {
        const now = await options.look()
        setLooks(({ now: before }) => (before === undefined ? { now } : { now, before }))
        await new Promise((resolve) => setTimeout(resolve, options.everyMs))
      }
    }
    turn().catch((error: unknown) => exit(error instanceof Error ? error : new Error(String(error))))
    return () => {
      isOver = true
    }
  }, [exit, options])

  const views = looks.now === undefined ? [] : viewsOf(looks.now, looks.before)
  const view = views[shown]
  const sort = (view && sorts[view.name]) ?? { column: view?.sort ?? 0, isReversed: false }
  useInput((input, key) => {
    if (input === 'q') exit()
    else if (key.tab) setShown((shown + 1) % Math.max(1, views.length))
    else if (/^[1-4]$/.test(input)) setShown(Number(input) - 1)
    else if (view !== undefined && (key.leftArrow || key.rightArrow)) {
      const step = key.rightArrow ? 1 : view.heads.length - 1
      setSorts({ ...sorts, [view.name]: { ...sort, column: (sort.column + step) % view.heads.length } })
    } else if (view !== undefined && input === 'r')
      setSorts({ ...sorts, [view.name]: { ...sort, isReversed: !sort.isReversed } })
  })

  if (looks.now === undefined || view === undefined) return h(Text, { dimColor: true }, 'Asking the mesh…')
  const room = Math.max(3, (process.stdout.rows || 24) - around)
  return h(
    Box,
    { flexDirection: 'column' },
    h(Head, { sight: looks.now }),
    h(Tabs, { names: views.map(({ name }) => name), shown }),
    h(Rows, { view, rows: ordered(view, sort.column, sort.isReversed).slice(0, room), column: sort.column }),
    view.rows.length > room ? h(Text, { dimColor: true }, `… and ${view.rows.length - room} more`) : null,
    h(Text, { dimColor: true }, 'tab or 1-4: another table   ← →: order by   r: the other way round   q: end'),
  )
}

function Head({ sight: { status, mesh } }: { sight: Sight }): ReactElement {
  const { sent, received, stored } = status.bytes
  const figures = [
    `${mesh.length} peers`,
    `${status.friends} friends`,
    `${byteText(stored)} stored`,
    `${byteText(sent)} sent`,
    `${byteText(received)} received`,
  ]
  return h(
    Text,
    null,
    h(Text, { bold: true }, `peer ${status.id.slice(-6)} `),
    h(Text, { color: status.state === 'open' ? 'green' : 'red' }, status.state),
    `  ${figures.join(', ')}`,
  )
}

function Tabs({ names, shown }: { names: string[]; shown: number }): ReactElement {
  return h(
    Box,
    { marginTop: 1, gap: 2 },
    ...names.map((name, at) => h(Text, { key: name, inverse: at === shown }, ` ${at + 1} ${name} `)),
  )
}

function Rows({ view, rows, column }: { view: View; rows: Cell[][]; column: number }): ReactElement {
  return h(
    Box,
    { gap: 2 },
    ...view.heads.map((head, at) =>
      h(
        Box,
        { key: head, flexDirection: 'column', flexShrink: at === 0 ? 1 : 0 },
        h(Text, { bold: true, ...(at === column && { color: 'cyan' }) }, head),
        ...rows.map((row, line) => h(Text, { key: `${line}`, wrap: 'truncate' }, row[at]?.text ?? '')),
      ),
    ),
  )
}
