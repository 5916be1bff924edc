/** Rosters that hear each other through a made-up network, under a made-up clock: enough to see who holds what, in milliseconds of real time. */
import { type Beat, beatMsOf, Roster, type RosterEffect } from '../../node/group/roster.ts'
import type { GroupSettings, PeerId } from '../../node/types.ts'

export const settings: GroupSettings = {
  type: 'shared',
  leaseMs: 5_000,
  visibilityMs: 5_000,
  maxReceives: 5,
  deadLetter: 't.dead',
  quorum: false,
}

export interface Villager {
  id: PeerId
  roster: Roster
  /** Not running, for a while or for good. */
  asleep: boolean
  effects: RosterEffect[]
}

interface Told {
  from: PeerId
  beat: Beat
}

interface Letter {
  at: number
  told: Told
}

const stepMs = 100

export class Village {
  now = 1_000_000
  readonly villagers: Villager[] = []
  readonly #settings: GroupSettings
  readonly #delayMs: () => number
  readonly #nextTick = new Map<Villager, { beat: number; extra: number | undefined }>()
  readonly #letters = new Map<Villager, Letter[]>()
  /** What has come to each, on a disk that outlives it. */
  readonly #logs = new Map<PeerId, Told[]>()
  /** Which side of a partition somebody is on. */
  side = (_id: PeerId): number => 0
  /** How much later than others somebody hears somebody else, ms. */
  lag = (_from: PeerId, _to: PeerId): number => 0
  /** Peers that somebody knows of, and that may be members. */
  strangers = (_id: PeerId): PeerId[] => []
  busy = (_id: PeerId, _slot: number): boolean => false

  constructor(changes: Partial<GroupSettings>, delayMs: () => number = () => 20) {
    this.#settings = { ...settings, ...changes }
    this.#delayMs = delayMs
  }

  /** `hasCompany`: it is linked to others. */
  add(id: string, hasCompany = false): Villager {
    const me = id as PeerId
    const roster = new Roster({ me, run: this.now, settings: this.#settings })
    const villager: Villager = { id: me, roster, asleep: false, effects: [] }
    // Whoever comes reads what is on its disk, and what those it reaches have.
    const log = this.#logs.get(me) ?? []
    const reached = this.villagers.filter(({ id }) => this.side(id) === this.side(me))
    const told = [...new Set([log, ...reached.map(({ id }) => this.#logs.get(id) ?? [])].flat())]
    this.#logs.set(me, told)
    for (const { from, beat } of told) roster.onBeat(from, beat, this.now)
    roster.enter(this.now, hasCompany)
    this.villagers.push(villager)
    this.#nextTick.set(villager, { beat: this.now, extra: undefined })
    return villager
  }

  /** Ends a run; somebody with the same id may come again. */
  remove(villager: Villager): void {
    this.villagers.splice(this.villagers.indexOf(villager), 1)
  }

  pass(ms: number, look: () => void = () => {}): void {
    for (const end = this.now + ms; this.now < end; ) {
      this.now += stepMs
      for (const villager of this.villagers) this.#step(villager)
      look()
    }
  }

  /** Awake ones that may deliver the slot now. */
  deliverers(slot: number): Villager[] {
    return this.villagers.filter(({ asleep, roster }) => !asleep && roster.termOf(slot, this.now) !== undefined)
  }

  #step(villager: Villager): void {
    if (villager.asleep) return
    const { roster, effects, id } = villager
    const letters = this.#letters.get(villager) ?? []
    const due = letters.filter(({ at }) => at <= this.now).sort((a, b) => a.at - b.at)
    if (due.length > 0)
      this.#letters.set(
        villager,
        letters.filter(({ at }) => at > this.now),
      )
    for (const { told } of due) {
      this.#logs.get(id)?.push(told)
      effects.push(...roster.onBeat(told.from, told.beat, this.now))
    }
    const next = this.#nextTick.get(villager) ?? { beat: 0, extra: undefined }
    const soon = roster.soonAt(this.now)
    if (soon !== undefined && soon < (next.extra ?? Number.POSITIVE_INFINITY)) next.extra = soon
    if (next.beat > this.now && (next.extra ?? this.now + 1) > this.now) return
    if (next.beat <= this.now) next.beat = this.now + beatMsOf(this.#settings)
    const ticked = roster.tick(this.now, (slot) => this.busy(id, slot), this.strangers(id))
    next.extra = roster.nextAt(this.now)
    effects.push(...ticked.effects)
    roster.onWritten(ticked.beat.n)
    const told = { from: id, beat: ticked.beat }
    this.#logs.get(id)?.push(told)
    for (const to of this.villagers) {
      if (to === villager) continue
      // What is cut off arrives when the partition is over: nothing told is lost.
      const cut = this.side(to.id) !== this.side(id)
      const at = cut ? Number.POSITIVE_INFINITY : this.now + this.#delayMs() + this.lag(id, to.id)
      const letters = this.#letters.get(to)
      if (letters === undefined) this.#letters.set(to, [{ at, told }])
      else letters.push({ at, told })
    }
  }

  heal(): void {
    this.side = () => 0
    for (const [{ id }, letters] of this.#letters)
      for (const letter of letters)
        if (letter.at === Number.POSITIVE_INFINITY)
          letter.at = this.now + this.#delayMs() + this.lag(letter.told.from, id)
  }
}
