/**
 * A peer: the rooms put together, started from the disk up and stopped in the reverse order.
 *
 *   store -> host -> presence -> friends -> sync, gossip -> carrier, topics -> groups -> queues -> mesh -> discovery
 *
 * Nothing is decided here: what one room tells another is wired up, and what happens is told as events.
 */
import { isError } from './errors.ts'
import { EventStream } from './events.ts'
import { HybridClock } from './feed/hlc.ts'
import { createFriends, type Friends } from './friends/friends.ts'
import { Gossip } from './gossip/gossip.ts'
import { Groups } from './group/groups.ts'
import type { Discovery } from './host/discovery.ts'
import { createHost, type Host } from './host/host.ts'
import { limits } from './limits.ts'
import { Mesh } from './mesh/mesh.ts'
import { sightOf } from './mesh/sight.ts'
import type { CheckedOptions } from './options.ts'
import type { Ports } from './ports.ts'
import { type CardTable, createPresence } from './presence/presence.ts'
import { Queues } from './queue/queues.ts'
import { Requests } from './queue/requests.ts'
import { openStore, type Store } from './store/store.ts'
import { Sync } from './sync/sync.ts'
import { Carrier } from './topic/carrier.ts'
import { codecOf } from './topic/codec.ts'
import { Topics } from './topic/topics.ts'
import type {
  FeedId,
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
  TopicName,
  TopicOptions,
  TopicStatus,
} from './types.ts'
import { version } from './version.ts'
import { signingKeyOf } from './wire/key.ts'
import { parseRecordId } from './wire/record-id.ts'
import { parseTopic } from './wire/topic.ts'

/** What a peer is built on; production has its own (`index.ts`), the simulator another. */
export interface PeerParts {
  options: CheckedOptions
  ports: Ports
  /** Ways to find peers, beyond those that are told. */
  discovery(host: Host): readonly Discovery[]
}

/** What somebody should hear of who asks how the peer is. */
const isTrouble = new Set<PeerEvent['type']>([
  'refused',
  'misbehaved',
  'fork',
  'storage-full',
  'damage-found',
  'damage-lost',
])
/** Who has not answered by then is not shown. */
const meshTimeoutMs = 2_000

export async function startPeer(parts: PeerParts): Promise<Peer> {
  const running = new RunningPeer(parts)
  try {
    await running.start()
    return running
  } catch (error) {
    await running.close().catch(() => undefined)
    throw error
  }
}

interface Rooms {
  store: Store
  host: Host
  presence: CardTable
  friends: Friends
  sync: Sync
  gossip: Gossip
  carrier: Carrier
  topics: Topics
  groups: Groups
  queues: Queues
  requests: Requests
  mesh: Mesh
}

class RunningPeer implements Peer {
  readonly #parts: PeerParts
  readonly #events = new EventStream<PeerEvent>()
  readonly #since: number
  /** Undone in reverse order. */
  readonly #undo: (() => unknown)[] = []
  #rooms: Rooms | undefined
  #closing: Promise<void> | undefined
  readonly #troubles: PeerEvent[] = []
  #draining = false
  /** When a write found the disk full, the last time. */
  #fullAt = Number.NEGATIVE_INFINITY

  constructor(parts: PeerParts) {
    this.#parts = parts
    this.#since = parts.ports.clock.now()
  }

  get id(): PeerId {
    return this.#running.host.id
  }

  get #running(): Rooms {
    if (this.#rooms === undefined) throw new Error('the peer has not started')
    return this.#rooms
  }

  async start(): Promise<void> {
    const { options, ports } = this.#parts
    const { clock, random, meter, tracer } = ports
    const store = await openStore(ports, {
      data: options.data,
      onDamage: (event) => this.#emit({ ...event, time: clock.now() }),
    })
    this.#undo.push(() => store.close())
    for (const found of store.found) this.#emit({ type: 'damage-found', time: clock.now(), ...found })

    const seed = await identityOf(ports)
    const key = signingKeyOf(seed)
    const onRefused = (address: string, reason: string) =>
      this.#emit({ type: 'refused', address, reason, time: clock.now() })
    const host = await createHost({ seed, listen: options.listen, mesh: options.mesh, ports, onRefused })
    this.#undo.push(() => host.stop())

    const presence = createPresence({
      key,
      role: options.role,
      version,
      clock,
      random,
      addresses: () => host.addresses(),
    })
    this.#undo.push(() => presence.close())
    const friends = await createFriends({ host, key, cards: presence, random, state: store.state })
    this.#undo.push(() => friends.leave())
    const hybrid = new HybridClock(() => clock.now())
    const sync = new Sync({ host, clock, random, hybrid, meter, tracer, events: this.#syncEvents() })
    this.#undo.push(() => sync.close())
    const onMisbehaved = (peer: PeerId, reason: string) => friends.misbehaved(peer, reason)
    const carriersOf = (topic: TopicName) => presence.carriersOf(topic)
    const gossip = new Gossip({ host, clock, sync, mesh: options.mesh, carriersOf, onMisbehaved })
    this.#undo.push(() => gossip.close())

    const carrier = new Carrier({
      me: host.id,
      store,
      sync,
      gossip,
      presence,
      friends,
      clock,
      keep: options.keep,
      retention: options.retention,
      onCarrying: (topic, because) => {
        if (!isOwn(topic)) this.#emit({ type: 'carrying', topic, because, time: clock.now() })
      },
      onReleased: (topic) => this.#emit({ type: 'released', topic, time: clock.now() }),
    })
    this.#undo.push(() => carrier.close())
    const joins = options.join.length + options.names.length > 0
    const topics = new Topics({
      me: host.id,
      key,
      state: store.state,
      sync,
      gossip,
      presence,
      carrier,
      clock,
      random,
      hybrid,
      meter,
      confirmTimeoutMs: options.confirmTimeoutMs,
      onStorageError: (topic, error) => this.#onStorageError(topic, error),
      discovers: options.discover || joins,
      joins,
      group: (topic, name, asked, codec) => groups.group(topic, name, asked, codec),
      respond: (topic, codec, handler, asked) => requests.respond(topic, codec, handler, asked),
    })
    this.#undo.push(() => topics.close())
    const groups = new Groups({ me: host.id, topics, carrier, sync, clock, random, onMisbehaved })
    this.#undo.push(() => groups.close())
    const queues = new Queues({ groups, topics, carrier, clock })
    const requests = new Requests({ me: host.id, groups, topics, clock, random })
    this.#undo.push(() => requests.close())
    const known = () => [...presence.cards()].map(({ peer }) => peer)
    const seen = { me: host.id, carrier, sync, groups }
    const sight = (feed: FeedId, index: number) => sightOf(feed, index, seen)
    const mesh = new Mesh({ friends, clock, known, about: () => this.#about(), sight })
    this.#rooms = { store, host, presence, friends, sync, gossip, carrier, topics, groups, queues, requests, mesh }

    friends.onMisbehaved((peer, reason) => this.#emit({ type: 'misbehaved', peer, reason, time: clock.now() }))
    friends.onFriend((peer) => this.#emit({ type: 'friend-joined', peer, time: clock.now() }))
    friends.onLost((peer, reason) => {
      this.#emit({ type: 'friend-left', peer, reason, time: clock.now() })
      topics.recheck()
    })
    await carrier.resume(store.state)
    for (const topic of options.carry) await carrier.carry(topic, 'carried')
    for (const address of options.join) friends.join(address)
    await this.#discover(host, friends)
  }

  queue<T = unknown>(name: string, options: QueueOptions = {}): Queue<T> {
    return this.#running.queues.queue<T>(name, options)
  }

  async request<T = unknown>(topic: string, value: unknown, options: RequestOptions = {}): Promise<T> {
    return (await this.#running.requests.request(topic, value, options)) as T
  }

  topic<T = unknown>(name: string, options: TopicOptions = {}): Topic<T> {
    return this.#running.topics.topic<T>(name, codecOf(options.codec))
  }

  async status(): Promise<PeerStatus> {
    const { host, store, presence, friends, carrier } = this.#running
    const { data, mesh, keep, role, discover, confirmTimeoutMs, retention } = this.#parts.options
    return {
      id: host.id,
      version,
      addresses: host.addresses(),
      data,
      mesh: mesh === '' ? 'open' : 'secret',
      since: this.#since,
      state: this.#state(),
      settings: { keep, role, discover, confirmTimeoutMs, retention },
      joins: friends.joins(),
      troubles: [...this.#troubles],
      peersKnown: [...presence.cards()].length,
      friends: friends.list().length,
      topics: [...carrier.taken()].filter(([topic]) => !isOwn(topic)).length,
      bytes: { ...host.traffic(), stored: store.bytes() },
    }
  }

  async friends(): Promise<FriendStatus[]> {
    const { friends, presence, carrier } = this.#running
    return friends.list().map((friend) => {
      const topics = presence.card(friend.id)?.topics ?? []
      return { ...friend, sharedTopics: topics.filter((topic) => !isOwn(topic) && carrier.isCarried(topic)).length }
    })
  }

  async topics(): Promise<TopicStatus[]> {
    const { carrier, presence } = this.#running
    const list: TopicStatus[] = []
    const taken = new Map(carrier.taken())
    for (const name of [...new Set([...taken.keys(), ...presence.topics()])].sort()) {
      if (isOwn(name)) continue
      const held = taken.get(name)
      const carried = held !== undefined && held.because.length > 0
      list.push({
        name,
        held: held === undefined ? 'none' : carried ? 'carry' : 'own',
        because: [...new Set(held?.because)],
        feeds: held?.log.feeds.size ?? 0,
        batches: held?.log.batches ?? 0,
        records: held?.log.records ?? 0,
        bytes: held?.log.bytes ?? 0,
        startOffset: held?.log.startOffset ?? 0,
        endOffset: held?.log.endOffset ?? 0,
        carriers: presence.carriersOf(name).length + (carried ? 1 : 0),
      })
    }
    return list
  }

  async groups(topic?: string): Promise<GroupSummary[]> {
    return this.#running.groups.list(this.#topicsKnown(), topic === undefined ? undefined : parseTopic(topic))
  }

  async queues(): Promise<QueueSummary[]> {
    return this.#running.queues.list(this.#topicsKnown())
  }

  #topicsKnown(): Set<TopicName> {
    const { carrier, presence } = this.#running
    return new Set([...new Map(carrier.taken()).keys(), ...presence.topics()])
  }

  mesh({ timeoutMs = meshTimeoutMs }: { timeoutMs?: number } = {}): Promise<MeshPeer[]> {
    return this.#running.mesh.peers(timeoutMs)
  }

  async why(id: string, { timeoutMs = meshTimeoutMs }: { timeoutMs?: number } = {}): Promise<RecordSight[]> {
    const { feed, index } = parseRecordId(id)
    return this.#running.mesh.sights(feed, index, timeoutMs)
  }

  /** What we tell whoever looks at the mesh. */
  async #about(): Promise<MeshPeer> {
    const { friends, presence, sync } = this.#running
    const { id, addresses, since, bytes } = await this.status()
    const topics = (await this.topics()).filter(({ held }) => held !== 'none')
    return {
      id,
      version,
      role: presence.self().role,
      addresses: addresses.slice(0, limits.addressesPerCardMax),
      since,
      time: this.#parts.ports.clock.now(),
      friends: friends
        .list()
        .slice(0, limits.meshFriendsMax)
        .map(({ id: friend, rttMs }) => ({
          id: friend,
          ...(rttMs === undefined ? {} : { rttMs }),
          ...sync.travel.brought(friend),
        })),
      topics: topics
        .sort((a, b) => b.bytes - a.bytes)
        .slice(0, limits.meshTopicsMax)
        .map(({ name, held, feeds, batches, records, bytes: size }) => ({
          name,
          held,
          feeds,
          batches,
          records,
          bytes: size,
        })),
      topicCount: topics.length,
      bytes,
    }
  }

  async metrics(): Promise<string> {
    const { groups, queues } = this.#running
    const [status, friends, topics] = [await this.status(), await this.friends(), await this.topics()]
    const snapshot = { status, friends, topics, groups: await groups.taking(), queues: await queues.counts() }
    return (await this.#parts.ports.meter?.expose(snapshot)) ?? ''
  }

  events(): AsyncIterable<PeerEvent> {
    return this.#events.listen()
  }

  #state(): PeerStatus['state'] {
    if (this.#draining) return 'draining'
    return this.#parts.ports.clock.now() - this.#fullAt < limits.storageFullMs ? 'full' : 'open'
  }

  async drain(): Promise<void> {
    this.#draining = true
    await this.#running.groups.drain()
    await this.#running.topics.drain()
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    const failures: unknown[] = []
    for (const undo of this.#undo.reverse()) {
      try {
        await undo()
      } catch (error) {
        failures.push(error)
      }
    }
    this.#events.close()
    if (failures.length > 0) this.#parts.ports.log.warn({ failures }, 'closing was not clean')
  }

  async #discover(host: Host, friends: Friends): Promise<void> {
    for (const discovery of this.#parts.discovery(host)) {
      discovery.onFound((peer, addresses) => friends.found(peer, addresses))
      await discovery.start({ id: host.id, addresses: host.addresses() })
      this.#undo.push(() => discovery.stop())
    }
  }

  #syncEvents(): ConstructorParameters<typeof Sync>[0]['events'] {
    const { clock } = this.#parts.ports
    return {
      onStored: (topic, feed, last) => this.#rooms?.gossip.onStored(topic, feed, last),
      onConfirmed: (peer, topic, feed, seq) => this.#rooms?.topics.onConfirmed(peer, topic, feed, seq),
      onMisbehaved: (peer, reason) => this.#rooms?.friends.misbehaved(peer, reason),
      onFork: (topic, proof) => {
        const { author } = proof.a
        this.#emit({ type: 'fork', topic, feed: proof.feed, publisher: author, seq: proof.seq, time: clock.now() })
      },
      onStorageError: (topic, error) => {
        this.#parts.ports.log.warn({ topic, err: error }, 'cannot store what friends send')
        this.#onStorageError(topic, error)
      },
    }
  }

  #onStorageError(topic: TopicName, error: unknown): void {
    if (isError(error, 'StorageFull')) this.#emit({ type: 'storage-full', topic, time: this.#parts.ports.clock.now() })
  }

  #emit(event: PeerEvent): void {
    this.#events.emit(event)
    this.#parts.ports.meter?.happened(event.type)
    if (event.type === 'storage-full') this.#fullAt = event.time
    if (!isTrouble.has(event.type)) return
    this.#troubles.push(event)
    if (this.#troubles.length > limits.troublesMax) this.#troubles.shift()
    this.#parts.ports.log.info(event, event.type)
  }
}

/** The Ed25519 seed of this data folder, made on the first start. */
async function identityOf({ disk, random }: Ports): Promise<Uint8Array> {
  const file = await disk.open('key')
  try {
    const seed = new Uint8Array(32)
    if ((await file.read(seed, 0)) === seed.length) return seed
    const fresh = random.bytes(32)
    await file.write([fresh], 0)
    return fresh
  } finally {
    await file.close()
  }
}

/** Topics that begin with `$` are Grapevine's own and are not shown. */
function isOwn(topic: TopicName): boolean {
  return topic.startsWith('$')
}
