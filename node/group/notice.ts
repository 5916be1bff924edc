/**
 * What members tell each other on the control topic: JSON, one record each, checked on arrival. What does not pass is not taken at all.
 *
 * `open`: how the group is set up and where it begins; the earliest counts. `beat`: I am here, and hold or claim these slots. `work`:
 * records handed out and acknowledged. `sum`: everything known, so that older notices can go.
 */
import { z } from 'zod'
import { limits } from '../limits.ts'
import type { FeedId, PeerId } from '../types.ts'
import { groupTypes } from './settings.ts'
import { sharedSlots } from './slots.ts'

const count = z.int().min(0)
const slot = count.max(sharedSlots - 1)
const feed = z
  .string()
  .regex(/^[0-9a-f]{32}$/)
  .transform((text) => text as FeedId)
const peer = z
  .string()
  .min(1)
  .max(128)
  .transform((text) => text as PeerId)
const range = z.tuple([count, count]).refine(([from, to]) => from < to)
const slotTerms = z.array(z.tuple([slot, count])).max(sharedSlots)

const settings = z.object({
  type: z.enum(groupTypes),
  leaseMs: z.number().positive(),
  maxReceives: count,
  deadLetter: z.string().max(limits.topicBytesMax),
  quorum: z.boolean(),
})
const start = z.object({ since: count, skip: z.record(feed, count) })
const opening = z.object({ settings, start, created: count })
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
const voters = z.object({ epoch: count, peers: z.array(peer).max(limits.groupVotersMax) })

const notice = z.discriminatedUnion('type', [
  z.object({ type: z.literal('open'), ...opening.shape }),
  z.object({
    type: z.literal('beat'),
    run: count,
    n: count.min(1),
    leaving: z.boolean(),
    held: slotTerms,
    claims: slotTerms,
    /** Only where the group asks for a quorum: up to which beat each voter was heard, and who the voters are. */
    heard: z.record(peer, count).optional(),
    voters: voters.optional(),
  }),
  z.object({
    type: z.literal('work'),
    /** [slot, feed, index, how often it was handed out now] */
    attempts: z.array(attempt).max(limits.groupWorkMax),
    /** [slot, feed, from, to]: the record `to - 1`, and that the slot has none in between. */
    acks: z.array(z.tuple([slot, feed, count, count]).refine(([, , from, to]) => from < to)).max(limits.groupWorkMax),
  }),
  z.object({
    type: z.literal('sum'),
    opened: opening.extend({ by: peer }),
    terms: z.array(count).max(sharedSlots),
    progress,
    voters: voters.optional(),
  }),
])

const kinds = new Set<string>(['open', 'beat', 'work', 'sum'])
const kindOf = z.object({ type: z.string() })

export type Notice = z.infer<typeof notice>
export type Opening = z.infer<typeof opening>
export type Start = z.infer<typeof start>

export function encodeNotice(told: Notice): Uint8Array {
  return Buffer.from(JSON.stringify(told))
}

/** `unknown` for a kind of notice that only newer members know, undefined for what is none. */
export function decodeNotice(bytes: Uint8Array): Notice | 'unknown' | undefined {
  try {
    const told: unknown = JSON.parse(Buffer.from(bytes).toString())
    const parsed = notice.safeParse(told)
    if (parsed.success) return parsed.data
    const kind = kindOf.safeParse(told)
    return kind.success && !kinds.has(kind.data.type) ? 'unknown' : undefined
  } catch {
    return undefined
  }
}
