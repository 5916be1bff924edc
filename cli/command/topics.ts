/** `grapevine topics`: every topic the peer knows of, and how much of it is here. */
import type { Command } from 'commander'
import { addPlaceOptions, hasCompany, openPeer, type PlaceOptions } from '../open.ts'
import { byteText, table, write, writeJson } from '../output.ts'
import { stopAsked } from '../stop.ts'

export function addTopics(program: Command): void {
  addPlaceOptions(program.command('topics').description('List the topics the peer knows of.')).action(topics)
}

async function topics(options: PlaceOptions): Promise<void> {
  const stop = stopAsked()
  const opened = await openPeer(options)
  try {
    await hasCompany(opened, stop)
    const list = await opened.peer.topics()
    if (options.json) return await writeJson(list)
    const rows = list.map(({ name, held, because, feeds, records, bytes, carriers }) => [
      name,
      held,
      because.join(', ') || '-',
      String(feeds),
      String(records),
      byteText(bytes),
      String(carriers),
    ])
    await write(table(['TOPIC', 'HELD', 'BECAUSE', 'FEEDS', 'RECORDS', 'BYTES', 'CARRIERS'], rows))
  } finally {
    await opened.end()
  }
}
