import type { QueueSummary } from '../../types.ts'
import { post } from './api.ts'
import { Act, Empty, Table } from './parts.tsx'
import { queues } from './state.ts'
import { count } from './text.ts'

/** What waits in queues, and what to do about what died there. */
export function Queues() {
  const list = queues.value
  const isPartly = list.some(({ records, dead }) => records === undefined || dead === undefined)
  return (
    <>
      <h1>Queues</h1>
      {list.length === 0 ? (
        <Empty>There is no queue yet: `grapevine queue send NAME VALUE` makes one.</Empty>
      ) : (
        <Table label="Queues" heads={['Queue', 'Ready', 'In flight', 'Delayed', 'Dead', 'Order', 'Dead letters']}>
          {list.map((queue) => (
            <Row key={queue.name} {...queue} />
          ))}
        </Table>
      )}
      {isPartly && <Empty>A dash stands for what this peer does not carry: the page of one that does can tell.</Empty>}
    </>
  )
}

function Row(queue: QueueSummary) {
  const { name, ready, inFlight, delayed, dead, settings } = queue
  return (
    <tr>
      <th scope="row">{name}</th>
      <td>{known(ready)}</td>
      <td>{count(inFlight)}</td>
      <td>{count(delayed)}</td>
      <td class={dead ? 'danger' : ''}>{known(dead)}</td>
      <td>{settings.type === 'key-shared' ? 'fifo' : 'any'}</td>
      <td>{dead === 0 ? settings.deadLetter : <Act label={`Redrive ${name}`} act={() => redrive(queue)} />}</td>
    </tr>
  )
}

function known(value: number | undefined): string {
  return value === undefined ? '–' : count(value)
}

/** Opens the queue as it is set up. */
async function redrive({ name, settings }: QueueSummary): Promise<string> {
  const { type, visibilityMs, maxReceives, deadLetter, quorum } = settings
  const options = { visibilityMs, maxReceives, deadLetter, quorum, fifo: type === 'key-shared' }
  const { count: moved } = await post<{ count: number }>('/v1/queue/redrive', { queue: name, options })
  return `${count(moved)} sent again`
}
