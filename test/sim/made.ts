/** Histories made by hand, for judges to be tried on: a healthy run of two peers, to which a test does one wrong thing. */
import type { FeedId, PeerId, TopicName } from '../../node/types.ts'
import type { Evidence, Sight } from '../../sim/check/judge.ts'
import type { Handed, Shift } from '../../sim/group-history.ts'
import { type Asked, History, type Publication, type Reading } from '../../sim/history.ts'
import type { GroupPlan, Plan } from '../../sim/plan.ts'

const feed = 'f'.repeat(32) as FeedId
const publisher = '12D3KooWa' as PeerId

const plan: Plan = {
  seed: 1,
  peers: [
    { name: 'a', join: [] },
    { name: 'b', join: ['a'] },
  ],
  quality: { delayMs: 1, jitterMs: 0, bytesPerSecond: 1e6 },
  workload: { kinds: ['pubsub'], publishers: [], readers: [], hostile: [] },
  timeline: [],
  safetyMs: 1_000,
  livenessMs: 1_000,
}

const consumer = { startMs: 0, concurrency: 1, workMs: 0, nacks: 0, hangs: 0, extends: 0, drains: [], awayMs: 0 }

/** Consumers at `a` and `b`. */
const group: GroupPlan = {
  topic: 't',
  name: 'g',
  type: 'key-shared',
  leaseMs: 5_000,
  maxReceives: 3,
  quorum: false,
  from: 'earliest',
  consumers: ['a', 'b'].map((peer) => ({ peer, ...consumer })),
}

export class Made {
  now = 0
  readonly history = new History(() => this.now)
  readonly evidence: Evidence = { plan, history: this.history, sights: new Map(), files: new Map(), peakInFlight: 0 }

  constructor() {
    for (const name of ['a', 'b']) this.evidence.sights.set(name, sightOf(name))
  }

  /** Published at `a` and confirmed with one copy, the next of its feed. */
  publish(copies = 1, asked?: Asked): Publication {
    const about = { topic: 't', peer: 'a', publisher, key: undefined, bytes: 20, ...(asked && { asked }) }
    const publication = this.history.publish(about)
    const index = publication.id
    this.history.ended(publication, { type: 'confirmed', at: this.now, feed, seq: index + 1, index, copies })
    return publication
  }

  read(of: Partial<Pick<Reading, 'peer' | 'name' | 'from' | 'fresh'>> = {}): Reading {
    const reading = this.history.open({ peer: 'b', topic: 't', name: undefined, from: 'earliest', fresh: false, ...of })
    reading.readyAt = this.now
    return reading
  }

  /** A group whose members have found each other long ago; `a` and `b` take part in it. */
  share(of: Partial<GroupPlan> = {}): Shift[] {
    const { plan } = this.evidence
    this.evidence.plan = { ...plan, workload: { ...plan.workload, groups: [{ ...group, ...of }] } }
    const shifts = ['a', 'b'].map((peer) => this.history.groups.begin(peer, 't/g'))
    this.now = 60_000
    for (const shift of shifts) shift.status = { lag: 0, deliveredTwice: [] } as never
    return shifts
  }

  /** Who asks at `b` what `a` answers, both since long ago. */
  request(): void {
    const { plan } = this.evidence
    const responder = { peer: 'a', startMs: 0, concurrency: 1, workMs: 0, fails: 0, closes: [], awayMs: 0 }
    const asker = { peer: 'b', startMs: 0, everyMs: 1_000, timeoutMs: 5_000 }
    const requests = [{ topic: 't', responders: [responder], askers: [asker] }]
    this.evidence.plan = { ...plan, workload: { ...plan.workload, requests } }
    this.history.requests.respond({ topic: 't', peer: 'a' })
    this.now = 60_000
  }

  hand(shift: Shift | undefined, id: number, of: Partial<Handed> = {}): Handed {
    const until = this.now + group.leaseMs
    const usual = { id, feed, index: id, unit: 'k', attempt: 1, token: 1, until, wrong: undefined }
    return this.history.groups.hand({ shift: shift as Shift, ...usual, ...of })
  }

  ack(handed: Handed, how: 'ack' | 'nack' = 'ack', refused?: string): void {
    Object.assign(this.history.groups.settle(handed, how), { endedAt: this.now, refused })
  }

  deliver(reading: Reading, id: number, index = id): void {
    this.history.deliver(reading, { id, feed, index, offset: index, publisher, wrong: undefined })
  }
}

export function sightOf(peer: string, records = 0): Sight {
  const topic = {
    name: 't' as TopicName,
    held: 'carry' as const,
    because: ['subscribed' as const],
    feeds: 1,
    batches: records,
    records,
    bytes: 0,
    startOffset: 0,
    endOffset: records,
    carriers: 2,
  }
  return { peer, id: peer as PeerId, friends: 1, topics: [topic], timers: 10 }
}
