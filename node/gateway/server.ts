/**
 * The local API of a peer: what `connectPeer` (client.ts), the command line and local tools talk to.
 *
 * Owns one HTTP server on loopback. What it can be asked is a table (`routes`), of which its description is made; what crosses the WebSockets, which
 * carry records and events, is in `frame`.
 * Promises: 1. but for the files of the page and the way in by a link, nothing is answered without the bearer token (guard.ts); 2. each socket holds a bounded number of
 * bytes, and a slow one slows only itself; 3. a failure arrives at the client as the error it was.
 * Refuses: addresses beyond loopback, foreign hosts and origins, messages of the wrong shape or size.
 */
import { randomBytes } from 'node:crypto'
import websocket from '@fastify/websocket'
import fastify, { type FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import { GrapevineError, isError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { Peer } from '../types.ts'
import { pageRoutes } from './assets.ts'
import { failureOf } from './frame.ts'
import { parseListen, refusalOf, same, socketProtocol } from './guard.ts'
import { addressOf } from './monitor.ts'
import { register } from './route.ts'
import { routesOf, socketRoutes } from './routes.ts'
import { linkOf, Sessions } from './session.ts'

export interface GatewayOptions {
  peer: Peer
  /** `HOST:PORT` on loopback; port 0 takes a free one. Default `127.0.0.1:0`. */
  listen?: string
  /** What clients must show. Default: 32 random bytes in hex. */
  token?: string
  log?: Logger
  /** Adds routes of its own before the server listens; they are guarded like all others. */
  decorate?: (app: FastifyInstance) => void | Promise<void>
}

export interface Gateway extends AsyncDisposable {
  /** `HOST:PORT`. */
  readonly address: string
  readonly token: string
  /** A new link to the page, which lets one browser in. */
  link(): string
  /** Ends all connections; the peer goes on. */
  close(): Promise<void>
}

/** For pages: nothing from elsewhere, nothing in the text of a page, and nobody around it. */
const policy = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
}

/** Opens the local API. Throws `InvalidOption` for an address that is not on loopback, `ListenFailed` for one in use. */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const { peer, listen = '127.0.0.1:0', token = randomBytes(32).toString('hex'), log, decorate } = options
  const where = parseListen(listen)
  const app = fastify({ logger: false, bodyLimit: limits.frameBytesMax, forceCloseConnections: true })

  const sessions = new Sessions()
  const isToken = (given: string) => same(given, token) || sessions.holds(given)

  // Before the guard: the plugin must know an upgrade for one, or a refused one keeps its socket.
  await app.register(websocket, {
    options: {
      maxPayload: limits.bodyBytesMax + limits.apiFrameBytes,
      // The other that a page names is its token.
      handleProtocols: (protocols) => protocols.has(socketProtocol) && socketProtocol,
    },
    preClose: (done) => {
      for (const client of app.websocketServer.clients) client.terminate()
      app.websocketServer.close(() => done())
    },
    errorHandler: (error) => log?.warn({ err: error }, 'local API connection failed'),
  })
  app.addHook('onRequest', async (request, reply) => {
    const refusal = refusalOf(request.headers, request.routeOptions.config?.isOpen ? undefined : isToken)
    const full = request.headers.upgrade !== undefined && app.websocketServer.clients.size >= limits.apiSocketsMax
    const { status, message } = refusal ?? { status: 503, message: `${limits.apiSocketsMax} connections are open` }
    if (refusal || full) {
      log?.info({ url: request.url, status }, 'local API refused a request')
      await reply.code(status).send(failureOf(new GrapevineError('ApiFailed', message, { status })))
    }
  })
  app.addHook('onSend', async (_request, reply) => {
    reply.headers(policy)
  })
  app.setErrorHandler(async (error, _request, reply) => {
    await reply.code(statusOf(error)).send(failureOf(error))
  })
  app.setNotFoundHandler(async (request, reply) => {
    const failure = failureOf(new GrapevineError('ApiFailed', `there is no ${request.url} here`, { status: 404 }))
    await reply.code(404).send(failure)
  })

  register(app, routesOf(peer, sessions))
  pageRoutes(app)
  for (const { path, serve } of socketRoutes) app.get(path, { websocket: true }, (socket) => serve(socket, peer))
  await decorate?.(app)

  try {
    await app.listen(where)
  } catch (error) {
    await app.close()
    throw new GrapevineError(
      'ListenFailed',
      `the local API cannot listen on ${listen}: is it in use?`,
      { addresses: [listen] },
      error,
    )
  }
  const address = addressOf(app, where.host)
  const close = () => app.close()
  return {
    address,
    token,
    link: () => `http://${address}${linkOf(sessions)}`,
    close,
    [Symbol.asyncDispose]: close,
  }
}

function statusOf(error: unknown): number {
  if (isError(error, 'ApiFailed')) return error.data.status || 500
  if (isError(error)) return 400
  // What the server could not even read.
  return (error as { statusCode?: number }).statusCode ?? 500
}
