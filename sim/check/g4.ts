/** G4: when faults stop, every peer runs, has friends, and all carriers of a topic soon hold the same. */
import {
  type Evidence,
  forkable,
  isHonest,
  type Judge,
  present,
  type Sight,
  some,
  stranded,
  type Violation,
} from './judge.ts'

export class Convergence implements Judge {
  readonly #evidence: Evidence

  constructor(evidence: Evidence) {
    this.#evidence = evidence
  }

  verdict(): Violation[] {
    return []
  }

  pending(): string[] {
    const { plan } = this.#evidence
    const sights = this.#honest()
    const down = plan.peers
      .filter(({ name }) => isHonest(plan, name) && !sights.has(name))
      .map(({ name }) => `${name} does not run${this.#reason(name)}`)
    const alone = sights.size < 2 ? [] : [...sights.values()].filter(({ friends }) => friends === 0)
    return [...some(down, (text) => text), ...some(alone, ({ peer }) => `${peer} has no friends`), ...this.#apart()]
  }

  #honest(): Map<string, Sight> {
    const { plan, sights } = this.#evidence
    return new Map([...sights].filter(([name]) => isHonest(plan, name)))
  }

  /** Topics whose carriers do not hold the same. */
  #apart(): string[] {
    const held = new Map<string, Map<string, string[]>>()
    const left = new Set([...stranded(this.#evidence), ...forkable(this.#evidence)])
    for (const { peer, topics } of this.#honest().values())
      for (const { name, held: how, records } of topics) {
        if (how !== 'carry') continue
        const what = `${records - this.#strandedAt(peer, name, left)} records`
        const variants = held.get(name) ?? new Map<string, string[]>()
        held.set(name, variants.set(what, [...(variants.get(what) ?? []), peer]))
      }
    const apart = [...held].filter(([, variants]) => variants.size > 1)
    return some(apart, ([topic, variants]) => {
      const sides = [...variants].map(
        ([what, peers]) => `${peers.slice(0, 6).join(' ')}${peers.length > 6 ? ' …' : ''}: ${what}`,
      )
      return `carriers of ${topic} differ: ${sides.join('; ')}`
    })
  }

  #strandedAt(peer: string, topic: string, left: ReadonlySet<number>): number {
    if (left.size === 0) return 0
    const reading = present(this.#evidence).findLast((each) => each.peer === peer && each.topic === topic)
    return [...(reading?.got.keys() ?? [])].filter((id) => left.has(id)).length
  }

  #reason(peer: string): string {
    const last = this.#evidence.history.peerNotes.findLast((note) => note.peer === peer && note.what === 'start-failed')
    return last === undefined ? '' : `: ${last.text}`
  }
}
