import reasons from 'virtual:reasons'
import { limits } from '../../limits.ts'
import type { PeerSettings } from '../../types.ts'
import { Table } from './parts.tsx'
import { status } from './state.ts'
import { bytes, count, since } from './text.ts'

/** How the peer is set up, and every limit with its reason. */
export function Settings() {
  const now = status.value
  return (
    <>
      <h1>Settings</h1>
      {now !== undefined && (
        <dl>
          <dt>Peer</dt>
          <dd class="whole">{now.id}</dd>
          <dt>Version</dt>
          <dd>{now.version}</dd>
          <dt>State</dt>
          <dd>{now.state}</dd>
          <dt>Running for</dt>
          <dd>{since(now.since)}</dd>
          <dt>Data</dt>
          <dd>{now.data ?? 'in memory only'}</dd>
          <dt>Mesh</dt>
          <dd>{now.mesh === 'open' ? 'open: whoever reaches a port is in it' : 'needs its secret'}</dd>
          {now.addresses.map((address) => [<dt key={`${address} is`}>Address</dt>, <dd key={address}>{address}</dd>])}
          <dt>Stored</dt>
          <dd>{bytes(now.bytes.stored)}</dd>
        </dl>
      )}
      {now !== undefined && (
        <Table label="Set up with" heads={['Set up with', 'Value', 'Reason']}>
          {chosenOf(now.settings).map(([name, value, reason]) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td>{value}</td>
              <td class="reason">{reason}</td>
            </tr>
          ))}
        </Table>
      )}
      <h2>Limits</h2>
      <p>They are part of the program: whatever arrives and however slow somebody is, no more than this is taken.</p>
      <Table label="Limits" heads={['Limit', 'Value', 'Reason']}>
        {Object.entries(limits).map(([name, value]) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            <td>{shown(name, value)}</td>
            <td class="reason">{reasons[name]}</td>
          </tr>
        ))}
      </Table>
    </>
  )
}

function chosenOf({ keep, role, discover, confirmTimeoutMs, retention }: PeerSettings): string[][] {
  const { maxAgeMs, maxBytes } = retention
  return [
    ['keep', count(keep), 'So many peers keep each topic, whoever subscribes: it survives the loss of all but one.'],
    ['role', role, 'A peer keeps topics for others; a guest comes and goes, so nobody counts on it.'],
    [
      'discover',
      discover ? 'yes' : 'no',
      'Whether it looks for peers that nobody told it of: on its machine and network.',
    ],
    [
      'confirmTimeoutMs',
      shown('Ms', confirmTimeoutMs),
      'A publish that has too few copies by then fails with `ConfirmTimeout`.',
    ],
    [
      'maxAgeMs',
      maxAgeMs === undefined ? 'none' : since(Date.now() - maxAgeMs),
      'Records that are older are removed here.',
    ],
    [
      'maxBytes',
      maxBytes === undefined ? 'none' : bytes(maxBytes),
      'Of a topic the oldest records beyond it are removed here.',
    ],
  ]
}

function shown(name: string, value: number): string {
  if (/Bytes/.test(name)) return bytes(value)
  if (/Ms/.test(name)) return value >= 1_000 ? `${count(value / 1_000)} s` : `${value} ms`
  return count(value)
}
