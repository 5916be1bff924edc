/** What the API can be asked: a table, of which the server and the API's own description (openapi.ts) are made. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { WebSocket } from 'ws'
import type { z } from 'zod'
import type { Peer } from '../types.ts'
import { checkShape } from './frame.ts'

/** A question with one answer. */
export interface Route<Q = unknown, B = unknown> {
  method: 'GET' | 'POST'
  path: string
  /** A sentence, for the description. */
  about: string
  /** What the answer is: a type of the package, or in words. */
  answers: string
  /** Of the answer; default JSON. */
  type?: string
  query?: z.ZodType<Q>
  body?: z.ZodType<B>
  /** For whoever has no token yet. */
  isOpen?: boolean
  act(asked: { query: Q; body: B; request: FastifyRequest; reply: FastifyReply }): unknown
}

/** A connection over which more is said: `GET` with an upgrade to a WebSocket. */
export interface SocketRoute {
  path: string
  about: string
  serve(socket: WebSocket, peer: Peer): void
}

/** Keeps what a route says together with what it takes. */
export function route<Q, B>(route: Route<Q, B>): Route {
  return route as Route
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** For whoever has no token yet. */
    isOpen?: boolean
  }
}

export function register(app: FastifyInstance, routes: readonly Route[]): void {
  for (const { method, path, type, isOpen = false, query, body, act } of routes) {
    app.route({
      method,
      url: path,
      config: { isOpen },
      handler: async (request, reply) => {
        if (type !== undefined) reply.type(type)
        return act({
          query: query && checkShape(request.query, query),
          body: body && checkShape(request.body, body),
          request,
          reply,
        })
      },
    })
  }
}
