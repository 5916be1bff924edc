/** `grapevine why`: which way a record went, who has it and who works on it. */
import type { Command } from 'commander'
import { GrapevineError, parseRecordId, type RecordSight } from '../../node/index.ts'
import { addPlaceOptions, hasCompany, openPeer, type PlaceOptions } from '../open.ts'
import { paint, table, write, writeJson } from '../output.ts'
import { stopAsked } from '../stop.ts'

export function addWhy(program: Command): void {
  addPlaceOptions(program.command('why').description('Tell which way a record went, who has it, and who works on it.'))
    .argument('<id>', 'the id of the record, as `sub --json` prints it: FEED/INDEX')
    .action(why)
}

async function why(id: string, options: PlaceOptions): Promise<void> {
  // Before anybody is looked for.
  parseRecordId(id)
  const opened = await openPeer(options)
  try {
    await hasCompany(opened, stopAsked())
    const sights = await opened.peer.why(id)
    if (options.json) return await writeJson(sights)
    const [first] = sights
    if (first === undefined) {
      const message = `no peer that answers knows a record ${id}`
      throw new GrapevineError('ApiFailed', message, { status: 404 })
    }
    await write(textOf(id, first, sights))
  } finally {
    await opened.end()
  }
}

const short = (peer: string) => peer.slice(-6)

function textOf(id: string, { topic, publisher }: RecordSight, sights: readonly RecordSight[]): string {
  const published = sights.find(({ time }) => time !== undefined)?.time
  const head = `${paint('bold', id)} on ${topic}, published by ${short(publisher)}${published === undefined ? '' : ` at ${new Date(published).toISOString()}`}`
  const ways = sights
    .toSorted((a, b) => (a.at ?? 0) - (b.at ?? 0))
    .map(({ peer, held, from, at, offset }) => [
      short(peer),
      peer === publisher
        ? 'published it'
        : from === undefined
          ? 'has it, from whom is not known any more'
          : `had it from ${short(from)}`,
      at === undefined || published === undefined ? '-' : `${Math.round(at - published)} ms`,
      held === 'here' ? `at ${offset}` : 'removed',
    ])
  // Members may know more or less of each other; who knows most of a group tells of it.
  const groups = new Map<string, RecordSight['groups'][number]>()
  for (const { groups: some } of sights)
    for (const standing of some) {
      const known = groups.get(standing.group)
      if (known === undefined || (!known.done && (standing.done || standing.attempts > known.attempts)))
        groups.set(standing.group, standing)
    }
  const work = [...groups.values()].map(({ group, slot, holder, attempts, done }) => [
    group === '_queue' ? 'the queue' : group,
    String(slot),
    holder === undefined ? '-' : short(holder),
    done ? 'acknowledged' : attempts === 0 ? 'not handed out yet' : `handed out ${attempts} times, not acknowledged`,
  ])
  const parts = [`${head}\n`, table(['PEER', 'WAY', 'AFTER', 'HELD'], ways)]
  if (work.length > 0) parts.push(table(['GROUP', 'SLOT', 'HOLDER', 'WORK'], work))
  return parts.join('\n')
}
