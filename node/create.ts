/** Starting a peer, with all that it is made of: what a program that only asks another process's peer does without. */
import { lookup } from 'node:dns/promises'
import { pino } from 'pino'
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

/** As the door says. */
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

async function addressesOf(name: string): Promise<string[]> {
  return (await lookup(name, { all: true })).map(({ address }) => address)
}

/** On this machine always; in the network where that could lead to anything. */
function nearby(mesh: string, host: Host): Discovery[] {
  const places = [rendezvous(mesh, systemClock)]
  if (beyondLoopback(host.addresses())) places.push(multicast(mesh, host))
  return places
}
