/**
 * What watches over many peers asks: `GET /metrics` for Prometheus, `/healthz` and `/readyz` for whoever starts and stops them. On the local API
 * with its token like all else; without one on an address of its own, which is opened only where it is asked for: then whoever reaches it
 * learns names of topics and addresses, and can change nothing.
 */
import { type FastifyInstance, fastify } from 'fastify'
import { GrapevineError } from '../errors.ts'
import type { Peer } from '../types.ts'
import { failureOf } from './frame.ts'
import { hostPort } from './guard.ts'
import { type Route, register, route } from './route.ts'

export interface Monitor extends AsyncDisposable {
  /** `HOST:PORT`. */
  readonly address: string
  close(): Promise<void>
}

export function monitorRoutes(peer: Peer): Route[] {
  return [
    route({
      method: 'GET',
      path: '/metrics',
      about: 'What Prometheus asks for.',
      answers: "Prometheus's text format",
      type: 'text/plain; version=0.0.4; charset=utf-8',
      act: () => peer.metrics(),
    }),
    route({
      method: 'GET',
      path: '/healthz',
      about: '200 as long as the process can answer.',
      answers: '{ status }',
      act: () => ({ status: 'ok' }),
    }),
    route({
      method: 'GET',
      path: '/readyz',
      about: '200 while the peer takes publishes, 503 while it drains, is closed, or its disk is full.',
      answers: '{ state, friends }',
      async act({ reply }) {
        const { state, friends } = await peer.status().catch(() => ({ state: 'closed' as const, friends: 0 }))
        if (state !== 'open') reply.code(503)
        return { state, friends }
      },
    }),
  ]
}

/**
 * Opens these alone, without a token, on any address: `HOST:PORT`, port 0 for a free one. Throws `InvalidOption` for what is no address,
 * `ListenFailed` for one in use.
 */
export async function startMonitor({ peer, listen }: { peer: Peer; listen: string }): Promise<Monitor> {
  const where = hostPort(listen, 'monitor')
  const app = fastify({ logger: false, forceCloseConnections: true })
  register(app, monitorRoutes(peer))
  app.setErrorHandler((error, _request, reply) => reply.code(500).send(failureOf(error)))
  try {
    await app.listen(where)
  } catch (error) {
    await app.close()
    const message = `the monitor cannot listen on ${listen}: is it in use, or not an address of this machine?`
    throw new GrapevineError('ListenFailed', message, { addresses: [listen] }, error)
  }
  const close = () => app.close()
  return { address: addressOf(app, where.host), close, [Symbol.asyncDispose]: close }
}

/** Where it listens, with the port that it got. */
export function addressOf(app: FastifyInstance, host: string): string {
  const bound = app.server.address()
  const port = typeof bound === 'object' && bound ? bound.port : 0
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
