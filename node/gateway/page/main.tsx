/** The page of a peer: views on its mesh, and what can be done from them. */
import './style.css'
import { signal } from '@preact/signals'
import { render } from 'preact'
import { ApiError, enter } from './api.ts'
import { Events } from './events.tsx'
import { Groups } from './groups.tsx'
import icon from './icon.svg'
import { Mesh } from './mesh.tsx'
import { Queues } from './queues.tsx'
import { Settings } from './settings.tsx'
import { begin, status, trouble, view } from './state.ts'
import { shortId } from './text.ts'
import { Topics } from './topics.tsx'

const views = { mesh: Mesh, topics: Topics, groups: Groups, queues: Queues, events: Events, settings: Settings }

const themes = ['auto', 'light', 'dark'] as const
const theme = signal<(typeof themes)[number]>((localStorage.getItem('theme') as 'light' | null) ?? 'auto')

function setTheme(next: (typeof themes)[number]): void {
  theme.value = next
  localStorage.setItem('theme', next)
  document.documentElement.dataset.theme = next
  dispatchEvent(new Event('theme'))
}

function Page() {
  const View = views[view.value as keyof typeof views] ?? Mesh
  return (
    <>
      <button type="button" class="skip" onClick={() => document.getElementById('content')?.focus()}>
        Skip to content
      </button>
      <header>
        <a class="brand" href="#/mesh">
          <img src={icon} alt="" width="24" height="24" /> Grapevine
        </a>
        <nav aria-label="Views">
          {Object.keys(views).map((name) => (
            <a key={name} href={`#/${name}`} aria-current={view.value === name ? 'page' : undefined}>
              {name}
            </a>
          ))}
        </nav>
        <p class="me">{status.value === undefined ? '' : `peer ${shortId(status.value.id)}`}</p>
        <button
          type="button"
          onClick={() => setTheme(themes[(themes.indexOf(theme.value) + 1) % themes.length] ?? 'auto')}
        >
          Theme: {theme.value}
        </button>
      </header>
      {trouble.value !== undefined && <Trouble error={trouble.value} />}
      <main id="content" tabIndex={-1}>
        <View />
      </main>
    </>
  )
}

function Trouble({ error }: { error: ApiError }) {
  const texts: Record<number, string> = {
    0: 'The peer does not answer. Is it still running? What is shown was so when it last did.',
    401: 'This page may not look at the peer any more. `grapevine open` opens it again.',
  }
  const text = texts[error.status] ?? `What is shown may be out of date: ${error.message}.`
  return (
    <p class="trouble" role="alert">
      {text}
    </p>
  )
}

function Locked({ why }: { why: string }) {
  return (
    <main class="locked">
      <h1>Grapevine</h1>
      <p>{why}</p>
      <p>
        Run <code>grapevine open</code> where the peer runs: it opens this page with a link that lets you in, once.
      </p>
    </main>
  )
}

setTheme(theme.value)
const root = document.getElementById('page') as HTMLElement
try {
  if (await enter()) {
    begin()
    render(<Page />, root)
  } else render(<Locked why="This page shows a peer only to whoever comes by a link of it." />, root)
} catch (error) {
  render(<Locked why={error instanceof ApiError ? `You cannot come in: ${error.message}.` : String(error)} />, root)
}
