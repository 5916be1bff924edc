/** The public door of Grapevine. */
import { lookup } from 'node:dns/promises'
import { pino } from 'pino'
import type { Monitor } from './gateway/monitor.ts'
import type { Gateway, GatewayOptions } from './gateway/server.ts'
import type { Discovery } from './host/discovery.ts'
import type { Host } from './host/host.ts'
import { beyondLoopback, multicast } from './host/mdns.ts'
import { byName } from './host/names.ts'
import { rendezvous } from './host/rendezvous.ts'
import { systemClock, systemNetwork, systemRandom, systemTurn } from './host/system.ts'
import { Metrics } from './metrics/metrics.ts'
import { checkOptions, type PeerOptions } from './options.ts'
import { startPeer } from './peer.ts'
import type { Ports } from './ports.ts'
import { systemDisk } from './store/disk.ts'
import { memoryDisk } from './store/memory.ts'
import { openState } from './store/state.ts'
import { hops, traced } from './tracing/tracing.ts'
import type { Peer } from './types.ts'

export { type ErrorCode, type ErrorData, GrapevineError, isError } from './errors.ts'
export { type ConnectOptions, connectPeer, pageLink } from './gateway/client.ts'
export type { Monitor } from './gateway/monitor.ts'
export type { Gateway, GatewayOptions } from './gateway/server.ts'
export { decodeInvite, encodeInvite } from './invite.ts'
export { limits } from './limits.ts'
export type { PeerOptions } from './options.ts'
export type * from './types.ts'
export { version } from './version.ts'
export { parseRecordId } from './wire/record-id.ts'

/**
 * Starts a peer in this process. Resolves when it listens and its data is open; friends are found from then on.
 *
 * Throws `InvalidOption`, `InvalidTopic`, `MeshOpen`, `FolderInUse`, `FolderTooNew`, `FolderInvalid`, `ListenFailed`, `StorageFull`, `StorageFailed`.
 */
export async function createPeer(options: PeerOptions = {}): Promise<Peer> {
  const checked = checkOptions(options)
  const { data } = checked
  const metrics = new Metrics()
  const log = pino({ name: 'grapevine', level: checked.logLevel }, pino.destination(2))
  const ports: Ports = {
    clock: systemClock,
    random: systemRandom,
    disk: data === null ? memoryDisk(systemTurn) : metrics.measured(systemDisk(data)),
    openState: () => openState(data),
    network: systemNetwork,
    log,
    meter: metrics,
    ...(checked.tracing && { tracer: hops }),
  }
  const peer = await startPeer({
    options: checked,
    ports,
    discovery: (host) => [
      ...(checked.discover ? nearby(checked.mesh, host) : []),
      ...checked.names.map((name) => byName(name, host, systemClock, addressesOf)),
    ],
  })
  return checked.tracing ? traced(peer) : peer
}

/** As `createPeer`, with time, randomness, disk and network of one's own: what the simulator runs. Finds nobody by itself. */
export async function createPeerOn(ports: Ports, options: PeerOptions = {}): Promise<Peer> {
  return startPeer({ options: checkOptions(options), ports, discovery: () => [] })
}

/**
 * Opens the local API. Throws `InvalidOption` for an address that is not on loopback, `ListenFailed` for one in use. Loads a server of HTTP, which a
 * peer that is only embedded does without: what is in memory is gone through with each collection of garbage.
 */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const server = await import('./gateway/server.ts')
  return server.startGateway(options)
}

/**
 * Opens metrics and health alone, without a token, on any address: `HOST:PORT`, port 0 for a free one. Throws `InvalidOption` for what is no address,
 * `ListenFailed` for one in use.
 */
export async function startMonitor(options: { peer: Peer; listen: string }): Promise<Monitor> {
  const monitor = await import('./gateway/monitor.ts')
  return monitor.startMonitor(options)
}

async function addressesOf(name: string): Promise<string[]> {
  return (await lookup(name, { all: true })).map(({ address }) => address)
}

/** On this machine always; in the network where that could lead to anything. */
function nearby(mesh: string, host: Host): Discovery[] {
  const places = [rendezvous(mesh, systemClock)]
  if (beyondLoopback(host.addresses())) places.push(multicast(mesh, host))
  return places
}
