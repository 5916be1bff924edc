/** All topics; of one, its records, and a place to publish from. */
import { type Signal, useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import type { Receipt } from '../../types.ts'
import type { ShownRecord, ShownRecords } from '../records.ts'
import { get, post } from './api.ts'
import { Empty, Table } from './parts.tsx'
import { mesh, placeNow, topics, view } from './state.ts'
import { bytes, clock, count, rate, shortId, survival } from './text.ts'

const pageRecords = 50

export function Topics() {
  const name = placeNow()
  return name === undefined ? <List /> : <Topic key={name} name={name} />
}

function List() {
  const list = topics.value
  return (
    <>
      <h1>Topics</h1>
      {list.length === 0 ? (
        <Empty>There is no topic yet: publish something, here or with `grapevine pub`.</Empty>
      ) : (
        <Table label="Topics" heads={['Topic', 'Held here', 'Rate', 'Records', 'Size', 'Carriers', 'What it survives']}>
          {list.map(({ name, held, because, rate: now, records, bytes: size, carriers }) => (
            <tr key={name}>
              <th scope="row">
                <a href={`#/topics/${encodeURIComponent(name)}`}>{name}</a>
              </th>
              <td>
                {held === 'carry'
                  ? `all of it (${because.join(', ')})`
                  : held === 'own'
                    ? 'what was published here'
                    : 'no'}
              </td>
              <td>{rate(now)}</td>
              <td>{count(records)}</td>
              <td>{bytes(size)}</td>
              <td>{carriers}</td>
              <td>{survival(carriers)}</td>
            </tr>
          ))}
        </Table>
      )}
      <h2>Publish</h2>
      <Publish />
    </>
  )
}

function Topic({ name }: { name: string }) {
  const shown = useSignal<ShownRecords | undefined>(undefined)
  const failure = useSignal('')
  const chosen = useSignal<ShownRecord | undefined>(undefined)
  const topic = topics.value.find((each) => each.name === name)
  const carriers = mesh.value.filter((peer) => peer.topics.some((each) => each.name === name && each.held === 'carry'))

  const look = (query: Query) => lookInto(shown, failure, name, query)
  const newest = () => lookAtNewest(shown, failure, name)
  useEffect(() => {
    void lookAtNewest(shown, failure, name)
  }, [shown, failure, name])

  const search = (event: SubmitEvent) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget as HTMLFormElement)
    const [key, offset, time] = ['key', 'offset', 'time'].map((field) => String(form.get(field) ?? ''))
    void look({ key, offset, time: time === '' ? undefined : new Date(time as string).getTime() })
  }
  const records = shown.value?.records ?? []
  const first = records[0]?.offset ?? 0
  return (
    <>
      <p>
        <a href="#/topics">Topics</a>
      </p>
      <h1>{name}</h1>
      <p>
        {count(topic?.records ?? 0)} records, {bytes(topic?.bytes ?? 0)}, {rate(topic?.rate ?? 0)}. Carried by{' '}
        {carriers.map(({ id }) => shortId(id)).join(', ') || 'nobody that answers'}: it {survival(topic?.carriers ?? 0)}
        .
      </p>
      <form class="bar" onSubmit={search}>
        <label>
          Key <input name="key" />
        </label>
        <label>
          From offset <input name="offset" type="number" min="0" />
        </label>
        <label>
          From time <input name="time" type="datetime-local" step="1" />
        </label>
        <button type="submit">Search</button>
        <button type="button" onClick={newest}>
          Newest
        </button>
        <button type="button" onClick={() => look({ offset: Math.max(0, first - pageRecords) })} disabled={first === 0}>
          Before
        </button>
        <button
          type="button"
          onClick={() => look({ offset: shown.value?.next })}
          disabled={shown.value?.next === undefined}
        >
          After
        </button>
      </form>
      {failure.value !== '' && <p class="danger">{failure.value}</p>}
      {records.length === 0 ? (
        <Empty>Nothing there.</Empty>
      ) : (
        <Table label={`Records of ${name}`} heads={['Offset', 'Time', 'Key', 'Value', 'Publisher']}>
          {records.map((record) => (
            <tr key={record.offset}>
              <th scope="row">
                <button type="button" class="link" onClick={() => (chosen.value = record)}>
                  {record.offset}
                </button>
              </th>
              <td>{clock(record.time)}</td>
              <td>{record.key ?? '–'}</td>
              <td class="value">{record.value.slice(0, 200)}</td>
              <td>{shortId(record.publisher)}</td>
            </tr>
          ))}
        </Table>
      )}
      {chosen.value !== undefined && <Whole record={chosen.value} onClose={() => (chosen.value = undefined)} />}
      <h2>Publish</h2>
      <Publish topic={name} />
    </>
  )
}

type Query = Record<string, string | number | undefined>

async function lookInto(
  shown: Signal<ShownRecords | undefined>,
  failure: Signal<string>,
  topic: string,
  query: Query,
): Promise<void> {
  const given = Object.entries({ topic, max: pageRecords, ...query }).filter(
    ([, value]) => value !== undefined && value !== '',
  )
  try {
    shown.value = await get(`/v1/records?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`)
    failure.value = ''
  } catch (error) {
    failure.value = error instanceof Error ? error.message : String(error)
  }
}

async function lookAtNewest(
  shown: Signal<ShownRecords | undefined>,
  failure: Signal<string>,
  topic: string,
): Promise<void> {
  // Where the end is, the first answer says.
  await lookInto(shown, failure, topic, { max: 1 })
  const offset = Math.max(0, (shown.value?.endOffset ?? 0) - pageRecords)
  await lookInto(shown, failure, topic, { offset })
}

function Whole({ record, onClose }: { record: ShownRecord; onClose: () => void }) {
  const cut = record.encoding === 'text' && new TextEncoder().encode(record.value).length < record.bytes
  return (
    <section class="whole" aria-label={`Record ${record.offset}`}>
      <button type="button" class="close" onClick={onClose} aria-label="Close">
        ×
      </button>
      <dl>
        <dt>Id</dt>
        <dd>{record.id}</dd>
        <dt>Published</dt>
        <dd>{new Date(record.time).toISOString()}</dd>
        <dt>Publisher</dt>
        <dd>{record.publisher}</dd>
        {record.key !== undefined && [<dt key="is">Key</dt>, <dd key="key">{record.key}</dd>]}
        {Object.entries(record.headers).map(([name, value]) => [
          <dt key={`${name} is`}>{name}</dt>,
          <dd key={name}>{value}</dd>,
        ])}
      </dl>
      <pre>{pretty(record)}</pre>
      {cut && <p>Only the beginning of {bytes(record.bytes)} is shown.</p>}
    </section>
  )
}

function pretty({ value, encoding }: ShownRecord): string {
  if (encoding === 'base64') return `(base64) ${value}`
  try {
    return JSON.stringify(JSON.parse(value), null, 2)
  } catch {
    return value
  }
}

function Publish({ topic }: { topic?: string }) {
  const said = useSignal('')
  const publish = async (event: SubmitEvent) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget as HTMLFormElement)
    const [name, key, value] = ['topic', 'key', 'value'].map((field) => String(form.get(field) ?? '')) as [
      string,
      string,
      string,
    ]
    try {
      const { copies } = await post<Receipt>('/v1/records', { topic: name, value, ...(key !== '' && { key }) })
      said.value =
        copies === 0
          ? 'Published; nobody else has it yet.'
          : `Published; ${copies} other ${copies === 1 ? 'peer has' : 'peers have'} it on disk.`
      if (view.value === 'topics' && topic === undefined) location.hash = `#/topics/${encodeURIComponent(name)}`
    } catch (error) {
      said.value = error instanceof Error ? error.message : String(error)
    }
  }
  return (
    <form class="publish" onSubmit={publish}>
      <label>
        Topic <input name="topic" required defaultValue={topic ?? ''} readOnly={topic !== undefined} />
      </label>
      <label>
        Key <input name="key" />
      </label>
      <label class="wide">
        Value <textarea name="value" rows={3} required />
      </label>
      <button type="submit">Publish</button>
      <output>{said.value}</output>
    </form>
  )
}
