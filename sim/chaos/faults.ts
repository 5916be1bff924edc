/** The faults of a plan, done to real processes, connections and files. */
import { cutOf } from '../fault/network.ts'
import type { FaultEvent, FaultKind } from '../plan.ts'
import type { Rng } from '../world/random.ts'
import { cutEnds, flipBit, wipe } from './disk.ts'
import type { RealFleet } from './fleet.ts'
import { sleep } from './life.ts'
import type { Wires } from './wires.ts'

/** What can be done for real; the other kinds need a world of their own. */
export const realKinds = [
  'partition',
  'reset',
  'halfopen',
  'pause',
  'kill',
  'churn',
  'wipe',
  'bitflip',
  'truncate',
  'fulldisk',
] as const satisfies readonly FaultKind[]
export type RealKind = (typeof realKinds)[number]

type RealEvent = Extract<FaultEvent, { kind: RealKind }>
/** A file of a stopped peer is harmed: it stays down for so long at least. */
const downMsMin = 500

export class RealFaults {
  readonly #fleet: RealFleet
  readonly #wires: Wires
  readonly #random: Rng
  readonly #cuts = new Set<(from: string, to: string) => boolean>()
  readonly #active = new Set<() => void>()
  /** Peers that something has taken down or stopped, and until when nothing else may touch. */
  readonly #busy = new Set<string>()
  #healed = false

  constructor(fleet: RealFleet, wires: Wires, random: Rng) {
    this.#fleet = fleet
    this.#wires = wires
    this.#random = random
  }

  begin(timeline: readonly FaultEvent[]): void {
    const { time } = this.#fleet.world
    for (const event of timeline) {
      if (!isReal(event)) continue
      void sleep(event.at - time.elapsed()).then(() => {
        if (!this.#healed) this.#apply(event)
      })
    }
  }

  heal(): void {
    this.#healed = true
    for (const over of [...this.#active]) over()
  }

  #apply(event: RealEvent): void {
    const note = this.#fleet.history.fault(event)
    const undo = this.#start(event)
    const over = () => {
      if (!this.#active.delete(over)) return
      note.endedAt = this.#fleet.world.time.elapsed()
      undo()
    }
    this.#active.add(over)
    void sleep(Math.max(event.forMs, 'peer' in event ? downMsMin : 0)).then(over)
  }

  #start(event: RealEvent): () => void {
    switch (event.kind) {
      case 'partition': {
        const cut = cutOf(event)
        this.#cuts.add(cut)
        this.#setCuts()
        return () => {
          this.#cuts.delete(cut)
          this.#setCuts()
        }
      }
      case 'reset':
        for (const a of event.a) for (const b of event.b) this.#wires.reset(a, b)
        return () => undefined
      case 'halfopen':
        for (const a of event.a) for (const b of event.b) this.#wires.silence(a, b)
        return () => undefined
      case 'fulldisk': {
        const disk = this.#fleet.disks.get(event.peer)
        disk?.fill(event.spareBytes)
        return () => disk?.free()
      }
      case 'churn':
        return this.#churn(event)
      default:
        return this.#alone(event)
    }
  }

  /** What is done to one process: one thing at a time. */
  #alone(event: Extract<RealEvent, { peer: string }>): () => void {
    const { peer } = event
    if (this.#busy.has(peer)) return () => undefined
    this.#busy.add(peer)
    if (event.kind === 'pause') {
      this.#fleet.signal(peer, 'SIGSTOP')
      return () => {
        this.#busy.delete(peer)
        this.#fleet.signal(peer, 'SIGCONT')
      }
    }
    const down = this.#fleet.down(peer).then(() => this.#harm(event))
    return () => {
      this.#busy.delete(peer)
      void down.then(() => this.#fleet.up(peer))
    }
  }

  #harm(event: Extract<RealEvent, { peer: string }>): void {
    const { history } = this.#fleet
    const folder = this.#fleet.folderOf(event.peer)
    if (event.kind === 'wipe') {
      wipe(folder)
      history.note(event.peer, 'lost', 'its disk was wiped')
    } else if (event.kind === 'bitflip') {
      for (let i = 0; i < event.bits; i++) {
        const flipped = flipBit(folder, this.#random)
        if (flipped) history.note(event.peer, 'lost', `a bit of ${flipped.file} at ${flipped.position}`, flipped)
      }
    } else if (event.kind === 'truncate') {
      for (const file of cutEnds(folder, this.#random, event.bytes, event.files))
        history.note(event.peer, 'lost', `the end of ${file} is gone`)
    }
  }

  #churn({ peers, everyMs, downMs }: Extract<RealEvent, { kind: 'churn' }>): () => void {
    let over = false
    void (async () => {
      for (let at = 0; !over; at = (at + 1) % peers.length) {
        const name = peers[at] as string
        if (!this.#busy.has(name)) {
          this.#busy.add(name)
          void this.#fleet
            .down(name)
            .then(() => sleep(downMs))
            .then(() => {
              this.#busy.delete(name)
              return this.#fleet.up(name)
            })
        }
        await sleep(everyMs)
      }
    })()
    return () => {
      over = true
    }
  }

  #setCuts(): void {
    const cuts = [...this.#cuts]
    this.#wires.setCut((from, to) => cuts.some((cut) => cut(from, to)))
  }
}

export function isReal(event: FaultEvent): event is RealEvent {
  return (realKinds as readonly FaultKind[]).includes(event.kind)
}
