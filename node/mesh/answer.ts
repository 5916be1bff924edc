/**
 * What peers ask each other about the mesh, and what they answer, as JSON: read by people, and told rarely. An answer is hostile until it has
 * the right shape; what it says is what its peer claims.
 */
import { z } from 'zod'
import { limits } from '../limits.ts'
import type { FeedId, MeshPeer, PeerId, RecordSight } from '../types.ts'
import { publicKeyOf } from '../wire/key.ts'
import { parseTopic } from '../wire/topic.ts'

export type Question = { about: 'peer' } | { about: 'record'; feed: FeedId; index: number }

// Both throw for what is none, and then nothing of the answer counts.
const peerId = z.string().transform((text) => {
  publicKeyOf(text as PeerId)
  return text as PeerId
})
const topicName = z.string().transform((text) => parseTopic(text))
const whole = z.int().min(0)
/** Shown in terminals. */
const printable = z.string().regex(/^[\x20-\x7e]*$/)
/** What a Date can be. */
const time = z.number().min(0).max(8.64e15)

const question = z.discriminatedUnion('about', [
  z.object({ about: z.literal('peer') }),
  z.object({
    about: z.literal('record'),
    feed: z
      .string()
      .regex(/^[0-9a-f]{32}$/)
      .transform((text) => text as FeedId),
    index: whole,
  }),
])

const aboutRecord = z.object({
  topic: topicName,
  publisher: peerId,
  held: z.enum(['here', 'removed']),
  seq: whole.optional(),
  offset: whole.optional(),
  time: time.optional(),
  from: peerId.optional(),
  at: time.optional(),
  groups: z
    .array(
      z.object({
        group: printable.max(limits.topicBytesMax),
        slot: whole,
        holder: peerId.optional(),
        attempts: whole,
        done: z.boolean(),
      }),
    )
    .max(limits.meshTopicsMax),
})

const aboutPeer = z.object({
  version: printable.max(64),
  role: z.enum(['peer', 'guest']),
  addresses: z.array(z.string().max(256)).max(limits.addressesPerCardMax),
  since: time,
  time,
  friends: z
    .array(z.object({ id: peerId, rttMs: z.number().min(0).optional(), batches: whole, records: whole }))
    .max(limits.meshFriendsMax),
  topics: z
    .array(
      z.object({
        name: topicName,
        held: z.enum(['carry', 'own']),
        feeds: whole,
        batches: whole,
        records: whole,
        bytes: whole,
      }),
    )
    .max(limits.meshTopicsMax),
  topicCount: whole,
  bytes: z.object({ sent: whole, received: whole, stored: whole }),
})

export function encodeQuestion(asked: Question): Uint8Array {
  return bytesOf(asked)
}

/** Undefined for what this version does not know. */
export function decodeQuestion(bytes: Uint8Array): Question | undefined {
  return read(bytes, question)
}

export function encodeSight({ peer: _, ...rest }: RecordSight): Uint8Array {
  return bytesOf({ ...rest, groups: rest.groups.slice(0, limits.meshTopicsMax) })
}

/** What a peer says of a record; undefined for what has another shape. */
export function decodeSight(peer: PeerId, bytes: Uint8Array): RecordSight | undefined {
  const about = read(bytes, aboutRecord)
  return about && ({ peer, ...about } as RecordSight)
}

/** As many topics of it as fit, the first. */
export function encodePeer({ id: _, ...rest }: MeshPeer): Uint8Array {
  for (let topics = rest.topics; ; topics = topics.slice(0, Math.floor(topics.length / 2))) {
    const bytes = bytesOf({ ...rest, topics })
    if (bytes.length <= limits.surveyAnswerBytesMax || topics.length === 0) return bytes
  }
}

/** What a peer says of itself; undefined for what has another shape. */
export function decodePeer(id: PeerId, bytes: Uint8Array): MeshPeer | undefined {
  const about = read(bytes, aboutPeer)
  return about && { id, ...about }
}

function bytesOf(value: object): Uint8Array {
  return Buffer.from(JSON.stringify(value))
}

function read<T>(bytes: Uint8Array, shape: z.ZodType<T>): T | undefined {
  try {
    return shape.safeParse(JSON.parse(Buffer.from(bytes).toString())).data
  } catch {
    return undefined
  }
}
