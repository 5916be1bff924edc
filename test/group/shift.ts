/** Consumers of a group on simulated peers, and what they were given. */
import { type GroupOptions, type GroupRecord, type GroupStatus, isError, type Peer } from '../../node/index.ts'
import type { SimulatedPeer, SimulatedWorld } from '../../sim/index.ts'

export interface Handed {
  by: string
  id: string
  value: number
  attempt: number
  token: number
  at: number
  acked: boolean
}

/** What a consumer does with a record. One that it keeps, settling it later or never, is said to be `kept`. */
export type Handle = (record: GroupRecord<number>, name: string) => Promise<unknown>

/** What consumers were given, and what each does with it. */
export class Shift {
  readonly handed: Handed[] = []
  readonly #world: Pick<SimulatedWorld, 'now'>
  readonly #options: GroupOptions
  readonly #name: string

  constructor(world: Pick<SimulatedWorld, 'now'>, options: GroupOptions = {}, name = 'work') {
    this.#world = world
    this.#name = name
    this.#options = { from: 'earliest', ...options }
  }

  /** Consumes for as long as the process lives; acknowledges unless told otherwise. */
  begin(one: SimulatedPeer, handle: Handle = (record) => record.ack(), concurrency = 4): void {
    one.run(async (peer: Peer) => {
      for await (const record of this.group(peer).consume({ concurrency })) {
        const { value, attempt, fencingToken } = record
        const handed = {
          by: one.name,
          id: record.id,
          value,
          attempt,
          token: fencingToken,
          at: this.#world.now,
          acked: false,
        }
        this.handed.push(handed)
        await handle(record, one.name).then(
          (outcome) => {
            handed.acked = outcome !== 'kept'
          },
          (error) => {
            if (!isError(error, 'LeaseLost')) throw error
          },
        )
      }
    })
  }

  group(peer: Peer) {
    return peer.topic<number>('jobs').group(this.#name, this.#options)
  }

  status(peer: Peer): Promise<GroupStatus> {
    return this.group(peer).status()
  }

  valueOf(id: string): number | undefined {
    return this.handed.find((each) => each.id === id)?.value
  }

  get acked(): Set<number> {
    return new Set(this.handed.filter(({ acked }) => acked).map(({ value }) => value))
  }

  /** Resolves when so many values were handed out and all that `peer` knows of is done: an acknowledgement may outlive who gave it. */
  async over(world: Pick<SimulatedWorld, 'until'>, peer: Peer, count: number): Promise<void> {
    const values = () => new Set(this.handed.map(({ value }) => value)).size
    const over = async () => values() === count && (await this.status(peer)).lag === 0
    await world.until(over, { withinMs: 120_000, what: `${count} values are handed out and done` })
  }

  /** What one was given, in that order. */
  of({ name }: { name: string }): number[] {
    return this.handed.filter(({ by }) => by === name).map(({ value }) => value)
  }

  /** Values that were handed out more than once. */
  get repeated(): number[] {
    const counts = Map.groupBy(this.handed, ({ value }) => value)
    return [...counts].filter(([, each]) => each.length > 1).map(([value]) => value)
  }
}

export const numbers = (count: number, from = 0, key?: (value: number) => string) =>
  Array.from({ length: count }, (_, i) => ({ value: from + i, ...(key && { key: key(from + i) }) }))
