/** Whole peers on loopback TCP, in memory unless told otherwise, found through `join` alone. */
import { pino } from 'pino'
import { systemClock, systemNetwork, systemRandom } from '../../node/host/system.ts'
import { createPeer, type PeerOptions } from '../../node/index.ts'
import { checkOptions } from '../../node/options.ts'
import { startPeer } from '../../node/peer.ts'
import type { Ports } from '../../node/ports.ts'
import { memoryDisk } from '../../node/store/memory.ts'
import { openState } from '../../node/store/state.ts'
import type { Message, Peer, PeerEvent, Subscription } from '../../node/types.ts'
import type { TestTools } from './suite.ts'
import { until } from './until.ts'

type Use = TestTools['use']

/** One peer, ended with the test. */
export async function peerOf(use: Use, options: PeerOptions = {}): Promise<Peer> {
  return use(await createPeer({ discover: false, ...options }))
}

/** One peer on ports of the test's own choice. */
export async function peerOn(use: Use, ports: Partial<Ports>, options: PeerOptions = {}): Promise<Peer> {
  const all: Ports = {
    clock: systemClock,
    random: systemRandom,
    disk: memoryDisk(),
    openState: () => openState(null),
    network: systemNetwork,
    log: pino({ level: 'silent' }),
    ...ports,
  }
  return use(
    await startPeer({ options: checkOptions({ discover: false, ...options }), ports: all, discovery: () => [] }),
  )
}

/** So many peers that all join the first; resolves when each has a friend. */
export async function meshOf<const N extends number>(
  use: Use,
  count: N,
  options: PeerOptions = {},
): Promise<Several<N>> {
  const first = await peerOf(use, options)
  const join = await addressesOf(first)
  const others = await Promise.all(Array.from({ length: count - 1 }, () => peerOf(use, { ...options, join })))
  const peers = [first, ...others]
  if (count > 1) await Promise.all(peers.map((peer) => friendly(peer)))
  return peers as Several<N>
}

type Several<N extends number, T extends Peer[] = []> = T['length'] extends N ? T : Several<N, [...T, Peer]>

export async function addressesOf(peer: Peer): Promise<string[]> {
  return (await peer.status()).addresses
}

/** Resolves when the peer has so many friends. */
export async function friendly(peer: Peer, count = 1): Promise<void> {
  await until(async () => (await peer.friends()).length >= count, 10_000, `${count} friends`)
}

/** Resolves when all of these know of each other. */
export async function acquainted(peers: readonly Peer[]): Promise<void> {
  const knowAll = async () => {
    const all = await Promise.all(peers.map((peer) => peer.status()))
    return all.every(({ peersKnown }) => peersKnown >= peers.length - 1)
  }
  await until(knowAll, 15_000, 'all to know of each other')
}

/** Resolves when the peer knows so many carriers of the topic, itself included. */
export async function carried(peer: Peer, topic: string, carriers: number): Promise<void> {
  await until(
    async () => ((await peer.topics()).find(({ name }) => name === topic)?.carriers ?? 0) >= carriers,
    15_000,
    `${carriers} carriers of ${topic}`,
  )
}

/** The next `count` messages; leaves the subscription open. */
export async function take<T>(subscription: Subscription<T>, count: number): Promise<Message<T>[]> {
  const iterator = iteratorOf(subscription)
  const messages: Message<T>[] = []
  while (messages.length < count) {
    const { done, value } = await iterator.next()
    if (done) throw new Error(`the subscription ended after ${messages.length} of ${count} messages`)
    messages.push(value)
  }
  return messages
}

/** One iterator for each subscription, since it keeps the rest of the batch it is in. */
const iterators = new WeakMap<object, AsyncIterator<Message<unknown>>>()

function iteratorOf<T>(subscription: Subscription<T>): AsyncIterator<Message<T>> {
  const known = iterators.get(subscription) as AsyncIterator<Message<T>> | undefined
  const iterator = known ?? subscription[Symbol.asyncIterator]()
  iterators.set(subscription, iterator)
  return iterator
}

export async function valuesOf<T>(subscription: Subscription<T>, count: number): Promise<T[]> {
  return (await take(subscription, count)).map((message) => message.value)
}

/** What the peer has told so far, read along as it happens. */
export function eventsOf(peer: Peer): PeerEvent[] {
  const seen: PeerEvent[] = []
  const read = async () => {
    for await (const event of peer.events()) seen.push(event)
  }
  void read()
  return seen
}

/** The code of the GrapevineError that `act` rejects with. */
export async function codeOf(act: Promise<unknown>): Promise<unknown> {
  try {
    await act
  } catch (error) {
    return (error as { code?: unknown }).code ?? error
  }
  return 'none'
}
