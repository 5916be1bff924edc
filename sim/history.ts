/**
 * The one true history of a run, kept outside the system: what applications asked for, what they were told, what they got, and
 * what was done to the peers. Judges read it; nothing in a run reads it. Times are virtual milliseconds since the start.
 */
import type { FeedId, PeerEvent, PeerId } from '../node/index.ts'
import { GroupHistory } from './group-history.ts'
import type { FaultEvent } from './plan.ts'
import { RequestHistory } from './request-history.ts'

export type Outcome =
  /** `publish` resolved. */
  | { type: 'confirmed'; at: number; feed: FeedId; seq: number; index: number; copies: number }
  /** `ConfirmTimeout`: stored at the publisher and on its way. */
  | { type: 'stored'; at: number; feed: FeedId; seq: number; copies: number }
  | { type: 'failed'; at: number; code: string; text: string }

/** What a sender asks for. */
export interface Asked {
  delayMs?: number
  expiresMs?: number
  priority?: number
  dedupId?: string
}

/** One call of `publish`, or of `send`. */
export interface Publication {
  /** From 0, over the whole run; stands in the payload. */
  id: number
  topic: string
  peer: string
  publisher: PeerId
  key: string | undefined
  bytes: number
  /** Of what was sent to a queue. */
  asked?: Asked
  at: number
  /** None: the process died before it knew. */
  outcome: Outcome | undefined
}

/** One subscription, from `subscribe` until it was closed or its process died. */
export interface Reading {
  number: number
  peer: string
  topic: string
  name: string | undefined
  /** A number is the offset it began at. */
  from: 'earliest' | 'latest' | number
  /** Opened by the simulator after healing, to see what is there. */
  fresh: boolean
  openedAt: number
  readyAt: number | undefined
  /** None: it reads still. */
  endedAt: number | undefined
  /** What the iteration threw. */
  failure: string | undefined
  deliveries: Delivery[]
  /** How often each publication came. */
  got: Map<number, number>
}

export interface Delivery {
  /** Of the publication; undefined when the payload is none of ours. */
  id: number | undefined
  feed: FeedId
  index: number
  offset: number
  publisher: PeerId
  at: number
  /** What is wrong with it by itself: bytes, key, publisher. */
  wrong: string | undefined
}

/** An acknowledgement of a durable reading: asked for, and resolved when `savedAt` is there. */
export interface Ack {
  reading: number
  feed: FeedId
  index: number
  id: number | undefined
  at: number
  savedAt: number | undefined
}

/** What happened to a peer. `lost`: what it had on disk may be missing or wrong from here on. */
export interface PeerNote {
  peer: string
  at: number
  what: 'started' | 'killed' | 'power' | 'stopped' | 'start-failed' | 'lost'
  /** The reason, where there is one to tell. */
  text: string
  /** A file in which bytes are wrong now, and where the first of them is. */
  file?: string
  position?: number
}

/** Reasons of `lost` after which it comes back under another id. */
export const noDisk = 'it has no disk'
export const wiped = 'its disk was wiped'

export interface FaultNote {
  event: FaultEvent
  at: number
  endedAt: number | undefined
}

/** What a peer itself told by `events()`. */
export interface Told {
  peer: string
  at: number
  event: PeerEvent
}

export class History {
  readonly publications: Publication[] = []
  readonly readings: Reading[] = []
  readonly acks: Ack[] = []
  readonly peerNotes: PeerNote[] = []
  readonly faults: FaultNote[] = []
  readonly told: Told[] = []
  readonly groups: GroupHistory
  readonly requests: RequestHistory
  /** Who has had which identity. */
  readonly names = new Map<PeerId, string>()
  /** Running totals. */
  confirmed = 0
  delivered = 0
  onPublish: ((publication: Publication) => void) | undefined
  readonly #now: () => number

  /** `now`: virtual milliseconds since the start. */
  constructor(now: () => number) {
    this.#now = now
    this.groups = new GroupHistory(now)
    this.requests = new RequestHistory(now)
  }

  /** Virtual milliseconds since the start: once a run is over, when it ended. */
  get now(): number {
    return this.#now()
  }

  publish(of: Omit<Publication, 'id' | 'at' | 'outcome'>): Publication {
    const publication: Publication = { ...of, id: this.publications.length, at: this.#now(), outcome: undefined }
    this.publications.push(publication)
    this.onPublish?.(publication)
    return publication
  }

  ended(publication: Publication, outcome: Outcome): void {
    publication.outcome = outcome
    if (outcome.type === 'confirmed') this.confirmed++
  }

  open(of: Pick<Reading, 'peer' | 'topic' | 'name' | 'from' | 'fresh'>): Reading {
    const reading: Reading = {
      ...of,
      number: this.readings.length,
      openedAt: this.#now(),
      readyAt: undefined,
      endedAt: undefined,
      failure: undefined,
      deliveries: [],
      got: new Map(),
    }
    this.readings.push(reading)
    return reading
  }

  deliver(reading: Reading, of: Omit<Delivery, 'at'>): void {
    this.delivered++
    reading.deliveries.push({ ...of, at: this.#now() })
    if (of.id !== undefined) reading.got.set(of.id, (reading.got.get(of.id) ?? 0) + 1)
  }

  ack(reading: Reading, of: Pick<Ack, 'feed' | 'index' | 'id'>): Ack {
    const ack: Ack = { ...of, reading: reading.number, at: this.#now(), savedAt: undefined }
    this.acks.push(ack)
    return ack
  }

  note(peer: string, what: PeerNote['what'], text = '', harmed: Pick<PeerNote, 'file' | 'position'> = {}): void {
    this.peerNotes.push({ peer, at: this.#now(), what, text, ...harmed })
  }

  /** All that read on this peer have ended with its process. */
  processEnded(peer: string): void {
    for (const reading of this.readings)
      if (reading.peer === peer && reading.endedAt === undefined) reading.endedAt = this.#now()
    this.groups.processEnded(peer)
    this.requests.processEnded(peer)
  }

  fault(event: FaultEvent): FaultNote {
    const note: FaultNote = { event, at: this.#now(), endedAt: undefined }
    this.faults.push(note)
    return note
  }
}
