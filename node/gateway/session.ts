/**
 * How a browser gets in, which has no data folder to read a token from: by a link with a word that counts once, for which it gets a token of its
 * own. The word stands behind the `#`, so that no server and no log ever sees it. Both are forgotten with the process.
 */
import { createHash, randomBytes } from 'node:crypto'
import { z } from 'zod'
import { GrapevineError } from '../errors.ts'
import { limits } from '../limits.ts'
import { type Route, route } from './route.ts'

export class Sessions {
  /** Hashes of words that have not been used, and of tokens: looking one up tells nothing of the others. Oldest first. */
  readonly #words = new Set<string>()
  readonly #tokens = new Set<string>()

  /** A word that lets in one browser. */
  word(): string {
    return remember(this.#words)
  }

  /** A token for a word; undefined for one that was used, or was never given. */
  enter(word: string): string | undefined {
    return this.#words.delete(hashOf(word)) ? remember(this.#tokens) : undefined
  }

  holds(token: string): boolean {
    return this.#tokens.has(hashOf(token))
  }
}

function remember(hashes: Set<string>): string {
  const secret = randomBytes(24).toString('base64url')
  hashes.add(hashOf(secret))
  if (hashes.size > limits.apiSessionsMax) hashes.delete(hashes.keys().next().value as string)
  return secret
}

function hashOf(secret: string): string {
  return createHash('sha256').update(secret).digest('base64')
}

export function sessionRoutes(sessions: Sessions): Route[] {
  return [
    route({
      method: 'POST',
      path: '/v1/link',
      about: 'Makes a link that lets one browser in.',
      answers: '{ path }, to be put behind the address',
      act: () => ({ path: linkOf(sessions) }),
    }),
    route({
      method: 'POST',
      path: '/v1/session',
      about: 'Trades the word of a link for a token.',
      answers: '{ token }',
      isOpen: true,
      body: z.strictObject({ word: z.string() }),
      act({ body: { word } }) {
        const token = sessions.enter(word)
        if (token !== undefined) return { token }
        const sentence = 'the link was used already, or is none of this peer: `grapevine open` makes another'
        throw new GrapevineError('ApiFailed', sentence, { status: 401 })
      },
    }),
  ]
}

/** To be put behind the address. */
export function linkOf(sessions: Sessions): string {
  return `/#${sessions.word()}`
}
