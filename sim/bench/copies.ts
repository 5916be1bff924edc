/**
 * How often a payload crosses the network for each time it is delivered: every peer must get a body once, so 1.0 is what
 * cannot be beaten without compression. Bodies are random bytes, which do not compress.
 */
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Peer, Subscription } from '../../node/index.ts'
import { Fleet } from './fleet.ts'

export interface CopiesOptions {
  peers: number
  records: number
  bytes: number
  /** Records published before the counting begins. */
  warmup: number
  /** Counts the traffic of starting and finding each other too. */
  joining: boolean
}

export interface CopiesResult {
  peers: number
  records: number
  bodyBytes: number
  deliveredBytes: number
  sentBytes: number
  ratio: number
  seconds: number
}

/** What is still on its way when the last record has arrived: copies that nobody waits for. */
const settleMs = 2_000
const name = 'copies'

export async function measureCopies(options: CopiesOptions): Promise<CopiesResult> {
  await using fleet = await Fleet.start(options.peers)
  const [publisher, ...readers] = fleet.peers
  if (!publisher) throw new Error('there is no peer')
  const subscriptions = readers.map((peer) => peer.topic<Uint8Array>(name, { codec: 'bytes' }).subscribe())
  await Promise.all(subscriptions.map(({ ready }) => ready))
  while ((await carriersKnown(publisher)) < readers.length) await sleep(50)
  await sleep(settleMs)

  const stream = publisher.topic<Uint8Array>(name, { codec: 'bytes' })
  const publish = async (count: number) => {
    // One by one: what is published together would travel as one larger body.
    for (let i = 0; i < count; i++) await stream.publish(randomBytes(options.bytes), { confirm: 0 })
  }
  const warm = subscriptions.map((subscription) => new Taker(subscription))
  await publish(options.warmup)
  await Promise.all(warm.map((taker) => taker.take(options.warmup)))

  const before = options.joining ? 0 : await sentBy(fleet.peers)
  const begun = performance.now()
  const delivered = Promise.all(warm.map((taker) => taker.take(options.records)))
  await publish(options.records)
  const deliveredBytes = (await delivered).reduce((sum, bytes) => sum + bytes, 0)
  const seconds = (performance.now() - begun) / 1000
  await sleep(settleMs)
  const sentBytes = (await sentBy(fleet.peers)) - before
  const { peers, records, bytes: bodyBytes } = options
  return { peers, records, bodyBytes, deliveredBytes, sentBytes, ratio: sentBytes / deliveredBytes, seconds }
}

async function carriersKnown(peer: Peer): Promise<number> {
  return (await peer.topics()).find((topic) => topic.name === name)?.carriers ?? 0
}

async function sentBy(peers: readonly Peer[]): Promise<number> {
  const all = await Promise.all(peers.map((peer) => peer.status()))
  return all.reduce((sum, { bytes }) => sum + bytes.sent, 0)
}

/** Takes records from a subscription, some at a time. */
class Taker {
  readonly #records: AsyncIterator<{ value: Uint8Array }>

  constructor(subscription: Subscription<Uint8Array>) {
    this.#records = subscription[Symbol.asyncIterator]()
  }

  /** Resolves with the bytes of the next `count` records. */
  async take(count: number): Promise<number> {
    let bytes = 0
    for (let i = 0; i < count; i++) {
      const next = await this.#records.next()
      if (next.done) throw new Error('a subscription ended too early')
      bytes += next.value.value.length
    }
    return bytes
  }
}
