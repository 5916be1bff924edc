/**
 * What a run does, written down before it begins: peers, links, workload, and a timeline of faults. A plan is plain JSON; a run of the same plan
 * is the same run, event for event. Times are virtual milliseconds since the start, peers go by name.
 */
import type { GroupType, limits } from '../node/index.ts'
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

/**
 * From `group` on they are drawn where they are asked for only, each from a stream of its own: seeds that do not ask for them stay the runs
 * they were.
 */
export const workloadKinds = [
  'pubsub',
  'bulk',
  'durable',
  'latecomer',
  'large',
  'hostile',
  'amnesia',
  'group',
  'queue',
  'fifo',
  'request',
] as const
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
  /** Every record has one of so many keys. Default: some have one of ten. */
  keys?: number
  /** It sends to the queue of this name, and asks for something with shares of what it sends. */
  asks?: AsksPlan
}

/** What a sender asks for: shares of its records are for later, expire, are urgent or not, or have the deduplication id of others. */
export interface AsksPlan {
  delayed: number
  delayMsMax: number
  expiring: number
  expiresMsMax: number
  prioritised: number
  repeated: number
  /** Those among so many in a row, of all senders, have one id. */
  repeatedWithin: number
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

/** A consumer group, or a queue: what its members share, and who they are. */
export interface GroupPlan {
  topic: string
  name: string
  type: GroupType
  leaseMs: number
  /** It is a queue, and whoever receives a record has it for so long. */
  visibilityMs?: number
  maxReceives: number
  quorum: boolean
  from: 'earliest' | 'latest'
  consumers: ConsumerPlan[]
}

/**
 * An application that works on what a group hands out on one peer, and again after each restart of it. As long as there are faults it has some of its
 * own: shares of the records are refused, worked on for longer than the lease, or for longer but with leave.
 */
export interface ConsumerPlan {
  peer: string
  startMs: number
  /** Records it has at once. */
  concurrency: number
  /** Asks for the next when it is done with the one before. */
  oneByOne?: boolean
  /** Of a queue: it receives at most `max` at a time, waiting so long for the first, and works on one after the other. */
  receive?: { max: number; waitMs: number }
  /** On a record, on average. */
  workMs: number
  nacks: number
  hangs: number
  extends: number
  /** Every so manieth publication kills its process, each time it is handed out. */
  poison?: number
  /** Drains at these times, and comes back after `awayMs`. */
  drains: number[]
  awayMs: number
}

/** Who asks on a topic, and who answers there. */
export interface RequestPlan {
  topic: string
  responders: ResponderPlan[]
  askers: AskerPlan[]
}

/** An application that answers on one peer, and again after each restart of it. Until the faults are over it throws for a share of what it is asked. */
export interface ResponderPlan {
  peer: string
  startMs: number
  concurrency: number
  /** On a request, on average. */
  workMs: number
  fails: number
  /** Closes at these times, and comes back after `awayMs`. */
  closes: number[]
  awayMs: number
}

/** An application that asks on one peer, to the end of the run, and again after each restart of it. */
export interface AskerPlan {
  peer: string
  startMs: number
  /** On average, whether or not what it asked before is answered. */
  everyMs: number
  timeoutMs: number
}

export interface WorkloadPlan {
  kinds: WorkloadKind[]
  publishers: PublisherPlan[]
  readers: ReaderPlan[]
  /** Peers that send other bytes than they should, all through the safety phase. */
  hostile: string[]
  /** Peers without entropy and with a clock that begins anew at each start: on an empty disk their feeds repeat numbers, which is a fork. */
  amnesic?: string[]
  /** Consumer groups and queues. */
  groups?: GroupPlan[]
  requests?: RequestPlan[]
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

/** What comes seldom on a machine of one's own: bounds that are reached soon, and long work that is interrupted. */
export interface Strain {
  /** In the place of what `limits` says. */
  bounds?: Partial<Record<keyof typeof limits, number>>
  /** A share of the steps of long work takes up to `maxMs`. */
  pauses?: { share: number; maxMs: number }
}

export interface Plan {
  seed: number
  peers: PeerPlan[]
  quality: LinkQuality
  strain?: Strain
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

/** What a run may bear on: see `focus.ts`. */
export const focuses = ['lease', 'vote', 'damage', 'loan'] as const
export type Focus = (typeof focuses)[number]

/** What a run is asked to be; whatever is left out is drawn from the seed. */
export interface Wish {
  peers?: number
  seconds?: number
  faults?: readonly FaultKind[] | 'none'
  workload?: readonly WorkloadKind[]
  /** What it bears on, beyond its workload: its faults are those of the focus. */
  focus?: Focus
}

/** Faults after which a peer may lack what it had on disk. */
export const losesData: ReadonlySet<FaultKind> = new Set<FaultKind>(['wipe', 'rollback', 'bitflip', 'truncate'])
