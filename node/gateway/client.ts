/**
 * A running peer, used from another process: the same `Peer` as the one `createPeer` returns, over the local API.
 * Values go through the codec here and travel as the bytes they are. A lost connection rejects what was waiting on it
 * with `ApiFailed`; nothing is sent twice, since only the caller knows whether that is right.
 */
import { GrapevineError } from '../errors.ts'
import { checkRequestOptions } from '../queue/requests.ts'
import { checkQueueOptions } from '../queue/settings.ts'
import { codecOf } from '../topic/codec.ts'
import type {
  FriendStatus,
  GroupSummary,
  MeshPeer,
  Peer,
  PeerEvent,
  PeerId,
  PeerStatus,
  Queue,
  QueueOptions,
  QueueSummary,
  RecordSight,
  RequestOptions,
  Topic,
  TopicOptions,
  TopicStatus,
} from '../types.ts'
import { parseRecordId } from '../wire/record-id.ts'
import { parseTopic } from '../wire/topic.ts'
import { remoteEvents } from './remote-events.ts'
import { RemoteQueue } from './remote-queue.ts'
import { type ApiPlace, askJson, askText, placeOf } from './remote-socket.ts'
import { type RemoteOpen, type RemoteOwner, RemoteTopic } from './remote-topic.ts'
import { base64Of } from './respond.ts'

export interface ConnectOptions {
  /** `HOST:PORT` of the peer's local API. */
  api: string
  /** What the peer's data folder has in its file `token`. */
  token: string
}

/** Connects to a running peer. Throws `ApiFailed` when it does not answer or refuses the token. */
export async function connectPeer({ api, token }: ConnectOptions): Promise<Peer> {
  const place = placeOf(api, token)
  const { id } = await askJson<PeerStatus>(place, '/v1/status')
  return new RemotePeer(place, id)
}

/** A link to the page of a running peer, which lets in one browser, once. Throws `ApiFailed` as `connectPeer` does. */
export async function pageLink({ api, token }: ConnectOptions): Promise<string> {
  const place = placeOf(api, token)
  const { path } = await askJson<{ path: string }>(place, '/v1/link', {})
  return `${place.url}${path}`
}

class RemotePeer implements Peer, RemoteOwner {
  readonly id: PeerId
  readonly place: ApiPlace
  readonly #work = new Map<Promise<unknown>, (() => void) | undefined>()
  readonly #open = new Set<RemoteOpen>()
  readonly #topics = new Map<string, Topic<unknown>>()
  #state: 'open' | 'draining' | 'closed' = 'open'

  constructor(place: ApiPlace, id: PeerId) {
    this.place = place
    this.id = id
  }

  topic<T = unknown>(name: string, options: TopicOptions = {}): Topic<T> {
    const [topic, codec] = [parseTopic(name), codecOf(options.codec)]
    const key = `${topic}/${codec.name}`
    // One for all who ask, since each publishes over a socket of its own.
    const known = this.#topics.get(key) ?? new RemoteTopic<unknown>(this, topic, codec)
    this.#topics.set(key, known)
    return known as Topic<unknown> as Topic<T>
  }

  queue<T = unknown>(name: string, options: QueueOptions = {}): Queue<T> {
    const parsed = parseTopic(name)
    const { codec } = checkQueueOptions(parsed, options)
    const topic = this.topic<T>(parsed, { codec })
    return new RemoteQueue<T>({ owner: this, name: parsed, codec: codecOf(codec), options, topic })
  }

  async request<T = unknown>(topic: string, value: unknown, options: RequestOptions = {}): Promise<T> {
    this.assertOpen()
    const { codec: name, timeoutMs, headers } = checkRequestOptions(options)
    const codec = codecOf(name)
    const body = { topic: parseTopic(topic), value: base64Of(codec.encode(value)), timeoutMs, headers }
    const answer = await this.track(askJson<{ value: string }>(this.place, '/v1/request', body))
    return codec.decode(Buffer.from(answer.value, 'base64')) as T
  }

  status(): Promise<PeerStatus> {
    return this.#get('/v1/status')
  }

  friends(): Promise<FriendStatus[]> {
    return this.#get('/v1/friends')
  }

  topics(): Promise<TopicStatus[]> {
    return this.#get('/v1/topics')
  }

  async groups(topic?: string): Promise<GroupSummary[]> {
    return this.#get(topic === undefined ? '/v1/groups' : `/v1/groups?topic=${parseTopic(topic)}`)
  }

  queues(): Promise<QueueSummary[]> {
    return this.#get('/v1/queues')
  }

  mesh({ timeoutMs }: { timeoutMs?: number } = {}): Promise<MeshPeer[]> {
    return this.#get(timeoutMs === undefined ? '/v1/mesh' : `/v1/mesh?timeoutMs=${timeoutMs}`)
  }

  why(id: string, { timeoutMs }: { timeoutMs?: number } = {}): Promise<RecordSight[]> {
    parseRecordId(id)
    return this.#get(`/v1/why?id=${id}${timeoutMs === undefined ? '' : `&timeoutMs=${timeoutMs}`}`)
  }

  async metrics(): Promise<string> {
    if (this.#state === 'closed') throw closed()
    return askText(this.place, '/metrics')
  }

  async #get<T>(path: string): Promise<T> {
    if (this.#state === 'closed') throw closed()
    return askJson<T>(this.place, path)
  }

  events(): AsyncIterable<PeerEvent> {
    return remoteEvents(this, '/v1/events')
  }

  /** Waits for what its consumers have, and for the publishes of this connection, then ends its subscriptions; the peer itself goes on. */
  async drain(): Promise<void> {
    await Promise.all([...this.#open].map((open) => open.drain?.()))
    if (this.#state === 'open') this.#state = 'draining'
    await Promise.allSettled(this.#work.keys())
    await Promise.allSettled([...this.#open].map((open) => open.close()))
  }

  /** Ends the connections to the peer, which goes on. */
  async close(): Promise<void> {
    this.#state = 'closed'
    for (const end of this.#work.values()) end?.()
    await Promise.allSettled([...this.#open].map((open) => open.close()))
    this.#open.clear()
    await Promise.allSettled(this.#work.keys())
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  assertOpen(): void {
    if (this.#state !== 'open') throw closed()
  }

  track<T>(work: Promise<T>, end?: () => void): Promise<T> {
    const ended = () => this.#work.delete(work)
    this.#work.set(work, end)
    work.then(ended, ended)
    return work
  }

  adopt<S extends RemoteOpen>(open: S): S {
    this.#open.add(open)
    return open
  }

  release(closed: RemoteOpen): void {
    this.#open.delete(closed)
  }
}

function closed(): GrapevineError<'PeerClosed'> {
  return new GrapevineError('PeerClosed', 'this connection to the peer is closed: open another with connectPeer', {})
}
