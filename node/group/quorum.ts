/**
 * Whether a majority of the members hears us, and who counts as a member for that. Pure.
 *
 * Voters are a numbered list that all share. One member edits it, its editor, one change at a time and only when a majority of the list as it
 * is hears its beats: two lists that follow each other always have majorities that overlap (single-server changes, Ongaro 2014, section
 * 4.1). So a minority can neither admit newcomers to become a majority nor drop those it does not hear. Who edits is decided as who has a
 * slot is, by claims that a majority votes for, and each list carries the term of its editor: that of a later one counts, and it changes nothing
 * before a majority has the list under its term. So nobody goes on with a list that an editor made who was cut off, and does not know of its successor.
 * Two members that begin a group on two sides of a partition are two groups until they meet: there is no list yet that either could know of.
 */
import { limits } from '../limits.ts'
import type { PeerId } from '../types.ts'

export interface Voters {
  /** Under which its editor made it; 0 for the first of a group. */
  term: number
  /** Grows by one with each change. */
  epoch: number
  peers: PeerId[]
}

export interface QuorumView {
  /** Members that are live and not leaving, ourselves among them if we are. */
  active: readonly PeerId[]
  leaving: boolean
  /** Under which we are its editor; undefined when we are not. */
  term: number | undefined
  /** Whether we hold slots. */
  holds: boolean
  /** Leaving, or silent for too long. */
  isGone(peer: PeerId): boolean
  /** It was heard within a lease. */
  isLive(peer: PeerId): boolean
  /** It was heard as recently as beats are due. */
  isPrompt(peer: PeerId): boolean
}

export class Quorum {
  readonly #me: PeerId
  #voters: Voters = { term: 0, epoch: 0, peers: [] }
  /** When our beats were sent, by number. */
  readonly #sent = new Map<number, number>()
  /** Up to which beat each voter hears us. */
  readonly #heard = new Map<PeerId, number>()
  /** Our first beat that carried the list as it is. */
  #listedIn = 1

  constructor(me: PeerId) {
    this.#me = me
  }

  get voters(): Voters {
    return this.#voters
  }

  /** Of two lists that of the later editor counts, and then the later; where a group was begun twice, that of the lower first voter. */
  onVoters(voters: Voters): void {
    const { term, epoch, peers } = this.#voters
    const isEarlier = (voters.peers[0] ?? '') < (peers[0] ?? '')
    const order = voters.term - term || voters.epoch - epoch
    if (order > 0 || (order === 0 && isEarlier)) this.#set(voters)
  }

  /** We are its editor from now on: nothing is changed before a majority knows that. */
  onElected(term: number): void {
    const { epoch, peers } = this.#voters
    this.#set({ term, epoch: epoch + 1, peers })
  }

  /** `peer` says that it has heard our beat `n`. */
  onHeard(peer: PeerId, n: number): void {
    if (n <= (this.#heard.get(peer) ?? 0) || !this.#sent.has(n)) return
    if (this.#heard.size >= limits.groupMembersMax && !this.#heard.has(peer)) return
    this.#heard.set(peer, n)
  }

  onSent(n: number, now: number): void {
    this.#sent.set(n, now)
    this.#sent.delete(n - limits.groupBeatsKept)
  }

  /** When the newest beat that a majority has heard was sent; undefined when there is none. */
  heardAt(): number | undefined {
    return this.#sent.get(this.heardUpTo())
  }

  /** Edits the list where that is ours to do; called once a beat, before it is sent. `entitled` is whether a majority hears us now. */
  tick(view: QuorumView, entitled: boolean): void {
    const { term, epoch, peers } = this.#voters
    const change = (changed: PeerId[]) => this.#set({ term, epoch: epoch + 1, peers: changed })
    if (peers.length === 0) {
      if (view.active[0] === this.#me) change([this.#me])
      return
    }
    if (view.term !== term || !entitled || this.heardUpTo() < this.#listedIn) return
    const without = (gone: PeerId) => peers.filter((peer) => peer !== gone)
    // Whoever leaves stays a voter as long as the others are no majority without it, since one of them is silent.
    const isAble = (left: PeerId[]) => 2 * left.filter(view.isLive).length > left.length
    const isGone = (peer: PeerId) => (peer === this.#me ? view.leaving : view.isGone(peer))
    const [gone] = [...without(this.#me), this.#me].filter((peer) => isGone(peer) && isAble(without(peer)))
    const come = view.active.find((peer) => !peers.includes(peer) && view.isPrompt(peer))
    // The last voter goes where nobody else comes and it holds nothing: nobody can be heard by a majority of none.
    if (gone !== undefined) change(without(gone))
    else if (peers.length === 1 && view.leaving && come === undefined && !view.holds) change([])
    else if (come !== undefined && peers.length < limits.groupVotersMax) change([...peers, come])
  }

  #set({ term, epoch, peers }: Voters): void {
    this.#voters = { term, epoch, peers: [...peers].sort() }
    this.#listedIn = Math.max(0, ...this.#sent.keys()) + 1
  }

  /** Whether we are no voter, and all live ones have heard our beat `n`: they know that we leave, and admit us no more. */
  mayGo(n: number, isLive: (peer: PeerId) => boolean): boolean {
    const { peers } = this.#voters
    return !peers.includes(this.#me) && peers.every((peer) => !isLive(peer) || (this.#heard.get(peer) ?? 0) >= n)
  }

  /** Whether the voters of whom that is true and we are a majority of them. */
  isMajority(isFor: (peer: PeerId) => boolean): boolean {
    const { peers } = this.#voters
    return 2 * peers.filter((peer) => peer === this.#me || isFor(peer)).length > peers.length
  }

  /** The number of the newest beat of ours that a majority of the voters has heard. */
  heardUpTo(): number {
    const { peers } = this.#voters
    if (peers.length === 0) return 0
    const newest = Math.max(0, ...this.#sent.keys())
    const numbers = peers.map((peer) => (peer === this.#me ? newest : (this.#heard.get(peer) ?? 0)))
    numbers.sort((a, b) => b - a)
    return numbers[Math.floor(peers.length / 2)] ?? 0
  }
}
