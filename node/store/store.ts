/**
 * The store: for each topic an arrival log of signed batches in segment files, and the peer's small state.
 *
 *   openStore ─ folder (ours? which format?) ─ state (the lock) ─ for each topic SegmentLog.open ─ recover ─ segment-index, or scan ─ scrub later
 *   append ─ GroupCommit ─ Tail ─ Disk, then Arrival (rows, feeds)          read, at ─ Arrival ─ BatchCache or OpenFiles
 *   damage found by recover, by scrub or by reading ─ Mending ─ repair in place, or void
 *
 * Promises:
 * 1. What `append` confirmed is durable, and in the order and at the offset it was given, until retention drops it.
 * 2. A failed append leaves nothing behind, on disk or in memory; a later one works when the disk does.
 * 3. No frame is returned whose crc does not hold. What does not hold is kept aside before anything is written over it,
 *    and only an unfinished write at the end of a log is ever cut off.
 * 4. A lost batch that is given back lies at its old offset, or, where its place was voided, at the end.
 * 5. Opening reads the last segment of each log and some 40 bytes for each older batch, not the records.
 * 6. Memory: some 40 bytes a batch, some 500 a feed, and what limits.ts bounds.
 *
 * Refuses: another process's folder, a newer format, a folder that is not ours. Does not verify signatures of what it
 * is given: that is for the rooms that receive. Group commit is that of DeWitt et al. (1984), segments and offsets are
 * Kafka's; repair in place departs from both: it works because any friend has the same batch, bit for bit.
 */

import { limits } from '../limits.ts'
import type { Ports, StateDb } from '../ports.ts'
import type { TopicName } from '../types.ts'
import { BatchCache } from './cache.ts'
import { OpenFiles } from './files.ts'
import { checkFolder, markFolder, topicFolder, topicsOf } from './folder.ts'
import { SegmentLog } from './log.ts'
import { Marks } from './marks.ts'
import { storageError } from './tail.ts'
import { type DamageEvent, type DamageFound, type PassingKind, passingKindOf, type TopicLog } from './topic-log.ts'

export interface Store {
  readonly state: StateDb
  /** What was found wrong while opening. */
  readonly found: readonly DamageFound[]
  /** Resolves when what did not have to be read to open the logs has been read, and damage in it told; or the store is closed. */
  readonly scrubbed: Promise<void>
  topics(): TopicName[]
  log(topic: TopicName): TopicLog | undefined
  /** Opens or creates. Rejects with `StorageFull` or `StorageFailed`. */
  open(topic: TopicName): Promise<TopicLog>
  /** Deletes the topic's log. */
  remove(topic: TopicName): Promise<void>
  /** On disk, of all logs. */
  bytes(): number
  close(): Promise<void>
}

export interface StoreOptions {
  /** The data folder's name, for errors; null in memory. */
  data: string | null
  /** Called for damage found, repaired or given up after opening. */
  onDamage?: (event: DamageEvent) => void
  /** Where segments end. Default `limits.segmentBytesMax`. */
  segmentBytesMax?: number
}

type StorePorts = Pick<Ports, 'clock' | 'disk' | 'openState'>

/**
 * Opens every topic in the data folder and recovers it. The first thing to be done with a new folder: other files in it
 * make it somebody else's. Rejects with `FolderInUse`, `FolderTooNew`, `FolderInvalid`, `StorageFull`, `StorageFailed`.
 */
export async function openStore(ports: StorePorts, options: StoreOptions): Promise<Store> {
  const name = options.data ?? 'memory'
  const asStorageError = (error: unknown) => {
    throw storageError(error, name)
  }
  const kind = await checkFolder(ports.disk, name).catch(asStorageError)
  const state = await ports.openState()
  try {
    if (kind === 'new') await markFolder(ports.disk)
    const store = new SegmentStore(ports, state, options)
    await store.openAll()
    return store
  } catch (error) {
    await state.close()
    return asStorageError(error)
  }
}

class SegmentStore implements Store {
  readonly state: StateDb
  readonly found: DamageFound[] = []
  scrubbed = Promise.resolve()
  readonly #ports: StorePorts
  readonly #options: StoreOptions
  readonly #files: OpenFiles
  readonly #cache = new BatchCache(limits.cacheBytesMax)
  readonly #logs = new Map<TopicName, SegmentLog>()
  readonly #opening = new Map<TopicName, Promise<SegmentLog>>()

  constructor(ports: StorePorts, state: StateDb, options: StoreOptions) {
    this.#ports = ports
    this.state = state
    this.#options = options
    this.#files = new OpenFiles(ports.disk, limits.openFilesMax)
  }

  async openAll(): Promise<void> {
    for (const topic of await topicsOf(this.#ports.disk)) await this.open(topic)
    this.scrubbed = this.#scrub([...this.#logs.values()])
  }

  topics(): TopicName[] {
    return [...this.#logs.keys()]
  }

  log(topic: TopicName): TopicLog | undefined {
    return this.#logs.get(topic)
  }

  open(topic: TopicName): Promise<TopicLog> {
    const log = this.#logs.get(topic)
    if (log !== undefined) return Promise.resolve(log)
    const known = this.#opening.get(topic)
    if (known !== undefined) return known
    const opening = this.#open(topic).finally(() => this.#opening.delete(topic))
    this.#opening.set(topic, opening)
    return opening
  }

  async remove(topic: TopicName): Promise<void> {
    await this.#opening.get(topic)
    const log = this.#logs.get(topic)
    if (log === undefined) return
    this.#logs.delete(topic)
    await log.close()
    await this.#ports.disk.remove(await topicFolder(this.#ports.disk, topic))
    await new Marks(this.state, topic).clearFeeds()
  }

  bytes(): number {
    let bytes = 0
    for (const log of this.#logs.values()) bytes += log.bytes
    return bytes
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#opening.values())
    await Promise.all([...this.#logs.values()].map((log) => log.close()))
    await this.#files.close()
    await this.state.close()
  }

  /** One after the other: what matters is that it is not felt. */
  async #scrub(logs: readonly SegmentLog[]): Promise<void> {
    for (const log of logs) await log.scrub()
  }

  async #open(topic: TopicName): Promise<SegmentLog> {
    const { disk, clock } = this.#ports
    const usual = segmentBytesOf(passingKindOf(topic))
    const { onDamage = () => {}, segmentBytesMax = usual } = this.#options
    const { log, found } = await SegmentLog.open({
      topic,
      folder: await topicFolder(disk, topic).catch((error) => {
        throw storageError(error, topic)
      }),
      disk,
      files: this.#files,
      cache: this.#cache,
      clock,
      state: this.state,
      onDamage,
      segmentBytesMax,
    })
    this.found.push(...found)
    this.#logs.set(topic, log)
    return log
  }
}

/** What is soon over, or summed up, goes in smaller pieces. */
function segmentBytesOf(kind: PassingKind | undefined): number {
  if (kind === undefined) return limits.segmentBytesMax
  return kind === '$groups.' ? limits.groupNoticeSegmentBytes : limits.passingSegmentBytes
}
