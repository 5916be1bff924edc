/** All that the API can be asked. */
import type { Peer } from '../types.ts'
import { version } from '../version.ts'
import { serveConsume } from './consume.ts'
import { serveEvents, serveGroupEvents } from './events.ts'
import { groupOpening, groupSeek, groupsQuery, meshQuery, whyQuery } from './frame.ts'
import { monitorRoutes } from './monitor.ts'
import { describeApi } from './openapi.ts'
import { servePublish } from './publish.ts'
import { queueRoutes } from './queue.ts'
import { recordRoutes } from './records.ts'
import { requestRoute, serveRespond } from './respond.ts'
import { type Route, route, type SocketRoute } from './route.ts'
import { type Sessions, sessionRoutes } from './session.ts'
import { serveSubscribe } from './subscribe.ts'

export function routesOf(peer: Peer, sessions: Sessions): Route[] {
  const routes: Route[] = [
    ...sessionRoutes(sessions),
    route({
      method: 'GET',
      path: '/v1/status',
      about: 'Who the peer is and how it is.',
      answers: 'PeerStatus',
      act: () => peer.status(),
    }),
    route({
      method: 'GET',
      path: '/v1/friends',
      about: 'Whom it is connected to.',
      answers: 'FriendStatus[]',
      act: () => peer.friends(),
    }),
    route({
      method: 'GET',
      path: '/v1/topics',
      about: 'What topics there are, and what is held of them.',
      answers: 'TopicStatus[]',
      act: () => peer.topics(),
    }),
    route({
      method: 'GET',
      path: '/v1/mesh',
      about: 'All peers of the mesh that answer, this one first.',
      answers: 'MeshPeer[]',
      query: meshQuery,
      act: ({ query: { timeoutMs } }) => peer.mesh(timeoutMs === undefined ? {} : { timeoutMs }),
    }),
    route({
      method: 'GET',
      path: '/v1/why',
      about: 'What each peer knows of a record: who has it, from whom, and who works on it.',
      answers: 'RecordSight[]',
      query: whyQuery,
      act: ({ query: { id, timeoutMs } }) => peer.why(id, timeoutMs === undefined ? {} : { timeoutMs }),
    }),
    route({
      method: 'GET',
      path: '/v1/groups',
      about: 'The groups of a topic, or all.',
      answers: 'GroupSummary[]',
      query: groupsQuery,
      act: ({ query }) => peer.groups(query.topic),
    }),
    route({
      method: 'POST',
      path: '/v1/group',
      about: 'How one group is, as its members here know it.',
      answers: 'GroupStatus',
      body: groupOpening,
      act: ({ body: { topic, group, options } }) => peer.topic(topic).group(group, options).status(),
    }),
    route({
      method: 'POST',
      path: '/v1/group/seek',
      about: 'Moves a group to a position.',
      answers: '{}',
      body: groupSeek,
      async act({ body: { topic, group, options, to } }) {
        await peer.topic(topic).group(group, options).seek(to)
        return {}
      },
    }),
    ...queueRoutes(peer),
    requestRoute(peer),
    ...recordRoutes(peer),
    ...monitorRoutes(peer),
    route({
      method: 'GET',
      path: '/v1/openapi.json',
      about: 'This description.',
      answers: 'an OpenAPI 3.1 document',
      act: () => describeApi(routes, socketRoutes, version),
    }),
  ]
  return routes
}

export const socketRoutes: SocketRoute[] = [
  { path: '/v1/publish', about: 'Publishes records as they come.', serve: servePublish },
  { path: '/v1/subscribe', about: 'Delivers the records of a topic.', serve: serveSubscribe },
  { path: '/v1/consume', about: 'Takes part in a group, or receives from a queue.', serve: serveConsume },
  { path: '/v1/respond', about: 'Answers requests.', serve: serveRespond },
  { path: '/v1/events', about: 'Tells what happens.', serve: serveEvents },
  { path: '/v1/group-events', about: 'Tells what happens in a group.', serve: serveGroupEvents },
]
