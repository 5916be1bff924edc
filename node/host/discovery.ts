/** How peers find each other without being told: on this machine (`rendezvous`), in this network (`mdns`). */
import { createHash } from 'node:crypto'
import type { PeerId } from '../types.ts'

export interface Discovery {
  /** Begins to be found, and to find. Never rejects: a place that cannot be used finds nobody. */
  start(self: { id: PeerId; addresses: string[] }): Promise<void>
  /** Called for every other peer found, again when its addresses change. Set before `start`. */
  onFound(act: (peer: PeerId, addresses: string[]) => void): void
  stop(): Promise<void>
}

/** Names a mesh where strangers can read, without giving its secret away to those who do not guess it: 32 hex digits. */
export function tagOf(mesh: string): string {
  return createHash('sha256').update('grapevine rendezvous 1\n').update(mesh).digest('hex').slice(0, 32)
}
