/** Grapevine itself: no server; each client is a peer of its own, in a mesh of only these. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, globSync, mkdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createPeer, type Group, type Peer, startGateway, type Topic, version } from '../../../node/index.ts'
import type { Opened } from '../client.ts'
import { uncached } from '../uncached.ts'
import type { Client, Consuming, Listening, System, Use, Which } from './system.ts'

const topicName = 'bench'
const browserPath = '/usr/bin/chromium'
/** For a mesh that just formed: until nothing was new for some seconds, heads go round by way of others too. */
const settleMs = 6_000
/** Of few peers all become friends; of more, each has some. */
const [friendsMin, friendsMax] = [4, 8]

interface Kind {
  durability: string
  /** In memory, instead of a folder of its own. */
  memory?: boolean
  /** Other peers whose disks a single record is on when it is published; what is sent in bulk or shared goes to those of all. */
  confirm: number
  /** Somebody looks at the page of the first, in a browser. */
  watched?: boolean
}

export const grapevine = system({
  durability:
    'synced to disk before it is announced; of a group: filled on all peers, acknowledgements counted when synced by two',
  confirm: 0,
})
export const grapevineCopied = system({ durability: 'synced to disk here and by one other peer', confirm: 1 })
export const grapevineMemory = system({ durability: 'none: all peers in memory', memory: true, confirm: 0 })

/** As the one before, while the page of the one that sends is looked at. */
export const grapevineWatched = system({
  durability: 'none: all peers in memory',
  memory: true,
  confirm: 0,
  watched: true,
})

function system({ durability, memory = false, confirm, watched = false }: Kind): System {
  return {
    client: 'createPeer()',
    durability,
    version: () => (watched && !existsSync(browserPath) ? undefined : version),
    ...(watched && { needs: 'chromium' }),
    async start(folder) {
      mkdirSync(join(folder, 'run'), { mode: 0o700 })
      return { place: folder, stop: async () => undefined }
    },
    async connect(folder, which) {
      // Where peers of one machine find each other.
      process.env.XDG_RUNTIME_DIR = join(folder, 'run')
      const data = memory ? null : join(folder, `peer-${which.number}`)
      // Who catches up has nothing before.
      const carrying = which.use === 'catch-up' ? { keep: 0 } : { carry: [topicName] }
      const create = () => createPeer({ data, ...carrying })
      const isWatched = watched && which.number === 0
      return new GrapevineUser(await create(), { ...which, data, create, confirm, isWatched })
    },
  }
}

function* recordsOf(values: readonly Uint8Array[]): Generator<{ value: Uint8Array }> {
  for (const value of values) yield { value }
}

interface User extends Which {
  data: string | null
  create(): Promise<Peer>
  confirm: number
  isWatched: boolean
}

class GrapevineUser implements Client {
  readonly #data: string | null
  readonly #create: () => Promise<Peer>
  readonly #others: number
  readonly #use: Use
  readonly #confirm: number
  readonly #isWatched: boolean
  #peer: Peer
  #topic: Topic<Uint8Array>
  #group: Group<Uint8Array> | undefined
  #takenUp = 0

  constructor(peer: Peer, { data, create, of, use, confirm, isWatched }: User) {
    this.#data = data
    this.#create = create
    this.#others = of - 1
    this.#use = use
    this.#confirm = confirm
    this.#isWatched = isWatched
    this.#peer = peer
    this.#topic = topicOf(peer)
  }

  async open(): Promise<void> {
    const friends = this.#others <= friendsMax ? this.#others : friendsMin
    while ((await this.#peer.status()).friends < friends) await sleep(50)
    if (this.#use === 'catch-up' || this.#others === 0) return
    while (((await this.#peer.topics()).find(({ name }) => name === topicName)?.carriers ?? 0) < this.#others)
      await sleep(50)
    if (this.#isWatched) await this.#show()
    await sleep(settleMs)
    if (this.#use !== 'share') return
    this.#group = this.#topic.group('group', { from: 'earliest' })
    await this.#group.status()
  }

  /** Resolves when a browser shows the page. */
  async #show(): Promise<void> {
    const gateway = await startGateway({ peer: this.#peer })
    const script = join(import.meta.dirname, 'watcher.ts')
    // What nobody else wants of the processors: people look from machines of their own.
    const watcher = spawn('chrt', ['--idle', '0', process.execPath, script, browserPath, gateway.link()], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    await once(watcher, 'message')
  }

  async send(values: readonly Uint8Array[]): Promise<void> {
    await this.#topic.publishMany(recordsOf(values), {
      confirm: this.#group === undefined ? this.#confirm : this.#others,
    })
  }

  publish(value: Uint8Array): Promise<unknown> {
    return this.#topic.publish(value, { confirm: this.#confirm })
  }

  async listen({ onRecord, onError }: Listening): Promise<void> {
    const subscription = this.#topic.subscribe({ from: this.#use === 'catch-up' ? 'earliest' : 'latest' })
    const take = async () => {
      for await (const batch of subscription.batches()) for (const { value } of batch) onRecord(value)
    }
    take().catch(onError)
    await subscription.ready
  }

  async consume({ consumers, prefetch, onRecord, onError }: Consuming): Promise<void> {
    const group = this.#group
    if (group === undefined) throw new Error('open it for sharing first')
    for (let i = 0; i < consumers; i++) {
      const take = async () => {
        for await (const record of group.consume({ concurrency: prefetch })) {
          const { value } = record
          // Counts when its acknowledgement is safe; the next is taken meanwhile.
          record.ack().then(() => onRecord(i, value), onError)
        }
      }
      take().catch(onError)
    }
  }

  async takeUp(topics: number): Promise<void> {
    const from = this.#takenUp
    this.#takenUp += topics
    const ready = Array.from({ length: topics }, (_, i) => this.#peer.topic(`idle.${from + i}`).subscribe().ready)
    await Promise.all(ready)
  }

  async sentBytes(): Promise<number> {
    return (await this.#peer.status()).bytes.sent
  }

  async reopen(bare: boolean): Promise<Opened> {
    if (this.#data === null) throw new Error('there is nothing on disk')
    await this.#peer.close()
    const files = globSync(join(this.#data, 'topics', '*', bare ? '*.{idx,seg}' : '*.seg'))
    for (const file of files.filter((name) => name.endsWith('.idx'))) rmSync(file)
    const bytes = files.reduce((sum, file) => sum + (statSync(file, { throwIfNoEntry: false })?.size ?? 0), 0)
    if (bare) uncached(files.filter((name) => name.endsWith('.seg')))
    const from = performance.now()
    this.#peer = await this.#create()
    const ms = performance.now() - from
    this.#topic = topicOf(this.#peer)
    return { ms, bytes }
  }

  close(): Promise<void> {
    return this.#peer.close()
  }
}

function topicOf(peer: Peer): Topic<Uint8Array> {
  return peer.topic<Uint8Array>(topicName, { codec: 'bytes' })
}
