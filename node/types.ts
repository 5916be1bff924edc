/** The public words of Grapevine, used by every room. Times are milliseconds since 1970 unless a name says otherwise. */

declare const brand: unique symbol
type Branded<T, B extends string> = T & { readonly [brand]: B }

/** A peer's identity: libp2p's text form of its Ed25519 key, `12D3Koo…`. */
export type PeerId = Branded<string, 'PeerId'>
/** A topic's name: 1 to 249 of `A-Z a-z 0-9 . _ -`, levels separated by dots. Names beginning with `$` are Grapevine's own. */
export type TopicName = Branded<string, 'TopicName'>
/** A feed: 32 hex digits, the first 16 bytes of the sha-256 of author, topic, start and nonce. */
export type FeedId = Branded<string, 'FeedId'>

export type Headers = Readonly<Record<string, string>>

/** How values become bytes: `json` (default), `text` (UTF-8) or `bytes` (as they are). */
export type CodecName = 'json' | 'text' | 'bytes'

export interface PublishOptions {
  /** Records with one key keep their order in a group. Up to 4 KiB of UTF-8. */
  key?: string
  headers?: Headers
  /**
   * How many *other* peers must have the record on disk before `publish` resolves: a number, or `auto` (default):
   * one when another peer is known that carries or can carry the topic, none when we are alone.
   */
  confirm?: number | 'auto'
  /** How long to wait for that, in ms. Default 30,000. Then `ConfirmTimeout`; the record stays on its way. */
  timeoutMs?: number
}

/** Where a published record stands: `index` counts the records of its feed from 0, `seq` its batches from 1. */
export interface Receipt {
  feed: FeedId
  seq: number
  index: number
  /** Other peers known to have it on disk when this resolved. */
  copies: number
}

/** One item of `publishMany`. */
export interface Outgoing<T> {
  value: T
  key?: string
  headers?: Headers
}

export interface PublishManyResult {
  published: number
  confirmed: number
  /** The least number of other peers any of the batches had on disk. */
  copies: number
}

export interface PublishManyOptions extends Omit<PublishOptions, 'key' | 'headers'> {
  /** Called as batches are confirmed. */
  onProgress?: (progress: PublishManyResult) => void
}

export interface Message<T> {
  topic: TopicName
  /** With the codec `bytes` a view on memory that the peer goes on using: copy it before changing it. */
  value: T
  key: string | undefined
  headers: Headers
  /** When it was published, by the publisher's hybrid clock, ms. */
  time: number
  publisher: PeerId
  feed: FeedId
  seq: number
  /** Position among the records of its feed, from 0: `feed` and `index` name a record everywhere. */
  index: number
  /** `feed/index`. */
  id: string
  /** Position in *this peer's* arrival log of the topic, from 0. */
  offset: number
  /** Marks it as dealt with; resolves when that survives the loss of this process. Does nothing for a subscription without a name. */
  ack(): Promise<void>
}

export type StartPosition = 'earliest' | 'latest' | Date | number

export interface SubscribeOptions {
  /** Makes it durable: it goes on after the last acknowledged record, after a restart and on any peer. 1 to 249 of the characters of topic names. */
  name?: string
  /** Where a subscription without earlier acknowledgements begins; a number is an offset. Default `latest`. */
  from?: StartPosition
  /** Ends the iteration. */
  signal?: AbortSignal
}

export interface Subscription<T> extends AsyncIterable<Message<T>>, AsyncDisposable {
  /** Resolves when the subscription is live: nothing published anywhere after that is missed. */
  readonly ready: Promise<void>
  /** Records as they come, up to `limits.deliveredMax` of a batch at a time: one promise for all of them instead of one a record. */
  batches(): AsyncIterable<Message<T>[]>
  /** Ends the iteration and shares the last acknowledgements. */
  close(): Promise<void>
}

export interface Topic<T> {
  readonly name: TopicName
  publish(value: T, options?: PublishOptions): Promise<Receipt>
  publishMany(
    values: Iterable<Outgoing<T>> | AsyncIterable<Outgoing<T>>,
    options?: PublishManyOptions,
  ): Promise<PublishManyResult>
  subscribe(options?: SubscribeOptions): Subscription<T>
  /** The consumer group of this name; one and the same for all who ask on this peer. Throws `InvalidOption`, `InvalidTopic`, `GroupConflict`. */
  group(name: string, options?: GroupOptions): Group<T>
  /** Answers requests on this topic from now on, beside all others that do. Throws `InvalidOption`. */
  respond(handler: RequestHandler<T>, options?: RespondOptions): Responder
}

/** A request as its responder sees it: `attempt` counts the responders it was given to. */
export type RequestInfo = Pick<Message<unknown>, 'headers' | 'publisher' | 'time'> & { attempt: number }

/** What it returns, or resolves with, is the answer; what it throws is told to the asker (`RequestFailed`). */
export type RequestHandler<T = unknown> = (value: T, request: RequestInfo) => unknown

export interface RespondOptions {
  /** Requests worked on at once. 1 to 1,000, default 16. */
  concurrency?: number
}

export interface Responder extends AsyncDisposable {
  /** Takes no more requests; resolves when those it has are answered. */
  close(): Promise<void>
}

export interface RequestOptions {
  /** How long to wait for the answer, ms. Default 5,000. */
  timeoutMs?: number
  headers?: Headers
  /** Of the request and its answer; the responders' must be the same. Default `json`. */
  codec?: CodecName
}

/**
 * `shared` (default): any member, any order. `key-shared`: records with one key one at a time and in order. `exclusive`: one member,
 * others are refused. `failover`: one active member, the others stand by.
 */
export type GroupType = 'shared' | 'key-shared' | 'exclusive' | 'failover'

/** A Date is when a record was published, by its publisher's clock. */
export type GroupPosition = 'earliest' | 'latest' | Date

export interface GroupOptions {
  type?: GroupType
  /** How long a member may be silent before others take over, and how long a consumer has for a record, ms. 1,000 to 12 hours, default 5,000. */
  leaseMs?: number
  /** A record that was handed out so often and not acknowledged goes to the dead letters. 1 to 1,000, default 5. */
  maxReceives?: number
  /** Topic for dead letters. Default `<topic>.dead`. */
  deadLetter?: string
  /** Whether only members that a majority hears deliver: in a partition the minority stops. Default false: both sides go on. */
  quorum?: boolean
  /** Where the group begins when it is new: a Date leaves out what was published before. Default `latest`. */
  from?: GroupPosition
}

/** What all members of a group share. */
export interface GroupSettings {
  type: GroupType
  leaseMs: number
  /** How long a consumer has for a record, ms: of a group the lease, of a queue its own. */
  visibilityMs: number
  maxReceives: number
  deadLetter: string
  quorum: boolean
}

export interface ConsumeOptions {
  /**
   * Records that this consumer may have at once: those that wait for it to ask, and those it has not settled. All of them count as handed
   * out, whether or not it came to look at them before its process died. 1 to 1,000, default 1. Where it is 32 or more and the consumer is done
   * with all of them in less than a quarter of a second, up to three times as many are told ahead to follow at once, and count so as well.
   */
  concurrency?: number
  /** Ends the iteration. */
  signal?: AbortSignal
}

/** A record as a group hands it out. `ack`, `nack` and `extend` reject with `LeaseLost` once it is not this delivery's any more. */
export interface GroupRecord<T> extends Omit<Message<T>, 'ack'> {
  /** How often it was handed out, this time included. */
  readonly attempt: number
  /** Never goes back for one key (`key-shared`) or the group (`exclusive`, `failover`): a store that keeps the highest can refuse who is late. */
  readonly fencingToken: number
  /** It is done; resolves when another peer that is linked knows that too or a second has passed, and with `quorum` when a majority knows. */
  ack(): Promise<void>
  /** It shall be handed out again, to anybody, after `delayMs` (default 0). */
  nack(options?: { delayMs?: number }): Promise<void>
  /** `ms` more from now, up to 12 hours. */
  extend(ms: number): Promise<void>
}

export interface GroupMember {
  peer: PeerId
  /** Slots it holds. */
  slots: number
  /** Since its last beat, ms; 0 for ourselves. */
  silentMs: number
}

export interface GroupSlot {
  slot: number
  holder: PeerId | undefined
  /** The fencing token it is, or was last, held under. */
  term: number
  /** Records of it that are not done. */
  lag: number
}

export interface GroupStatus {
  topic: TopicName
  name: string
  settings: GroupSettings
  /** Live ones, ourselves included when we are consuming. */
  members: GroupMember[]
  slots: GroupSlot[]
  /** Records that are not done, of those that are here. */
  lag: number
  /** Records that two members dealt with (see the event `delivered-twice`), the last of them: `feed/index`. */
  deliveredTwice: string[]
}

/** A group as it looks from outside, by what its members have told: for that, nobody takes part in it. */
export interface GroupSummary extends Pick<GroupStatus, 'topic' | 'name' | 'settings' | 'members'> {
  /** How many there are; what the members hold of them stands with each. */
  slots: number
  /** Records that are not done, of those that are here; undefined where the topic is not carried here. */
  lag: number | undefined
  /** Of those, what consumers have, and what has to wait until its time comes, by the last beats. */
  inFlight: number
  delayed: number
  /** Of those, what was handed out more than once. */
  redelivered: number
}

export type GroupEvent =
  | { type: 'joined' | 'left'; peer: PeerId; time: number }
  | { type: 'slot-taken'; slot: number; term: number; time: number }
  | { type: 'slot-lost'; slot: number; term: number; to: PeerId | undefined; time: number }
  | { type: 'dead-letter'; id: string; reason: DeadReason; time: number }
  /**
   * One acknowledged what the other had acknowledged or still had: what a partition does without `quorum`, and with it only a member that stops right
   * after it acknowledged, and was told that nobody heard (`LeaseLost`, `unheard`). Told when they hear of each other.
   */
  | { type: 'delivered-twice'; id: string; peers: [PeerId, PeerId]; time: number }

/** Why a record is a dead letter: it was handed out `maxReceives` times, or its bytes are not what the topic's codec says. */
export type DeadReason = 'max-receives' | 'undecodable'

export interface Group<T> {
  readonly topic: TopicName
  readonly name: string
  /** Takes part, for as long as the iteration lasts. Rejects with `GroupConflict`, `GroupInUse`. */
  consume(options?: ConsumeOptions): AsyncIterable<GroupRecord<T>>
  status(): Promise<GroupStatus>
  /**
   * Moves the whole group: what was published from there on is handed out again, whoever had it, and what was published before is not. Records that
   * consumers have stay theirs, and count as done when they acknowledge them. Of several seeks the latest counts, whichever members made them.
   * Of those one member is asked for at once, the last. Resolves when it is on disk here and, where another peer is linked, there: also with a
   * `quorum` it needs no majority. Rejects with `InvalidOption`, `GroupConflict`, `PeerClosed`.
   */
  seek(to: GroupPosition): Promise<void>
  /** What happens from now on, until the iteration is ended. */
  events(): AsyncIterable<GroupEvent>
  /** Hands nothing more out, waits for what is on its way, passes the slots on, ends all iterations. */
  drain(): Promise<void>
}

/** A queue on a topic of the same name. All who open it must agree on everything but the codec. */
export interface QueueOptions {
  codec?: CodecName
  /** How long whoever received a record has before it is handed out again, ms. 100 to 12 hours, default 30,000. */
  visibilityMs?: number
  /** A record that was handed out so often and not acknowledged goes to the dead letters. 1 to 1,000, default 5. */
  maxReceives?: number
  /** Topic, and so queue, for dead letters. Default `<name>.dead`. */
  deadLetter?: string
  /** Records of one `groupId` one at a time and, of each sender, in order. Default false: any order. */
  fifo?: boolean
  /** As of a group. Default false. */
  quorum?: boolean
}

export interface SendOptions {
  /** Not to be received before, from now, ms. Up to a year, default 0. */
  delayMs?: number
  /** 0 to 9, the most urgent; default 4. Less urgent ones are not starved: one record in ten is the one that waits longest. */
  priority?: number
  /** Its message group: needed with `fifo`. 1 to 1,024 characters. */
  groupId?: string
  /**
   * Of records sent under one id (with `fifo`: in one message group) within 5 minutes, counted from the first, one is received; the others are
   * removed once it is done or has expired. 1 to 1,024 characters.
   */
  dedupId?: string
  /** Not to be received after that time, from now, ms: then it is removed. Default never. */
  expiresMs?: number
  headers?: Headers
  /** As of `publish`. */
  confirm?: number | 'auto'
  timeoutMs?: number
}

export interface ReceiveOptions {
  /** At most so many. 1 to 1,000, default 1. */
  max?: number
  /** How long to wait for the first where there is none, ms. Default 0. */
  waitMs?: number
  /** Ends the waiting: rejects with its reason. */
  signal?: AbortSignal
}

/** What is done with a received record. Each rejects with `LeaseLost` once it is not its receiver's any more. */
export interface Settling extends Pick<GroupRecord<unknown>, 'ack' | 'nack' | 'extend'> {
  /** Gives it back untried: handed out again at once, to anybody. It counts as handed out all the same. */
  release(): Promise<void>
}

export interface QueueRecord<T> extends GroupRecord<T>, Settling {
  /** Names this delivery: see `byReceipt`. */
  readonly receipt: string
}

export interface QueueStats {
  name: TopicName
  settings: GroupSettings
  /** Not acknowledged, of those that are here: the three that follow together. */
  records: number
  ready: number
  /** Received and not settled. */
  inFlight: number
  /** Their time has not come. */
  delayed: number
  /** In the queue of dead letters. */
  dead: number
}

/** A queue as it looks from outside, by what its members have told: for that, it is not opened here. */
export interface QueueSummary extends Pick<QueueStats, 'name' | 'settings' | 'inFlight' | 'delayed'> {
  /** Undefined where the queue is not carried here. */
  records: number | undefined
  ready: number | undefined
  /** Undefined where the queue of dead letters is not carried here. */
  dead: number | undefined
}

export interface Queue<T> {
  readonly name: TopicName
  /** Resolves as `publish`. Throws `InvalidOption`, rejects as `publish`. */
  send(value: T, options?: SendOptions): Promise<Receipt>
  /** Records, each for `visibilityMs`; none where there were none in time. Rejects with `GroupConflict`, `PeerClosed`. */
  receive(options?: ReceiveOptions): Promise<QueueRecord<T>[]>
  /** A record that was received on this peer, by whatever connection, to settle it from elsewhere. */
  byReceipt(receipt: string): Settling
  /** As of a group. */
  consume(options?: ConsumeOptions): AsyncIterable<QueueRecord<T>>
  /** What is in the queue, in the order in which it came here, without receiving it; at most `max` (default 100). */
  browse(options?: { max?: number }): Promise<Message<T>[]>
  /** Removes all that is in the queue, also what somebody has received. Resolves with how many there were. */
  purge(): Promise<number>
  /** Sends dead letters that came from this queue to it again, at most `max` (default all). Resolves with how many. */
  redrive(options?: { max?: number }): Promise<number>
  stats(): Promise<QueueStats>
  events(): AsyncIterable<GroupEvent>
  /** As of a group. */
  drain(): Promise<void>
}

export interface TopicOptions {
  codec?: CodecName
}

export interface FriendStatus {
  id: PeerId
  addresses: string[]
  /** Round-trip time in ms; undefined until measured. */
  rttMs: number | undefined
  /** Since when we are friends. */
  since: number
  /** Topics it carries that we care about too. */
  sharedTopics: number
  direction: 'inbound' | 'outbound'
}

export interface TopicStatus {
  name: TopicName
  /** `carry`: all of it is kept here; `own`: only what was published here; `none`: other peers have it. */
  held: 'carry' | 'own' | 'none'
  /** Why we carry it. */
  because: ('subscribed' | 'carried' | 'keeper')[]
  feeds: number
  batches: number
  records: number
  bytes: number
  /** Position of the first record that is still here, and of the next to come, in this peer's arrival log. */
  startOffset: number
  endOffset: number
  /** Live peers known to carry it, ourselves included. */
  carriers: number
}

/** An address that the peer was told to join. */
export interface JoinStatus {
  address: string
  /** `friend`: who is there is a friend; `failing`: it was not reached the last time, and is tried again. */
  state: 'friend' | 'trying' | 'failing'
  failure?: string
}

/** What a peer was set up with, beyond where it listens and what it joins. */
export interface PeerSettings {
  keep: number
  role: 'peer' | 'guest'
  discover: boolean
  confirmTimeoutMs: number
  retention: { maxAgeMs?: number; maxBytes?: number }
}

export interface PeerStatus {
  id: PeerId
  version: string
  addresses: string[]
  data: string | null
  mesh: string
  since: number
  /** `draining`: it takes no more publishes; `full`: a write found its disk full within the last minute. */
  state: 'open' | 'draining' | 'full'
  settings: PeerSettings
  joins: JoinStatus[]
  /** What went wrong since it started, the last 50, oldest first. */
  troubles: PeerEvent[]
  peersKnown: number
  friends: number
  topics: number
  bytes: { sent: number; received: number; stored: number }
}

/** A peer of the mesh, as it describes itself to whoever looks. */
export interface MeshPeer {
  id: PeerId
  version: string
  /** A guest is short-lived, such as a command's own peer: it never keeps a topic for others. */
  role: 'peer' | 'guest'
  addresses: string[]
  /** When it started, and what its clock said as it answered. */
  since: number
  time: number
  /** Whom it is connected to; `batches` and `records` came to it from that friend first, since they are. At most 100. */
  friends: { id: PeerId; rttMs?: number; batches: number; records: number }[]
  /** What it holds, of `topicCount`: those that take most, at most 100. */
  topics: Pick<TopicStatus, 'name' | 'held' | 'feeds' | 'batches' | 'records' | 'bytes'>[]
  topicCount: number
  bytes: { sent: number; received: number; stored: number }
}

/** How a group, or a queue (`_queue`), stands with a record, as one of its members knows. */
export interface RecordStanding {
  group: string
  slot: number
  /** Who holds the slot now. */
  holder?: PeerId
  /** How often it was handed out, where it is not done. */
  attempts: number
  done: boolean
}

/** What one peer knows of a record. */
export interface RecordSight {
  peer: PeerId
  topic: TopicName
  publisher: PeerId
  /** `removed`: it was here, and retention, or the queue that it was done in, has removed it, or damage has. */
  held: 'here' | 'removed'
  seq?: number
  offset?: number
  /** When it was published, by the publisher's clock. */
  time?: number
  /** The friend that it came from first, and when it was on disk here, by this peer's clock; of what came of late. Not at its publisher. */
  from?: PeerId
  at?: number
  /** Groups that this peer takes part in. */
  groups: RecordStanding[]
}

/** What `events()` yields. */
export type PeerEvent =
  | { type: 'friend-joined'; peer: PeerId; time: number }
  | { type: 'friend-left'; peer: PeerId; time: number; reason: string }
  | { type: 'refused'; address: string; time: number; reason: string }
  | { type: 'carrying'; topic: TopicName; time: number; because: 'subscribed' | 'carried' | 'keeper' | 'stored' }
  | { type: 'released'; topic: TopicName; time: number }
  | {
      type: 'damage-found'
      topic: TopicName
      time: number
      file: string
      position: number
      bytes: number
      kind: 'torn-end' | 'damaged'
    }
  | { type: 'damage-repaired'; topic: TopicName; time: number; feed: FeedId; seq: number }
  | { type: 'damage-lost'; topic: TopicName; time: number; file: string; bytes: number }
  | { type: 'fork'; topic: TopicName; time: number; feed: FeedId; publisher: PeerId; seq: number }
  | { type: 'misbehaved'; peer: PeerId; time: number; reason: string }
  | { type: 'storage-full'; topic: TopicName; time: number }

export interface Peer extends AsyncDisposable {
  readonly id: PeerId
  topic<T = unknown>(name: string, options?: TopicOptions): Topic<T>
  /** The work queue of this name. Throws `InvalidOption`, `InvalidTopic`, `GroupConflict`. */
  queue<T = unknown>(name: string, options?: QueueOptions): Queue<T>
  /**
   * Asks one of those who respond on the topic. Rejects with `NoResponders` at once where nobody does, `RequestTimeout`, `RequestFailed`; with
   * `InvalidTopic`, `InvalidOption`, `CodecFailed`, and as `publish`.
   */
  request<T = unknown>(topic: string, value: unknown, options?: RequestOptions): Promise<T>
  status(): Promise<PeerStatus>
  friends(): Promise<FriendStatus[]>
  topics(): Promise<TopicStatus[]>
  /**
   * The groups of one topic, or all that are known here: those whose members' talk (`$groups.<topic>.<group>`) is carried by any peer known.
   * At most 1,000; those whose name and topic have more than 240 characters are known only to their members. Throws `InvalidTopic`.
   */
  groups(topic?: string): Promise<GroupSummary[]>
  /** The work queues that are known here, by name; at most 1,000, those of more than 240 characters only where they are used. */
  queues(): Promise<QueueSummary[]>
  /**
   * All peers of the mesh that answer within `timeoutMs` (default 2,000), this one first; sooner when all that are known have. What each says is
   * signed by it.
   */
  mesh(options?: { timeoutMs?: number }): Promise<MeshPeer[]>
  /**
   * What each peer that answers within `timeoutMs` (default 2,000) knows of a record (`feed/index`), this one first: who has it, from whom, and who
   * works on it. Empty where nobody knows it. Throws `InvalidOption` for what is no id.
   */
  why(id: string, options?: { timeoutMs?: number }): Promise<RecordSight[]>
  /** What Prometheus asks for, in its text format; empty where nothing is counted (in the simulator). */
  metrics(): Promise<string>
  /** Everything that happens from now on, until the iteration is ended. */
  events(): AsyncIterable<PeerEvent>
  /** Orderly: stops taking publishes, waits for those on their way and for the last acknowledgements. */
  drain(): Promise<void>
  /** Now: stops everything; what is not on disk is lost, as in a crash, but files are closed. */
  close(): Promise<void>
}
