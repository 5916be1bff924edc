/**
 * Who is a member, by the beats that were heard. Pure. A member is live until it was silent for a whole lease, counted from when
 * its last beat came to the first who tells of it: everybody says of those that are silent for how long they are. So whoever came just now, and
 * reads what the dead said, takes none of them for alive. Times are told as spans, so that clocks that differ change nothing.
 */
import { limits } from '../limits.ts'
import type { PeerId } from '../types.ts'

export interface Sign {
  /** When this run of the member began, by its clock: a later run ends what the one before held. */
  run: number
  /** Number of the beat: each is higher than the one before, also where that was of an earlier run. */
  n: number
  /** Its last beat: it holds nothing any more. */
  leaving: boolean
  /** It holds nothing and must not claim anything yet. */
  listening?: boolean | undefined
  /** How many consume there. Default 1. */
  consumers?: number | undefined
}

/** The last beat of a member that was heard, and how long ago that was, in ms. */
export type Silence = [peer: PeerId, n: number, ms: number]

/** Beats are late by a little now and then. */
const overdueBeats = 1.2

interface Heard extends Sign {
  at: number
  /** Heard again since we listen. What comes all at once is read from the log, and may be what a dead one left behind. */
  isSure: boolean
  /** Heard before we were away: what comes next may have waited for us as long as that. */
  isStale: boolean
  /** Since when it says that it must not claim anything yet. */
  listeningSince: number | undefined
}

export class Members {
  readonly #silenceMs: number
  readonly #beatMs: number
  readonly #heard = new Map<PeerId, Heard>()
  /** Beats that we have not heard, and others have: the newest of each member, and when we learned of it. */
  readonly #heardOf = new Map<PeerId, { n: number; at: number }>()
  /** Beats that were summed up: the newest of each member. */
  readonly #summed = new Map<PeerId, number>()

  constructor(silenceMs: number, beatMs: number) {
    this.#silenceMs = silenceMs
    this.#beatMs = beatMs
  }

  /** `isLate`: it has waited to be read. `old`: of a run or beat that was superseded, to be ignored. `full`: one more than are remembered. */
  onBeat(peer: PeerId, sign: Sign, now: number, isLate = false): 'taken' | 'old' | 'full' {
    const known = this.#heard.get(peer)
    if (known !== undefined && now - known.at <= this.#silenceMs && sign.run < known.run) return 'old'
    if (known !== undefined && sign.run === known.run && sign.n <= known.n) return 'old'
    if (known === undefined && this.#heard.size >= limits.groupMembersMax && !this.#forgetSilent(now)) return 'full'
    const { run, n, leaving, listening, consumers } = sign
    const isNext = known !== undefined && !known.isStale && !isLate && now - known.at > this.#beatMs / 2
    const isSure = known?.run === run && (known.isSure || isNext)
    const before = known?.run === run ? known.listeningSince : undefined
    const listeningSince = listening === true ? (before ?? now) : undefined
    this.#heard.set(peer, { run, n, leaving, listening, consumers, at: now, isSure, isStale: false, listeningSince })
    return 'taken'
  }

  /** Somebody has heard its beat `n`. */
  onHeardOf(peer: PeerId, n: number, now: number): void {
    const known = this.#heardOf.get(peer)?.n ?? 0
    if (n <= Math.max(known, this.lastBeatOf(peer))) return
    if (this.#heardOf.size >= limits.groupMembersMax && !this.#heardOf.has(peer)) return
    this.#heardOf.set(peer, { n, at: now })
  }

  /** Somebody heard its beat `n` at that time, and none after it: where we heard that one later, it is silent for as long all the same. */
  onSilent(peer: PeerId, n: number, at: number): void {
    const known = this.#heard.get(peer)
    if (known !== undefined && known.n <= n) known.at = Math.min(known.at, at)
  }

  /** Those whose beats are overdue, and that did not leave: the number of the last one of each, and how long ago it was heard. */
  silent(now: number, withinMs: number): Silence[] {
    const all = [...this.#heard].flatMap(([peer, { n, at, leaving }]): Silence[] =>
      leaving || this.isPrompt(peer, now) || now - at > withinMs ? [] : [[peer, n, now - at]],
    )
    return all.sort(([, , one], [, , other]) => one - other).slice(0, limits.groupSilentMax)
  }

  /** Whether others hear it, at least, and what it holds is to be respected. */
  isLiveToOthers(peer: PeerId, now: number): boolean {
    return now - (this.#heardOf.get(peer)?.at ?? Number.NEGATIVE_INFINITY) <= this.#silenceMs
  }

  /** Whether what it holds is to be respected. */
  isLive(peer: PeerId, now: number): boolean {
    return this.silentFor(peer, now) <= this.#silenceMs
  }

  /** Live ones that are not leaving, in order of their ids. */
  active(now: number): PeerId[] {
    return [...this.#heard.keys()].filter((peer) => this.isLive(peer, now) && !this.isLeaving(peer)).sort()
  }

  /** Whether it was heard as recently as beats are due. */
  isPrompt(peer: PeerId, now: number): boolean {
    return this.silentFor(peer, now) <= limits.groupSuspectBeats * this.#beatMs
  }

  /** When the next of them counts as silent, if it does not beat again, or as one to suspect whose beat is overdue; undefined when there is none. */
  nextSilentAt(now: number): number | undefined {
    const suspectMs = limits.groupSuspectBeats * this.#beatMs
    const times = [...this.#heard.values()].flatMap(({ at }) => {
      const silent = now - at
      if (silent > this.#silenceMs) return []
      return at + 1 + (silent > overdueBeats * this.#beatMs && silent <= suspectMs ? suspectMs : this.#silenceMs)
    })
    return times.length === 0 ? undefined : Math.min(...times)
  }

  isLeaving(peer: PeerId): boolean {
    return this.#heard.get(peer)?.leaving === true
  }

  /** How many consume there, as it said last. */
  consumersOf(peer: PeerId): number {
    return this.#heard.get(peer)?.consumers ?? 1
  }

  isListening(peer: PeerId): boolean {
    return this.#heard.get(peer)?.listening === true
  }

  /** Whether it came just now, and may claim in a moment what is free. */
  isNewcomer(peer: PeerId, now: number): boolean {
    const since = this.#heard.get(peer)?.listeningSince
    return since !== undefined && now - since <= limits.groupNewcomerBeats * this.#beatMs
  }

  /** Whether it was heard of, and then fell silent without a word. */
  isDead(peer: PeerId, now: number): boolean {
    return this.#heard.has(peer) && !this.isLive(peer, now) && !this.isLeaving(peer)
  }

  /** Numbers of the last beats of those who were heard within so long. */
  lastBeats(now: number, withinMs = this.#silenceMs): [PeerId, number][] {
    return [...this.#heard].filter(([, { at }]) => now - at <= withinMs).map(([peer, { n }]) => [peer, n])
  }

  /** The number of the last beat that was heard of it; 0 where there was none. */
  lastBeatOf(peer: PeerId): number {
    return this.#heard.get(peer)?.n ?? 0
  }

  /** A sum says what its beat `n` said, and those before it. */
  onSummed(peer: PeerId, n: number): void {
    if (n <= (this.#summed.get(peer) ?? 0)) return
    this.#summed.delete(peer)
    this.#summed.set(peer, n)
    for (const [oldest] of this.#summed) {
      if (this.#summed.size <= limits.groupMembersMax) return
      this.#summed.delete(oldest)
    }
  }

  /** The number of the last beat of which it is known what was said up to it. */
  knownOf(peer: PeerId): number {
    return Math.max(this.lastBeatOf(peer), this.#summed.get(peer) ?? 0)
  }

  silentFor(peer: PeerId, now: number): number {
    const heard = this.#heard.get(peer)
    return heard === undefined ? Number.POSITIVE_INFINITY : now - heard.at
  }

  /** We heard nobody for that long because we did not listen: their silence counts from later on. */
  excuse(ms: number, now: number): void {
    for (const heard of this.#heard.values()) {
      heard.at = Math.min(now, heard.at + ms)
      heard.isSure = false
      heard.isStale = true
    }
  }

  /** Whether it is known of each that does not count as silent that it lives. */
  areSure(now: number): boolean {
    return [...this.#heard].every(([peer, { isSure, leaving }]) => isSure || leaving || !this.isLive(peer, now))
  }

  #forgetSilent(now: number): boolean {
    const before = this.#heard.size
    for (const [peer, { at }] of this.#heard) if (now - at > this.#silenceMs) this.#heard.delete(peer)
    return this.#heard.size < before
  }
}
