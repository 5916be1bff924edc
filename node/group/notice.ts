/**
 * What members tell each other on the control topic: JSON, one record each, checked on arrival. What does not pass is not taken at all.
 *
 * `open`: how the group is set up and where it begins; the earliest counts. `seek`: it goes on from here instead, and nothing of it is done; the
 * latest counts. `beat`: I am here, and hold or claim these slots. `work`: records handed out and acknowledged. `had`: records that a consumer of mine
 * had in hands as I heard that somebody else has them too. `stock`, `ask`, `lend`, `return`: how members of a queue lend each other records.
 * `sum`: everything known, and which notices it takes in, so that these can go (`coverage`).
 *
 * Each record is named in `work` twice, so nearly all that members say is `work`: it is written short, see `Indexes`, and checked by hand.
 */
import { z } from 'zod'
import { limits } from '../limits.ts'
import type { FeedId, PeerId } from '../types.ts'
import { Indexes } from './indexes.ts'
import type { KnownSlot } from './leases.ts'
import { groupTypes } from './settings.ts'
import { sharedSlots } from './slots.ts'

const count = z.int().min(0)
const slot = count.max(sharedSlots - 1)
const feedPattern = /^[0-9a-f]{32}$/
const feed = z
  .string()
  .regex(feedPattern)
  .transform((text) => text as FeedId)
const peer = z
  .string()
  .min(1)
  .max(128)
  .transform((text) => text as PeerId)
const range = z.tuple([count, count]).refine(([from, to]) => from < to)
/** As many as are remembered, twice since they are forgotten in halves. */
const dealtMax = 2 * (limits.groupDeliveriesMax + limits.groupWorkMax)
/** In beats, there is one more: whoever edits the list of voters. */
const leased = count.max(sharedSlots)
const leasedMost = sharedSlots + 1
const slotTerms = z.array(z.tuple([leased, count])).max(leasedMost)

const settings = z.object({
  type: z.enum(groupTypes),
  leaseMs: z.number().positive(),
  visibilityMs: z.number().positive(),
  maxReceives: count,
  deadLetter: z.string().max(limits.topicBytesMax),
  quorum: z.boolean(),
})
const start = z.object({ since: count, skip: z.record(feed, count) })
const opening = z.object({ settings, start, created: count })
const seek = z.object({ start, time: count })
/** Which seek something was done after; before any where there is none. */
const era = z.tuple([count, peer])
const attempt = z.tuple([slot, feed, count, count])
const progress = z.object({
  feeds: z.record(
    feed,
    z.object({
      all: count,
      slots: z.array(z.tuple([slot, count, z.array(range).max(limits.ackRangesMax)])).max(sharedSlots),
    }),
  ),
  attempts: z.array(attempt).max(limits.groupAttemptsMax),
})
const voters = z.object({ term: count.default(0), epoch: count, peers: z.array(peer).max(limits.groupVotersMax) })

/** Peers are named once. */
const known = z
  .object({
    peers: z.array(peer).max(leasedMost),
    /** [slot, term, which of the peers, whether it holds it and not only claims it] */
    slots: z.array(z.tuple([leased, count, count, z.boolean()])).max(leasedMost),
  })
  .transform(({ peers, slots }) =>
    slots.flatMap(([number, term, which, held]): KnownSlot[] => {
      const holder = peers[which]
      return holder === undefined ? [] : [[number, term, holder, held]]
    }),
  )

const indexes = z.unknown().transform((told, context) => {
  const known = indexesOf(told)
  if (known !== undefined) return known
  context.addIssue({ code: 'custom' })
  return z.NEVER
})
/** [who, feed, [slot, which of its records]]: what members had, as of late. */
const dealt = z
  .array(z.tuple([peer, feed, z.array(z.tuple([slot, indexes]))]))
  .refine(
    (all) => all.reduce((sum, [, , had]) => had.reduce((count, [, some]) => count + some.count, sum), 0) <= dealtMax,
  )

/** [feed, index, how often it was handed out, term, ms] */
const returned = z
  .array(z.tuple([feed, count, count, count, z.number().min(0).max(limits.groupExtendMsMax)]))
  .max(limits.groupConcurrencyMax)

const notice = z.discriminatedUnion('type', [
  z.object({ type: z.literal('open'), ...opening.shape }),
  z.object({ type: z.literal('seek'), ...seek.shape }),
  z.object({
    type: z.literal('beat'),
    run: count,
    n: count.min(1),
    leaving: z.boolean(),
    listening: z.boolean().optional(),
    /** How many consume there; 1 where it does not say. */
    consumers: count.min(1).max(limits.groupSharesMax).optional(),
    held: slotTerms,
    claims: slotTerms,
    heirs: slotTerms.optional(),
    /** Of members whose beats are overdue: which was the last one, and how long ago it was heard, in ms. */
    silent: z
      .array(z.tuple([peer, count, z.number().min(0)]))
      .max(limits.groupSilentMax)
      .optional(),
    /** Records that its consumers have, and those whose time has not come. */
    counts: z.tuple([count, count]).optional(),
    /** Records that nobody here has asked for. */
    ready: count.optional(),
    /** Only where the group asks for a quorum: up to which beat each voter was heard, and who the voters are. */
    heard: z.record(peer, count).optional(),
    voters: voters.optional(),
    known: known.optional(),
    /** And up to where notices of those that are silent are known to it. */
    tails: z.record(feed, count.min(1)).optional(),
  }),
  z.object({
    type: z.literal('had'),
    /** [slot, feed, index] */
    records: z.array(z.tuple([slot, feed, count])).max(limits.groupWorkMax),
    era: era.optional(),
  }),
  z.object({ type: z.literal('stock'), ready: count }),
  z.object({ type: z.literal('ask'), to: peer, id: count, max: count.min(1).max(limits.groupConcurrencyMax) }),
  z.object({
    type: z.literal('lend'),
    to: peer,
    id: count,
    visibilityMs: z.number().positive().max(limits.groupExtendMsMax),
    /** [slot, feed, number of the batch, index, where the record of this slot before ends, how often it was handed out now, term] */
    records: z.array(z.tuple([slot, feed, count, count, count, count, count])).max(limits.groupConcurrencyMax),
  }),
  z.object({ type: z.literal('return'), to: peer, nacks: returned, extensions: returned }),
  z.object({
    type: z.literal('sum'),
    opened: opening.extend({ by: peer }),
    sought: seek.extend({ by: peer }).optional(),
    terms: z.array(count).max(leasedMost),
    progress,
    voters: voters.optional(),
    /** Which of how many notices of one sum it is. Not there: it takes nothing in. */
    part: z.tuple([count, count]).optional(),
    /** In the last one: by feed, up to which number notices are taken in. */
    covers: z.record(feed, count.min(1)).optional(),
    /** In the last one, where the group asks for a quorum: the last beat of each member; it is known what was said up to it. */
    heard: z.record(peer, count).optional(),
    /** In the last one. */
    had: dealt.optional(),
    /** In the last one: [slot, feed, index, who borrowed it (null: it was given back, and waits), for how many ms] */
    lent: z
      .array(z.tuple([slot, feed, count, peer.nullable(), z.number().min(0).max(limits.groupExtendMsMax)]))
      .max(limits.groupAttemptsMax)
      .optional(),
  }),
])

const kinds = new Set<string>(notice.options.map((each) => each.shape.type.value))
const kindOf = z.object({ type: z.string() })

/** What was done with records of one feed. */
export type FeedWork = [
  feed: FeedId,
  /** Handed out now, for the `count`th time. */
  attempts: [slot: number, count: number, indexes: Indexes][],
  /** Acknowledged: records of the slot one behind the other, which has none between `from` and the first of them, nor between two. */
  acks: [slot: number, from: number, indexes: Indexes][],
]

export interface WorkNotice {
  type: 'work'
  /** At most `limits.groupWorkMax` attempts and as many acknowledgements in all. */
  feeds: FeedWork[]
  era?: Era
  /** Of a queue: records that nobody here has asked for, as in `stock`. */
  ready?: number
}

export type Notice = z.infer<typeof notice> | WorkNotice
export type HadNotice = Extract<Notice, { type: 'had' }>
export type SumNotice = Extract<Notice, { type: 'sum' }>
export type Opening = z.infer<typeof opening>
export type Start = z.infer<typeof start>
export type Seek = z.infer<typeof seek>
export type Era = z.infer<typeof era>

export function encodeNotice(told: Notice): Uint8Array {
  if (told.type !== 'beat' || told.known === undefined) return Buffer.from(JSON.stringify(told))
  const peers = [...new Set(told.known.map(([, , holder]) => holder))]
  const slots = told.known.map(([number, term, holder, held]) => [number, term, peers.indexOf(holder), held])
  return Buffer.from(JSON.stringify({ ...told, known: { peers, slots } }))
}

/** `unknown` for a kind of notice that only newer members know, undefined for what is none. */
export function decodeNotice(bytes: Uint8Array): Notice | 'unknown' | undefined {
  try {
    const told: unknown = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString())
    if (isWork(told)) return workOf(told)
    const parsed = notice.safeParse(told)
    if (parsed.success) return parsed.data
    const kind = kindOf.safeParse(told)
    return kind.success && !kinds.has(kind.data.type) ? 'unknown' : undefined
  } catch {
    return undefined
  }
}

const workBegins = Buffer.from('{"type":"work"')
const sumBegins = Buffer.from('{"type":"sum"')

/** Whether an own notice, as it was encoded, is `work`. */
export function isOwnWork(bytes: Uint8Array): boolean {
  return workBegins.equals(bytes.subarray(0, workBegins.length))
}

/** Whether a notice, as members encode it, is a `sum`. */
export function isSum(bytes: Uint8Array): boolean {
  return sumBegins.equals(bytes.subarray(0, sumBegins.length))
}

function isWork(told: unknown): told is { feeds?: unknown; era?: unknown; ready?: unknown } {
  return typeof told === 'object' && told !== null && 'type' in told && told.type === 'work'
}

function workOf(told: { feeds?: unknown; era?: unknown; ready?: unknown }): WorkNotice | undefined {
  const { feeds, ready } = told
  const parsed = told.era === undefined ? undefined : era.safeParse(told.era)
  if (parsed?.success === false || !Array.isArray(feeds) || !isWorkOfAll(feeds)) return undefined
  if (ready !== undefined && !isCount(ready)) return undefined
  return { type: 'work', feeds, ...(parsed && { era: parsed.data }), ...(ready !== undefined && { ready }) }
}

/** Makes indexes of how they were told, in place: all of it was made for us. */
function isWorkOfAll(feeds: unknown[]): feeds is FeedWork[] {
  let [attempts, acks] = [0, 0]
  for (const one of feeds) {
    if (!Array.isArray(one) || one.length !== 3) return false
    const [name, tried, acked] = one
    if (typeof name !== 'string' || !feedPattern.test(name) || !areRuns(tried) || !areRuns(acked)) return false
    for (const [, , indexes] of tried) attempts += indexes.count
    for (const [, from, indexes] of acked) {
      acks += indexes.count
      if (indexes.first < from) return false
    }
  }
  return attempts <= limits.groupWorkMax && acks <= limits.groupWorkMax
}

/** A slot, a number and indexes each. */
function areRuns(value: unknown): value is [number, number, Indexes][] {
  if (!Array.isArray(value)) return false
  for (const one of value) {
    if (!Array.isArray(one) || one.length !== 3) return false
    const [slot, number, told] = one
    if (!isCount(slot) || slot >= sharedSlots || !isCount(number)) return false
    const indexes = indexesOf(told)
    if (indexes === undefined) return false
    one[2] = indexes
  }
  return true
}

function indexesOf(told: unknown): Indexes | undefined {
  if (!Array.isArray(told) || told.length !== 3) return undefined
  const [first, last, steps] = told
  if (!isCount(first) || !isCount(last) || last >= Number.MAX_SAFE_INTEGER || typeof steps !== 'string')
    return undefined
  // Each step is one at least.
  if (last - first < steps.length || (steps === '' && last > first)) return undefined
  return new Indexes(first, last, steps)
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
