/** `grapevine status`: who the peer is, what it knows and what it has moved. */
import type { Command } from 'commander'
import { addPlaceOptions, openPeer, type PlaceOptions } from '../open.ts'
import { agoText, byteText, table, write, writeJson } from '../output.ts'

export function addStatus(program: Command): void {
  addPlaceOptions(program.command('status').description('Tell who the peer is and how it is.')).action(status)
}

async function status(options: PlaceOptions): Promise<void> {
  const { peer, end } = await openPeer(options)
  try {
    const state = await peer.status()
    if (options.json) return await writeJson(state)
    const { bytes, addresses } = state
    const rows = [
      ['id', state.id],
      ['version', state.version],
      ...addresses.map((address) => ['address', address]),
      ['data', state.data ?? 'in memory only'],
      ['mesh', state.mesh],
      ['state', state.state],
      ['running for', agoText(state.since)],
      ['peers known', String(state.peersKnown)],
      ['friends', String(state.friends)],
      ['topics', String(state.topics)],
      ['sent', byteText(bytes.sent)],
      ['received', byteText(bytes.received)],
      ['stored', byteText(bytes.stored)],
    ]
    await write(table(['PEER', ''], rows))
  } finally {
    await end()
  }
}
