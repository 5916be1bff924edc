/** Plain gossipsub over libp2p, as it comes: each client a node, connected to all the others. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type GossipSub, gossipsub, StrictNoSign, StrictSign } from '@chainsafe/libp2p-gossipsub'
import { identify } from '@libp2p/identify'
import type { Libp2p } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { installed } from './package.ts'
import type { Client, Listening, System } from './system.ts'

const topic = 'bench'
/** After everybody's subscription is known: some heartbeats, in which the mesh forms. */
const settleMs = 3_000

export const gossipsubSigned = system(true)
export const gossipsubUnsigned = system(false)

function system(isSigned: boolean): System {
  return {
    client: installed('@chainsafe/libp2p-gossipsub'),
    durability: `none: at most once; ${isSigned ? 'signed' : 'not signed'}`,
    version: () => installed('libp2p').split(' ').at(-1),
    async start(folder) {
      mkdirSync(join(folder, 'nodes'))
      return { place: join(folder, 'nodes'), stop: async () => undefined }
    },
    async connect(place, { number, of }) {
      return new GossipsubUser(await createNode(isSigned), place, number, of)
    },
  }
}

type Node = Libp2p<{ pubsub: GossipSub }>

async function createNode(isSigned: boolean): Promise<Node> {
  return await createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    // All of them are one host.
    connectionManager: { inboundConnectionThreshold: 1_000, maxIncomingPendingConnections: 1_000 },
    connectionMonitor: { abortConnectionOnPingFailure: false },
    services: {
      identify: identify(),
      ping: ping(),
      pubsub: gossipsub({
        globalSignaturePolicy: isSigned ? StrictSign : StrictNoSign,
        allowPublishToZeroTopicPeers: true,
        emitSelf: false,
      }),
    },
  })
}

class GossipsubUser implements Client {
  readonly #node: Node
  /** Where each node leaves a file with its address. */
  readonly #folder: string
  readonly #number: number
  readonly #of: number

  constructor(node: Node, folder: string, number: number, of: number) {
    this.#node = node
    this.#folder = folder
    this.#number = number
    this.#of = of
  }

  async open(): Promise<void> {
    const { pubsub } = this.#node.services
    pubsub.subscribe(topic)
    writeFileSync(join(this.#folder, String(this.#number)), this.#node.getMultiaddrs().join('\n'))
    while (readdirSync(this.#folder).length < this.#of) await sleep(50)
    // Of two, the later dials.
    for (let number = 0; number < this.#number; number++) {
      const [address = ''] = readFileSync(join(this.#folder, String(number)), 'utf8').split('\n')
      await this.#node.dial(multiaddr(address))
    }
    while (pubsub.getSubscribers(topic).length < this.#of - 1) await sleep(50)
    await sleep(settleMs)
  }

  async send(values: readonly Uint8Array[]): Promise<void> {
    for (const value of values) await this.publish(value)
  }

  publish(value: Uint8Array): Promise<unknown> {
    return this.#node.services.pubsub.publish(topic, value)
  }

  async listen({ onRecord }: Listening): Promise<void> {
    this.#node.services.pubsub.addEventListener('message', ({ detail }) => onRecord(detail.data))
  }

  async close(): Promise<void> {
    await this.#node.stop()
  }
}
