import { Empty } from './parts.tsx'
import { events } from './state.ts'
import { clock, shortId } from './text.ts'

/** What happened to this peer since the page is open, the newest first. */
export function Events() {
  return (
    <>
      <h1>Events</h1>
      {events.value.length === 0 && <Empty>Nothing has happened since this page was opened.</Empty>}
      <ol class="events" aria-live="polite">
        {events.value.map(({ number, event: { type, time, ...rest } }) => (
          <li key={number}>
            <time dateTime={new Date(time).toISOString()}>{clock(time)}</time>{' '}
            <strong>{type.replaceAll('-', ' ')}</strong>{' '}
            {Object.entries(rest)
              .map(
                ([name, value]) =>
                  `${name} ${name === 'peer' || name === 'publisher' ? shortId(String(value)) : value}`,
              )
              .join(', ')}
          </li>
        ))}
      </ol>
    </>
  )
}
