/**
 * What peers ask each other about the mesh, and what they answer, as JSON: read by people, and told rarely. An answer is hostile until it has
 * the right shape; what it says is what its peer claims.
 */
import { z } from 'zod'
import { limits } from '../limits.ts'
import type { MeshPeer, PeerId } from '../types.ts'
import { publicKeyOf } from '../wire/key.ts'
import { parseTopic } from '../wire/topic.ts'

export type Question = { about: 'peer' }

// Both throw for what is none, and then nothing of the answer counts.
const peerId = z.string().transform((text) => {
  publicKeyOf(text as PeerId)
  return text as PeerId
})
const topicName = z.string().transform((text) => parseTopic(text))
const whole = z.int().min(0)

const question = z.discriminatedUnion('about', [z.object({ about: z.literal('peer') })])

const aboutPeer = z.object({
  version: z.string().max(64),
  role: z.enum(['peer', 'guest']),
  addresses: z.array(z.string().max(256)).max(limits.addressesPerCardMax),
  since: z.number(),
  friends: z
    .array(z.object({ id: peerId, rttMs: z.number().min(0).optional(), batches: whole, records: whole }))
    .max(limits.meshFriendsMax),
  topics: z
    .array(
      z.object({
        name: topicName,
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

export function encodePeer({ id: _, ...rest }: MeshPeer): Uint8Array {
  return bytesOf(rest)
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
