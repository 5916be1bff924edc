import { Empty, Table } from './parts.tsx'
import { groups } from './state.ts'
import { count, ms, shortId } from './text.ts'

/** Who shares the work on what, and how much is left. */
export function Groups() {
  const list = groups.value
  return (
    <>
      <h1>Groups</h1>
      {list.length === 0 && (
        <Empty>Nobody shares work yet: `grapevine consume TOPIC --group NAME` begins a group.</Empty>
      )}
      {list.map(({ topic, name, settings, members, slots, lag, inFlight, delayed, redelivered }) => (
        <section key={`${topic}.${name}`} class="card">
          <h2>
            {name} <small>on {topic}</small>
          </h2>
          <ul class="figures">
            <li>
              <strong>{lag === undefined ? '–' : count(lag)}</strong>{' '}
              {lag === undefined ? 'left: not held here' : 'left'}
            </li>
            <li>
              <strong>{count(inFlight)}</strong> in flight
            </li>
            <li>
              <strong>{count(delayed)}</strong> delayed
            </li>
            <li>
              <strong>{count(redelivered)}</strong> redelivered
            </li>
          </ul>
          <p>
            {settings.type}, with a lease of {settings.leaseMs / 1_000} s; dead after {settings.maxReceives} times, in{' '}
            {settings.deadLetter}
            {settings.quorum ? '; only with a majority' : ''}
          </p>
          {members.length === 0 ? (
            <Empty>It has no member now.</Empty>
          ) : (
            <Table label={`Members of ${name}`} heads={['Member', 'Slots', 'Last heard of']}>
              {members.map(({ peer, slots: held, silentMs }) => (
                <tr key={peer}>
                  <th scope="row">{shortId(peer)}</th>
                  <td>
                    <meter min={0} max={slots} value={held}>
                      {held}
                    </meter>{' '}
                    {held} of {slots}
                  </td>
                  <td>{ms(silentMs)} ago</td>
                </tr>
              ))}
            </Table>
          )}
        </section>
      ))}
    </>
  )
}
