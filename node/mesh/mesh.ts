/**
 * The mesh as a whole, for people who look at it: every peer can ask all others what they are, by way of friends (`friends/survey`), and answers
 * when it is asked. Nothing is kept here, and nothing is told while nobody asks.
 *
 * What an answer says is signed by the peer it is of and otherwise its own word. Files: `answer` has the shapes.
 */
import type { Friends } from '../friends/friends.ts'
import type { Clock } from '../ports.ts'
import type { MeshPeer, PeerId } from '../types.ts'
import { decodePeer, decodeQuestion, encodePeer, encodeQuestion } from './answer.ts'

export interface MeshOptions {
  friends: Pick<Friends, 'ask' | 'answer'>
  clock: Clock
  /** Other peers that should answer. */
  known(): Iterable<PeerId>
  /** What we are. */
  about(): Promise<MeshPeer>
}

export class Mesh {
  readonly #options: MeshOptions

  constructor(options: MeshOptions) {
    this.#options = options
    options.friends.answer(async (question) =>
      decodeQuestion(question) === undefined ? undefined : encodePeer(await options.about()),
    )
  }

  /** Those that answer within `timeoutMs`, ourselves first; sooner when all that are known have. */
  async peers(timeoutMs: number): Promise<MeshPeer[]> {
    const { friends, clock, known, about } = this.#options
    const found = new Map<PeerId, MeshPeer>()
    const missing = new Set(known())
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = clock.after(timeoutMs, resolve)
    const stop = friends.ask(encodeQuestion({ about: 'peer' }), (id, answer) => {
      const peer = decodePeer(id, answer)
      if (peer !== undefined) found.set(id, peer)
      missing.delete(id)
      if (missing.size === 0) resolve()
    })
    if (missing.size > 0) await promise
    timer.cancel()
    stop()
    return [await about(), ...found.values()]
  }
}
