/**
 * Who may deliver each slot: leases with terms. Pure; `tick` is called once a beat, `onBeat` with each beat of others.
 *
 * 1. A slot is claimed only when its holder left it out of a beat, or is not live any more. What nobody has is left for some beats to those who
 *    came just now and may not claim yet: handing it over to them soon after would take longer.
 * 2. A claim names a higher term than any known, and is granted when it was in two beats and one and a half beats old, and nothing outranked it. A higher
 *    term outranks a lower one; of one term, who holds outranks who claims, and otherwise whoever is closer to the slot: so of those that begin at the
 *    same moment each is granted its share of what all of them claim. What nobody had is claimed no longer when it turns out that somebody else is
 *    to have it.
 * 3. Whoever sees itself outranked has lost the slot in that moment.
 * 4. Whoever is not entitled (its own lease ran out) holds nothing, and has to claim again.
 * 5. With a quorum a claim is granted only when a majority of the voters tells of it (`known`), and of two claims under one term each tells only of the one
 *    that it heard first, and of none while it hears whoever has the slot: so no term is had by two, also where these cannot hear each other.
 *    Whoever held the slot was heard by a majority too, so one of them knows both. A vote counts when what its voter had heard is known to the
 *    claimant as well, of those that are silent now up to the last notice: what was acknowledged by then is known to whoever takes the slot over, and
 *    who acknowledges later hears of the claim along with being heard, and that it has lost the slot. Nobody claims what somebody holds whom others hear. Where no claim gets its
 *    majority, it is made again under the next term after a lease.
 * 6. The heir of a holder that is suspected says so in its beats while the lease still runs, which changes nothing for the holder. When the holder is not live
 *    any more that counts as a claim made then: so the slot is free for the lease alone, and not for a claim besides. With a quorum there are no heirs.
 * 7. A holder that is not wanted any more delivers nothing new, and leaves the slot out of its beat when nothing of it is on its way. Where somebody
 *    works on a record for long, what else there is in the slot does not wait for that: the holder goes on, and tries again later. What was taken
 *    over from the dead stays for some beats: what they had in hands is handed out again before the slot goes on.
 *
 * Leases are those of Gray and Cheriton (1989), without a server: what renews them is a beat that everybody hears. Terms are
 * fencing tokens (Kleppmann 2016): they never go back for a slot.
 */
import { limits } from '../limits.ts'
import type { PeerId } from '../types.ts'
import type { Covers } from './coverage.ts'
import { isCloser } from './slots.ts'

export type SlotTerm = [slot: number, term: number]

/** What a member says of itself in each beat. A slot that is in neither list is not its any more. */
export interface Holding {
  held: SlotTerm[]
  claims: SlotTerm[]
  /** Slots of others that it claims if those stay silent. */
  heirs?: SlotTerm[] | undefined
}

/** A slot as somebody else knows it. */
export type KnownSlot = [slot: number, term: number, holder: PeerId, held: boolean]

export type LeaseEffect =
  | { type: 'granted'; slot: number; term: number }
  | { type: 'lost'; slot: number; term: number; to: PeerId | undefined }

/** By member, the number of the last beat of it that somebody had heard. */
export type HeardBeats = Readonly<Record<string, number>>

/** What a voter knew as it voted: who was heard, and what those that were silent had told after their last beat. */
export interface Vote {
  heard: HeardBeats
  tails: Covers
}

/** What `tick` goes by. */
export interface LeaseView {
  now: number
  wanted: readonly PeerId[]
  /** The same as soon as those who came just now may claim. */
  expected: readonly PeerId[]
  /** Who is to have what suspected members hold; of none where nobody is suspected. */
  heirs: readonly PeerId[]
  isSuspect(peer: PeerId): boolean
  isLive(peer: PeerId): boolean
  /** Whether records of the slot are on their way to a consumer. */
  isBusy(slot: number): boolean
  /** Whether our own lease is fresh. */
  entitled: boolean
  mayClaim: boolean
  /** Whether nobody is known who may hold or claim slots and cannot be heard yet: a claim waits for that. */
  mayTake: boolean
  leaving: boolean
  /** Whether our last beat went out. */
  told: boolean
  /** Whether enough others tell of a claim of ours for it to be granted; without a quorum nobody has to. */
  isMajority(votes: ReadonlyMap<PeerId, Vote>): boolean
}

/** What we claim, or will if its holder stays silent. */
interface Claim {
  term: number
  /** Beats of ours in which it went out. */
  beats: number
  /** When it was made. */
  since: number
  /** Nobody had it, as far as we knew. */
  wasFree: boolean
  /** Who tells of it, and what each knew as it did so first. */
  votes: Map<PeerId, Vote>
}

/** `term` is the highest known. `since` is also when it began to be handed over; of one that is not to be yet, when it may be. */
interface Slot extends Claim {
  holder: PeerId | undefined
  stage: 'claimed' | 'held' | 'leaving'
  /** Somebody else said so, and not the holder itself. */
  hearsay: boolean
  /** Who said last that it has it no more, and under which term it had it: whoever has not heard of that yet tells otherwise. */
  released: { peer: PeerId; term: number } | undefined
  /** We are its holder's heir. */
  heir: Claim | undefined
}

export class Leases {
  readonly #me: PeerId
  readonly #beatMs: number
  readonly #claimMs: number
  readonly #isVoted: boolean
  readonly #slots: Slot[]

  /** `isVoted`: with a quorum. */
  constructor(me: PeerId, count: number, beatMs: number, isVoted = false) {
    this.#me = me
    this.#beatMs = beatMs
    this.#claimMs = limits.groupClaimBeats * beatMs
    this.#isVoted = isVoted
    this.#slots = Array.from({ length: count }, () => ({
      term: 0,
      holder: undefined,
      stage: 'held',
      beats: 0,
      since: 0,
      wasFree: false,
      votes: new Map(),
      hearsay: false,
      released: undefined,
      heir: undefined,
    }))
  }

  /** Under which term we deliver this slot; undefined when we do not. */
  termOf(slot: number): number | undefined {
    const { holder, stage, term } = this.#slots[slot] as Slot
    return holder === this.#me && stage === 'held' ? term : undefined
  }

  /** Under which term records of the slot that are on their way may be acknowledged: also while it is being handed over. */
  ackTermOf(slot: number): number | undefined {
    const { holder, stage, term } = this.#slots[slot] as Slot
    return holder === this.#me && stage !== 'claimed' ? term : undefined
  }

  holderOf(slot: number): PeerId | undefined {
    const { holder, stage } = this.#slots[slot] as Slot
    return stage === 'claimed' ? undefined : holder
  }

  /** Who holds it, or claims it and is not outranked. */
  claimantOf(slot: number): PeerId | undefined {
    return this.#slots[slot]?.holder
  }

  /** The highest term that is known of it, whoever has it under that. */
  highestTermOf(slot: number): number {
    return this.#slots[slot]?.term ?? 0
  }

  terms(): number[] {
    return this.#slots.map(({ term }) => term)
  }

  /** What we hold and claim, for our next beat. */
  holding(): Holding {
    const holding: Holding = { held: [], claims: [] }
    for (const [number, { holder, stage, term }] of this.#slots.entries())
      if (holder === this.#me) holding[stage === 'claimed' ? 'claims' : 'held'].push([number, term])
    const heirs = this.#slots.flatMap(({ heir }, number): SlotTerm[] =>
      heir === undefined ? [] : [[number, heir.term]],
    )
    if (heirs.length > 0) holding.heirs = heirs
    return holding
  }

  /** Terms that were reached once, whoever held them: what we hold under a lower one would let tokens go back. */
  onTerms(terms: readonly number[]): LeaseEffect[] {
    const effects: LeaseEffect[] = []
    for (const [number, slot] of this.#slots.entries()) {
      const term = terms[number] ?? 0
      if (term <= slot.term || term > slot.term + limits.groupTermLead) continue
      if (slot.holder === this.#me) effects.push(...this.#lose(number, undefined))
      // Whoever holds it under that term says so in its next beat.
      Object.assign(slot, { term, holder: undefined, stage: 'held' })
    }
    return effects
  }

  /** When the next claim of ours is due; undefined when there is none. */
  nextAt(): number | undefined {
    const due = this.#slots.filter(({ holder, stage }) => holder === this.#me && stage === 'claimed')
    return due.length === 0 ? undefined : Math.min(...due.map(({ since }) => since)) + this.#claimMs
  }

  /** Whether we claim something that nobody had. */
  get isClaimingFree(): boolean {
    return this.#slots.some(({ holder, stage, wasFree }) => holder === this.#me && stage === 'claimed' && wasFree)
  }

  /** Whether nobody has a slot of which this is true. */
  hasFree(isOurs: (slot: number) => boolean): boolean {
    return this.#slots.some(({ holder }, number) => holder === undefined && isOurs(number))
  }

  /** `isLive`: whether what somebody holds is to be respected. */
  onBeat(peer: PeerId, { held, claims, heirs = [] }: Holding, isLive = nobodyIs): LeaseEffect[] {
    const effects: LeaseEffect[] = []
    for (const [number, term] of heirs) {
      const slot = this.#slots[number]
      if (slot?.heir?.term === term && isCloser(peer, this.#me, number)) slot.heir = undefined
    }
    const named = new Set<number>()
    for (const [list, stage] of [
      [held, 'held'],
      [claims, 'claimed'],
    ] as const) {
      for (const [number, term] of list) {
        const slot = this.#slots[number]
        if (slot === undefined || named.has(number) || term > slot.term + limits.groupTermLead) continue
        named.add(number)
        effects.push(...this.#hear(number, { term, peer, stage }, isLive))
      }
    }
    for (const [number, slot] of this.#slots.entries()) {
      if (slot.holder !== peer || named.has(number)) continue
      if (!slot.hearsay) slot.released = { peer, term: slot.term }
      slot.holder = undefined
    }
    return effects
  }

  /** Who has which slot, by its own word: hearsay passed on would never come to rest. */
  known(): KnownSlot[] {
    return this.#slots.flatMap(({ holder, term, stage, hearsay }, number): KnownSlot[] =>
      holder === undefined || hearsay ? [] : [[number, term, holder, stage !== 'claimed']],
    )
  }

  /** What somebody else, `by`, knows of us and others. Where that is out of date, the holder's next beat says so. */
  onKnown(by: PeerId, known: readonly KnownSlot[], vote: Vote = nothing, isLive = nobodyIs): LeaseEffect[] {
    return known.flatMap(([number, term, peer, held]) => {
      const slot = this.#slots[number]
      if (slot === undefined || term > slot.term + limits.groupTermLead) return []
      if (peer === this.#me) {
        if (slot.holder === this.#me && slot.term === term && !slot.votes.has(by)) slot.votes.set(by, vote)
        return []
      }
      // What the holder itself said is no less than that.
      if (slot.holder === peer && slot.term === term && !slot.hearsay) return []
      if (slot.released?.peer === peer && slot.released.term >= term) return []
      return this.#hear(number, { term, peer, stage: held ? 'held' : 'claimed' }, isLive, true)
    })
  }

  tick(view: LeaseView): LeaseEffect[] {
    return this.#slots.flatMap((slot, number) => {
      const ranOut = slot.holder === this.#me && slot.stage !== 'claimed' && !view.entitled
      if (ranOut) return this.#lose(number, undefined)
      this.#inherit(number, slot, view)
      return slot.holder === this.#me ? this.#keep(number, slot, view) : this.#claim(number, slot, view)
    })
  }

  #keep(number: number, slot: Slot, view: LeaseView): LeaseEffect[] {
    const wanted = view.wanted[number] === this.#me
    if (slot.stage === 'claimed') {
      if (view.told) slot.beats++
      if (view.leaving || !view.mayClaim || (slot.wasFree && !wanted)) slot.holder = undefined
      const isHeard = view.isMajority(slot.votes)
      const isDue = isHeard && view.mayTake && slot.beats >= 2 && view.now - slot.since >= this.#claimMs
      const isStuck = !isHeard && view.now - slot.since >= limits.groupClaimAgainBeats * this.#beatMs
      if (slot.holder !== undefined && isStuck) Object.assign(slot, claimOf(slot, view))
      if (slot.holder === undefined || !isDue || !view.entitled) return []
      slot.stage = 'held'
      if (!slot.wasFree) slot.since = view.now + limits.groupTakenBeats * this.#beatMs
      return [{ type: 'granted', slot: number, term: slot.term }]
    }
    if (slot.stage === 'held') {
      if (wanted || (view.now < slot.since && !view.leaving)) return []
      Object.assign(slot, { stage: 'leaving', since: view.now })
    }
    // Once it is being handed over it goes, even if we are wanted again: its records are scattered already.
    if (!view.isBusy(number)) return this.#lose(number, view.wanted[number])
    const isStuck = !view.leaving && view.now - slot.since >= limits.groupHandOverBeats * this.#beatMs
    if (isStuck) Object.assign(slot, { stage: 'held', since: view.now + limits.groupHandOverPauseBeats * this.#beatMs })
    return []
  }

  #claim(number: number, slot: Slot, view: LeaseView): LeaseEffect[] {
    if (!view.mayClaim || !view.mayTake || view.wanted[number] !== this.#me) return []
    const isKnown = slot.holder !== undefined
    if (!isKnown && view.expected[number] !== this.#me) return []
    if (isKnown && view.isLive(slot.holder as PeerId)) return []
    Object.assign(slot, { ...claimOf(slot, view), holder: this.#me, stage: 'claimed', hearsay: false, heir: undefined })
    return []
  }

  #inherit(number: number, slot: Slot, view: LeaseView): void {
    const { heir, holder } = slot
    slot.heir = undefined
    if (holder === undefined || holder === this.#me || view.leaving || !view.mayClaim || !view.mayTake) return
    const known = heir?.term === slot.term + 1 ? heir : undefined
    if (!view.isLive(holder)) {
      if (known !== undefined) Object.assign(slot, known, { holder: this.#me, stage: 'claimed', hearsay: false })
      return
    }
    if (!view.isSuspect(holder) || view.heirs[number] !== this.#me) return
    slot.heir = known ?? claimOf(slot, view)
    if (known !== undefined && view.told) known.beats++
  }

  #hear(number: number, told: Told, isLive: (peer: PeerId) => boolean, hearsay = false): LeaseEffect[] {
    const slot = this.#slots[number] as Slot
    const { term, peer, stage } = told
    if (!outranks(number, slot, told) || (stage === 'claimed' && !this.#mayVote(slot, told, isLive))) return []
    const effects = slot.holder === this.#me ? this.#lose(number, peer) : []
    Object.assign(slot, { term, holder: peer, stage, beats: 0, hearsay })
    return effects
  }

  /** Not where we tell of somebody else's claim under that term, nor while somebody else has it. */
  #mayVote({ holder, term, stage, hearsay }: Slot, told: Told, isLive: (peer: PeerId) => boolean): boolean {
    if (!this.#isVoted || holder === undefined || holder === this.#me || holder === told.peer) return true
    return stage === 'claimed' ? hearsay || term !== told.term : !isLive(holder)
  }

  #lose(number: number, to: PeerId | undefined): LeaseEffect[] {
    const slot = this.#slots[number] as Slot
    const { stage, term } = slot
    slot.holder = undefined
    return stage === 'claimed' ? [] : [{ type: 'lost', slot: number, term, to }]
  }
}

const nothing: Vote = { heard: {}, tails: {} }
const nobodyIs = (_peer: PeerId): boolean => false

function claimOf({ term, holder }: Slot, { now }: LeaseView): Claim {
  return { term: term + 1, beats: 0, since: now, wasFree: holder === undefined, votes: new Map() }
}

interface Told {
  term: number
  peer: PeerId
  stage: 'held' | 'claimed'
}

function outranks(number: number, slot: Slot, told: Told): boolean {
  if (told.term !== slot.term) return told.term > slot.term
  if (slot.holder === undefined || slot.holder === told.peer) return true
  const claimed = slot.stage === 'claimed'
  return claimed === (told.stage === 'claimed') ? isCloser(told.peer, slot.holder, number) : claimed
}
