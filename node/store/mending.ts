/**
 * A log's damaged places in one pair of hands: discovery while reading, repair in place, giving up. One step at a time;
 * appending goes on meanwhile.
 */
import { limits } from '../limits.ts'
import type { FeedId } from '../types.ts'
import type { Batch } from '../wire/head.ts'
import type { Arrival, Place, Region, Segment } from './arrival.ts'
import { fill, fits, keepAside, runsAt, writeVoid } from './damage.ts'
import { frameBytes, frameOf } from './frame.ts'
import type { LogParts } from './log.ts'
import { dropIndex } from './segment-index.ts'
import { storageError } from './tail.ts'

export interface MendingEffects {
  /** Appends batches at the end, whatever their numbers. */
  appendAny(batches: readonly Batch[]): Promise<void>
  changed(): void
}

export class Mending {
  readonly #parts: LogParts
  readonly #arrival: Arrival
  readonly #effects: MendingEffects
  /** Batches for holes, until everything that belongs with them is here, by feed and number. */
  #hands: Map<string, Batch> | undefined
  #last: Promise<unknown> | undefined

  constructor(parts: LogParts, arrival: Arrival, effects: MendingEffects) {
    this.#parts = parts
    this.#arrival = arrival
    this.#effects = effects
  }

  holes(): { feed: FeedId; seq: number }[] {
    return this.#arrival.holes().filter(({ feed, seq }) => !this.#hands?.has(handKey(feed, seq)))
  }

  repair(batch: Batch): Promise<boolean> {
    return this.inTurn(async () => {
      const { feed, head } = batch.head
      const held = this.#arrival.feeds.get(feed)
      if (held === undefined || head.seq < held.floor || head.seq > held.last || held.row(head.seq) !== undefined)
        return false
      if (!held.reaches(head.seq)) return false
      this.#hands ??= new Map()
      this.#hands.set(handKey(feed, head.seq), batch)
      await this.#settle()
      return true
    })
  }

  giveUp(now: number): Promise<number> {
    if (this.#arrival.regions.length === 0) return Promise.resolve(0)
    return this.inTurn(async () => {
      const old = this.#arrival.regions.filter(({ since }) => now - since >= limits.repairWaitMs)
      for (const region of old) await this.#abandon(region)
      if (old.length > 0) {
        this.#effects.changed()
        await this.#settle()
      }
      return old.length
    })
  }

  /** One after the other, with everything that touches what is already stored. */
  inTurn<T>(act: () => Promise<T>): Promise<T> {
    const turn = (this.#last ?? Promise.resolve()).then(act)
    this.#last = turn.catch(() => {})
    return turn
  }

  /** Marks the batch at this offset as damaged, found so when it was read. */
  lose(offset: number): Promise<void> {
    return this.inTurn(async () => {
      const { topic, disk, folder, files, onDamage } = this.#parts
      if (!this.#arrival.holds(offset)) return
      const row = this.#arrival.rows.find(offset)
      const { position, length } = this.#arrival.rows.get(row)
      const segment = this.#arrival.segment(row)
      const saved = await files
        .use(segment.path, (file) => keepAside(disk, folder, { segment, position, length }, file))
        .catch(() => false)
      // Else what is brought back in another place would be here twice.
      await this.#unindex(segment).catch(() => {})
      // Only what comes at the end has changed meanwhile: everything else takes its turn here.
      this.#arrival.lose(row, saved)
      onDamage({ type: 'damage-found', topic, file: segment.path, position, bytes: length, kind: 'damaged' })
      this.#effects.changed()
    })
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    await this.#last
  }

  /** Puts what is at hand where it belongs: back into its place, or at the end when it has none any more. */
  async #settle(): Promise<void> {
    for (const region of [...this.#arrival.regions]) {
      const batches = fill(region, this.#readyFor(region))
      if (batches !== undefined) await this.#putBack(region, batches)
    }
    // What else was there nothing tells of: it was the newest of its feed, and comes (or came) at the end like anything new.
    for (const region of [...this.#arrival.regions])
      if (runsAt(this.#arrival, region, limits.holesMax).length === 0) await this.#abandon(region)
    if (this.#handBytes() > limits.repairBytesMax) {
      for (const region of [...this.#arrival.regions]) await this.#abandon(region)
      this.#effects.changed()
    }
    const hands = this.#hands
    if (hands === undefined) return
    const homeless = new Map(hands)
    for (const region of this.#arrival.regions) {
      for (const batch of this.#readyFor(region, true).flat()) {
        if (fits(region, batch)) homeless.delete(handKey(batch.head.feed, batch.head.head.seq))
      }
    }
    if (homeless.size === 0) return
    const batches = [...homeless.values()].sort((a, b) => a.head.head.seq - b.head.head.seq)
    try {
      await this.#effects.appendAny(batches)
    } finally {
      // If that failed they are holes again, to be fetched when the disk has recovered.
      for (const key of homeless.keys()) hands.delete(key)
    }
    this.#tellRepaired(batches)
  }

  /** For each run that may be in the region, what is at hand: without a gap from its beginning, or all of it. */
  #readyFor(region: Region, all = false): Batch[][] {
    const hands = this.#hands
    if (hands === undefined) return []
    return runsAt(this.#arrival, region, limits.holesMax).map(({ feed, first, last }) => {
      const ready: Batch[] = []
      for (let seq = first; seq <= last; seq++) {
        const batch = hands.get(handKey(feed, seq))
        if (batch !== undefined) ready.push(batch)
        else if (!all) break
      }
      return ready
    })
  }

  async #putBack(region: Region, batches: readonly Batch[]): Promise<void> {
    const { segment } = region
    const places: Place[] = []
    const pieces: Uint8Array[] = []
    let { position, offset } = region
    for (const batch of batches) {
      const length = frameBytes(batch)
      places.push({ segment, position, length, offset, head: batch.head })
      pieces.push(...frameOf(batch, offset))
      position += length
      offset += batch.head.head.count
    }
    await this.#unindex(segment)
      .then(() => this.#parts.files.use(segment.path, (file) => file.write(pieces, region.position)))
      .catch((error) => {
        throw storageError(error, segment.path)
      })
    // Retention may have dropped the segment meanwhile, and the region with it.
    if (!this.#arrival.regions.includes(region)) return
    segment.bytes = Math.max(segment.bytes, position)
    this.#arrival.removeRegion(region)
    this.#arrival.insert(places)
    for (const { head } of batches) this.#hands?.delete(handKey(head.feed, head.head.seq))
    this.#tellRepaired(batches)
    this.#effects.changed()
  }

  #tellRepaired(batches: readonly Batch[]): void {
    const { topic, onDamage } = this.#parts
    for (const { head } of batches) onDamage({ type: 'damage-repaired', topic, feed: head.feed, seq: head.head.seq })
  }

  /** Readers go on without what was there. */
  async #abandon(region: Region): Promise<void> {
    const { topic, files, onDamage } = this.#parts
    const { segment, length } = region
    this.#arrival.removeRegion(region)
    onDamage({ type: 'damage-lost', topic, file: segment.path, bytes: length })
    // Never over bytes that are not kept; then the place is found again at the next opening, as when this write fails.
    if (!region.saved) return
    await this.#unindex(segment)
      .then(() => files.use(segment.path, (file) => writeVoid(file, region)))
      .catch(() => {})
  }

  async #unindex(segment: Segment): Promise<void> {
    if (!segment.indexed) return
    await dropIndex(this.#parts.disk, segment)
    segment.indexed = false
  }

  #handBytes(): number {
    let bytes = 0
    for (const batch of this.#hands?.values() ?? []) bytes += frameBytes(batch)
    return bytes
  }
}

function handKey(feed: FeedId, seq: number): string {
  return `${feed}/${seq}`
}
