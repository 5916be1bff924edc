/**
 * Finds peers by a name in the DNS that stands for all of them, as that of a headless service in Kubernetes does: each of its addresses is
 * dialled, and who is there is known from the handshake. Asked again and again, since peers come and go. Whom we have met once is dialled by those who
 * choose friends, when they want to; only after a while (`limits.nameAgainMs`) we look whether it is somebody else who is there now.
 */
import { isIPv6 } from 'node:net'
import { limits } from '../limits.ts'
import type { Clock, Timer } from '../ports.ts'
import type { PeerId } from '../types.ts'
import type { Discovery } from './discovery.ts'
import type { Host } from './host.ts'

/** A name, and the port on which all of its peers listen. */
export interface MeshName {
  name: string
  port: number
}

/** All addresses of a name; rejects where it has none. */
export type Lookup = (name: string) => Promise<string[]>

export function byName(
  place: MeshName,
  host: Pick<Host, 'dial' | 'id' | 'connected'>,
  clock: Clock,
  lookup: Lookup,
): Discovery {
  return new Names(place, host, clock, lookup)
}

class Names implements Discovery {
  readonly #place: MeshName
  readonly #host: Pick<Host, 'dial' | 'id' | 'connected'>
  readonly #clock: Clock
  readonly #lookup: Lookup
  /** Who answered where, ourselves included. */
  readonly #known = new Map<string, { peer: PeerId; at: number }>()
  #timer: Timer | undefined
  #act: (peer: PeerId, addresses: string[]) => void = () => undefined

  constructor(place: MeshName, host: Pick<Host, 'dial' | 'id' | 'connected'>, clock: Clock, lookup: Lookup) {
    this.#place = place
    this.#host = host
    this.#clock = clock
    this.#lookup = lookup
  }

  onFound(act: (peer: PeerId, addresses: string[]) => void): void {
    this.#act = act
  }

  async start(): Promise<void> {
    void this.#look()
    this.#timer = this.#clock.every(limits.nameMs, () => void this.#look())
  }

  async stop(): Promise<void> {
    this.#timer?.cancel()
    this.#timer = undefined
  }

  async #look(): Promise<void> {
    const { name, port } = this.#place
    // Where the name has no address yet, no peer is ready: asked again.
    const found = await this.#lookup(name).catch((): string[] => [])
    const addresses = found
      .slice(0, limits.nameAddressesMax)
      .map((ip) => `/${isIPv6(ip) ? 'ip6' : 'ip4'}/${ip}/tcp/${port}`)
    for (const address of this.#known.keys()) if (!addresses.includes(address)) this.#known.delete(address)
    await Promise.all(addresses.map((address) => this.#meet(address)))
  }

  async #meet(address: string): Promise<void> {
    const known = this.#known.get(address)
    const at = this.#clock.now()
    if (known !== undefined) {
      if (known.peer === this.#host.id || this.#host.connected().includes(known.peer)) return
      this.#act(known.peer, [address])
      if (at - known.at < limits.nameAgainMs) return
    }
    try {
      const peer = await this.#host.dial(address)
      this.#known.set(address, { peer, at })
      if (peer !== this.#host.id && this.#timer !== undefined) this.#act(peer, [address])
    } catch (error) {
      // The library refuses to dial ourselves, which is how we know our own among the addresses.
      if (isOurselves(error)) this.#known.set(address, { peer: this.#host.id, at })
      else this.#known.delete(address)
    }
  }
}

function isOurselves(error: unknown): boolean {
  return error instanceof Error && /dial self|self dial/i.test(error.message)
}

const nameShape =
  /^(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?$/

/** Reads `dns:NAME` or `dns:NAME:PORT`; undefined for what is neither. The port is 4001 unless given. */
export function meshNameOf(text: string): MeshName | undefined {
  const match = /^dns:([^:]+)(?::(\d{1,5}))?$/.exec(text)
  const [name = '', port] = [match?.[1], Number(match?.[2] ?? limits.defaultPort)]
  return nameShape.test(name) && port > 0 && port <= 65_535 ? { name, port } : undefined
}
