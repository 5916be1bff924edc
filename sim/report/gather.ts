/** What a report draws of a run beyond its figures: who had what when, and how the figures spread. From the history alone. */
import type { Copies } from '../copies.ts'
import type { History } from '../history.ts'

/** By second of the run. */
export interface Activity {
  published: number[]
  confirmed: number[]
  delivered: number[]
  peers: PeerActivity[]
}

export interface PeerActivity {
  name: string
  delivered: number[]
  published: number[]
  /** Different records that its readers had by the end of the second, and that there were of their topics; none: it reads nothing yet. */
  have: number[]
  of: number[]
}

export interface Histograms {
  deliveryMs: Bucket[]
  /** How often a payload came to one peer. */
  copies: Bucket[]
  hops: Bucket[]
}

export interface Bucket {
  label: string
  count: number
}

/** Upper bounds, ms. */
const deliveryBounds = [5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000]

export function activityOf(history: History, peers: readonly string[], endMs: number): Activity {
  const seconds = Math.ceil(endMs / 1000) + 1
  const zeros = () => new Array<number>(seconds).fill(0)
  const count = (into: number[], at: number) => {
    const second = Math.min(seconds - 1, Math.floor(at / 1000))
    into[second] = (into[second] as number) + 1
  }
  const [published, confirmed, delivered] = [zeros(), zeros(), zeros()]
  for (const { at, outcome } of history.publications) {
    count(published, at)
    if (outcome?.type === 'confirmed') count(confirmed, outcome.at)
  }
  for (const { fresh, deliveries } of history.readings)
    if (!fresh) for (const { at } of deliveries) count(delivered, at)
  const each = peers.map((name): PeerActivity => {
    const own = { name, delivered: zeros(), published: zeros(), have: zeros(), of: zeros() }
    for (const { peer, at } of history.publications) if (peer === name) count(own.published, at)
    const topics = new Map<string, number>()
    const seen = new Set<number>()
    for (const { peer, topic, fresh, openedAt, deliveries } of history.readings) {
      if (peer !== name) continue
      topics.set(topic, Math.min(openedAt, topics.get(topic) ?? Number.POSITIVE_INFINITY))
      for (const { at, id } of deliveries) {
        if (!fresh) count(own.delivered, at)
        if (id === undefined || seen.has(id)) continue
        seen.add(id)
        count(own.have, at)
      }
    }
    for (const { topic, at } of history.publications) {
      const openedAt = topics.get(topic)
      if (openedAt !== undefined) count(own.of, Math.max(at, openedAt))
    }
    accumulate(own.have)
    accumulate(own.of)
    return own
  })
  return { published, confirmed, delivered, peers: each }
}

export function histogramsOf(history: History, copies: Copies): Histograms {
  const counts = new Array<number>(deliveryBounds.length + 1).fill(0)
  for (const { fresh, readyAt, deliveries } of history.readings) {
    if (fresh || readyAt === undefined) continue
    for (const { id, at } of deliveries) {
      const publication = id === undefined ? undefined : history.publications[id]
      if (publication === undefined || publication.at < readyAt) continue
      const bucket = deliveryBounds.findIndex((bound) => at - publication.at <= bound)
      const place = bucket < 0 ? deliveryBounds.length : bucket
      counts[place] = (counts[place] as number) + 1
    }
  }
  return {
    deliveryMs: counts.map((count, at) => ({ label: boundText(at), count })),
    copies: copies.received.slice(1).map((count, at) => ({ label: `${at + 1}`, count })),
    hops: copies.histogram.slice(1).map((count, at) => ({ label: `${at + 1}`, count })),
  }
}

function boundText(at: number): string {
  const text = (ms: number) => (ms < 1000 ? `${ms} ms` : `${ms / 1000} s`)
  const bound = deliveryBounds[at]
  return bound === undefined ? `> ${text(deliveryBounds.at(-1) as number)}` : `≤ ${text(bound)}`
}

function accumulate(counts: number[]): void {
  for (let at = 1; at < counts.length; at++) counts[at] = (counts[at] as number) + (counts[at - 1] as number)
}
