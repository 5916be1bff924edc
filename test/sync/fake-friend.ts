/** A friend whose sync protocol with one peer is in the test's hands; it is connected, known and met like any other. */
import { createHash } from 'node:crypto'
import { FeedWriter } from '../../node/feed/writer.ts'
import { type Link, links } from '../../node/host/link.ts'
import type { FeedId, Peer, PeerId, TopicName } from '../../node/types.ts'
import { decodeFrame, encodeFrame, type Frame, type FrameOf } from '../../node/wire/frame.ts'
import { type Batch, openHead, type SignedHead } from '../../node/wire/head.ts'
import { signingKeyOf } from '../../node/wire/key.ts'
import { member } from '../friends/member.ts'
import { addressesOf, friendly } from '../helper/mesh.ts'
import type { TestTools } from '../helper/suite.ts'
import { until } from '../helper/until.ts'

export const topic = 'orders' as TopicName

export class FakeFriend {
  readonly id: PeerId
  readonly host: Awaited<ReturnType<typeof member>>['host']
  readonly heard: Frame[] = []
  /** Links that were open so far. */
  links = 0
  #link: Link | undefined
  #feeds = 0
  readonly #seed: Uint8Array

  constructor(host: FakeFriend['host'], seed: Uint8Array) {
    this.host = host
    this.id = host.id
    this.#seed = seed
  }

  onOpen(link: Link): void {
    this.links++
    this.#link = link
  }

  async linked(times = 1): Promise<void> {
    await until(() => this.links >= times && this.#link?.open, 5000, `link ${times}`)
  }

  send(...frames: (Frame | Uint8Array)[]): void {
    this.#link?.sendMany(frames.map((frame) => (frame instanceof Uint8Array ? frame : encodeFrame(frame))))
  }

  /** The next frame of this kind that fits, heard before or yet to come. */
  hears<T extends Frame['type']>(type: T, fits: (frame: FrameOf<T>) => boolean = () => true): Promise<FrameOf<T>> {
    return until(
      () => {
        const at = this.heard.findIndex((frame) => frame.type === type && fits(frame as FrameOf<T>))
        return at < 0 ? undefined : (this.heard.splice(at, 1)[0] as FrameOf<T>)
      },
      8000,
      type,
    )
  }

  /** A feed of its own. */
  feed(of: string = topic): FeedWriter {
    return new FeedWriter(signingKeyOf(this.#seed), of as TopicName, Date.now(), new Uint8Array(8).fill(++this.#feeds))
  }

  /** Two writers of one feed, which must not be. */
  twins(): [FeedWriter, FeedWriter] {
    const [started, nonce] = [Date.now(), new Uint8Array(8).fill(++this.#feeds)]
    const twin = () => new FeedWriter(signingKeyOf(this.#seed), topic, started, nonce)
    return [twin(), twin()]
  }

  /** Has a batch stored. */
  async gives(batch: Batch): Promise<void> {
    const { feed } = batch.head
    this.answer((await this.offered(batch)).id, batch)
    await this.hears('stored', (stored) => stored.feed === feed && stored.seq === batch.head.head.seq)
  }

  /** Sends data on the gossip topic of `topic`. */
  async gossip(data: Uint8Array): Promise<void> {
    const { pubsub } = this.host.libp2p.services
    const name = createHash('sha256').update(`grapevine topic 1\n\n${topic}`).digest('base64url').slice(0, 22)
    this.host.gossipTopics.add(name)
    pubsub.subscribe(name)
    await until(() => pubsub.getSubscribers(name).length > 0, 3000, 'a subscriber')
    await pubsub.publish(name, data)
  }

  /** Says that it has a feed up to `last`, whose head has this mark. */
  offer(feed: FeedId, last: number, mark: Uint8Array = new Uint8Array(8)): void {
    const entries = [{ feed, base: 1, last, mark: mark.subarray(0, 8) }]
    this.send({ type: 'frontier', topic, answer: true, buckets: new Uint8Array(0), entries, more: false })
  }

  /** Offers what a batch belongs to and waits to be asked for it. */
  async offered({ head }: Batch): Promise<FrameOf<'want'>> {
    this.offer(head.feed, head.head.seq, head.hash)
    return this.hears('want', (want) => want.feed === head.feed && want.to >= head.head.seq)
  }

  answer(id: number, { head, body }: { head: { bytes: Uint8Array }; body: Uint8Array }): void {
    this.send({ type: 'batch', id, head: head.bytes, body }, { type: 'end', id, reason: 'done', base: 0 })
  }
}

/** A fake friend of this peer, linked with it. */
export async function fakeFriendOf(use: TestTools['use'], peer: Peer, friends = 1): Promise<FakeFriend> {
  const seed = crypto.getRandomValues(new Uint8Array(32))
  const it = use(await member({ mesh: '', seed, join: await addressesOf(peer) }))
  const fake = new FakeFriend(it.host, seed)
  use(
    links(it.host, '/grapevine/sync/1', {
      onOpen: (link) => {
        if (link.peer === peer.id) fake.onOpen(link)
      },
      onFrame: (link, bytes) => {
        if (link.peer !== peer.id) return
        const frame = decodeFrame(bytes.subarray())
        if (frame !== undefined) fake.heard.push(frame)
      },
      onClose: () => {},
    }),
  )
  await friendly(peer, friends)
  await fake.linked()
  return fake
}

export function sealed(writer: FeedWriter, ...values: string[]): Batch {
  const records = values.map((value) => ({ value: Buffer.from(JSON.stringify(value)), time: Date.now() }))
  return writer.seal(records, { time: Date.now(), tick: 0 })
}

/** The same head with a signature that does not hold. */
export function forged({ bytes }: SignedHead): SignedHead {
  const copy = new Uint8Array(bytes)
  copy[copy.length - 1] = (copy.at(-1) as number) ^ 1
  return openHead(copy)
}
