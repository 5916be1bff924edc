/**
 * The local API of a peer: what `connectPeer` (client.ts), the command line and local tools talk to.
 *
 * Owns one HTTP server on loopback. `GET /metrics`, `/healthz` and `/readyz` (monitor.ts), `/v1/status`, `/v1/friends`, `/v1/topics`, `/v1/groups` and `POST /v1/group`, `/v1/group/seek` answer with JSON; the
 * WebSockets `/v1/publish`, `/v1/subscribe`, `/v1/consume`, `/v1/events`, `/v1/group-events` carry records and events (frame.ts).
 * Promises: 1. nothing is answered without the bearer token (guard.ts); 2. each socket holds a bounded number of
 * bytes, and a slow one slows only itself; 3. a failure arrives at the client as the error it was.
 * Refuses: addresses beyond loopback, foreign hosts and origins, messages of the wrong shape or size.
 */
import { randomBytes } from 'node:crypto'
import websocket from '@fastify/websocket'
import fastify, { type FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import type { WebSocket } from 'ws'
import { GrapevineError, isError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { Peer } from '../types.ts'
import { serveConsume } from './consume.ts'
import { serveEvents, serveGroupEvents } from './events.ts'
import { checkShape, failureOf, groupOpening, groupSeek, groupsQuery, meshQuery } from './frame.ts'
import { parseListen, refusalOf } from './guard.ts'
import { addressOf, monitorRoutes } from './monitor.ts'
import { servePublish } from './publish.ts'
import { queueRoutes } from './queue.ts'
import { requestRoute, serveRespond } from './respond.ts'
import { serveSubscribe } from './subscribe.ts'

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
  /** Ends all connections; the peer goes on. */
  close(): Promise<void>
}

/** Opens the local API. Throws `InvalidOption` for an address that is not on loopback, `ListenFailed` for one in use. */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const { peer, listen = '127.0.0.1:0', token = randomBytes(32).toString('hex'), log, decorate } = options
  const where = parseListen(listen)
  const app = fastify({ logger: false, bodyLimit: limits.frameBytesMax, forceCloseConnections: true })

  // Before the guard: the plugin must know an upgrade for one, or a refused one keeps its socket.
  await app.register(websocket, {
    options: { maxPayload: limits.bodyBytesMax + limits.apiFrameBytes },
    preClose: (done) => {
      for (const client of app.websocketServer.clients) client.terminate()
      app.websocketServer.close(() => done())
    },
    errorHandler: (error) => log?.warn({ err: error }, 'local API connection failed'),
  })
  app.addHook('onRequest', async (request, reply) => {
    const refusal = refusalOf(request.headers, token)
    const full = request.headers.upgrade !== undefined && app.websocketServer.clients.size >= limits.apiSocketsMax
    const { status, message } = refusal ?? { status: 503, message: `${limits.apiSocketsMax} connections are open` }
    if (refusal || full) {
      log?.info({ url: request.url, status }, 'local API refused a request')
      await reply.code(status).send(failureOf(new GrapevineError('ApiFailed', message, { status })))
    }
  })
  app.setErrorHandler(async (error, _request, reply) => {
    await reply.code(isError(error) ? 400 : 500).send(failureOf(error))
  })
  app.setNotFoundHandler(async (request, reply) => {
    const failure = failureOf(new GrapevineError('ApiFailed', `there is no ${request.url} here`, { status: 404 }))
    await reply.code(404).send(failure)
  })

  app.get('/v1/status', () => peer.status())
  app.get('/v1/friends', () => peer.friends())
  app.get('/v1/topics', () => peer.topics())
  app.get('/v1/groups', ({ query }) => peer.groups(checkShape(query, groupsQuery).topic))
  monitorRoutes(app, peer)
  app.get('/v1/mesh', ({ query }) => peer.mesh(checkShape(query, meshQuery)))
  app.post('/v1/group', ({ body }) => {
    const { topic, group, options } = checkShape(body, groupOpening)
    return peer.topic(topic).group(group, options).status()
  })
  app.post('/v1/group/seek', async ({ body }) => {
    const { topic, group, options, to } = checkShape(body, groupSeek)
    await peer.topic(topic).group(group, options).seek(to)
    return {}
  })
  queueRoutes(app, peer)
  requestRoute(app, peer)
  const socketRoute = (path: string, serve: (socket: WebSocket, peer: Peer) => void) =>
    app.get(path, { websocket: true }, (socket) => serve(socket, peer))
  socketRoute('/v1/publish', servePublish)
  socketRoute('/v1/subscribe', serveSubscribe)
  socketRoute('/v1/consume', serveConsume)
  socketRoute('/v1/respond', serveRespond)
  socketRoute('/v1/events', serveEvents)
  socketRoute('/v1/group-events', serveGroupEvents)
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
  const close = () => app.close()
  return {
    address: addressOf(app, where.host),
    token,
    close,
    [Symbol.asyncDispose]: close,
  }
}
