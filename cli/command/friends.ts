/** `grapevine friends`: whom the peer is connected to on purpose. */
import type { Command } from 'commander'
import { addPlaceOptions, hasCompany, openPeer, type PlaceOptions } from '../open.ts'
import { agoText, table, write, writeJson } from '../output.ts'
import { stopAsked } from '../stop.ts'

export function addFriends(program: Command): void {
  addPlaceOptions(program.command('friends').description('List the friends of the peer.')).action(friends)
}

async function friends(options: PlaceOptions): Promise<void> {
  const stop = stopAsked()
  const opened = await openPeer(options)
  try {
    await hasCompany(opened, stop)
    const list = await opened.peer.friends()
    if (options.json) return await writeJson(list)
    const rows = list.map(({ id, rttMs, since, sharedTopics, direction, addresses }) => [
      id,
      rttMs === undefined ? '-' : `${rttMs.toFixed(1)} ms`,
      agoText(since),
      String(sharedTopics),
      direction,
      addresses[0] ?? '-',
    ])
    await write(table(['FRIEND', 'RTT', 'FOR', 'SHARED TOPICS', 'DIRECTION', 'ADDRESS'], rows))
  } finally {
    await opened.end()
  }
}
