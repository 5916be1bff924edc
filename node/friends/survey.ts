/**
 * Asking the whole mesh something: a question goes from friend to friend, each peer answers it once, and answers go back the way the
 * question came. It costs nothing while nobody asks.
 *
 * For people who look at a mesh, not for what must arrive: a friend that does not keep up is sent neither. Promises:
 * 1. An answer is signed by the peer that gives it, together with the question's number: who passes it on can lose it, and neither change
 *    nor repeat it. Whoever passes one on has checked that, so that of a wrong one its sender is to blame.
 * 2. What friends ask, what is passed on for them and what is answered at once is bounded (`limits.survey…`). More is dropped: a friend may only be
 *    passing it on.
 */
import type { Link } from '../host/link.ts'
import { limits } from '../limits.ts'
import type { Clock, Random } from '../ports.ts'
import type { PeerId } from '../types.ts'
import { buffer } from '../wire/bytes.ts'
import { WireError } from '../wire/error.ts'
import { peerIdOf, type SigningKey, verifySignature } from '../wire/key.ts'
import { encodeFriendFrame, type FriendFrame } from './frame.ts'

export interface SurveyOptions {
  key: SigningKey
  links: () => Link[]
  clock: Clock
  random: Random
}

/** What a peer says to a question; undefined: nothing. */
export type Answering = (question: Uint8Array) => Promise<Uint8Array | undefined> | Uint8Array | undefined

/** Called with each answer as it comes, once a peer. */
export type OnAnswer = (peer: PeerId, answer: Uint8Array) => void

/** A question that is going round. */
interface Round {
  /** Whom its answers go to. */
  to: Link | OnAnswer
  answers: number
  endsAt: number
}

const domain = new TextEncoder().encode('grapevine answer 1\n')

export class Survey {
  readonly #options: SurveyOptions
  /** By the question's number, oldest first. */
  readonly #rounds = new Map<string, Round>()
  /** Questions of each friend within one second. */
  readonly #asked = new Map<PeerId, { since: number; count: number }>()
  /** They have enough to read for now. */
  readonly #full = new WeakSet<Link>()
  #answersUnderWay = 0
  answering: Answering = () => undefined

  constructor(options: SurveyOptions) {
    this.#options = options
  }

  /** Asks everybody else; answers come until the function that this returns is called, or `limits.surveyMs` are over. */
  ask(question: Uint8Array, onAnswer: OnAnswer): () => void {
    const id = this.#options.random.bytes(16)
    const name = nameOf(id)
    const heard = new Set<PeerId>()
    this.#begin(name, (peer, answer) => {
      if (!heard.has(peer)) onAnswer(peer, answer)
      heard.add(peer)
    })
    this.#send(encodeFriendFrame({ type: 'ask', id, hops: limits.surveyHopsMax, question }))
    return () => this.#rounds.delete(name)
  }

  onAsk(link: Link, { id, hops, question }: FriendFrame & { type: 'ask' }): void {
    const name = nameOf(id)
    if (this.#rounds.has(name) || !this.#mayAsk(link.peer)) return
    this.#begin(name, link)
    if (hops > 1)
      this.#send(encodeFriendFrame({ type: 'ask', id, hops: Math.min(hops, limits.surveyHopsMax) - 1, question }), link)
    // Who cannot answer, because the disk fails say, does not.
    this.#answer(link, id, question).catch(() => undefined)
  }

  /** Throws `WireError` for an answer that its peer has not signed. */
  onAnswer(link: Link, frame: FriendFrame & { type: 'answer' }): void {
    const { id, key, answer, signature } = frame
    const round = this.#rounds.get(nameOf(id))
    if (round === undefined || round.to === link || this.#options.clock.now() > round.endsAt) return
    if (++round.answers > limits.surveyAnswersMax) return
    if (!verifySignature(key, signedBytes(id, answer), signature))
      throw new WireError('an answer is not signed by its peer')
    if (typeof round.to === 'function') round.to(peerIdOf(key), answer)
    else this.#pass(round.to, encodeFriendFrame(frame))
  }

  onLost(peer: PeerId): void {
    this.#asked.delete(peer)
  }

  #begin(name: string, to: Link | OnAnswer): void {
    const now = this.#options.clock.now()
    for (const [old, { endsAt }] of this.#rounds) {
      if (endsAt > now && this.#rounds.size < limits.surveysMax) break
      this.#rounds.delete(old)
    }
    this.#rounds.set(name, { to, answers: 0, endsAt: now + limits.surveyMs })
  }

  #mayAsk(peer: PeerId): boolean {
    const now = this.#options.clock.now()
    const asked = this.#asked.get(peer)
    if (asked === undefined || now - asked.since >= 1_000) {
      this.#asked.set(peer, { since: now, count: 1 })
      return true
    }
    return ++asked.count <= limits.surveysPerSecond
  }

  async #answer(link: Link, id: Uint8Array, question: Uint8Array): Promise<void> {
    if (this.#answersUnderWay >= limits.surveyAnsweringMax) return
    this.#answersUnderWay++
    try {
      const answer = await this.answering(question)
      if (answer === undefined || answer.length > limits.surveyAnswerBytesMax) return
      const { key } = this.#options
      const signature = key.sign(signedBytes(id, answer))
      this.#pass(link, encodeFriendFrame({ type: 'answer', id, key: key.publicKey, answer, signature }))
    } finally {
      this.#answersUnderWay--
    }
  }

  #send(frame: Uint8Array, except?: Link): void {
    for (const link of this.#options.links()) if (link !== except) this.#pass(link, frame)
  }

  #pass(link: Link, frame: Uint8Array): void {
    if (this.#full.has(link) || link.send(frame)) return
    this.#full.add(link)
    void link.writable().then(() => this.#full.delete(link))
  }
}

function signedBytes(id: Uint8Array, answer: Uint8Array): Uint8Array {
  return Buffer.concat([domain, id, answer])
}

function nameOf(bytes: Uint8Array): string {
  return buffer(bytes).toString('latin1')
}
