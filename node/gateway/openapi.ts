/** The API's description of itself (OpenAPI 3.1), made of the tables that it is served by. */
import { z } from 'zod'
import type { Route, SocketRoute } from './route.ts'

const failure = {
  description: 'Why not: what a `GrapevineError` of the package has.',
  content: {
    'application/json': {
      schema: {
        type: 'object',
        required: ['code', 'message', 'data'],
        properties: { code: { type: 'string' }, message: { type: 'string' }, data: { type: 'object' } },
      },
    },
  },
}

export function describeApi(routes: readonly Route[], sockets: readonly SocketRoute[], version: string): object {
  const paths: Record<string, object> = {}
  for (const each of routes) paths[each.path] = { ...paths[each.path], [each.method.toLowerCase()]: operationOf(each) }
  for (const { path, about } of sockets) paths[path] = { get: socketOperation(about) }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Grapevine: the local API of a peer',
      version,
      description:
        'Listens on loopback. But for the page and the way in by its link, every request needs the token of the peer, which is in the file `token` of its data folder; none is answered that comes from the page of another origin, or names another host.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    security: [{ token: [] }],
    paths,
    components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
  }
}

function operationOf({ about, answers, type = 'application/json', query, body, isOpen }: Route): object {
  return {
    summary: about,
    ...(isOpen && { security: [] }),
    ...(query && { parameters: parametersOf(schemaOf(query)) }),
    ...(body && { requestBody: { required: true, content: { 'application/json': { schema: schemaOf(body) } } } }),
    responses: { 200: { description: answers, content: { [type]: {} } }, default: failure },
  }
}

function socketOperation(about: string): object {
  return {
    summary: `${about} A WebSocket.`,
    parameters: [{ name: 'upgrade', in: 'header', required: true, schema: { const: 'websocket' } }],
    responses: { 101: { description: 'The connection is a WebSocket from here on.' }, default: failure },
  }
}

interface ObjectSchema {
  properties?: Record<string, object>
  required?: string[]
}

function parametersOf({ properties = {}, required = [] }: ObjectSchema): object[] {
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    in: 'query',
    required: required.includes(name),
    schema,
  }))
}

function schemaOf(shape: z.ZodType): ObjectSchema {
  const { $schema: _, ...schema } = z.toJSONSchema(shape, { io: 'input', unrepresentable: 'any' })
  return schema as ObjectSchema
}
