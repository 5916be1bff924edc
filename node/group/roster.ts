/**
 * A member's view of its group: who is there, who holds what, what it may deliver itself. Pure: beats come in, once a beat `tick` says what to
 * tell, and both say what changed. Relays between `members`, `leases` and `quorum`, which do not know each other.
 *
 * 1. Our own lease lasts from the newest beat of ours that went out (with `quorum`: that a majority heard), counted from when it was made. Others
 *    wait for a lease from when they heard it: so ours is over before anybody takes a slot.
 * 2. Whoever comes, or did not tick for two beats since it was paused, does not know what the others said meanwhile. It claims nothing until it has heard
 *    all of them and listened for a beat more, or a lease has passed: a restarted peer finds its slots free in its own log, while others have
 *    taken them over and it is not connected yet. The silence of the others during a pause is excused.
 *    The same holds as long as more notices wait to be read here than a moment brings: a long history is read in many turns, and what it says of
 *    slots that were free then is long over.
 * 3. Members that begin at the same moment have not heard each other's claims when theirs are due. So whoever comes takes nothing as long as it knows of
 *    strangers, who may be members that it cannot hear yet, and for a beat after; at most for a lease, since they may as well be none, or dead.
 *    And where others are linked it says that it is there a moment before it claims anything: of those that begin together each claims its share
 *    then, and not all of it.
 * 4. What changes who claims what is told at once, not with the next beat: that somebody else may claim now while we claim what nobody had, which
 *    gives up what is not for us; or that a slot which we are to have was left to us, which claims it.
 */
import { limits } from '../limits.ts'
import type { GroupSettings, PeerId } from '../types.ts'
import type { Covers } from './coverage.ts'
import { type HeardBeats, type Holding, type KnownSlot, type LeaseEffect, Leases, type Vote } from './leases.ts'
import { Members, type Sign, type Silence } from './members.ts'
import { Quorum, type Voters } from './quorum.ts'
import { assign, slotCount } from './slots.ts'

export interface Beat extends Sign, Holding {
  heard?: Record<string, number> | undefined
  silent?: Silence[] | undefined
  voters?: Voters | undefined
  /** What others have, as far as its sender knows: only where the group asks for a quorum. */
  known?: KnownSlot[] | undefined
  /** Up to where notices of those that are silent are known to its sender. */
  tails?: Covers | undefined
}

/** What a sum says of it. */
export interface Summed {
  /** By slot, the highest that is known. */
  terms: number[]
  voters?: Voters | undefined
  /** As of `lastBeats`. */
  heard?: Record<PeerId, number> | undefined
}

export type RosterEffect = LeaseEffect | { type: 'joined' | 'left'; peer: PeerId }

export interface RosterOptions {
  me: PeerId
  /** When this run began, ms. */
  run: number
  settings: GroupSettings
  /** Whether notices up to there are known here. Default: they are. */
  knows?: (tails: Covers) => boolean
}

export function beatMsOf({ leaseMs }: GroupSettings): number {
  return Math.min(limits.groupBeatMs, leaseMs / 5)
}

export class Roster {
  readonly #options: RosterOptions
  readonly #beatMs: number
  readonly #members: Members
  readonly #leases: Leases
  readonly #quorum: Quorum | undefined
  /** Slots of records. With a quorum the one behind them is whose holder edits the list of voters. */
  readonly #count: number
  /** How many consume here. */
  #consumers = 1
  #active: readonly PeerId[] = []
  /** Those of them who may claim slots, and whether all of these were heard just now. */
  #able: readonly PeerId[] = []
  #shares: readonly number[] = []
  #isSure = false
  /** Since our last beat one more may. */
  #hasOneMore = false
  #wanted: readonly PeerId[] = []
  /** Who is wanted as soon as those who came just now may claim. */
  #expected: readonly PeerId[] = []
  /** Who is to have what suspected ones hold. */
  #heirs: readonly PeerId[] = []
  /** Not taking part before the first `enter`. */
  #leaving = true
  /** Our first beat that says so. */
  #leftIn = Number.POSITIVE_INFINITY
  #n = 0
  readonly #made = new Map<number, number>()
  #writtenN = 0
  #writtenAt = Number.NEGATIVE_INFINITY
  #lastTick = Number.NEGATIVE_INFINITY
  #enteredAt = Number.NEGATIVE_INFINITY
  #listenUntil = Number.NEGATIVE_INFINITY
  /** Strangers are waited for until then, and until a lease after we came at the latest. */
  #metAt = Number.NEGATIVE_INFINITY
  #meetBy = Number.NEGATIVE_INFINITY

  constructor(options: RosterOptions) {
    const { me, settings } = options
    this.#options = options
    // A later run's beats have higher numbers.
    this.#n = options.run
    this.#writtenN = options.run
    this.#beatMs = beatMsOf(settings)
    this.#members = new Members(settings.leaseMs, this.#beatMs)
    this.#count = slotCount(settings.type)
    this.#leases = new Leases(me, this.#count + (settings.quorum ? 1 : 0), this.#beatMs, settings.quorum)
    this.#quorum = settings.quorum ? new Quorum(me) : undefined
  }

  /** Under which term records of this slot may be handed out now. */
  termOf(slot: number, now: number): number | undefined {
    return this.isEntitled(now) ? this.#leases.termOf(slot) : undefined
  }

  /** Whether records of this slot are for us to read: also while our lease is not fresh, or the slot is to be handed over, since it may stay. */
  isHeld(slot: number): boolean {
    return this.#leases.ackTermOf(slot) !== undefined
  }

  /** Under which term what was handed out of it may be settled now. */
  ackTermOf(slot: number, now: number): number | undefined {
    return this.isEntitled(now) ? this.#leases.ackTermOf(slot) : undefined
  }

  /** Whether our own lease is fresh. It ends a little before others think so: a beat that renewed it in the last moment might come to them too late. */
  isEntitled(now: number): boolean {
    const from = this.#quorum === undefined ? this.#writtenAt : (this.#quorum.heardAt() ?? Number.NEGATIVE_INFINITY)
    return now - from <= this.#options.settings.leaseMs - limits.groupGuardBeats * this.#beatMs
  }

  /** Whether another claims a slot under a higher term than this; false without a quorum, since no claim is known to all then. */
  isOutranked(slot: number, term: number): boolean {
    return this.#quorum !== undefined && this.#leases.highestTermOf(slot) > term
  }

  holderOf(slot: number): PeerId | undefined {
    return this.#leases.holderOf(slot)
  }

  /** Who holds it, or claims it and is not outranked. */
  claimantOf(slot: number): PeerId | undefined {
    return this.#leases.claimantOf(slot)
  }

  /** By slot, the highest that is known. */
  terms(): number[] {
    return this.allTerms().slice(0, this.#count)
  }

  /** The same, with that of who edits the list of voters. */
  allTerms(): number[] {
    return this.#leases.terms()
  }

  /** The number of our next beat. */
  get nextBeat(): number {
    return this.#n + 1
  }

  /** The newest beat of ours that a majority of the voters has heard; 0 where nobody is asked. */
  heardUpTo(): number {
    return this.#quorum?.heardUpTo() ?? 0
  }

  get voters(): Voters | undefined {
    return this.#quorum?.voters
  }

  /** Live members, ourselves among them if we take part. */
  active(now: number): PeerId[] {
    const others = this.#members.active(now)
    return this.#leaving ? others : [...others, this.#options.me].sort()
  }

  /** Whether it fell silent for a lease without having left. */
  isDead(peer: PeerId, now: number): boolean {
    return peer !== this.#options.me && this.#members.isDead(peer, now)
  }

  silentFor(peer: PeerId, now: number): number {
    return peer === this.#options.me ? 0 : this.#members.silentFor(peer, now)
  }

  /** `hasCompany`: others are linked who may enter in this moment. */
  enter(now: number, hasCompany = false): void {
    if (!this.#leaving) return
    this.#leaving = false
    this.#leftIn = Number.POSITIVE_INFINITY
    this.#enteredAt = now
    this.#meetBy = now + this.#options.settings.leaseMs
    this.#hush(now)
    if (hasCompany) this.#listenUntil = Math.max(this.#listenUntil, now + limits.groupMeetBeats * this.#beatMs)
  }

  leave(): void {
    this.#leaving = true
  }

  /** So many consume here, of which our share of the slots is made. */
  setConsumers(count: number): void {
    this.#consumers = Math.min(Math.max(1, count), limits.groupSharesMax)
  }

  /** Nothing is held any more, and nobody waits for our vote, or makes us a voter before hearing that we leave. */
  hasLeft(now: number): boolean {
    const { held, claims } = this.#leases.holding()
    if (!this.#leaving || held.length + claims.length > 0) return false
    return this.#quorum?.mayGo(this.#leftIn, (peer) => this.#members.isLive(peer, now)) !== false
  }

  /**
   * A beat, perhaps an old one of our own from an earlier run. `expired`: it was made long before it was heard. `isBehind`: others wait to be
   * read behind it.
   */
  onBeat(peer: PeerId, beat: Beat, now: number, expired = false, isBehind = false): RosterEffect[] {
    if (beat.voters !== undefined) this.#quorum?.onVoters(beat.voters)
    if (peer === this.#options.me || expired) return this.onTerms(termsIn(beat))
    const taken = this.#members.onBeat(peer, beat, now, isBehind)
    // What is read after a later run of it is past, but for the terms it had reached: nobody else may have told of these.
    if (taken !== 'taken') return taken === 'old' ? this.onTerms(termsIn(beat)) : []
    if (!beat.leaving && beat.listening !== true && !this.#able.includes(peer)) this.#hasOneMore = true
    for (const [other, n, ms] of beat.silent ?? []) this.#members.onSilent(other, n, now - ms)
    if (!isBehind && this.#members.areSure(now)) this.#listenUntil = Math.min(this.#listenUntil, now + this.#beatMs)
    if (this.#quorum !== undefined) this.#onHeard(this.#quorum, peer, beat.heard ?? {}, now)
    const isHeld = (other: PeerId) => this.#isHeld(other, now)
    const effects = this.#leases.onBeat(peer, beat, isHeld)
    const { known, heard = {}, tails = {} } = beat
    if (known !== undefined) effects.push(...this.#leases.onKnown(peer, known, { heard, tails }, isHeld))
    return this.#ofRecords(effects)
  }

  onTerms(terms: readonly number[]): RosterEffect[] {
    return this.#ofRecords(this.#leases.onTerms(terms))
  }

  /** Of a quorum: the last beat of each member that was heard of late, or is dead: what it said up to that is known. */
  lastBeats(now: number): Record<PeerId, number> | undefined {
    return this.#quorum && Object.fromEntries(this.#members.lastBeats(now, limits.groupVoterMs))
  }

  onSum({ terms, voters, heard = {} }: Summed): RosterEffect[] {
    if (voters !== undefined) this.#quorum?.onVoters(voters)
    for (const [peer, n] of Object.entries(heard)) this.#members.onSummed(peer as PeerId, n)
    return this.onTerms(terms)
  }

  /** What to tell now, and what changed. `strangers`: peers that may be members, and cannot be heard yet. `isBehind`: much waits to be read. */
  tick(
    now: number,
    isBusy: (slot: number) => boolean,
    strangers: readonly PeerId[] = [],
    isBehind = false,
  ): { beat: Beat; effects: RosterEffect[] } {
    this.#listen(now)
    if (isBehind) this.#listenUntil = now + this.#options.settings.leaseMs
    if (strangers.some((peer) => this.silentFor(peer, now) === Number.POSITIVE_INFINITY))
      this.#metAt = now + this.#beatMs
    const { settings, me, run } = this.#options
    const told = this.#writtenN === this.#n
    const entitled = this.isEntitled(now)
    const effects = this.#counted(now)
    const [wanted, expected] = [this.#withEditor(this.#wanted), this.#withEditor(this.#expected)]
    this.#quorum?.tick(
      {
        active: this.#active,
        leaving: this.#leaving,
        term: this.#editorTerm(this.#quorum.voters),
        holds: this.#leases.holding().held.some(([slot]) => slot < this.#count),
        isLive: (peer) => peer === me || this.#members.isLive(peer, now),
        isPrompt: (peer) => peer === me || this.#members.isPrompt(peer, now),
        isGone: (peer) => this.#members.isLeaving(peer) || this.silentFor(peer, now) > limits.groupVoterMs,
      },
      entitled,
    )
    const mayClaim = now >= this.#listenUntil && (!settings.quorum || entitled)
    this.#n++
    const isMajority = (votes: ReadonlyMap<PeerId, Vote>) =>
      this.#quorum?.isMajority((peer) => this.#isKnown(votes.get(peer))) !== false
    const leaving = this.#leaving
    if (leaving) this.#leftIn = Math.min(this.#leftIn, this.#n)
    const mayTake = now >= this.#metUntil
    const isSuspect = (peer: PeerId) => !this.#members.isPrompt(peer, now)
    const isLive = (peer: PeerId) => this.#isHeld(peer, now)
    const who = { wanted, expected, heirs: this.#heirs, isLive, isSuspect }
    // Whoever edits the list takes itself off it before it goes.
    const isTaken = (slot: number) =>
      slot < this.#count ? isBusy(slot) : this.#quorum?.voters.peers.includes(me) === true
    const view = { ...who, now, isBusy: isTaken, entitled, mayClaim, mayTake, leaving, told, isMajority }
    effects.push(...this.#ofRecords(this.#leases.tick(view)))
    if (effects.some(({ type }) => type === 'granted')) this.#meetBy = now
    this.#made.set(this.#n, now)
    this.#made.delete(this.#n - limits.groupBeatsKept)
    const beat: Beat = { run, n: this.#n, leaving, ...this.#leases.holding() }
    if (this.#consumers > 1) beat.consumers = this.#consumers
    if (this.#isListening(now)) beat.listening = true
    // Older beats are none to those who hear them.
    const silent = this.#members.silent(now, limits.clockAheadMsMax + settings.leaseMs)
    if (silent.length > 0) beat.silent = silent
    if (this.#quorum !== undefined) {
      beat.voters = this.#quorum.voters
      beat.known = this.#leases.known().filter(([, , holder]) => holder !== me)
      // Of those that are dead as well: what they acknowledged last has to be known to who takes their slots over.
      const lasts = this.#members.lastBeats(now, limits.groupVoterMs)
      beat.heard = Object.fromEntries(lasts.filter(([peer]) => peer !== me))
    }
    return { beat, effects }
  }

  /** When `tick` has something to do before the next beat is due; undefined when it has not. */
  nextAt(now: number): number | undefined {
    const times = [this.#leases.nextAt(), this.#members.nextSilentAt(now)].filter((at) => at !== undefined)
    const next = Math.min(...times, now < this.#listenUntil ? this.#listenUntil : Number.POSITIVE_INFINITY)
    return next > now && next < now + this.#beatMs ? next : undefined
  }

  /** When to beat since what was heard changes what we claim; undefined when it does not. */
  soonAt(now: number): number | undefined {
    const { me, settings } = this.#options
    const mayClaim = now >= Math.max(this.#listenUntil, this.#metUntil) && (!settings.quorum || this.isEntitled(now))
    if (this.#leaving || !mayClaim) return undefined
    const isOurs = (slot: number) => this.#wanted[slot] === me && this.#expected[slot] === me
    const isMoved = (this.#hasOneMore && this.#leases.isClaimingFree) || this.#leases.hasFree(isOurs)
    return isMoved ? Math.max(now, this.#lastTick + limits.groupSoonBeats * this.#beatMs) : undefined
  }

  /** Beat `n` is on our disk and on its way. */
  onWritten(n: number): void {
    const made = this.#made.get(n)
    if (made === undefined || n <= this.#writtenN) return
    this.#writtenN = n
    this.#writtenAt = made
    this.#quorum?.onSent(n, made)
  }

  /** What `peer` had heard. */
  #onHeard(quorum: Quorum, peer: PeerId, heard: HeardBeats, now: number): void {
    const { me } = this.#options
    quorum.onHeard(peer, heard[me] ?? 0)
    for (const [other, n] of Object.entries(heard)) if (other !== me) this.#members.onHeardOf(other as PeerId, n, now)
  }

  /** Whether we know all that somebody knew as it voted. */
  #isKnown(vote: Vote | undefined): boolean {
    if (vote === undefined) return false
    const { me, knows } = this.#options
    const isHeard = ([peer, n]: [string, number]) => peer === me || this.#members.knownOf(peer as PeerId) >= n
    return Object.entries(vote.heard).every(isHeard) && knows?.(vote.tails) !== false
  }

  /** Where a member is not heard by us alone, it would lose what it holds to a claim of ours that cannot be granted. */
  #isHeld(peer: PeerId, now: number): boolean {
    return this.#members.isLive(peer, now) || this.#members.isLiveToOthers(peer, now)
  }

  /** Without those that concern who edits the list of voters. */
  #ofRecords(effects: LeaseEffect[]): LeaseEffect[] {
    const elected = effects.find(({ type, slot }) => type === 'granted' && slot === this.#count)
    if (elected !== undefined) this.#quorum?.onElected(elected.term)
    return effects.filter(({ slot }) => slot < this.#count)
  }

  /** Under which we edit the list. Its only voter may where nobody does or wants to: nobody is elected without it. */
  #editorTerm({ term, peers }: Voters): number | undefined {
    const isOnly = peers.length === 1 && peers[0] === this.#options.me
    const isFree = this.#leases.claimantOf(this.#count) === undefined
    return isOnly && isFree ? term : this.#leases.ackTermOf(this.#count)
  }

  /** Whoever edits the list goes on, and a voter comes after it. */
  #withEditor(wanted: readonly PeerId[]): readonly PeerId[] {
    if (this.#quorum === undefined) return wanted
    const holder = this.#leases.holderOf(this.#count)
    const voters = this.#quorum.voters.peers
    const able = this.#able
    const editor =
      holder !== undefined && able.includes(holder) ? holder : (able.find((peer) => voters.includes(peer)) ?? able[0])
    return editor === undefined ? wanted : [...wanted, editor]
  }

  #listen(now: number): void {
    const missed = now - this.#lastTick - this.#beatMs
    if (Number.isFinite(this.#lastTick) && missed > this.#beatMs) {
      this.#members.excuse(missed, now)
      // Whoever came while we slept is not known yet: that is for who knew of nobody as well.
      if (this.#lastTick >= this.#enteredAt) this.#listenUntil = now + this.#options.settings.leaseMs
      else this.#hush(now)
    }
    this.#lastTick = now
  }

  #hush(now: number): void {
    if (this.#members.lastBeats(now).length > 0) this.#listenUntil = now + this.#options.settings.leaseMs
  }

  get #metUntil(): number {
    return Math.min(this.#metAt, this.#meetBy)
  }

  #isListening(now: number): boolean {
    if (now >= this.#listenUntil && now >= this.#metUntil) return false
    const { held, claims } = this.#leases.holding()
    return held.length + claims.length === 0
  }

  /** Who came and went since the last beat, and who is wanted where. */
  #counted(now: number): RosterEffect[] {
    const before = this.#active
    const active = this.active(now)
    this.#hasOneMore = false
    const { me, settings } = this.#options
    const count = this.#count
    const able = active.filter((peer) => (peer === me ? !this.#isListening(now) : !this.#members.isListening(peer)))
    const prompt = able.filter((peer) => peer === me || this.#members.isPrompt(peer, now))
    const suspected = prompt.length < able.length
    // Who holds what counts where there is one slot, and where somebody is suspected.
    const sharesOf = (peer: PeerId) => (peer === me ? this.#consumers : this.#members.consumersOf(peer))
    const shares = able.map(sharesOf)
    if (count === 1 || suspected || !this.#isSure || !areSame(able, this.#able) || !areSame(shares, this.#shares))
      this.#wanted = assign(able, count, { prompt, sharesOf, holderOf: (slot) => this.#leases.holderOf(slot) })
    this.#able = able
    this.#shares = shares
    this.#isSure = !suspected
    const coming = active.filter((peer) => able.includes(peer) || this.#members.isNewcomer(peer, now))
    this.#expected = count === 1 || coming.length === able.length ? this.#wanted : assign(coming, count, { sharesOf })
    this.#heirs = suspected && !settings.quorum ? assign(prompt, count, { sharesOf }) : []
    if (areSame(active, before)) return []
    this.#active = active
    const effect = (type: 'joined' | 'left') => (peer: PeerId) => ({ type, peer })
    return [
      ...active.filter((peer) => !before.includes(peer)).map(effect('joined')),
      ...before.filter((peer) => !active.includes(peer)).map(effect('left')),
    ]
  }
}

function areSame<T>(some: readonly T[], others: readonly T[]): boolean {
  return some.length === others.length && some.every((each, i) => each === others[i])
}

function termsIn({ held, claims }: Holding): number[] {
  const terms: number[] = []
  for (const [slot, term] of [...held, ...claims]) terms[slot] = term
  return terms
}
