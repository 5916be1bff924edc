/**
 * Judges stand outside the system: each holds one promise of design section 3 against the history and what is seen after healing.
 * `verdict` tells what is wrong whatever happens later; `pending` tells in words what must still come about, and what is pending
 * when the time for healing is over is a violation too.
 */
import { limits, type PeerId, type TopicStatus } from '../../node/index.ts'
import type { History, Publication, Reading } from '../history.ts'
import type { Plan } from '../plan.ts'

/** Of design section 3; `crash`: an error that nobody caught, which ends a real process; `expected`: what a scenario asked for besides. */
export type PromiseName = 'G1' | 'G2' | 'G3' | 'G4' | 'G5' | 'G6' | 'G7' | 'G8' | 'crash' | 'expected'

export interface Violation {
  promise: PromiseName
  /** Virtual ms since the start. */
  at: number
  text: string
  /** What it is about: publications by number, readings, peers. */
  ids: (number | string)[]
}

/** What is seen of a running peer, looked at again and again after healing. */
export interface Sight {
  peer: string
  id: PeerId
  friends: number
  topics: TopicStatus[]
  /** Timers it has set. */
  timers: number
}

export interface Evidence {
  plan: Plan
  history: History
  /** By peer; a peer that does not run is not there. */
  sights: Map<string, Sight>
  /** Files on each peer's disk in the end. */
  files: Map<string, ReadonlySet<string>>
  /** Most bytes that ever waited on one connection. */
  peakInFlight: number
}

export interface Judge {
  verdict(): Violation[]
  pending(): string[]
}

/** Not one violation for each of a thousand records. */
const namedMax = 5

export function some<T>(items: readonly T[], text: (item: T) => string): string[] {
  const named = items.slice(0, namedMax).map(text)
  return items.length > namedMax ? [...named, `… and ${items.length - namedMax} more like it`] : named
}

/** Stored for good, as far as its publisher was told. */
export function isStored(publication: Publication): boolean {
  return publication.outcome?.type === 'confirmed' || publication.outcome?.type === 'stored'
}

/**
 * Whether so much was lost that a stored record may be gone: more peers have lost data than it had copies besides its publisher's.
 * Story 1: a copy is counted when its holder says so; when the holder loses its disk while the word is on its way, the count is
 * already wrong as it is given. So losses count from the call of `publish` on.
 */
export function mayBeLost({ plan, history }: Evidence, { at, outcome }: Publication): boolean {
  const copies = outcome?.type === 'confirmed' || outcome?.type === 'stored' ? outcome.copies : 0
  // Story 2: who sends wrong bytes may say that it has a record and never hand it out.
  const losers = new Set(dishonest(plan))
  for (const note of history.peerNotes) if (note.what === 'lost' && note.at >= at) losers.add(note.peer)
  return losers.size > copies
}

/** Peers that send what they should not, or what they have sent before: of these nothing is asked but that they harm nobody. */
function dishonest({ workload: { hostile, amnesic = [] } }: Plan): string[] {
  return [...hostile, ...amnesic]
}

export function isHonest(plan: Plan, peer: string): boolean {
  return !dishonest(plan).includes(peer)
}

/** Open fresh readings of everything at honest peers: what there is now. */
export function present({ plan, history }: Evidence): Reading[] {
  return history.readings.filter(
    ({ fresh, from, endedAt, peer }) => fresh && from === 'earliest' && endedAt === undefined && isHonest(plan, peer),
  )
}

/** Publications of peers whose feeds may fork: each carrier stops at another place in these. */
export function forkable({ plan, history }: Evidence): Set<number> {
  const { amnesic = [] } = plan.workload
  if (amnesic.length === 0) return new Set()
  return new Set(history.publications.filter(({ peer }) => amnesic.includes(peer)).map(({ id }) => id))
}

/**
 * Story 3: of a feed one batch was on no other disk yet when its publisher was killed and the disk damaged there. What follows it in the feed, never
 * confirmed either, is whole and yet nobody else can verify it: it stays where it is. Such are the publications that only peers with
 * damaged disks have, their publisher among them, and that may be lost altogether.
 */
export function stranded(evidence: Evidence): Set<number> {
  const { history } = evidence
  const damaged = new Map<string, number>()
  for (const { peer, at, what } of history.peerNotes) if (what === 'lost') damaged.set(peer, at)
  if (damaged.size === 0) return new Set()
  const elsewhere = new Set<number>()
  for (const reading of history.readings)
    if (reading.fresh && !damaged.has(reading.peer)) for (const id of reading.got.keys()) elsewhere.add(id)
  const alone = history.publications.filter(
    (publication) =>
      !elsewhere.has(publication.id) &&
      (damaged.get(publication.peer) ?? -1) >= publication.at &&
      (!isStored(publication) || mayBeLost(evidence, publication)),
  )
  return new Set(alone.map(({ id }) => id))
}

/** What must be readable in the end: all that is stored but for what was lost with its disks, and what any fresh reader has seen. */
export function expected(evidence: Evidence): Map<string, Set<number>> {
  const { plan, history } = evidence
  const left = new Set([...stranded(evidence), ...forkable(evidence)])
  const byTopic = new Map<string, Set<number>>()
  const add = (topic: string, id: number) => {
    const ids = byTopic.get(topic) ?? new Set<number>()
    byTopic.set(topic, ids.add(id))
  }
  for (const publication of history.publications)
    if (isStored(publication) && isHonest(plan, publication.peer) && !mayBeLost(evidence, publication))
      add(publication.topic, publication.id)
  for (const reading of history.readings)
    if (reading.fresh && isHonest(plan, reading.peer))
      for (const id of reading.got.keys()) if (!left.has(id)) add(reading.topic, id)
  return byTopic
}

/** A clock that gains or loses a little. */
const driftShare = 0.1

/**
 * By peer: when it went on without what damage took, having waited for it as long as it must. One whose clock was set has an excuse, since
 * it cannot know how long that was. Sooner it may give up only what comes again at the end of the log by itself.
 */
export function givenUp({ plan, history }: Evidence): Map<string, number[]> {
  const skewed = new Set(plan.timeline.flatMap((event) => (event.kind === 'skew' ? [event.peer] : [])))
  const found = new Map<string, number>()
  const times = new Map<string, number[]>()
  for (const { peer, at, event } of history.told) {
    if (event.type !== 'damage-found' && event.type !== 'damage-lost') continue
    const place = `${peer} ${event.file}`
    const since = found.get(place) ?? at
    if (event.type === 'damage-found') found.set(place, since)
    else if (skewed.has(peer) || at - since >= limits.repairWaitMs * (1 - driftShare))
      times.set(peer, [...(times.get(peer) ?? []), at])
  }
  return times
}

export function nameOf(reading: Reading): string {
  const { from, fresh, name } = reading
  const what = typeof from === 'number' ? `from ${from}` : fresh ? 'fresh' : (name ?? from)
  return `reading ${reading.number} (${what}) of ${reading.topic} at ${reading.peer}`
}
