/**
 * What a user of fencing tokens has: a store that keeps the highest token for each thing it is asked to change, and refuses a lower one. It is reached by
 * everybody, whatever is wrong with the mesh, and lives in nobody's process.
 */

/** `again`: the same change had been made before. `stale`: refused. */
export type Effect = 'done' | 'again' | 'stale'

export class Store {
  readonly #highest = new Map<string, number>()
  readonly #done = new Set<string>()

  write(unit: string, token: number, change: string): Effect {
    if (token < (this.#highest.get(unit) ?? 0)) return 'stale'
    this.#highest.set(unit, token)
    if (this.#done.has(change)) return 'again'
    this.#done.add(change)
    return 'done'
  }
}
