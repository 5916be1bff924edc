/** Draws a plan from a seed: everything random about what a run does is decided here. Numbers are guesses at what hurts. */
import { focusOn } from './focus.ts'
import {
  type FaultEvent,
  type FaultKind,
  faultKinds,
  losesData,
  type PartitionShape,
  type PeerPlan,
  type Plan,
  type Strain,
  type Wish,
  type WorkloadKind,
  type WorkloadPlan,
} from './plan.ts'
import { drawWorkload } from './workload/draw.ts'
import { Rng } from './world/random.ts'

const KiB = 1024
const secondsUsual = 60
/** What is shared among members, who tell each other what they do. */
const sharing: readonly WorkloadKind[] = ['group', 'queue', 'fifo', 'request']
/** Beyond every backoff, stall and repair wait of limits.ts, twice in a row. */
const livenessMs = 120_000

export function drawPlan(seed: number, wish: Wish = {}): Plan {
  const random = new Rng(`${seed}/plan`)
  // Small meshes more often: they are as good at breaking and quicker to run.
  const drawnPeers = 3 + Math.floor(18 * random.float() ** 2)
  const peers = drawPeers(random, wish.peers ?? drawnPeers)
  const safetyMs = (wish.seconds ?? secondsUsual) * 1000
  const quality = {
    delayMs: random.int(1, 40),
    jitterMs: random.int(0, 40),
    bytesPerSecond: Math.round(1e6 * 50 ** random.float()),
  }
  const kinds = wish.workload ?? drawKinds(random)
  const names = peers.map(({ name }) => name)
  const workload = drawWorkload(seed, kinds, names, safetyMs)
  const faults = wish.faults === 'none' ? [] : drawFaults(new Rng(`${seed}/timeline`), wish.faults, names, safetyMs)
  const timeline = [...faults, ...drawLapses(new Rng(`${seed}/lapses`), workload, names, safetyMs)].sort(
    (a, b) => a.at - b.at,
  )
  const blackout = wish.faults !== 'none' && random.chance(0.6)
  const shared = sharing.some((kind) => kinds.includes(kind))
  const strain = shared ? drawStrain(new Rng(`${seed}/strain`)) : drawSegments(new Rng(`${seed}/segments`))
  const plan: Plan = { seed, peers, quality, ...strain, workload, timeline, safetyMs, livenessMs, blackout }
  return wish.focus === undefined ? plan : focusOn(wish.focus, plan)
}

/** What is said in a run of a minute would never be much. */
function drawStrain(random: Rng): { strain?: Strain } {
  const strain: Strain = {}
  if (random.chance(0.6)) {
    strain.bounds = {
      groupNoticeBytes: random.pick([4, 16, 64]) * KiB,
      groupNoticeSegmentBytes: random.pick([1, 4]) * KiB,
      groupSumBytes: random.pick([1, 2, 8]) * KiB,
      groupSumMs: random.pick([200, 1_000, 3_000]),
      groupSumFeeds: random.pick([1, 3, 1_000]),
      groupUnreadMax: random.pick([16, 256]),
    }
  }
  if (random.chance(0.5)) strain.pauses = { share: 0.1, maxMs: random.pick([10, 60]) }
  return Object.keys(strain).length === 0 ? {} : { strain }
}

/** Nor would it fill a segment. What is shared is removed from disk a segment at a time, so that there peers may differ by what is done with. */
function drawSegments(random: Rng): { strain?: Strain } {
  return random.chance(0.5) ? { strain: { bounds: { segmentBytesMax: random.pick([1, 4, 32]) * KiB } } } : {}
}

function drawPeers(random: Rng, count: number): PeerPlan[] {
  const names = Array.from({ length: count }, (_, at) => `p${at}`)
  return names.map((name, at) => {
    const earlier = names.slice(0, at)
    const join = at === 0 ? names.slice(1, 2) : random.sample(earlier, random.int(1, 2))
    const peer: PeerPlan = { name, join }
    if (random.chance(0.3)) peer.skewMs = random.int(-20_000, 20_000)
    if (random.chance(0.3)) peer.driftPerMille = random.int(-5, 5)
    if (at > 0 && random.chance(0.03)) peer.ephemeral = true
    if (at > 1 && random.chance(0.05)) peer.role = 'guest'
    return peer
  })
}

function drawKinds(random: Rng): WorkloadKind[] {
  const kinds: WorkloadKind[] = ['pubsub']
  if (random.chance(0.25)) kinds.push('bulk')
  if (random.chance(0.4)) kinds.push('durable')
  if (random.chance(0.4)) kinds.push('latecomer')
  if (random.chance(0.15)) kinds.push('large')
  if (random.chance(0.1)) kinds.push('hostile')
  if (random.chance(0.1)) kinds.push('amnesia')
  return kinds
}

function drawFaults(
  random: Rng,
  wanted: readonly FaultKind[] | undefined,
  names: string[],
  safetyMs: number,
): FaultEvent[] {
  // A few kinds at a time: a run of everything is a run of nothing in particular.
  const mix = wanted ?? random.sample(faultKinds, random.int(2, 6))
  // Copies are lost for good where more disks fail than there are copies: that is no finding, so it is seldom drawn.
  const unlucky = random.sample(names, random.chance(0.7) ? 1 : 2)
  const storm = random.chance(0.3)
  const count = Math.max(1, Math.round(((storm ? random.int(15, 40) : random.int(2, 9)) * safetyMs) / 60_000))
  const events: FaultEvent[] = []
  for (let i = 0; i < count; i++) {
    const kind = random.pick(mix)
    const at = Math.round(safetyMs * (0.05 + 0.85 * random.float()))
    const forMs = Math.round(Math.min(safetyMs - at, 300 * (storm ? 15 : 100) ** random.float()))
    const peer = random.pick(losesData.has(kind) ? unlucky : names)
    const all = (kind === 'kill' || kind === 'power' || kind === 'pause') && random.chance(0.15)
    for (const each of all ? names : [peer]) events.push(drawFault(random, kind, at, forMs, each, names))
  }
  return events
}

/**
 * An amnesic peer loses its disk now and then: what it does next it has done before. The first time it is cut off together with some,
 * and then with the others, so that each side has a branch of its own to tell of when they meet.
 */
function drawLapses(random: Rng, { amnesic = [] }: WorkloadPlan, names: string[], safetyMs: number): FaultEvent[] {
  return amnesic.flatMap((peer): FaultEvent[] => {
    const others = names.filter((name) => name !== peer)
    const wiped = (share: number): FaultEvent => ({
      kind: 'wipe',
      at: Math.round(safetyMs * share),
      forMs: random.int(100, 3_000),
      peer,
    })
    const later = Array.from({ length: random.int(0, 2) }, () => wiped(0.5 + 0.4 * random.float()))
    if (others.length < 2) return [wiped(0.3), ...later]
    const first = random.sample(others, random.int(1, others.length - 1))
    const second = others.filter((name) => !first.includes(name))
    const lapse = wiped(0.15 + 0.2 * random.float())
    const together = (at: number, forMs: number, a: string[], b: string[]): FaultEvent => ({
      kind: 'partition',
      shape: 'halves',
      at,
      forMs,
      a: [peer, ...a],
      b,
    })
    const meetMs = Math.round(safetyMs * (0.1 + 0.2 * random.float()))
    return [together(0, lapse.at, first, second), lapse, together(lapse.at, meetMs, second, first), ...later]
  })
}

function drawFault(random: Rng, kind: FaultKind, at: number, forMs: number, peer: string, names: string[]): FaultEvent {
  const some = () => random.sample(names, random.int(1, names.length))
  switch (kind) {
    case 'delay': {
      const quality = {
        delayMs: random.int(50, 2_000),
        jitterMs: random.int(0, 1_000),
        bytesPerSecond: random.int(20_000, 1_000_000),
      }
      return { kind, at, forMs, from: some(), to: some(), quality }
    }
    case 'reset':
    case 'halfopen':
      return { kind, at, forMs, a: some(), b: some() }
    case 'partition':
      return { kind, at, forMs, ...drawPartition(random, peer, names) }
    case 'skew':
      return { kind, at, forMs, peer, skewMs: random.int(-50_000, 50_000) }
    case 'rollback':
      return {
        kind,
        at,
        forMs: Math.max(forMs, 2_000),
        peer,
        copyAgeMs: Math.round(Math.max(forMs, 2_000) * random.float()),
      }
    case 'bitflip':
      return { kind, at, forMs: random.chance(0.5) ? forMs : 0, peer, bits: random.int(1, 8) }
    case 'truncate':
      return { kind, at, forMs, peer, bytes: Math.round(100 * 1000 ** random.float()), files: random.int(1, 3) }
    case 'slowdisk':
      return { kind, at, forMs, peer, operationMs: random.int(1, 20), syncMs: random.int(20, 2_000) }
    case 'fulldisk':
      return { kind, at, forMs, peer, spareBytes: random.int(0, 5_000) }
    case 'churn':
      return { kind, at, forMs, peers: some(), everyMs: random.int(500, 5_000), downMs: random.int(10, 3_000) }
    default:
      return { kind, at, forMs, peer }
  }
}

function drawPartition(
  random: Rng,
  peer: string,
  names: string[],
): { shape: PartitionShape; a: string[]; b: string[] } {
  const shape = random.pick(['halves', 'subset', 'one', 'oneway', 'ring'] as const)
  if (shape === 'ring') return { shape, a: random.sample(names, names.length), b: [] }
  const size = shape === 'halves' ? names.length >> 1 : random.int(1, names.length - 1)
  const a = shape === 'one' ? [peer] : random.sample(names, size)
  return { shape, a, b: names.filter((name) => !a.includes(name)) }
}
