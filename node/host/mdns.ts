/** Finds peers in the local network by multicast DNS. The service is named by the mesh's tag: other meshes are not even seen. */
import type { PeerDiscovery, PeerInfo } from '@libp2p/interface'
import { mdns } from '@libp2p/mdns'
import { multiaddr } from '@multiformats/multiaddr'
import { limits } from '../limits.ts'
import type { PeerId } from '../types.ts'
import { type Discovery, tagOf } from './discovery.ts'
import type { Host } from './host.ts'

type Components = Parameters<ReturnType<typeof mdns>>[0]

export function multicast(mesh: string, host: Host): Discovery {
  return new Multicast(mesh, host)
}

class Multicast implements Discovery {
  readonly #create: (addresses: string[]) => PeerDiscovery
  #inner: PeerDiscovery | undefined
  #act: (peer: PeerId, addresses: string[]) => void = () => undefined

  constructor(mesh: string, host: Host) {
    const settings = { serviceTag: `_grapevine-${tagOf(mesh)}._udp.local`, interval: limits.multicastMs }
    this.#create = (addresses) =>
      // The library asks its address manager for nothing but this.
      mdns(settings)({
        peerId: host.libp2p.peerId,
        logger: host.libp2p.logger,
        addressManager: { getAddresses: () => addresses.map((text) => multiaddr(text)) },
      } as unknown as Components)
  }

  onFound(act: (peer: PeerId, addresses: string[]) => void): void {
    this.#act = act
  }

  async start(self: { id: PeerId; addresses: string[] }): Promise<void> {
    this.#inner = this.#create(self.addresses)
    this.#inner.addEventListener('peer', ({ detail }: CustomEvent<PeerInfo>) => {
      const peer = detail.id.toString() as PeerId
      if (peer === self.id) return
      this.#act(
        peer,
        detail.multiaddrs.slice(0, limits.addressesPerCardMax).map((address) => address.toString()),
      )
    })
    await startable(this.#inner).start()
  }

  async stop(): Promise<void> {
    if (this.#inner !== undefined) await startable(this.#inner).stop()
    this.#inner = undefined
  }
}

function startable(discovery: PeerDiscovery): { start(): Promise<void>; stop(): Promise<void> } {
  return discovery as unknown as { start(): Promise<void>; stop(): Promise<void> }
}

/** Whether any of these multiaddrs can be reached from other machines. */
export function beyondLoopback(addresses: readonly string[]): boolean {
  return addresses.some((text) => !/^\/(ip4\/127\.|ip6\/::1\/|dns[46]?\/localhost\/)/.test(text))
}
