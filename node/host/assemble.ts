/** libp2p with every bound set: which parts, and how each is limited. */
import { createHash } from 'node:crypto'
import type { GossipSub } from '@chainsafe/libp2p-gossipsub'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { type Identify, identify } from '@libp2p/identify'
import type { Libp2p } from '@libp2p/interface'
import { type Ping, ping } from '@libp2p/ping'
import { createLibp2p } from 'libp2p'
import { limits } from '../limits.ts'
import type { GossipTopics } from './gossip-topics.ts'
import { boundedGossipsub } from './gossipsub.ts'
import type { HostOptions } from './host.ts'
import { thriftyYamux } from './muxer.ts'
import { rateLimited, type Traffic, type Watch, watchEncrypters, watchTransports } from './transport.ts'

export type HostLibp2p = Libp2p<{ identify: Identify; ping: Ping; pubsub: GossipSub }>

export interface Assembly extends HostOptions {
  /** Counted up. */
  traffic: Traffic
  /** Looked at whenever somebody subscribes or sends. */
  gossipTopics: GossipTopics
}

/** Stops what had started before the failure; that failure is the one to tell. */
export async function abandon(libp2p: HostLibp2p): Promise<void> {
  try {
    await libp2p.stop()
  } catch {
    // Half-started parts may not stop cleanly.
  }
}

/** What both sides of a handshake must agree on. */
function prologueOf(mesh: string): Uint8Array {
  return Buffer.concat([Buffer.from('grapevine mesh 1\n'), createHash('sha256').update(mesh).digest()])
}

export async function assemble(options: Assembly): Promise<HostLibp2p> {
  const { ports } = options
  const network = ports.network(prologueOf(options.mesh))
  const watch: Watch = {
    traffic: options.traffic,
    onRefused: rateLimited(ports.clock, options.onRefused),
    greeted: new WeakSet(),
  }
  return createLibp2p({
    start: false,
    ...(network.logger === undefined ? {} : { logger: network.logger }),
    nodeInfo: { name: 'grapevine', userAgent: 'grapevine' },
    privateKey: await generateKeyPairFromSeed('Ed25519', options.seed),
    addresses: { listen: [...options.listen] },
    transports: watchTransports(network.transports ?? [], watch),
    connectionEncrypters: watchEncrypters(network.connectionEncrypters ?? [], watch),
    streamMuxers: [thriftyYamux()],
    connectionManager: {
      maxConnections: limits.connectionsMax,
      maxIncomingPendingConnections: limits.handshakesMax,
      inboundConnectionThreshold: limits.handshakesPerSecondMax,
      inboundUpgradeTimeout: limits.dialTimeoutMs,
      maxParallelDials: limits.dialsMax,
      maxDialQueueLength: limits.connectionsMax,
      dialTimeout: limits.dialTimeoutMs,
      addressDialTimeout: limits.addressDialMs,
      maxPeerAddrsToDial: limits.addressesPerCardMax,
    },
    // The friends protocol measures and judges life, by any word. The library opens a stream for each ping, ten frames of it.
    connectionMonitor: { enabled: false },
    services: {
      identify: identify(),
      ping: ping({ maxInboundStreams: 4, maxOutboundStreams: 4 }),
      pubsub: boundedGossipsub(options.gossipTopics),
    },
  }) as Promise<HostLibp2p>
}
