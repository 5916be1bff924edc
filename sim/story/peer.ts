/**
 * A simulated peer as a user's test holds it: a `Peer` whose process can be crashed, started again, paused and damaged. The handle
 * outlives the process: after `restart()` it speaks to the new one.
 *
 * What is asked through the handle is asked from outside, as over the local API: when the process dies, what was asked of it
 * rejects with `ProcessDied`. A program given to `run` is inside: it is paused with the process and ends where the process does.
 */
import type {
  FriendStatus,
  GroupSummary,
  MeshPeer,
  Message,
  Peer,
  PeerEvent,
  PeerId,
  PeerStatus,
  PublishOptions,
  Queue,
  QueueOptions,
  QueueSummary,
  Receipt,
  RecordSight,
  RequestOptions,
  StartPosition,
  Topic,
  TopicOptions,
  TopicStatus,
} from '../../node/index.ts'
import type { CrashKind, SimPeer } from '../world/peer.ts'
import { groupWith, iterateWith, queueWith, subscriptionWith } from './outside.ts'

/** The process was crashed, or not running, when something was asked of it. */
export class ProcessDied extends Error {
  constructor(name: string) {
    super(`the process of ${name} is not running: it was crashed or stopped, and not restarted`)
    this.name = 'ProcessDied'
  }
}

/** An application that uses a peer, as it would in production. */
export type Program = (peer: Peer) => Promise<unknown> | unknown

interface Life {
  /** Rejects when the process ends. */
  readonly died: Promise<never>
  end(): void
}

/** How a test's peers reach the world they are in. */
export interface Around {
  /** Ends the simulation: a program failed by itself. */
  fail(error: unknown): void
}

export class SimulatedPeer implements Peer {
  readonly name: string
  readonly #host: SimPeer
  readonly #around: Around
  readonly #programs: Program[] = []
  #life: Life | undefined
  #id: PeerId | undefined

  /** Made by `simulate`. */
  constructor(host: SimPeer, around: Around) {
    this.name = host.name
    this.#host = host
    this.#around = around
  }

  /** Its identity, also while it does not run. It changes when the disk is wiped. */
  get id(): PeerId {
    if (this.#id === undefined) throw new ProcessDied(this.name)
    return this.#id
  }

  get running(): boolean {
    return this.#life !== undefined
  }

  /** What `events()` would have told, over all its runs. */
  get history(): readonly PeerEvent[] {
    return this.#host.events
  }

  /**
   * Runs `program` inside the process, now and again after each restart. When it rejects or throws, the simulation does too; what
   * it waits for when the process is crashed never comes.
   */
  run(program: Program): void {
    this.#programs.push(program)
    if (this.running) this.#begin(program)
  }

  /** Ends the process without warning: by SIGKILL, or (`power`) by a power cut, which loses writes that were not synced. */
  async crash(how: CrashKind = 'killed'): Promise<void> {
    this.#host.crash(how)
    this.#life?.end()
    this.#life = undefined
  }

  /** Starts it on its disk; crashes it before where it runs. Resolves when it listens. Rejects as `createPeer` does. */
  async restart(): Promise<void> {
    await this.crash()
    const peer = await this.#host.start()
    this.#id = peer.id
    const { promise: died, reject } = Promise.withResolvers<never>()
    died.catch(() => undefined)
    this.#life = { died, end: () => reject(new ProcessDied(this.name)) }
    for (const program of this.#programs) this.#begin(program)
  }

  /** Crashes it and gives it a new, empty disk: the next `restart()` makes a peer that nobody knows. */
  async wipe(): Promise<void> {
    await this.crash()
    this.#host.wipe()
  }

  /** As SIGSTOP: it does nothing and is not told, while time goes on for the others. */
  async pause(): Promise<void> {
    this.#host.pause()
  }

  /** As SIGCONT. */
  async resume(): Promise<void> {
    this.#host.resume()
  }

  /** Sets its clock forward by so many ms, or back by as many below 0, as whoever sets the time of a machine does. */
  async setClock(byMs: number): Promise<void> {
    this.#host.skewMs += byMs
  }

  /** Leaves so many bytes free on its disk; what does not fit fails with ENOSPC, until `freeDisk()`. */
  async fillDisk(leftBytes = 0): Promise<void> {
    this.#host.disk.capacity = this.#host.disk.used + leftBytes
  }

  async freeDisk(): Promise<void> {
    this.#host.disk.capacity = Number.POSITIVE_INFINITY
  }

  /** Flips one random bit of one of the files in which it keeps records; says where, or that there is none yet. */
  async corrupt(): Promise<{ file: string; position: number } | undefined> {
    const { disk, world } = this.#host
    const files = disk.paths().filter((path) => path.endsWith('.seg') && disk.size(path) > 0)
    if (files.length === 0) return undefined
    const file = world.random.pick(files)
    const flipped = disk.flipBit(file)
    return flipped && { file, ...flipped }
  }

  /** `topic(name).publish(value)` in one. */
  publish(topic: string, value: unknown, options?: PublishOptions): Promise<Receipt> {
    return this.topic(topic).publish(value, options)
  }

  /** All records it can read from the earliest on: ends when none has come for `idleMs` (virtual; default 2,000). */
  async read<T = unknown>(
    topic: string,
    { from = 'earliest', idleMs = 2_000 }: { from?: StartPosition; idleMs?: number } = {},
  ): Promise<Message<T>[]> {
    const { world } = this.#host
    const subscription = this.topic<T>(topic).subscribe({ from })
    const records: Message<T>[] = []
    let last = world.time.now()
    const reading = (async () => {
      for await (const record of subscription) {
        records.push(record)
        last = world.time.now()
      }
    })()
    let failed = false
    reading.catch(() => {
      failed = true
    })
    while (!failed && world.time.now() - last < idleMs) await world.sleep(50)
    if (!failed) await subscription.close()
    await reading
    return records
  }

  topic<T = unknown>(name: string, options?: TopicOptions): Topic<T> {
    const topicNow = () => this.#host.peer.topic<T>(name, options)
    const ask = <R>(act: () => Promise<R>) => this.#ask(act)
    // Judged at once, as createPeer's are: a wrong name throws here.
    const known = this.#within(topicNow)
    return {
      name: known.name,
      publish: (value, settings) => ask(() => topicNow().publish(value, settings)),
      publishMany: (values, settings) => ask(() => topicNow().publishMany(values, settings)),
      subscribe: (settings) =>
        subscriptionWith(
          ask,
          this.#within(() => topicNow().subscribe(settings)),
        ),
      group: (group, settings) =>
        groupWith(
          ask,
          this.#within(() => topicNow().group(group, settings)),
        ),
      respond: (handler, settings) => this.#within(() => topicNow().respond(handler, settings)),
    }
  }

  request<T = unknown>(topic: string, value: unknown, options?: RequestOptions): Promise<T> {
    return this.#ask((peer) => peer.request<T>(topic, value, options))
  }

  queue<T = unknown>(name: string, options?: QueueOptions): Queue<T> {
    return queueWith(
      (act) => this.#ask(act),
      this.#within(() => this.#host.peer.queue<T>(name, options)),
    )
  }

  status(): Promise<PeerStatus> {
    return this.#ask((peer) => peer.status())
  }

  friends(): Promise<FriendStatus[]> {
    return this.#ask((peer) => peer.friends())
  }

  topics(): Promise<TopicStatus[]> {
    return this.#ask((peer) => peer.topics())
  }

  groups(topic?: string): Promise<GroupSummary[]> {
    return this.#ask((peer) => peer.groups(topic))
  }

  queues(): Promise<QueueSummary[]> {
    return this.#ask((peer) => peer.queues())
  }

  mesh(options?: { timeoutMs?: number }): Promise<MeshPeer[]> {
    return this.#ask((peer) => peer.mesh(options))
  }

  why(id: string, options?: { timeoutMs?: number }): Promise<RecordSight[]> {
    return this.#ask((peer) => peer.why(id, options))
  }

  metrics(): Promise<string> {
    return this.#ask((peer) => peer.metrics())
  }

  events(): AsyncIterable<PeerEvent> {
    return iterateWith(
      (act) => this.#ask(act),
      this.#within(() => this.#host.peer.events()),
    )
  }

  drain(): Promise<void> {
    return this.#ask((peer) => peer.drain())
  }

  /** Orderly: ends the process; `restart()` starts it again. */
  async close(): Promise<void> {
    if (!this.running) return
    await this.#ask((peer) => peer.close())
    await this.crash()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #within<R>(act: () => R): R {
    if (!this.running) throw new ProcessDied(this.name)
    return this.#host.within(act)
  }

  async #ask<R>(act: (peer: Peer) => Promise<R>): Promise<R> {
    const life = this.#life
    if (life === undefined) throw new ProcessDied(this.name)
    return Promise.race([this.#host.within(() => act(this.#host.peer)), life.died])
  }

  #begin(program: Program): void {
    const life = this.#life
    const peer = this.#host.peer
    const begun = this.#host.within(async () => program(peer))
    begun.catch((error) => {
      if (this.#life === life) this.#around.fail(error)
    })
  }
}
