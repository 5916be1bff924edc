/** `grapevine groups`: the consumer groups the peer knows of, who is in them and how far behind they are. */
import type { Command } from 'commander'
import type { GroupSettings } from '../../node/index.ts'
import { addPlaceOptions, hasCompany, openPeer, type PlaceOptions } from '../open.ts'
import { table, write, writeJson } from '../output.ts'
import { stopAsked } from '../stop.ts'

export function addGroups(program: Command): void {
  const command = program
    .command('groups')
    .description('List the consumer groups the peer knows of, or those of one topic.')
    .argument('[topic]')
  addPlaceOptions(command).action(groups)
}

async function groups(topic: string | undefined, options: PlaceOptions): Promise<void> {
  const stop = stopAsked()
  const opened = await openPeer(options)
  try {
    await hasCompany(opened, stop)
    const list = await opened.peer.groups(topic)
    if (options.json) return await writeJson(list)
    const rows = list.map(({ topic, name, settings, members, slots, lag }) => {
      const held = members.reduce((sum, member) => sum + member.slots, 0)
      return [
        topic,
        name,
        settings.type,
        String(members.length),
        `${held}/${slots}`,
        String(lag ?? '-'),
        restOf(settings),
      ]
    })
    await write(table(['TOPIC', 'GROUP', 'TYPE', 'MEMBERS', 'SLOTS HELD', 'LAG', 'SETTINGS'], rows))
  } finally {
    await opened.end()
  }
}

function restOf({ leaseMs, maxReceives, deadLetter, quorum }: GroupSettings): string {
  const words = [`lease ${leaseMs} ms`, `${maxReceives} receives`, `dead letters to ${deadLetter}`]
  return [...words, ...(quorum ? ['quorum'] : [])].join(', ')
}
