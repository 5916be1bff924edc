/** `grapevine groups`: the consumer groups the peer knows of, who is in them and how far behind they are; `groups seek` moves one. */
import type { Command } from 'commander'
import { GrapevineError, type GroupPosition, type GroupSettings } from '../../node/index.ts'
import { start } from '../argument.ts'
import { addPlaceOptions, hasCompany, openPeer, type PlaceOptions } from '../open.ts'
import { table, tell, write, writeJson } from '../output.ts'
import { stopAsked } from '../stop.ts'

export function addGroups(program: Command): void {
  const command = program
    .command('groups')
    .description('List the consumer groups the peer knows of, or those of one topic.')
    .argument('[topic]')
  addPlaceOptions(command).action(groups)
  const seeking = command
    .command('seek')
    .description(
      'Move a whole group: its members get again what was published from there on, and nothing that was published before.',
    )
    .argument('<topic>')
    .argument('<group>')
    .argument('<to>', 'earliest, latest, how long ago (10m), or a date', start)
  addPlaceOptions(seeking).action(seek)
}

async function seek(topic: string, name: string, to: GroupPosition, _: PlaceOptions, command: Command): Promise<void> {
  const stop = stopAsked()
  // `--data` and the like are options of `groups` as well, which takes them first.
  const options = command.optsWithGlobals<PlaceOptions>()
  const opened = await openPeer(options)
  try {
    await hasCompany(opened, stop)
    const known = (await opened.peer.groups(topic)).find((group) => group.name === name)
    if (known === undefined) {
      const sentence = `there is no group ${name} on ${topic}, as far as is known here: \`grapevine groups\` lists those there are`
      throw new GrapevineError('InvalidOption', sentence, { option: 'group' })
    }
    const { visibilityMs: _, ...settings } = known.settings
    await opened.peer.topic(topic).group(name, settings).seek(to)
    if (options.json) await writeJson({ topic, group: name, to })
    else tell(`group ${name} on ${topic} goes on from ${to instanceof Date ? to.toISOString() : to}`)
  } finally {
    await opened.end()
  }
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
