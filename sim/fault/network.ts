/** Faults of links: several may be on at the same time, and each ends by itself. */
import type { FaultEvent } from '../plan.ts'
import type { LinkQuality, SimNetwork } from '../world/network.ts'
import type { End } from './faults.ts'

export type NetworkFault = Extract<FaultEvent, { kind: 'delay' | 'reset' | 'halfopen' | 'partition' }>
type Cut = (from: string, to: string) => boolean

export class NetworkFaults {
  readonly #network: SimNetwork
  readonly #cuts = new Set<Cut>()
  readonly #delays = new Set<(from: string, to: string) => Partial<LinkQuality> | undefined>()

  constructor(network: SimNetwork) {
    this.#network = network
    network.setQuality((from, to) => {
      let quality: Partial<LinkQuality> = {}
      for (const delay of this.#delays) quality = { ...quality, ...delay(from, to) }
      return quality
    })
  }

  start(event: NetworkFault): End {
    switch (event.kind) {
      case 'delay': {
        const [from, to] = [new Set(event.from), new Set(event.to)]
        const delay = (a: string, b: string) => (from.has(a) && to.has(b) ? event.quality : undefined)
        this.#delays.add(delay)
        return () => void this.#delays.delete(delay)
      }
      case 'reset':
        for (const [a, b] of pairs(event)) this.#network.reset(a, b)
        return () => undefined
      case 'halfopen':
        for (const [a, b] of pairs(event)) this.#network.silence(a, b)
        return () => undefined
      case 'partition': {
        const cut = cutOf(event)
        this.#cuts.add(cut)
        this.#setCuts()
        return () => {
          this.#cuts.delete(cut)
          this.#setCuts()
        }
      }
    }
  }

  #setCuts(): void {
    const cuts = [...this.#cuts]
    this.#network.setCut((from, to) => cuts.some((cut) => cut(from, to)))
  }
}

export function cutOf(event: Extract<FaultEvent, { kind: 'partition' }>): Cut {
  if (event.shape === 'ring') {
    const place = new Map(event.a.map((name, at) => [name, at]))
    return (from, to) => {
      const [x, y] = [place.get(from), place.get(to)]
      if (x === undefined || y === undefined) return false
      const apart = Math.abs(x - y)
      return apart > 1 && apart < event.a.length - 1
    }
  }
  const [a, b] = [new Set(event.a), new Set(event.b)]
  return (from, to) => (a.has(from) && b.has(to)) || (event.shape !== 'oneway' && b.has(from) && a.has(to))
}

function* pairs({ a, b }: { a: string[]; b: string[] }): Generator<[string, string]> {
  for (const from of a) for (const to of b) if (from !== to) yield [from, to]
}
