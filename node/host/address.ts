import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { limits } from '../limits.ts'
import type { PeerId } from '../types.ts'

/** Those of the addresses that can belong to this peer, each naming it. Throws when there is none. */
export function reachable(peer: PeerId, addresses: readonly string[]): Multiaddr[] {
  const found: Multiaddr[] = []
  for (const text of addresses.slice(0, limits.addressesPerCardMax)) {
    const address = addressOf(text)
    if (address === undefined) continue
    const named = peerOf(address)
    if (named === undefined) found.push(address.encapsulate(`/p2p/${peer}`))
    else if (named === peer) found.push(address)
  }
  if (found.length === 0) throw new Error(`no address is known for peer ${peer}`)
  return found
}

/** The multiaddr, or undefined where the text is none. */
export function addressOf(text: string): Multiaddr | undefined {
  try {
    return multiaddr(text)
  } catch {
    return undefined
  }
}

/** The peer a multiaddr names, if it does. */
export function peerOf(address: Multiaddr): PeerId | undefined {
  return address.getComponents().findLast((part) => part.name === 'p2p')?.value as PeerId | undefined
}
