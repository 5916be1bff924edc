/**
 * What a run does, written down before it begins: peers, links, workload, and a timeline of faults. A plan is plain JSON; a run of the same plan
 * is the same run, event for event. Times are virtual milliseconds since the start, peers go by name.
 */
import type { LinkQuality } from './world/network.ts'

export interface PeerPlan {
  name: string
  /** Whom it is told of; the others it finds by itself. */
  join: string[]
  role?: 'peer' | 'guest'
  /** Memory only. */
  ephemeral?: boolean
  skewMs?: number
  driftPerMille?: number
}

export const workloadKinds = ['pubsub', 'bulk', 'durable', 'latecomer', 'large', 'hostile', 'amnesia'] as const
export type WorkloadKind = (typeof workloadKinds)[number]

/** An application that publishes on one peer, and again after each restart of it. */
export interface PublisherPlan {
  peer: string
  topic: string
  fromMs: number
  untilMs: number
  /** On average; between bursts where `burst` is more than 1. */
  everyMs: number
  /** Records published together, without waiting for one another. */
  burst: number
  /** Payload bytes: drawn between the two, small ones more often. */
  bytesMin: number
  bytesMax: number
  confirm: number | 'auto'
  /** Stops after so many. Default: goes on to the end. */
  count?: number
}

/** An application that reads on one peer, and again after each restart of it. */
export interface ReaderPlan {
  peer: string
  topic: string
  /** Durable, under this name; it acknowledges. */
  name?: string
  from: 'earliest' | 'latest'
  startMs: number
  /** Closed by then; none: reads to the end of the run. */
  endMs?: number
  /** Of a durable one: the share of records it acknowledges at once (the others never). */
  acks?: number
  /** Takes so long over each batch of records. */
  slowMs?: number
}

export interface WorkloadPlan {
  kinds: WorkloadKind[]
  publishers: PublisherPlan[]
  readers: ReaderPlan[]
  /** Peers that send other bytes than they should, all through the safety phase. */
  hostile: string[]
  /** Peers without entropy and with a clock that begins anew at each start: on an empty disk their feeds repeat numbers, which is a fork. */
  amnesic?: string[]
}

export const faultKinds = [
  'delay',
  'reset',
  'halfopen',
  'partition',
  'pause',
  'skew',
  'kill',
  'power',
  'wipe',
  'rollback',
  'bitflip',
  'truncate',
  'slowdisk',
  'fulldisk',
  'churn',
] as const
export type FaultKind = (typeof faultKinds)[number]

export type PartitionShape = 'halves' | 'subset' | 'one' | 'oneway' | 'ring'

/** One fault, from `at` for `forMs`; for a process that is ended, `forMs` is how long it stays down. */
export type FaultEvent = { at: number; forMs: number } & (
  | { kind: 'delay'; from: string[]; to: string[]; quality: Partial<LinkQuality> }
  /** All connections between the two sides are lost at once. */
  | { kind: 'reset'; a: string[]; b: string[] }
  /** Connections between the two sides carry nothing any more, and neither end is told. */
  | { kind: 'halfopen'; a: string[]; b: string[] }
  /** Nothing from `a` reaches `b`, and but for `oneway` nothing from `b` reaches `a`. `ring`: each peer of `a` reaches its two neighbours only. */
  | { kind: 'partition'; shape: PartitionShape; a: string[]; b: string[] }
  | { kind: 'pause'; peer: string }
  /** The wall clock jumps, and back. */
  | { kind: 'skew'; peer: string; skewMs: number }
  | { kind: 'kill'; peer: string }
  | { kind: 'power'; peer: string }
  | { kind: 'wipe'; peer: string }
  /** Killed at the end of `copyAgeMs`, started on the copy of the disk that was made at `at`. */
  | { kind: 'rollback'; peer: string; copyAgeMs: number }
  /** Bits flip in random files; with `forMs` above 0 while it is down for that long. */
  | { kind: 'bitflip'; peer: string; bits: number }
  /** Killed; the ends of random files are gone when it starts again. */
  | { kind: 'truncate'; peer: string; bytes: number; files: number }
  | { kind: 'slowdisk'; peer: string; operationMs: number; syncMs: number }
  /** So many bytes more fit. */
  | { kind: 'fulldisk'; peer: string; spareBytes: number }
  /** Killed and started again, one after the other, each down for `downMs`. */
  | { kind: 'churn'; peers: string[]; everyMs: number; downMs: number }
)

export interface Plan {
  seed: number
  peers: PeerPlan[]
  quality: LinkQuality
  workload: WorkloadPlan
  timeline: FaultEvent[]
  /** Faults happen and the workload publishes. */
  safetyMs: number
  /** All faults are over; by the end of this everything promised must hold. */
  livenessMs: number
  /** In the end the power of all goes at once, they start again, and everything is read once more, from their disks. */
  blackout?: boolean
  /** On how many carriers of each topic a fresh reader reads everything in the end. Default all. */
  freshReaders?: number
}

/** What a run is asked to be; whatever is left out is drawn from the seed. */
export interface Wish {
  peers?: number
  seconds?: number
  faults?: readonly FaultKind[] | 'none'
  workload?: readonly WorkloadKind[]
}

/** Faults after which a peer may lack what it had on disk. */
export const losesData: ReadonlySet<FaultKind> = new Set<FaultKind>(['wipe', 'rollback', 'bitflip', 'truncate'])
