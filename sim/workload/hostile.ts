/**
 * Peers that send other bytes than they should. Links in the simulator are not encrypted, so whatever a malicious peer could put into its
 * frames is reached by changing what an honest one sends: payloads, heads with their signatures, cards, and the framing around them all.
 */
import { payloadMark } from '../payload.ts'
import type { SimNetwork } from '../world/network.ts'
import { Rng } from '../world/random.ts'

/** Shares of what it sends: with a wrong byte in a payload, and with a wrong byte anywhere. */
const payloadShare = 0.2
const anywhereShare = 0.002

/** Until the end is called, every peer named sends wrong bytes. */
export function corrupt(network: SimNetwork, hostile: readonly string[], seed: number): () => void {
  if (hostile.length === 0) return () => undefined
  const names = new Set(hostile)
  const random = new Rng(`${seed}/hostile`)
  network.onSend = (from, _to, bytes) => {
    if (!names.has(from)) return
    const payload = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).indexOf(payloadMark)
    if (payload >= 0 && random.chance(payloadShare)) flip(bytes, payload, random)
    else if (random.chance(anywhereShare)) flip(bytes, 0, random)
  }
  return () => {
    network.onSend = undefined
  }
}

function flip(bytes: Uint8Array, from: number, random: Rng): void {
  if (bytes.length <= from) return
  const at = random.int(from, bytes.length - 1)
  bytes[at] = (bytes[at] as number) ^ random.int(1, 255)
}
