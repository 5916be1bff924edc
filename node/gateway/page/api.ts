/** The peer's API, as the page asks it: with a token that a link's word was traded for. */
import type { Failure } from '../frame.ts'

const tokenKey = 'grapevine token'
let token = sessionStorage.getItem(tokenKey) ?? ''

export class ApiError extends Error {
  readonly status: number
  readonly code: string
  readonly data: unknown

  constructor(status: number, { code, message, data }: Failure) {
    super(message)
    this.status = status
    this.code = code
    this.data = data
  }
}

/** Uses up the word that stands behind the `#`, where one does; false where the page may not come in. */
export async function enter(): Promise<boolean> {
  const word = /^#([\w-]{32})$/.exec(location.hash)?.[1]
  if (word !== undefined) {
    history.replaceState(null, '', '#/mesh')
    try {
      const { token: given } = await post<{ token: string }>('/v1/session', { word })
      token = given
      sessionStorage.setItem(tokenKey, token)
    } catch (error) {
      if (token === '') throw error
    }
  }
  return token !== ''
}

export function get<T>(path: string): Promise<T> {
  return ask(path, {})
}

export function post<T>(path: string, body: object = {}): Promise<T> {
  return ask(path, { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } })
}

export function socket(path: string): WebSocket {
  return new WebSocket(path, ['grapevine', `token.${token}`])
}

async function ask<T>(path: string, options: RequestInit & { headers?: Record<string, string> }): Promise<T> {
  let response: Response
  try {
    response = await fetch(path, { ...options, headers: { ...options.headers, authorization: `Bearer ${token}` } })
  } catch {
    throw new ApiError(0, { code: 'ApiFailed', message: 'the peer does not answer', data: {} })
  }
  const answer: unknown = await response.json().catch(() => ({}))
  if (!response.ok) throw new ApiError(response.status, answer as Failure)
  return answer as T
}
