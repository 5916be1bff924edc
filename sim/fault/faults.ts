/** Lets the faults of a plan happen, each at its time, and ends them all when the run heals. */
import type { Fleet } from '../fleet.ts'
import type { FaultEvent, Plan } from '../plan.ts'
import { Rng } from '../world/random.ts'
import { onDisk } from './disk.ts'
import { NetworkFaults } from './network.ts'
import { onProcess } from './process.ts'

/** Ends what it began; does nothing when that has ended already. */
export type End = () => void

export class Faults {
  readonly #fleet: Fleet
  readonly #network: NetworkFaults
  readonly #random: Rng
  readonly #plan: Plan
  readonly #active = new Set<() => void>()
  #healed = false

  constructor(fleet: Fleet, plan: Plan) {
    this.#fleet = fleet
    this.#plan = plan
    this.#random = new Rng(`${plan.seed}/faults`)
    this.#network = new NetworkFaults(fleet.world.network)
  }

  /** Sets the timers of the whole timeline. */
  begin(): void {
    for (const event of this.#plan.timeline)
      void this.#fleet.world.sleep(event.at - this.#fleet.world.time.elapsed()).then(() => {
        if (!this.#healed) this.apply(event)
      })
  }

  apply(event: FaultEvent): void {
    const { world, history } = this.#fleet
    world.trace.text(event.kind)
    const note = history.fault(event)
    const end = this.#start(event)
    const over = () => {
      if (!this.#active.delete(over)) return
      note.endedAt = world.time.elapsed()
      end()
    }
    this.#active.add(over)
    void world.sleep(event.forMs).then(over)
  }

  /** Everything is over, and nothing more happens. */
  heal(): void {
    this.#healed = true
    for (const over of [...this.#active]) over()
    for (const { name } of this.#plan.peers) this.#fleet.up(name)
  }

  #start(event: FaultEvent): End {
    switch (event.kind) {
      case 'delay':
      case 'reset':
      case 'halfopen':
      case 'partition':
        return this.#network.start(event)
      case 'slowdisk':
      case 'fulldisk':
      case 'bitflip':
      case 'truncate':
        return onDisk(this.#fleet, event, this.#random)
      default:
        return onProcess(this.#fleet, event)
    }
  }
}
