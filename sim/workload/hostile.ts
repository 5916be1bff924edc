/**
 * Peers that send other bytes than they should. Links in the simulator are not encrypted, so whatever a malicious peer could put into its
 * frames is reached by changing what an honest one sends: payloads, heads with their signatures, cards, and the framing around them all.
 */
import { payloadMark } from '../payload.ts'
import type { Plan } from '../plan.ts'
import type { SimNetwork } from '../world/network.ts'
import { Rng } from '../world/random.ts'

/** Shares of what it sends: with a wrong byte in a payload, in what is signed and names a topic (a head or a card), and anywhere. */
const payloadShare = 0.2
const signedShare = 0.05
const anywhereShare = 0.002
/** A topic's name stands near the beginning of a head; some 200 bytes of numbers, hashes and signature follow. */
const signedBytes = 220

/** Until the end is called, every hostile peer of the plan sends wrong bytes. */
export function corrupt(network: SimNetwork, { workload: { hostile, publishers }, seed }: Plan): () => void {
  if (hostile.length === 0) return () => undefined
  const names = new Set(hostile)
  const topics = [...new Set(publishers.map(({ topic }) => topic))].map((topic) => Buffer.from(topic))
  const random = new Rng(`${seed}/hostile`)
  network.onSend = (from, _to, bytes) => {
    if (!names.has(from)) return
    const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const payload = view.indexOf(payloadMark)
    const signed = topics.length === 0 ? -1 : view.indexOf(random.pick(topics))
    if (payload >= 0 && random.chance(payloadShare)) flip(bytes, payload, bytes.length, random)
    else if (signed >= 0 && random.chance(signedShare)) flip(bytes, signed, signed + signedBytes, random)
    else if (random.chance(anywhereShare)) flip(bytes, 0, bytes.length, random)
  }
  return () => {
    network.onSend = undefined
  }
}

function flip(bytes: Uint8Array, from: number, end: number, random: Rng): void {
  const to = Math.min(end, bytes.length) - 1
  if (to < from) return
  const at = random.int(from, to)
  bytes[at] = (bytes[at] as number) ^ random.int(1, 255)
}
