/** From a scenario as it is written to the plan that a run plays. */
import type { FaultEvent, GroupPlan, PeerPlan, Plan } from '../plan.ts'
import { type FaultName, kindsIn, type ScenarioText, type TimelineEntry } from './shape.ts'

type Refs = string | string[]
type Path = (string | number)[]

/** `path` leads to the place in the file. */
export class NoSuchPeer extends Error {
  readonly path: Path

  constructor(path: Path, ref: string, known: readonly string[]) {
    super(`names ${ref}, and there is only ${[...known, 'all'].join(', ')}`)
    this.path = path
  }
}

export function planOf(scenario: ScenarioText): Plan {
  const groups = groupsOf(scenario)
  const peers = peersOf(scenario, groups)
  const find = (refs: Refs, path: Path): string[] => {
    const names = [refs].flat().flatMap((ref) => {
      if (ref === 'all') return peers.map((peer) => peer.name)
      const found = groups.get(ref) ?? [...groups.values()].flat().filter((member) => member === ref)
      if (found.length === 0) throw new NoSuchPeer(path, ref, [...groups.keys()])
      return found
    })
    return [...new Set(names)]
  }
  const { network, lasts, settles, seed } = scenario
  const end = (until: number | undefined) => Math.min(until ?? lasts, lasts)
  return {
    seed,
    peers,
    quality: {
      delayMs: network.delay ?? 5,
      jitterMs: network.jitter ?? 20,
      bytesPerSecond: network.bandwidth ?? 10e6,
    },
    workload: {
      kinds: [],
      publishers: scenario.publish.flatMap(
        ({ by, topic, from, until, every, burst, bytes, confirm, count, keys }, at) =>
          find(by, ['publish', at, 'by']).map((peer) => ({
            peer,
            topic,
            fromMs: from,
            untilMs: end(until),
            everyMs: every,
            burst,
            bytesMin: bytes.min,
            bytesMax: bytes.max,
            confirm,
            ...(count === undefined ? {} : { count }),
            ...(keys === undefined ? {} : { keys }),
          })),
      ),
      readers: scenario.read.flatMap(({ by, topic, from, name, acks, slow, start, end: endMs }, at) =>
        find(by, ['read', at, 'by']).map((peer) => ({
          peer,
          topic,
          from,
          startMs: start,
          ...(name === undefined ? {} : { name, acks: acks ?? 1 }),
          ...(slow === undefined ? {} : { slowMs: slow }),
          ...(endMs === undefined ? {} : { endMs }),
        })),
      ),
      ...(scenario.groups.length === 0 ? {} : { groups: groupPlansOf(scenario, find) }),
      hostile: scenario.hostile === undefined ? [] : find(scenario.hostile, ['hostile']),
      amnesic: scenario.amnesic === undefined ? [] : find(scenario.amnesic, ['amnesic']),
    },
    timeline: scenario.timeline
      .flatMap((entry, at) => eventsOf(entry, (refs, ...path) => find(refs, ['timeline', at, ...path])))
      .map((event) => ({ ...event, forMs: Math.max(0, Math.min(event.forMs, lasts - event.at)) }))
      .sort((a, b) => a.at - b.at),
    safetyMs: lasts,
    livenessMs: settles,
    ...(scenario.freshReaders === undefined ? {} : { freshReaders: scenario.freshReaders }),
  }
}

function groupPlansOf({ groups }: ScenarioText, find: (refs: Refs, path: Path) => string[]): GroupPlan[] {
  return groups.map(({ by, topic, name, type, from, lease, receives, quorum, ...each }, at) => {
    const { concurrency, work, nacks, hangs, extends: extensions, poison, start, drains, away } = each
    return {
      topic,
      name,
      type,
      leaseMs: lease,
      maxReceives: receives,
      quorum,
      from,
      consumers: find(by, ['groups', at, 'by']).map((peer) => ({
        peer,
        startMs: start,
        concurrency,
        workMs: work,
        nacks,
        hangs,
        extends: extensions,
        ...(poison === undefined ? {} : { poison }),
        drains,
        awayMs: away,
      })),
    }
  })
}

function groupsOf({ peers }: ScenarioText): Map<string, string[]> {
  return new Map(
    Object.entries(peers).map(([group, what]) => {
      const count = typeof what === 'number' ? what : what.count
      return [group, Array.from({ length: count }, (_, at) => `${group}-${at}`)]
    }),
  )
}

/** Each is told of the first one and of the one before it. */
function peersOf({ peers }: ScenarioText, groups: ReadonlyMap<string, string[]>): PeerPlan[] {
  const names = [...groups.values()].flat()
  return [...groups].flatMap(([group, members]) =>
    members.map((name): PeerPlan => {
      const what = peers[group]
      const options = typeof what === 'object' ? what : undefined
      const at = names.indexOf(name)
      const join = at === 0 ? names.slice(1, 2) : [...new Set([names[at - 1] as string, names[0] as string])]
      return {
        name,
        join,
        ...(options?.ephemeral ? { ephemeral: true } : {}),
        ...(options?.guest ? { role: 'guest' as const } : {}),
        ...(options?.skew === undefined ? {} : { skewMs: options.skew }),
        ...(options?.drift === undefined ? {} : { driftPerMille: options.drift }),
      }
    }),
  )
}

type Find = (refs: Refs, ...path: Path) => string[]
type Makers = { [K in FaultName]: (what: NonNullable<TimelineEntry[K]>, find: Find) => object[] }

/** What each kind becomes; several, one for each peer, where it happens to one at a time. */
const makers: Makers = {
  pause: (peers, find) => find(peers).map((peer) => ({ peer })),
  kill: (peers, find) => find(peers).map((peer) => ({ peer })),
  power: (peers, find) => find(peers).map((peer) => ({ peer })),
  wipe: (peers, find) => find(peers).map((peer) => ({ peer })),
  reset: ([a, b], find) => [{ a: find(a, 0), b: find(b, 1) }],
  halfopen: ([a, b], find) => [{ a: find(a, 0), b: find(b, 1) }],
  partition: (what, find) => {
    if (Array.isArray(what)) return [{ shape: 'halves', a: find(what[0], 0), b: find(what[1], 1) }]
    if ('ring' in what) return [{ shape: 'ring', a: find(what.ring, 'ring'), b: [] }]
    return [{ shape: 'oneway', a: find(what.from, 'from'), b: find(what.to, 'to') }]
  },
  delay: ({ from, to, delay, jitter, bandwidth }, find) => {
    const quality = {
      ...(delay === undefined ? {} : { delayMs: delay }),
      ...(jitter === undefined ? {} : { jitterMs: jitter }),
      ...(bandwidth === undefined ? {} : { bytesPerSecond: bandwidth }),
    }
    return [{ from: find(from, 'from'), to: find(to, 'to'), quality }]
  },
  rollback: ({ peer, age }, find) => find(peer, 'peer').map((name) => ({ peer: name, copyAgeMs: age })),
  skew: ({ peer, by }, find) => find(peer, 'peer').map((name) => ({ peer: name, skewMs: by })),
  bitflip: ({ peer, bits }, find) => find(peer, 'peer').map((name) => ({ peer: name, bits })),
  truncate: ({ peer, bytes, files }, find) => find(peer, 'peer').map((name) => ({ peer: name, bytes, files })),
  slowdisk: ({ peer, operation, sync }, find) =>
    find(peer, 'peer').map((name) => ({ peer: name, operationMs: operation, syncMs: sync })),
  fulldisk: ({ peer, spare }, find) => find(peer, 'peer').map((name) => ({ peer: name, spareBytes: spare })),
  churn: ({ peers, every, down }, find) => [{ peers: find(peers, 'peers'), everyMs: every, downMs: down }],
}

function eventsOf(entry: TimelineEntry, find: Find): FaultEvent[] {
  const [kind] = kindsIn(entry)
  if (kind === undefined) throw new Error('an entry without a fault was let through')
  const make = makers[kind] as (what: unknown, find: Find) => object[]
  const made = make(entry[kind], (refs, ...path) => find(refs, kind, ...path))
  return made.map((event, i) => ({ at: entry.at + i * entry.stagger, forMs: entry.for, kind, ...event }) as FaultEvent)
}
