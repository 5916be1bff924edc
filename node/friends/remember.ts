/**
 * Peers of earlier times: their cards are kept in the state database under `card/<peer>`, so that a peer that starts again, or comes back
 * from a partition that outlasted all cards, knows whom to ask. Losing it all is no harm.
 */
import { limits } from '../limits.ts'
import type { Clock, StateDb, Timer } from '../ports.ts'
import { type Card, openCard } from '../presence/card.ts'
import type { PeerId } from '../types.ts'

export interface Remembered {
  addresses: string[]
  since: number
}

export class Memory {
  readonly #state: StateDb | undefined
  readonly #clock: Clock
  readonly #peers = new Map<PeerId, Remembered>()
  readonly #changes = new Map<PeerId, Uint8Array | undefined>()
  #timer: Timer | undefined
  #writing: Promise<void> = Promise.resolve()

  constructor(clock: Clock, state: StateDb | undefined) {
    this.#clock = clock
    this.#state = state
  }

  get peers(): ReadonlyMap<PeerId, Remembered> {
    return this.#peers
  }

  async load(): Promise<void> {
    if (this.#state === undefined) return
    const entries = await this.#state.iterator({ gte: 'card/', lt: 'card0', limit: limits.rememberedMax }).all()
    for (const [, bytes] of entries) {
      try {
        const { card } = openCard(bytes)
        if (!this.#peers.has(card.peer)) this.#peers.set(card.peer, this.#noted(card))
      } catch {
        // Damaged on disk: a peer we know a little later.
      }
    }
  }

  note(card: Card, bytes: Uint8Array): void {
    if (card.role === 'guest' || card.addresses.length === 0 || card.ttlMs === 0) return
    const known = this.#peers.get(card.peer)
    // Last in the map: heard of just now.
    this.#peers.delete(card.peer)
    this.#peers.set(card.peer, this.#noted(card))
    if (known === undefined || known.addresses.join() !== card.addresses.join()) this.#change(card.peer, bytes)
    if (this.#peers.size <= limits.rememberedMax) return
    const oldest = this.#peers.keys().next().value as PeerId
    this.#peers.delete(oldest)
    this.#change(oldest, undefined)
  }

  async close(): Promise<void> {
    this.#timer?.cancel()
    this.#flush()
    await this.#writing
  }

  #noted(card: Card): Remembered {
    return { addresses: card.addresses, since: this.#clock.now() }
  }

  #change(peer: PeerId, bytes: Uint8Array | undefined): void {
    if (this.#state === undefined) return
    this.#changes.set(peer, bytes)
    this.#timer ??= this.#clock.after(limits.rememberMs, () => this.#flush())
  }

  #flush(): void {
    this.#timer = undefined
    const state = this.#state
    if (state === undefined || this.#changes.size === 0) return
    const batch = [...this.#changes].map(([peer, value]) =>
      value === undefined
        ? { type: 'del' as const, key: `card/${peer}` }
        : { type: 'put' as const, key: `card/${peer}`, value },
    )
    this.#changes.clear()
    this.#writing = this.#writing
      .then(() => state.batch(batch))
      // A full disk costs the memory of a few addresses; whoever stores records reports it.
      .catch(() => undefined)
  }
}
