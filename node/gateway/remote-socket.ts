/** The client's connections: where the API is, how it is asked, and what a lost connection is called. */
import WebSocket from 'ws'
import { GrapevineError } from '../errors.ts'
import { limits } from '../limits.ts'
import { Channel, type ChannelHandler } from './channel.ts'
import { errorOf } from './frame.ts'

export interface ApiPlace {
  /** `http://HOST:PORT`. */
  url: string
  token: string
}

export function placeOf(api: string, token: string): ApiPlace {
  const url = /^https?:\/\//.test(api) ? api : `http://${api}`
  if (!URL.canParse(url)) {
    throw new GrapevineError('InvalidOption', `api ${JSON.stringify(api)} is not HOST:PORT`, { option: 'api' })
  }
  return { url: url.replace(/\/+$/, ''), token }
}

export function lost(what: string, cause?: unknown): GrapevineError<'ApiFailed'> {
  return new GrapevineError('ApiFailed', `${what}: is the peer still running?`, { status: 0 }, cause)
}

function unanswered({ url }: ApiPlace, error: unknown): GrapevineError<'ApiFailed'> {
  return lost(`the local API at ${url} does not answer`, error)
}

/** One GET, or a POST of `body`. Rejects with the error the peer answered, or `ApiFailed`. */
export async function askJson<T>(place: ApiPlace, path: string, body?: object, signal?: AbortSignal): Promise<T> {
  const response = await ask(place, path, body, signal)
  return (await response.json().catch((error) => Promise.reject(unanswered(place, error)))) as T
}

/** One GET of text. Rejects as `askJson` does. */
export async function askText(place: ApiPlace, path: string): Promise<string> {
  const response = await ask(place, path)
  return response.text().catch((error) => Promise.reject(unanswered(place, error)))
}

async function ask(place: ApiPlace, path: string, body?: object, signal?: AbortSignal): Promise<Response> {
  const headers = { authorization: `Bearer ${place.token}` }
  const post = {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  }
  let response: Response
  try {
    const request = body === undefined ? { headers } : post
    response = await fetch(place.url + path, { ...request, signal: signal ?? null })
  } catch (error) {
    signal?.throwIfAborted()
    throw unanswered(place, error)
  }
  if (!response.ok) throw errorOf(await response.json().catch(() => undefined), response.status)
  return response
}

/** Opens a WebSocket; its handler hears everything from the first message on. Rejects with `ApiFailed`. */
export function openChannel(place: ApiPlace, path: string, handler: ChannelHandler): Promise<Channel> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(place.url.replace(/^http/, 'ws') + path, {
      headers: { authorization: `Bearer ${place.token}` },
      perMessageDeflate: false,
      maxPayload: limits.bodyBytesMax + limits.apiFrameBytes,
    })
    const channel = new Channel(socket, handler)
    socket.on('unexpected-response', (request, response) => {
      const status = response.statusCode ?? 0
      request.destroy()
      reject(new GrapevineError('ApiFailed', `the local API refused the connection with status ${status}`, { status }))
    })
    socket.on('error', (error) => reject(unanswered(place, error)))
    socket.on('open', () => resolve(channel))
  })
}
