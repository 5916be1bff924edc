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
  /** Records as they come, a batch at a time: one promise a batch instead of one a record. */
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
  /** Live peers known to carry it, ourselves included. */
  carriers: number
}

export interface PeerStatus {
  id: PeerId
  version: string
  addresses: string[]
  data: string | null
  mesh: string
  since: number
  peersKnown: number
  friends: number
  topics: number
  bytes: { sent: number; received: number; stored: number }
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
  status(): Promise<PeerStatus>
  friends(): Promise<FriendStatus[]>
  topics(): Promise<TopicStatus[]>
  /** Everything that happens from now on, until the iteration is ended. */
  events(): AsyncIterable<PeerEvent>
  /** Orderly: stops taking publishes, waits for those on their way and for the last acknowledgements. */
  drain(): Promise<void>
  /** Now: stops everything; what is not on disk is lost, as in a crash, but files are closed. */
  close(): Promise<void>
}
