/**
 * The mesh as a whole, for people who look at it: every peer can ask all others what they are, by way of friends (`friends/survey`), and answers
 * when it is asked. Nothing is kept here, and nothing is told while nobody asks.
 *
 * What an answer says is signed by the peer it is of and otherwise its own word. Files: `answer` has the shapes, `sight` what is
 * known here of a record.
 */
import type { Friends } from '../friends/friends.ts'
import type { Clock } from '../ports.ts'
import type { FeedId, MeshPeer, PeerId, RecordSight } from '../types.ts'
import {
  decodePeer,
  decodeQuestion,
  decodeSight,
  encodePeer,
  encodeQuestion,
  encodeSight,
  type Question,
} from './answer.ts'

export interface MeshOptions {
  friends: Pick<Friends, 'ask' | 'answer'>
  clock: Clock
  /** Other peers that should answer. */
  known(): Iterable<PeerId>
  /** What we are. */
  about(): Promise<MeshPeer>
  /** What we know of a record. */
  sight(feed: FeedId, index: number): Promise<RecordSight | undefined>
}

export class Mesh {
  readonly #options: MeshOptions

  constructor(options: MeshOptions) {
    this.#options = options
    options.friends.answer((question) => this.#answer(question))
  }

  /** Those that answer within `timeoutMs`, ourselves first; sooner when all that are known have. */
  async peers(timeoutMs: number): Promise<MeshPeer[]> {
    const found = await this.#ask({ about: 'peer' }, timeoutMs, decodePeer)
    return [await this.#options.about(), ...found]
  }

  /** What those know of a record that have it, ourselves first where we do. */
  async sights(feed: FeedId, index: number, timeoutMs: number): Promise<RecordSight[]> {
    const asking = this.#ask({ about: 'record', feed, index }, timeoutMs, decodeSight)
    const own = await this.#options.sight(feed, index)
    const found = await asking
    return own === undefined ? found : [own, ...found]
  }

  async #answer(bytes: Uint8Array): Promise<Uint8Array | undefined> {
    const question = decodeQuestion(bytes)
    switch (question?.about) {
      case 'peer':
        return encodePeer(await this.#options.about())
      case 'record': {
        const sight = await this.#options.sight(question.feed, question.index)
        // Whoever asks waits for all: who knows nothing says so.
        return sight === undefined ? new Uint8Array(0) : encodeSight(sight)
      }
      case undefined:
        return undefined
      default:
        return question satisfies never
    }
  }

  async #ask<T>(
    question: Question,
    timeoutMs: number,
    decode: (peer: PeerId, bytes: Uint8Array) => T | undefined,
  ): Promise<T[]> {
    const { friends, clock, known } = this.#options
    const found: T[] = []
    const missing = new Set(known())
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = clock.after(timeoutMs, resolve)
    const stop = friends.ask(encodeQuestion(question), (peer, bytes) => {
      const answer = decode(peer, bytes)
      if (answer !== undefined) found.push(answer)
      missing.delete(peer)
      if (missing.size === 0) resolve()
    })
    if (missing.size > 0) await promise
    timer.cancel()
    stop()
    return found
  }
}
