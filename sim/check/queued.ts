/**
 * What a queue adds to what G7 promises of its group: nothing is received before its time or after it, and of what was sent under one
 * deduplication id one is received. Senders tell times by their clocks and holders by theirs: as much is allowed for as these may differ.
 */
import { type Handed, isAcked } from '../group-history.ts'
import type { Publication } from '../history.ts'
import type { GroupPlan } from '../plan.ts'
import { clockSpread } from './clocks.ts'
import type { Excuses } from './excuse.ts'
import type { Evidence } from './judge.ts'

export interface Wrong {
  at: number
  text: string
}

/** A turn of timers, and whole milliseconds (guess). */
const turnMs = 50

/** `handed`: all of this queue, in the order in which they came. */
export function queuedWrong(
  evidence: Evidence,
  queue: GroupPlan,
  handed: readonly Handed[],
  excuses: Excuses,
): Wrong[] {
  const { publications } = evidence.history
  const holders = queue.consumers.map(({ peer }) => peer)
  const same = new Map<string, Handed[]>()
  const wrong: Wrong[] = []
  for (const one of handed) {
    const publication = publications[one.id ?? -1]
    if (publication === undefined) continue
    const { asked: { delayMs = 0, expiresMs = Number.POSITIVE_INFINITY } = {}, peer, at } = publication
    const name = `${one.shift.peer} received ${one.id} of ${queue.topic} at ${Math.round(one.at)} ms`
    const spreadMs = clockSpread(evidence, [peer, ...holders], one.at) + turnMs
    if (one.at < at + delayMs - spreadMs)
      wrong.push({ at: one.at, text: `${name}, ${Math.round(at + delayMs - one.at)} ms before its time` })
    if (one.at > at + expiresMs + spreadMs)
      wrong.push({ at: one.at, text: `${name}, ${Math.round(one.at - at - expiresMs)} ms after it expired` })
    const id = dedupOf(queue, publication)
    if (id === undefined) continue
    same.set(id, [...(same.get(id) ?? []), one])
  }
  return [...wrong, ...[...same].flatMap(([id, all]) => receivedTwice(id, all, excuses))]
}

/** The window is longer than any run: all of one id are one. In a queue with message groups each has ids of its own. */
export function dedupOf({ type }: GroupPlan, { asked, key }: Publication): string | undefined {
  if (asked?.dedupId === undefined) return undefined
  return type === 'key-shared' ? `${key}/${asked.dedupId}` : asked.dedupId
}

function receivedTwice(id: string, handed: readonly Handed[], excuses: Excuses): Wrong[] {
  const done = handed.find(isAcked)
  if (done?.settled === undefined) return []
  const { at: askedAt, endedAt = 0 } = done.settled
  const { peer } = done.shift
  return handed
    .filter((next) => next.id !== done.id && next.at > endedAt && !excuses.forgotten(peer, askedAt, next.at))
    .map(({ shift, id: again, at }) => ({
      at,
      text: `${shift.peer} received ${again} at ${Math.round(at)} ms, which was sent as ${id}, as ${done.id} was that ${peer} had acknowledged`,
    }))
}
