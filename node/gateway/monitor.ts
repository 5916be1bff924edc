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

/** Prometheus's text format. */
const metricsType = 'text/plain; version=0.0.4; charset=utf-8'

export interface Monitor extends AsyncDisposable {
  /** `HOST:PORT`. */
  readonly address: string
  close(): Promise<void>
}

/** `/healthz`: 200 as long as the process can answer. `/readyz`: 200 while the peer takes publishes, else 503. */
export function monitorRoutes(app: FastifyInstance, peer: Peer): void {
  app.get('/metrics', async (_request, reply) => reply.type(metricsType).send(await peer.metrics()))
  app.get('/healthz', () => ({ status: 'ok' }))
  app.get('/readyz', async (_request, reply) => {
    const { state, friends } = await peer.status().catch(() => ({ state: 'closed' as const, friends: 0 }))
    return reply.code(state === 'open' ? 200 : 503).send({ state, friends })
  })
}

/**
 * Opens these alone, without a token, on any address: `HOST:PORT`, port 0 for a free one. Throws `InvalidOption` for what is no address,
 * `ListenFailed` for one in use.
 */
export async function startMonitor({ peer, listen }: { peer: Peer; listen: string }): Promise<Monitor> {
  const where = hostPort(listen, 'monitor')
  const app = fastify({ logger: false, forceCloseConnections: true })
  monitorRoutes(app, peer)
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
