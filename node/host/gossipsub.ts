/**
 * gossipsub with every limit set (design section 8), and remedies for its traps:
 * 1. `allowedTopics` is copied by its constructor. Ours is live, so that subscriptions of hostile peers are bounded by the topics
 *    we gossip ourselves. What came before we took up a topic is not lost (`gossip-topics`).
 * 2. In anonymous mode it lets `from` through. Messages with any field of a signed message are counted invalid and dropped.
 * 3. A dead outbound stream is removed but not reopened, and a read error forgets the peer although the connection lives, leaving the other
 *    side to write into a stream that nobody reads. `tend` looks once a second: it introduces connected peers without a stream again, and
 *    resets streams from them that are not being read, whereupon the other side's `tend` does the same.
 */
import { hash } from 'node:crypto'
import { type GossipSub, type GossipSubComponents, gossipsub, StrictNoSign } from '@chainsafe/libp2p-gossipsub'
import type { Connection, PeerId as LibPeerId, Stream } from '@libp2p/interface'
import { limits } from '../limits.ts'
import type { Clock, Timer } from '../ports.ts'
import type { GossipTopics } from './gossip-topics.ts'

/** The parts of the library's class that its interface does not show (17.1). */
interface Internals {
  allowedTopics: Set<string> | null
  streamsOutbound: Map<string, unknown>
  streamsInbound: Map<string, { rawStream: unknown }>
  score: { rejectInvalidMessage(from: string, topic: string): void }
  handleReceivedRpc(from: LibPeerId, rpc: Rpc): Promise<void>
  handleReceivedSubscription(from: LibPeerId, topic: string, subscribe: boolean): boolean
  handleReceivedMessage(from: LibPeerId, message: RpcMessage): Promise<void>
  onPeerConnected(peer: LibPeerId, connection: Connection): void
  onPeerDisconnected(peer: LibPeerId): void
}

interface Rpc {
  subscriptions?: { topic?: string; subscribe?: boolean }[]
}

interface RpcMessage {
  topic: string
  from?: Uint8Array
  key?: Uint8Array
  seqno?: Uint8Array
  signature?: Uint8Array
}

export function boundedGossipsub(allowedTopics: GossipTopics): (components: GossipSubComponents) => GossipSub {
  const create = gossipsub({
    globalSignaturePolicy: StrictNoSign,
    // The one-shot call costs half of `createHash`, and this is done for every message from every friend.
    msgIdFn: (message) => hash('sha256', message.data, 'buffer'),
    allowedTopics,
    asyncValidation: true,
    floodPublish: true,
    allowPublishToZeroTopicPeers: true,
    ignoreDuplicatePublishError: true,
    emitSelf: false,
    fallbackToFloodsub: false,
    doPX: false,
    // Who is shed is the friend policy's decision; tags would only cost a write to the peer store per graft.
    tagMeshPeers: false,
    // Heads are small: one more copy costs little, a thin mesh loses messages.
    D: 4,
    Dlo: 3,
    Dhi: 6,
    Dscore: 1,
    Dout: 1,
    // In a mesh of few peers a minute without a link is a long time; the library's defaults are for thousands.
    pruneBackoff: 10_000,
    unsubcribeBackoff: 2_000,
    // Nothing is so large: bodies go along only where they are small, or where nobody passes them on.
    idontwantMinDataSize: limits.gossipRpcBytesMax,
    idontwantMaxMessages: 512,
    maxInboundStreams: 4,
    maxOutboundStreams: 4,
    maxInboundDataLength: limits.gossipRpcBytesMax,
    maxOutboundBufferSize: limits.gossipBufferBytesMax,
    maxTopicBytesPerPeer: limits.gossipTopicBytesMax,
    decodeRpcLimits: {
      maxSubscriptions: limits.topicsMax,
      maxMessages: 5_000,
      maxIhaveMessageIDs: 5_000,
      maxIwantMessageIDs: 5_000,
      maxControlMessages: 5_000,
      maxIdontwantMessageIDs: 512,
      maxPeerInfos: 0,
    },
    // Many peers of one mesh on one host are normal, and a graft a moment too early is a race, not an attack.
    scoreParams: { IPColocationFactorWeight: 0, behaviourPenaltyThreshold: 6 },
  })
  return (components) => {
    const pubsub = create(components)
    const inner = pubsub as unknown as Internals
    inner.allowedTopics = allowedTopics
    const handle = inner.handleReceivedMessage.bind(pubsub)
    inner.handleReceivedMessage = async (from, message) => {
      if (message.from ?? message.key ?? message.seqno ?? message.signature) {
        inner.score.rejectInvalidMessage(from.toString(), message.topic)
        return
      }
      await handle(from, message)
    }
    noteOthers(inner, allowedTopics)
    return pubsub
  }
}

/** Keeps what the library ignores of subscriptions, and hands it in when the topic has become one of ours. */
function noteOthers(inner: Internals, topics: GossipTopics): void {
  const receive = inner.handleReceivedRpc.bind(inner)
  inner.handleReceivedRpc = async (from, rpc) => {
    for (const { topic, subscribe = false } of rpc.subscriptions ?? []) {
      if (topic === undefined || topics.has(topic)) continue
      topics.note(from, topic, subscribe)
      // We may have taken part in it once: the library still counts the peer there.
      if (!subscribe) inner.handleReceivedSubscription(from, topic, false)
    }
    await receive(from, rpc)
  }
  const disconnected = inner.onPeerDisconnected.bind(inner)
  inner.onPeerDisconnected = (peer) => {
    topics.forget(peer)
    disconnected(peer)
  }
  topics.onKnown = (peer, topic) => inner.handleReceivedSubscription(peer, topic, true)
}

/** Reopens gossip streams that died while their connection lives, ever more rarely for a peer where it does not help. */
export function tend(pubsub: GossipSub, clock: Clock, connections: () => Iterable<Connection>): Timer {
  const inner = pubsub as unknown as Internals
  const tried = new Map<string, { at: number; times: number }>()
  let orphans = new Set<Stream>()
  return clock.every(limits.gossipTendMs, () => {
    const now = clock.now()
    const open = [...connections()].filter(({ status }) => status === 'open')
    orphans = resetOrphans(orphans, unread(inner, pubsub.protocols, open))
    const without = new Map<string, Connection>()
    for (const connection of open) {
      const peer = connection.remotePeer.toString()
      if (!inner.streamsOutbound.has(peer)) without.set(peer, connection)
    }
    for (const peer of tried.keys()) if (!without.has(peer)) tried.delete(peer)
    for (const [peer, connection] of without) {
      const earlier = tried.get(peer)
      // Seen for the first time: the library is probably opening it just now.
      if (earlier === undefined) tried.set(peer, { at: now, times: 0 })
      else if (now - earlier.at >= Math.min(limits.backoffMsMax, limits.gossipTendMs * 2 ** earlier.times)) {
        tried.set(peer, { at: now, times: earlier.times + 1 })
        inner.onPeerConnected(connection.remotePeer, connection)
      }
    }
  })
}

/** Gossip streams from others that the library does not read. */
function unread(inner: Internals, protocols: readonly string[], connections: readonly Connection[]): Set<Stream> {
  const found = new Set<Stream>()
  for (const { remotePeer, streams } of connections) {
    const read = inner.streamsInbound.get(remotePeer.toString())?.rawStream
    for (const stream of streams) {
      if (stream.direction === 'inbound' && protocols.includes(stream.protocol) && stream !== read) found.add(stream)
    }
  }
  return found
}

/** Resets those that were unread the last time too (a new one is unread for a moment); returns the others. */
function resetOrphans(before: ReadonlySet<Stream>, now: ReadonlySet<Stream>): Set<Stream> {
  const rest = new Set<Stream>()
  for (const stream of now) {
    if (before.has(stream)) stream.abort(new Error('nobody reads this stream'))
    else rest.add(stream)
  }
  return rest
}
