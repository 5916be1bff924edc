/** The public door of Grapevine. */
import type { Monitor } from './gateway/monitor.ts'
import type { Gateway, GatewayOptions } from './gateway/server.ts'
import type { PeerOptions } from './options.ts'
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
  // Loaded here: a command that talks to a running peer starts in half the time.
  const peers = await import('./create.ts')
  return peers.createPeer(options)
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
